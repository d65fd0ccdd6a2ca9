"""Whether generated sentences have the category that was asked for, as a classifier of real ones sees it."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .module_helpers import check_token_lists, ratio_interval


class NgramClassifier:
    """
    Multinomial logistic regression on the words and the pairs of neighbouring words of a sentence.

    The feature of an n-gram is its count over the square root of the number of n-grams of the sentence; n-grams
    without training count nothing. The loss, the sum of ``-log p(label | sentence)`` over the training sentences plus
    ``l2 / 2`` times the squared weights of n-grams, has one minimum, so no seed is involved.

    Args:
        l2 (`float`, *optional*, defaults to 1.0):
            The weight decay.

    Raises:
        `ValueError`: If `l2` is not positive.
    """

    def __init__(self, l2: float = 1.0):
        if not l2 > 0:
            raise ValueError(f"l2={l2} is not positive; without decay the weights of separable data grow for ever.")
        self.l2 = l2
        self.labels: list[Hashable] = []
        self._places: dict[tuple[str, ...], int] = {}
        self._weights = torch.zeros(0, 0, dtype=torch.float64)  # (num_ngrams, num_labels)
        self._biases = torch.zeros(0, dtype=torch.float64)

    def fit(self, sentences: Sequence[Sequence[str]], labels: Sequence[Hashable]) -> "NgramClassifier":
        """
        Trains on real sentences with L-BFGS until the loss stands still.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The sentences as lists of tokens.
            labels (`Sequence`):
                A label for each, strings or numbers; at least 2 different ones.

        Returns:
            [`NgramClassifier`]: This classifier.

        Raises:
            `ValueError`: If there are no sentences, another number of labels, or fewer than 2 different ones.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        _check_labelled(sentences, labels, "training sentences")
        self.labels = sorted(set(labels), key=str)
        if len(self.labels) < 2:
            raise ValueError(f"All training sentences have the label {self.labels[0]!r}; pass at least 2 labels.")
        ngrams = sorted({ngram for sentence in sentences for ngram in _ngrams(sentence)})
        self._places = dict(zip(ngrams, range(len(ngrams)), strict=True))
        self._weights = torch.zeros(len(ngrams), len(self.labels), dtype=torch.float64, requires_grad=True)
        self._biases = torch.zeros(len(self.labels), dtype=torch.float64, requires_grad=True)
        places = {label: place for place, label in enumerate(self.labels)}
        targets = torch.tensor([places[label] for label in labels])
        features = self._features(sentences)
        optimizer = torch.optim.LBFGS(
            [self._weights, self._biases],
            max_iter=200,
            tolerance_grad=1e-7,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            decay = self.l2 / 2 * self._weights.square().sum()
            value = F.cross_entropy(self._scores(features), targets, reduction="sum") + decay
            value.backward()
            return value

        optimizer.step(loss)
        self._weights, self._biases = self._weights.detach(), self._biases.detach()
        return self

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[Hashable]:
        """
        The most probable label of each sentence; of an empty one that of the biases alone.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The sentences as lists of tokens.

        Raises:
            `RuntimeError`: If the classifier was not trained.
        """
        if not self.labels:
            raise RuntimeError("The classifier has no labels; call fit with labelled real sentences first.")
        with torch.no_grad():
            return [self.labels[place] for place in self._scores(self._features(sentences)).argmax(1).tolist()]

    def _features(self, sentences: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The known n-grams of all sentences in one row, their values, and where each sentence begins."""
        places, values, starts = [], [], []
        for sentence in sentences:
            counts = Counter(_ngrams(sentence))
            starts.append(len(places))
            known = sorted((self._places[ngram], count) for ngram, count in counts.items() if ngram in self._places)
            places += [place for place, _ in known]
            values += [count / math.sqrt(counts.total()) for _, count in known]
        return torch.tensor(places, dtype=torch.long), torch.tensor(values).double(), torch.tensor(starts)

    def _scores(self, features: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        places, values, starts = features
        sums = F.embedding_bag(places, self._weights, starts, mode="sum", per_sample_weights=values)
        return sums + self._biases  # (num_sentences, num_labels)


def category_accuracy(
    generated: Sequence[Sequence[str]],
    requested: Sequence[Hashable],
    train: Sequence[Sequence[str]],
    train_labels: Sequence[Hashable],
    test: Sequence[Sequence[str]],
    test_labels: Sequence[Hashable],
    l2: float = 1.0,
    num_bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """
    The share of generated sentences that a classifier of real ones puts into the category that was asked for.

    The classifier ([`NgramClassifier`]) learns from real sentences that neither trained the generator nor test it.
    Its accuracy on real test sentences is the level to compare with: a generator above it writes caricatures.

    Args:
        generated (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens. An empty one has the label of the biases alone.
        requested (`Sequence`):
            The label asked for of each.
        train, train_labels (`Sequence`):
            Held-out real sentences and their labels, for the classifier.
        test, test_labels (`Sequence`):
            Real test sentences and their labels, for the accuracy to compare with.
        l2 (`float`, *optional*, defaults to 1.0):
            The weight decay of the classifier.
        num_bootstrap (`int`, *optional*, defaults to 0):
            Resamples of the generated sentences for an interval; 0 for none. The classifier stays the same.
        confidence (`float`, *optional*, defaults to 0.95):
            Of the interval.
        seed (`int`, *optional*, defaults to 0):
            Of the resamples.

    Returns:
        `dict[str, Any]`: `accuracy` and `real_accuracy`, also by label (`accuracy_<label>`, `real_accuracy_<label>`;
        NaN for a label without sentences), and the sizes `num_generated`, `num_test`, `num_train`; with
        `num_bootstrap` also `accuracy_interval`, two numbers, `num_bootstrap`, `confidence` and `seed`.

    Raises:
        `ValueError`: If there are no sentences of a kind, another number of labels than sentences, fewer than 2 labels
            in `train`, or a label that is not in `train`.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    _check_labelled(generated, requested, "generated sentences")
    _check_labelled(test, test_labels, "test sentences")
    classifier = NgramClassifier(l2).fit(train, train_labels)
    for name, labels in (("requested", requested), ("test_labels", test_labels)):
        unknown = [label for label in labels if label not in classifier.labels]
        if unknown:
            raise ValueError(
                f"{name} has the label {unknown[0]!r} and train_labels only {classifier.labels}; use the same labels."
            )
    hits = {}
    scores: dict[str, Any] = {}
    for prefix, sentences, labels in (("", generated, requested), ("real_", test, test_labels)):
        predicted = classifier.predict(sentences)
        hits[prefix] = np.array([one == other for one, other in zip(predicted, labels, strict=True)])
        scores[f"{prefix}accuracy"] = float(hits[prefix].mean())
        for label in classifier.labels:
            own = hits[prefix][[other == label for other in labels]]
            scores[f"{prefix}accuracy_{label}"] = float(own.mean()) if len(own) else math.nan
    sizes = {"num_generated": len(generated), "num_test": len(test), "num_train": len(train)}
    ones = np.ones(len(generated), np.int64)
    interval = ratio_interval("accuracy", hits[""].astype(float), ones, num_bootstrap, confidence, seed)
    return {**scores, **sizes, **interval}


def _ngrams(sentence: Sequence[str]) -> list[tuple[str, ...]]:
    return [*((word,) for word in sentence), *pairwise(sentence)]


def _check_labelled(sentences: Sequence[Sequence[str]], labels: Sequence[Hashable], name: str) -> None:
    check_token_lists(sentences, name)
    if len(sentences) != len(labels):
        raise ValueError(f"There are {len(sentences)} {name} and {len(labels)} labels; pass one label for each.")


__all__ = ["NgramClassifier", "category_accuracy"]
