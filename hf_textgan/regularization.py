"""Penalties as pure functions, each with its source."""

import torch
from torch import nn


def output_layer_l2(layer: nn.Linear) -> torch.Tensor:
    """
    ``1/2 ||W||^2 + 1/2 ||b||^2`` of an output layer, the only weights that SeqGAN's discriminator penalises
    (arXiv 1609.05473, reference code).
    """
    return 0.5 * (layer.weight.square().sum() + layer.bias.square().sum())


__all__ = ["output_layer_l2"]
