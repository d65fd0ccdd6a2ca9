"""
What the modules of evaluate share whatever they measure: how they take predictions and references, how texts and
sentences are checked, and the interval of a ratio.

A module has to import something of this file itself, since evaluate copies only what the module's own script imports.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class PredictionsOnly:
    """
    A mixin for modules of evaluate whose only feature is the predictions.

    Without it `add_batch` would ignore references; here they are an error.
    """

    _refusal = "add_batch takes predictions only"

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
    A mixin for modules of evaluate with references that need not be as many as the predictions.

    The features of such a module are its predictions alone, since evaluate wants all features equally long. `compute`
    hands the references to `_compute` as the argument `corpus`. They are passed to `compute`, not to `add_batch`.
    """

    _refusal = "add_batch takes predictions only, references go to compute"

    def compute(self, *, predictions=None, references=None, **kwargs):
        """Computes the metric.

        Args:
            predictions (`list`, *optional*):
                The generated texts, unless they were added before.
            references (`list`, *optional*):
                The real texts, any number of them.
            kwargs:
                The metric's own arguments.
        """
        if references is not None:
            kwargs["corpus"] = references
        return super().compute(predictions=predictions, **kwargs)


def refuse_references(references: Any, reason: str) -> None:
    """
    References that would have no effect are an error.

    Raises:
        `ValueError`: If there are references.
    """
    if references is not None:
        raise ValueError(f"{reason}; leave references= out.")


def check_given(texts: Any, name: str) -> None:
    """
    Checks that an argument that the module needs is there.

    Raises:
        `TypeError`: If it is `None`.
    """
    if texts is None:
        raise TypeError(f"{name} is missing; pass {name}=[...], a list of texts.")


def split_texts(texts: Any, name: str) -> list[list[str]]:
    """
    The texts cut at blanks.

    Raises:
        `TypeError`: If there is no list of strings.
    """
    check_given(texts, name)
    if isinstance(texts, str):
        raise TypeError(f"{name} is one string ({texts[:20]!r}); pass a list of texts.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"Text {index} of {name} is {text!r}; pass strings.")
    return [text.split() for text in texts]


def check_token_lists(sentences: Sequence[Sequence[str]], name: str) -> None:
    """
    Checks that sentences are lists of tokens; empty ones are allowed.

    Raises:
        `TypeError`: If a sentence, or all of them, is a string.
        `ValueError`: If there are none.
    """
    if isinstance(sentences, str):
        raise TypeError(f"The {name} are one string ({sentences[:20]!r}); pass a list of token lists instead.")
    if len(sentences) == 0:
        raise ValueError(f"There are 0 {name}; pass at least 1 sentence.")
    for index, sentence in enumerate(sentences):
        if isinstance(sentence, str):
            raise TypeError(
                f"Sentence {index} of the {name} is a string ({sentence[:20]!r}); split it into a list of tokens."
            )


def check_sentences(sentences: Any, name: str) -> list:
    """
    The sentences as a list, all of them strings or all of them sequences of strings.

    Raises:
        `TypeError`: If they are something else.
        `ValueError`: If there are none.
    """
    if sentences is None:
        raise ValueError(f"There are no {name}; pass {name}=, a list of sentences.")
    if isinstance(sentences, str) or not isinstance(sentences, Iterable):
        raise TypeError(f"{name}={show(sentences)} is no list; pass a list of sentences.")
    sentences = list(sentences)
    if not sentences:
        raise ValueError(f"There are 0 {name}; pass at least 1 sentence.")
    as_text = isinstance(sentences[0], str)
    for index, sentence in enumerate(sentences):
        if isinstance(sentence, str) != as_text or not isinstance(sentence, Iterable):
            wanted = "a string" if as_text else "a string or a list of tokens"
            raise TypeError(f"{name}[{index}]={show(sentence)} is not {wanted}; pass all of them in one form.")
        if not as_text:
            for token in sentence:
                if not isinstance(token, str):
                    raise TypeError(f"{name}[{index}] has the token {show(token)}; pass tokens as strings.")
    return sentences


def show(value: Any) -> str:
    """A value for an error message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def ratio_interval(
    name: str, sums: np.ndarray, counts: np.ndarray, num_bootstrap: int, confidence: float, seed: int
) -> dict[str, Any]:
    """
    The interval of ``sum(sums) / sum(counts)`` over resamples of the sentences.

    Args:
        name (`str`):
            The name of the ratio.
        sums (`numpy.ndarray` of shape `(num_sentences,)`):
            What each sentence adds to the numerator.
        counts (`numpy.ndarray` of shape `(num_sentences,)`):
            What it adds to the denominator.
        num_bootstrap (`int`):
            The number of resamples; 0 for no interval.
        confidence (`float`):
            Of the interval, between 0 and 1.
        seed (`int`):
            Of the resamples.

    Returns:
        `dict[str, Any]`: `<name>_interval`, two numbers, `num_bootstrap`, `confidence` and `seed`; nothing without
        resamples.

    Raises:
        `ValueError`: If `num_bootstrap` is negative or `confidence` not between 0 and 1.
    """
    if num_bootstrap < 0:
        raise ValueError(f"num_bootstrap={num_bootstrap} is negative; use 0 for no interval, or for example 1000.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not between 0 and 1; use for example 0.95.")
    if num_bootstrap == 0:
        return {}
    order = np.lexsort((counts, sums))  # the interval does not depend on the order of the sentences
    sums, counts = sums[order], counts[order]
    random = np.random.default_rng(seed)
    ratios = []
    for _ in range(num_bootstrap):
        rows = random.integers(len(sums), size=len(sums))
        ratios.append(sums[rows].sum() / counts[rows].sum())
    ends = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return {f"{name}_interval": ends, "num_bootstrap": num_bootstrap, "confidence": confidence, "seed": seed}


__all__ = [
    "FreeReferences",
    "PredictionsOnly",
    "check_given",
    "check_sentences",
    "check_token_lists",
    "ratio_interval",
    "refuse_references",
    "show",
    "split_texts",
]
