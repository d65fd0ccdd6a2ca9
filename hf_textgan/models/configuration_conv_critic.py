"""Configuration of the convolutional critic."""

from huggingface_hub.dataclasses import strict

from .configuration_utils import DiscriminatorConfig


@strict
class ConvCriticConfig(DiscriminatorConfig):
    r"""
    Configuration of [`ConvCritic`]. The defaults are the critic of WGAN-GP for lines of 32 characters
    (arXiv 1704.00028).

    Args:
        vocab_size (`int`, *optional*, defaults to `100`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `32`):
            Number of positions of the input. Shorter sequences are padded on the right, longer ones are an error.
        hidden_size (`int`, *optional*, defaults to `512`):
            Channels of the convolutions.
        num_blocks (`int`, *optional*, defaults to `5`):
            Number of residual blocks, of two convolutions each.
        kernel_size (`int`, *optional*, defaults to `5`):
            Width of the convolution windows in positions, odd.
        residual_scale (`float`, *optional*, defaults to `0.3`):
            Weight of the branch of a residual block.

    `num_labels` is 1: its output is one score without bounds, higher for real sequences."""

    model_type = "textgan_conv_critic"
    keys_to_ignore_at_inference = ["features"]  # predictions are the scores alone
    default_num_labels = 1

    vocab_size: int = 100
    sequence_length: int = 32
    hidden_size: int = 512
    num_blocks: int = 5
    kernel_size: int = 5
    residual_scale: float = 0.3
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "sequence_length", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if self.num_blocks < 0:
            raise ValueError(f"num_blocks is {self.num_blocks}; set it to 0 or more.")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {self.kernel_size}; set it to an odd number of 1 or more.")

    def validate_score(self) -> None:
        if self.num_labels != 1:
            raise ValueError(f"num_labels is {self.num_labels}; set it to 1: a critic returns one score.")


__all__ = ["ConvCriticConfig"]
