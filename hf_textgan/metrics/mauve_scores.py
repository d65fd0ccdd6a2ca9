"""MAUVE of two sets of embeddings, computed by the package mauve-text."""

import numpy as np


def mauve_score(
    real: np.ndarray,
    generated: np.ndarray,
    num_clusters: int | None = None,
    scaling: float = 5.0,
    seed: int = 0,
) -> dict[str, float]:
    """
    Returns MAUVE (Pillutla et al. 2021, arXiv 2102.01454, section 2): the area under the curve of the two
    Kullback-Leibler divergences from mixtures of two histograms over clusters of the embeddings.

    The value depends on the embeddings, the number of clusters, the number of texts and `scaling`. Compare only scores
    of one setting. The authors advise at least 5,000 texts and embeddings of a large language model.

    Args:
        real (`numpy.ndarray` of shape `(num_real, dimension)`):
            The embeddings of real texts.
        generated (`numpy.ndarray` of shape `(num_generated, dimension)`):
            The embeddings of generated texts.
        num_clusters (`int`, *optional*):
            The number of clusters; by default a tenth of the smaller number of texts, at least 2.
        scaling (`float`, *optional*, defaults to 5.0):
            The constant `c` of the paper.
        seed (`int`, *optional*, defaults to 0):
            The seed of the clustering.

    Returns:
        `dict[str, float]`: `mauve` from 0 to 1, higher is closer; `mauve_star`, the same with half a text added to
        every cluster (Krichevsky-Trofimov smoothing); `frontier_integral` from 0, lower is closer; `num_clusters`,
        `scaling` and `seed`.

    Raises:
        `ImportError`: If mauve-text is not installed.
        `ValueError`: If there are fewer texts than clusters, fewer than 2 clusters, or the dimensions differ.
    """
    try:
        import mauve  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"MAUVE needs the package mauve-text ({error}); run `pip install mauve-text`.") from error
    real, generated = np.asarray(real, np.float32), np.asarray(generated, np.float32)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"The embeddings have the shapes {real.shape} and {generated.shape}; pass two matrices of equal width."
        )
    min_texts = min(len(real), len(generated))
    if num_clusters is None:
        num_clusters = max(2, round(min_texts / 10))
    if num_clusters < 2 or min_texts < num_clusters:
        raise ValueError(
            f"{num_clusters} clusters of {len(real)} real and {len(generated)} generated texts cannot be compared; "
            "use at least 2 clusters, and at least as many texts of each kind."
        )
    # Clusters depend on the order of the points. Sorted points make them independent of the order of the texts.
    real, generated = (points[np.lexsort(points.T[::-1])] for points in (real, generated))
    result = mauve.compute_mauve(
        p_features=real,
        q_features=generated,
        num_buckets=num_clusters,
        mauve_scaling_factor=scaling,
        seed=seed,
        verbose=False,
    )
    # The package sorts the points of the curve. Equal histograms have one point many times, sorted in any order.
    equal = np.array_equal(result.p_hist, result.q_hist)
    return {
        "mauve": 1.0 if equal else float(result.mauve),
        "mauve_star": 1.0 if equal and len(real) == len(generated) else float(result.mauve_star),
        "frontier_integral": float(result.frontier_integral),
        "num_clusters": num_clusters,
        "scaling": scaling,
        "seed": seed,
    }


__all__ = ["mauve_score"]
