"""Configuration of the convolutional generator."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_utils import UntiedConfig


@strict
class ConvGeneratorConfig(UntiedConfig):
    r"""
    Configuration of [`ConvGenerator`]. The defaults are the generator of WGAN-GP for lines of 32 characters
    (arXiv 1704.00028).

    Args:
        vocab_size (`int`, *optional*, defaults to `100`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `32`):
            Number of positions of a generated sequence.
        latent_size (`int`, *optional*, defaults to `128`):
            Size of a latent vector.
        hidden_size (`int`, *optional*, defaults to `512`):
            Channels of the convolutions.
        num_blocks (`int`, *optional*, defaults to `5`):
            Number of residual blocks, of two convolutions each.
        kernel_size (`int`, *optional*, defaults to `5`):
            Width of the convolution windows in positions, odd.
        residual_scale (`float`, *optional*, defaults to `0.3`):
            Weight of the branch of a residual block.
        readout (`"argmax"` or `"sample"`, *optional*, defaults to `"argmax"`):
            Whether `generate` takes the most probable token of each position or draws one."""

    model_type = "textgan_conv_generator"

    vocab_size: int = 100
    sequence_length: int = 32
    latent_size: int = 128
    hidden_size: int = 512
    num_blocks: int = 5
    kernel_size: int = 5
    residual_scale: float = 0.3
    readout: Literal["argmax", "sample"] = "argmax"
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "sequence_length", "latent_size", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if self.num_blocks < 0:
            raise ValueError(f"num_blocks is {self.num_blocks}; set it to 0 or more.")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {self.kernel_size}; set it to an odd number of 1 or more.")


__all__ = ["ConvGeneratorConfig"]
