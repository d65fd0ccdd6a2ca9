"""Mixins for modules of evaluate: how they take predictions and references, and what their web form needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datasets import Features, Value

from .sentences import check_sentences, flatten_references


if TYPE_CHECKING:
    from evaluate import EvaluationModule as _Module
else:
    _Module = object  # evaluate takes the first subclass of its own in a file for the module


class PredictionsOnly(_Module):
    """
    A mixin for modules of evaluate whose only feature is the predictions.

    `add_batch` of evaluate ignores references that are no feature; here they are an error.

    Attributes:
        form_columns (`tuple[str, ...]`):
            The columns of texts of the web form in a Space.
    """

    form_columns: tuple[str, ...] = ("predictions",)
    _refusal = "add_batch takes predictions only"

    def form_arguments(self, predictions: list[str]) -> dict[str, Any]:
        """Returns the arguments of `compute` that the web form fills in beside its columns."""
        return {}

    def add_batch(self, *, predictions=None, references=None, **kwargs):
        """Adds predictions.

        Args:
            predictions (`list`):
                Generated texts.

        Raises:
            ValueError: If there are references.
        """
        refuse_references(references, self._refusal)
        super().add_batch(predictions=predictions, **kwargs)


class FreeReferences(PredictionsOnly):
    """
    A mixin for modules of evaluate with any number of references.

    evaluate requires features of equal length, so the predictions are the only feature. `compute` hands the references
    to `_compute` as the argument `corpus`; `add_batch` does not take them.
    """

    _refusal = "add_batch takes predictions only, references go to compute"

    def compute(self, *, predictions=None, references=None, **kwargs):
        """Computes the metric.

        Args:
            predictions (`list`, *optional*):
                The generated texts, unless they were added before.
            references (`list`, *optional*):
                The real texts, any number of them, or a list of them for each prediction, as in other modules of
                evaluate; then every prediction is compared with the distinct ones of all lists.
            kwargs:
                The metric's own arguments.
        """
        if references is not None:
            kwargs["corpus"] = flatten_references(references, self._has_texts(predictions))
        return super().compute(predictions=predictions, **kwargs)

    def _has_texts(self, predictions: Any) -> bool:
        """Returns whether the predictions, or those added before, are strings and not lists of tokens."""
        if predictions is None:
            features = self.selected_feature_format or self.features
            return isinstance(features, Features) and isinstance(features["predictions"], Value)
        return isinstance(predictions, Sequence) and len(predictions) > 0 and isinstance(predictions[0], str)


class CheckedSentences(_Module):
    """
    A mixin for modules of evaluate that checks sentences before evaluate stores them, since its own errors do not name
    the wrong one. It comes after [`FreeReferences`] in the list of base classes.
    """

    def compute(self, *, predictions=None, corpus=None, **kwargs):
        """Computes the metric.

        Args:
            predictions (`list[str]` or `list[list[str]]`, *optional*):
                The generated sentences, unless they were added before.
            corpus (`list[str]` or `list[list[str]]`, *optional*):
                The real sentences, any number of them.
            kwargs:
                The metric's own arguments.
        """
        if predictions is None and not len(self):
            check_sentences(predictions, "predictions")
        if corpus is not None:
            kwargs["corpus"] = check_sentences(corpus, "references")
        return super().compute(predictions=predictions, **kwargs)

    def add_batch(self, *, predictions=None, **kwargs):
        """Adds predictions.

        Args:
            predictions (`list[str]` or `list[list[str]]`):
                Generated sentences.
        """
        super().add_batch(predictions=check_sentences(predictions, "predictions"), **kwargs)


def refuse_references(references: Any, reason: str) -> None:
    """
    Refuses references that would have no effect.

    Raises:
        `ValueError`: If there are references.
    """
    if references is not None:
        raise ValueError(f"{reason}; leave references= out.")


__all__ = ["CheckedSentences", "FreeReferences", "PredictionsOnly", "refuse_references"]
