"""Configuration of the recurrent (LSTM, GRU) discriminator."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_utils import DiscriminatorConfig


@strict
class RecurrentDiscriminatorConfig(DiscriminatorConfig):
    r"""
    Configuration of [`RecurrentDiscriminator`]. The embedding size, the dropout and `initializer_range` are those of
    SeqGAN's discriminator ([`CNNDiscriminatorConfig`]); the sizes of the recurrence come from no paper.

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `20`):
            Maximum number of positions of the input; longer ones are an error.
        embedding_size (`int`, *optional*, defaults to `64`):
            Width of the token embeddings.
        hidden_size (`int`, *optional*, defaults to `128`):
            Width of the recurrent state of each direction.
        num_hidden_layers (`int`, *optional*, defaults to `1`):
            Number of stacked recurrent layers.
        cell_type (`"lstm"` or `"gru"`, *optional*, defaults to `"lstm"`):
            The recurrent cell.
        bidirectional (`bool`, *optional*, defaults to `False`):
            Whether every layer also reads the sequence backwards.
        dropout (`float`, *optional*, defaults to `0.25`):
            Dropout before the output layer, in training mode only.
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Standard deviation of the truncated normal (cut at two standard deviations) of the output weights, and the
            value at which their biases start.
        eos_token_id (`int` or `list[int]`, *optional*, defaults to `2`):
            The token that ends a sentence; everything after the first one is padding. `None` for sequences of fixed
            length, where only a mask marks padding.

    Label 0 is `fake`, label 1 is `real`."""

    model_type = "textgan_recurrent_discriminator"
    keys_to_ignore_at_inference = ["features"]  # predictions are the scores alone

    vocab_size: int = 5000
    sequence_length: int = 20
    embedding_size: int = 64
    hidden_size: int = 128
    num_hidden_layers: int = 1
    cell_type: Literal["lstm", "gru"] = "lstm"
    bidirectional: bool = False
    dropout: float = 0.25
    initializer_range: float = 0.1
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        for name in ("vocab_size", "sequence_length", "embedding_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; set it to at least 0 and less than 1.")


__all__ = ["RecurrentDiscriminatorConfig"]
