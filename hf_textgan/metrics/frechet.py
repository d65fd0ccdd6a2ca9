"""The Frechet distance between two sets of embeddings."""

import numpy as np


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """
    Returns the squared Frechet distance between the normal distributions with the means and covariances of two samples
    (Heusel et al. 2017, arXiv 1706.08500, equation 6):

    ``|m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))``

    The trace of the root is the sum of the singular values of ``S_x^(1/2) S_y^(1/2)``. These are the roots of the
    eigenvalues of ``S_x^(1/2) S_y S_x^(1/2)``, but more exact, since nothing is squared.

    The distance is biased: it is about ``d tr(S) / (2 n)`` for two samples of `n` points of one distribution with `d`
    dimensions of equal variance. Compare at equal sizes, and with two real samples.

    Args:
        x (`numpy.ndarray` of shape `(num_x, dimension)`):
            One sample, at least 2 points.
        y (`numpy.ndarray` of shape `(num_y, dimension)`):
            The other sample, at least 2 points.

    Returns:
        `float`: From 0, in squared units of the embedding; lower is closer.

    Raises:
        `ValueError`: If a sample is not a matrix, has fewer than 2 points or values that are not finite, or if the
            dimensions differ.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for name, sample in (("x", x), ("y", y)):
        if sample.ndim != 2:
            raise ValueError(f"{name} has the shape {sample.shape}; pass a matrix with a row for each point.")
        if len(sample) < 2:
            raise ValueError(f"{name} has {len(sample)} points and no covariance; pass at least 2; 10,000 are better.")
        if not np.isfinite(sample).all():
            raise ValueError(f"{name} has values that are not finite; remove the points that have them.")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x has {x.shape[1]} dimensions and y has {y.shape[1]}; embed both with the same model and size."
        )
    means = x.mean(0) - y.mean(0)
    x_covariance, y_covariance = _covariance(x), _covariance(y)
    root = np.linalg.svd(_root(x_covariance) @ _root(y_covariance), compute_uv=False).sum()
    distance = means @ means + np.trace(x_covariance) + np.trace(y_covariance) - 2 * root
    return max(0.0, float(distance))  # rounding may give less than 0


def _covariance(sample: np.ndarray) -> np.ndarray:
    centered = sample - sample.mean(0)
    return centered.T @ centered / (len(sample) - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Returns the symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


__all__ = ["frechet_distance"]
