"""Metrics of generated texts."""

from collections.abc import Callable
from typing import Any

from ..metrics.ngrams import ReferenceTable, self_bleu
from .class_metrics import ClassMetrics


MIN_HELD_OUT_LINES = 100  # of a comparison: one half is compared as real text, the other is the reference


class TextMetrics:
    """
    The metrics of generated texts: BLEU against held-out text, Self-BLEU, and the scores of the caption grammar.

    Args:
        references (`list[str]`, *optional*):
            Held-out text, the references of BLEU.
        split (`Callable[[str], list[str]]`, *optional*):
            Splits a text into the units of the n-grams; by default at blanks.
        grammar ([`CaptionGrammar`], *optional*):
            The grammar of the training text.
        max_order (`int`, *optional*, defaults to `5`):
            The maximum length of the n-grams.
        classes ([`ClassMetrics`], *optional*):
            The metrics of texts that were generated for labelled rows.
    """

    def __init__(
        self,
        references: list[str] | None = None,
        split: Callable[[str], list[str]] = str.split,
        grammar: Any = None,
        max_order: int = 5,
        classes: ClassMetrics | None = None,
    ):
        self.split = split
        self.grammar = grammar
        self.max_order = max_order
        self.classes = classes
        self.table = ReferenceTable([split(text) for text in references], max_order) if references else None

    def __call__(self, texts: list[str], rows: list[dict] | None = None) -> dict[str, float]:
        tokens = [self.split(text) for text in texts]
        metrics: dict[str, float] = {}
        if self.table is not None:
            metrics.update(self.table.score(tokens))
        if len(tokens) > 1:
            metrics.update(self_bleu(tokens, self.max_order))
        metrics["distinct_texts"] = len(set(texts)) / len(texts)
        if self.grammar is not None:
            metrics.update(self.grammar.scores(texts))
        if self.classes is not None and rows and "labels" in rows[0]:
            metrics.update(self.classes.accuracy(tokens, [row["labels"] for row in rows]))
        return metrics


__all__ = ["TextMetrics"]
