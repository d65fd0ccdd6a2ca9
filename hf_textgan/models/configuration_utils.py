"""Parts that several configurations share."""

from typing import Any

from transformers import PreTrainedConfig


class UntiedConfig(PreTrainedConfig):
    """Configuration of a model without an output layer that could share the weights of its input embeddings."""

    def validate_tied_embeddings(self) -> None:
        if getattr(self, "tie_word_embeddings", False):
            raise ValueError(
                f"tie_word_embeddings is True, but the model {self.model_type} does not share its input embeddings "
                "with an output layer; leave it out."
            )


class DiscriminatorConfig(UntiedConfig):
    """
    Configuration of a discriminator of sequences: label 0 is `fake`, label 1 is `real`. With one label (`num_labels`
    1) it is a critic, whose output is an unbounded score that pipelines show as it is.
    """

    default_num_labels = 2

    def __post_init__(self, **kwargs: Any) -> None:
        names = {1: ("score",), 2: ("fake", "real")}.get(kwargs.get("num_labels") or self.default_num_labels)
        if self.id2label is None and names is not None:
            self.id2label = dict(enumerate(names))
            self.label2id = {name: label for label, name in enumerate(names)}
        super().__post_init__(**kwargs)
        if self.num_labels == 1 and self.problem_type is None:
            self.problem_type = "regression"  # pipelines would show the sigmoid, which is no probability


__all__ = ["DiscriminatorConfig", "UntiedConfig"]
