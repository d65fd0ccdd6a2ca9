"""Configuration of the discriminator with several representations of a sequence."""

from huggingface_hub.dataclasses import strict

from .configuration_utils import DiscriminatorConfig


@strict
class MultiRepresentationDiscriminatorConfig(DiscriminatorConfig):
    r"""
    Configuration of [`MultiRepresentationDiscriminator`]. The defaults are the discriminator of RelGAN (ICLR 2019,
    OpenReview rJedV3R5tm).

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `20`):
            Number of positions of the input. Shorter sequences are padded on the right and longer ones are an error.
        embedding_size (`int`, *optional*, defaults to `64`):
            Width of the token embeddings, all representations together.
        num_representations (`int`, *optional*, defaults to `64`):
            Number of representations, each of `embedding_size / num_representations` numbers per token.
        window_sizes (`list[int]`, *optional*):
            Widths of the convolution windows, in tokens. Wider windows are reduced to `sequence_length`.
        num_filters (`list[int]`, *optional*):
            Number of filters of each window size.
        hidden_size (`int`, *optional*, defaults to `100`):
            Width of the linear layer before the output layer.
        num_highway_layers (`int`, *optional*, defaults to `1`):
            Number of highway layers after pooling.
        dropout (`float`, *optional*, defaults to `0.25`):
            Dropout before the last two layers, in training mode only.

    It is a critic: its output is one score, higher for real sequences."""

    model_type = "textgan_multi_representation_discriminator"
    keys_to_ignore_at_inference = ["features", "scores"]  # predictions are the mean scores alone
    default_num_labels = 1

    vocab_size: int = 5000
    sequence_length: int = 20
    embedding_size: int = 64
    num_representations: int = 64
    window_sizes: list[int] | tuple[int, ...] = (2, 3, 4, 5)
    num_filters: list[int] | tuple[int, ...] = (300, 300, 300, 300)
    hidden_size: int = 100
    num_highway_layers: int = 1
    dropout: float = 0.25
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def validate_sizes(self) -> None:
        if self.num_highway_layers < 0:
            raise ValueError(f"num_highway_layers is {self.num_highway_layers}; set it to 0 or more.")
        for name in ("vocab_size", "embedding_size", "sequence_length", "num_representations", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
        if self.embedding_size % self.num_representations:
            raise ValueError(
                f"embedding_size is {self.embedding_size} and num_representations {self.num_representations}; set the "
                "size to a multiple of the number."
            )
        if not self.window_sizes or min((*self.window_sizes, *self.num_filters), default=0) < 1:
            raise ValueError(
                f"window_sizes is {list(self.window_sizes)} and num_filters {list(self.num_filters)}; "
                "give at least one window, and only values of 1 or more."
            )
        if len(self.window_sizes) != len(self.num_filters):
            raise ValueError(
                f"window_sizes has {len(self.window_sizes)} entries and num_filters {len(self.num_filters)}; "
                "give one number of filters for each window size."
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}; set it to at least 0 and less than 1.")


__all__ = ["MultiRepresentationDiscriminatorConfig"]
