"""Configuration of the convolutional discriminator."""

from typing import Any

from huggingface_hub.dataclasses import strict

from .configuration_utils import DiscriminatorConfig


@strict
class CNNDiscriminatorConfig(DiscriminatorConfig):
    r"""
    Configuration of [`CNNDiscriminator`]. The defaults are SeqGAN's discriminator for sequences of 20 tokens
    (arXiv 1609.05473; the network is Kim 2014, arXiv 1408.5882, with a highway layer).

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        sequence_length (`int`, *optional*, defaults to `20`):
            Number of positions of the input. Shorter sequences are padded on the right and longer ones are an error,
            so the score of a sentence does not depend on how its batch was padded.
        embedding_size (`int`, *optional*, defaults to `64`):
            Width of the token embeddings.
        window_sizes (`list[int]`, *optional*):
            Widths of the convolution windows, in tokens. Wider windows are reduced to `sequence_length`.
        num_filters (`list[int]`, *optional*):
            Number of filters of each window size.
        num_highway_layers (`int`, *optional*, defaults to `1`):
            Number of highway layers after pooling.
        dropout (`float`, *optional*, defaults to `0.25`):
            Dropout before the output layer, in training mode only.
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Standard deviation of the truncated normal (cut at two standard deviations) of the convolution and output
            weights, and the value at which their biases start.
        num_real_classes (`int`, *optional*, defaults to `1`):
            Number of classes of real text, each with a label of its own.

    Label 0 is `fake`, label 1 is `real`; with several classes label `i + 1` is real text of class `i`."""

    model_type = "textgan_cnn_discriminator"
    keys_to_ignore_at_inference = ["features"]  # predictions are the scores alone

    vocab_size: int = 5000
    sequence_length: int = 20
    embedding_size: int = 64
    window_sizes: list[int] | tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
    num_filters: list[int] | tuple[int, ...] = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
    num_highway_layers: int = 1
    dropout: float = 0.25
    initializer_range: float = 0.1
    num_real_classes: int = 1
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.num_real_classes > 1 and self.id2label is None:
            names = ("fake", *(f"real {label}" for label in range(self.num_real_classes)))
            self.id2label = dict(enumerate(names))
            self.label2id = {name: label for label, name in enumerate(names)}
        super().__post_init__(**kwargs)

    def validate_classes(self) -> None:
        if self.num_real_classes < 1:
            raise ValueError(f"num_real_classes is {self.num_real_classes}; set it to 1 or more.")
        if self.num_real_classes > 1 and self.num_labels != self.num_real_classes + 1:
            raise ValueError(
                f"num_labels is {self.num_labels} and num_real_classes {self.num_real_classes}; leave num_labels out: "
                "it is one more."
            )

    def validate_sizes(self) -> None:
        if self.num_highway_layers < 0:
            raise ValueError(f"num_highway_layers is {self.num_highway_layers}; set it to 0 or more.")
        for name in ("vocab_size", "embedding_size", "sequence_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to 1 or more.")
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


__all__ = ["CNNDiscriminatorConfig"]
