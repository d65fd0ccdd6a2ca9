"""Configuration of the mixture of recurrent generators."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict

from .configuration_recurrent_generator import RecurrentGeneratorConfig


@strict
class MixtureGeneratorConfig(RecurrentGeneratorConfig):
    r"""
    Configuration of [`MixtureGeneratorForCausalLM`]: that of the recurrent generator of each class (see
    [`RecurrentGeneratorConfig`]), and the following.

    Args:
        vocab_size (`int`, *optional*, defaults to `5000`):
            Number of tokens, special tokens included.
        embedding_size (`int`, *optional*, defaults to `32`):
            Width of the token embeddings.
        hidden_size (`int`, *optional*, defaults to `32`):
            Width of the recurrent state.
        num_hidden_layers (`int`, *optional*, defaults to `1`):
            Number of stacked recurrent layers.
        cell_type (`"lstm"` or `"gru"`, *optional*, defaults to `"lstm"`):
            The recurrent cell.
        dropout (`float`, *optional*, defaults to `0.0`):
            Dropout on the embeddings, between the layers and before the output layer, in training mode only.
        initializer_range (`float`, *optional*, defaults to `0.1`):
            Standard deviation of the normal distribution from which every array, biases included, is drawn.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether the output layer of each generator has the weights of its embeddings, which needs `embedding_size`
            equal to `hidden_size`.
        use_cache (`bool`, *optional*, defaults to `True`):
            Whether `forward` returns the recurrent state, so that `generate` feeds one token at a time.
        num_classes (`int`, *optional*, defaults to `1`):
            Number of classes, each with a generator of its own.
        class_probabilities (`list[float]`, *optional*):
            The probabilities with which classes are drawn where none are given; by default all are equal.
        initial_state_std (`float`, *optional*, defaults to `0.0`):
            Standard deviation of the normal distribution of the initial state; 0 for a state of zeros.

    Example:

    ```python
    >>> from hf_textgan import MixtureGeneratorConfig, MixtureGeneratorForCausalLM

    >>> model = MixtureGeneratorForCausalLM(MixtureGeneratorConfig(vocab_size=100, num_classes=2))
    ```"""

    model_type = "textgan_mixture"

    num_classes: int = 1
    class_probabilities: list[float] | tuple[float, ...] | None = None
    initial_state_std: float = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.id2label is None:
            self.id2label = {label: f"LABEL_{label}" for label in range(self.num_classes)}
            self.label2id = {name: label for label, name in self.id2label.items()}
        super().__post_init__(**kwargs)

    def validate_classes(self) -> None:
        if self.num_classes < 1:
            raise ValueError(f"num_classes is {self.num_classes}; set it to 1 or more.")
        if not 0.0 <= self.initial_state_std < math.inf:
            raise ValueError(f"initial_state_std is {self.initial_state_std}; set it to 0 or more.")
        probabilities = self.class_probabilities
        if probabilities is not None and (
            len(probabilities) != self.num_classes
            or not all(0.0 <= probability <= 1.0 for probability in probabilities)
            or not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6)
        ):
            raise ValueError(
                f"class_probabilities is {list(probabilities)} and num_classes {self.num_classes}; give one "
                "probability for each class, with the sum 1."
            )


__all__ = ["MixtureGeneratorConfig"]
