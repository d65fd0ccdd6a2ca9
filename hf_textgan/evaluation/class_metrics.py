"""Metrics of texts that were generated for classes."""

from collections.abc import Sequence

import numpy as np

from ..metrics.category import NgramClassifier
from ..metrics.ngrams import ReferenceTable, self_bleu


class ClassMetrics:
    """
    The category accuracy of generated texts (SentiGAN, Wang and Wan, IJCAI 2018, section 4.3) by a classifier that
    learns from real text, beside that of real text, and the BLEU and Self-BLEU of each class.

    - `category_accuracy`: the share of the texts that the classifier puts into the class that they were generated for.
    - `category_accuracy_real`: the same of held-out text and its labels. A generator above it writes caricatures.
    - `category_accuracy[NAME]`, `category_accuracy_real[NAME]`, `bleu_2[NAME]`, `self_bleu_2[NAME]` and so on: of one
      class.

    Args:
        train (`Sequence[Sequence[str]]`), train_labels (`Sequence[int]`):
            The texts as lists of units that the classifier learns from, and their labels.
        references (`Sequence[Sequence[str]]`), reference_labels (`Sequence[int]`):
            Held-out texts and their labels; there may be none.
        names (`Sequence[str]`):
            The names of the classes in the order of their numbers.
        max_order (`int`, *optional*, defaults to `5`):
            The maximum length of the n-grams of BLEU.
    """

    def __init__(
        self,
        train: Sequence[Sequence[str]],
        train_labels: Sequence[int],
        references: Sequence[Sequence[str]],
        reference_labels: Sequence[int],
        names: Sequence[str],
        max_order: int = 5,
    ):
        self.names, self.max_order = names, max_order
        self.train, self.train_labels = train, train_labels
        self.references, self.reference_labels = references, np.asarray(reference_labels, dtype=np.int64)
        self._classifier: NgramClassifier | None = None
        self._real: dict[str, float] = {}
        self._tables: dict[int, ReferenceTable] = {}

    def accuracy(self, sentences: Sequence[Sequence[str]], labels: Sequence[int]) -> dict[str, float]:
        """Returns the category accuracies of generated texts and of held-out text; nothing of a single class."""
        if len(set(self.train_labels)) < 2:
            return {}
        if self._classifier is None:
            self._classifier = NgramClassifier().fit(self.train, self.train_labels)
            if len(self.references):
                self._real = self._accuracy("category_accuracy_real", self.references, self.reference_labels)
        return {**self._accuracy("category_accuracy", sentences, np.asarray(labels)), **self._real}

    def _accuracy(self, name: str, sentences: Sequence[Sequence[str]], labels: np.ndarray) -> dict[str, float]:
        assert self._classifier is not None
        hits = np.asarray(self._classifier.predict(sentences)) == labels
        by_class = {
            f"{name}[{self.names[number]}]": float(hits[labels == number].mean())
            for number in sorted({int(label) for label in labels})
        }
        return {name: float(hits.mean()), **by_class}

    def ngrams(self, sentences: Sequence[Sequence[str]], labels: Sequence[int]) -> dict[str, float]:
        """Returns BLEU of the texts of each class against the held-out texts of the class, and their Self-BLEU."""
        metrics: dict[str, float] = {}
        for number in sorted(set(labels)):
            own = [sentence for sentence, label in zip(sentences, labels, strict=True) if label == number]
            scores: dict[str, float] = {}
            if number not in self._tables and (self.reference_labels == number).any():
                rows = np.flatnonzero(self.reference_labels == number).tolist()
                self._tables[number] = ReferenceTable([self.references[row] for row in rows], self.max_order)
            if number in self._tables:
                scores.update(self._tables[number].score(own))
            if len(own) > 1:
                scores.update(self_bleu(own, self.max_order))
            metrics.update({f"{key}[{self.names[number]}]": value for key, value in scores.items()})
        return metrics


__all__ = ["ClassMetrics"]
