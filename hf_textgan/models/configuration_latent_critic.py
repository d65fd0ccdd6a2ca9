"""Configuration of the critic of codes."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_utils import DiscriminatorConfig


@strict
class LatentCriticConfig(DiscriminatorConfig):
    r"""
    Configuration of [`LatentCritic`], the critic of ARAE (arXiv 1706.04223).

    Args:
        code_size (`int`, *optional*, defaults to `300`):
            Width of the codes.
        layer_sizes (`list[int]`, *optional*, defaults to `[300, 300]`):
            Widths of the hidden layers.
        normalization (`"layer"` or `"none"`, *optional*, defaults to `"none"`):
            Normalization before the activation of every hidden layer but the first. The official code has batch
            normalization there, which would couple examples whose gradients are penalized one by one.
        negative_slope (`float`, *optional*, defaults to `0.2`):
            Slope of the leaky ReLU below 0.
        initializer_range (`float`, *optional*, defaults to `0.02`):
            Standard deviation of the weights; biases start at 0.
    """

    model_type = "textgan_latent_critic"
    keys_to_ignore_at_inference = ["features"]  # predictions are the scores alone
    default_num_labels = 1

    code_size: int = 300
    layer_sizes: list[int] | tuple[int, ...] = (300, 300)
    normalization: Literal["layer", "none"] = "none"
    negative_slope: float = 0.2
    initializer_range: float = 0.02

    def validate_sizes(self) -> None:
        if self.code_size < 1:
            raise ValueError(f"code_size is {self.code_size}; set it to 1 or more.")
        if any(size < 1 for size in self.layer_sizes):
            raise ValueError(f"layer_sizes is {list(self.layer_sizes)}; set each to 1 or more.")
        if not 0 <= self.negative_slope <= 1:
            raise ValueError(f"negative_slope is {self.negative_slope}; set it to a value from 0 to 1.")


__all__ = ["LatentCriticConfig"]
