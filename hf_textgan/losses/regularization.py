"""Penalties as pure functions, each with its source."""

from collections.abc import Callable

import torch
from torch import nn


def output_layer_l2(layer: nn.Linear) -> torch.Tensor:
    """
    Returns ``1/2 ||W||^2 + 1/2 ||b||^2`` of an output layer, the only weights that SeqGAN's discriminator penalizes
    (arXiv 1609.05473, reference code).
    """
    penalty = layer.weight.square().sum()
    return 0.5 * (penalty if layer.bias is None else penalty + layer.bias.square().sum())


def interpolate(first: torch.Tensor, second: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """
    Returns ``first_i + alpha_i (second_i - first_i)``, a point on the line between each pair, with one ``alpha`` for
    all entries of an example (IWGAN, arXiv 1704.00028, algorithm 1).

    Args:
        first, second (`torch.FloatTensor` of shape `(batch_size, ...)`):
            The two ends, paired by their index in the batch.
        alpha (`torch.FloatTensor` of shape `(batch_size,)`):
            0 for the first, 1 for the second.
    """
    return torch.lerp(first, second, alpha.view(-1, *[1] * (first.dim() - 1)))


def input_gradient(score: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """
    Returns the gradient of each example's score with respect to that example, differentiable with respect to the
    parameters of `score`, which must treat the examples one by one.

    Args:
        score (`Callable`):
            Maps inputs to scores of shape `(batch_size,)`.
        inputs (`torch.FloatTensor` of shape `(batch_size, ...)`):
            The points at which the gradient is taken.
    """
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(score(inputs).sum(), inputs, create_graph=True)[0]


def gradient_penalty(gradients: torch.Tensor, batch_size: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Returns the two-sided penalty ``E (|| grad f(x) ||_2 - 1)^2``, with the norm over all entries of an example (IWGAN,
    arXiv 1704.00028, equation 3).

    Args:
        gradients (`torch.FloatTensor` of shape `(batch_size, ...)`):
            Gradient of each example's score with respect to that example.
        batch_size (`int`, *optional*, defaults to `1`):
            Divisor of the gradients, for a critic that returns the mean of its scores over a batch of this size.

    Returns:
        The penalty, and the norms of shape `(batch_size,)`, detached.
    """
    norms = torch.linalg.vector_norm(gradients.flatten(1).float(), dim=1) / batch_size
    return (norms - 1).square().mean(), norms.detach()


__all__ = ["gradient_penalty", "input_gradient", "interpolate", "output_layer_l2"]
