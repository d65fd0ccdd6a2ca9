"""The accuracy of the requested categories of generated sentences, by a classifier of real sentences."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .bootstrap import Bootstrap, ratio_measure
from .sentences import check_sentences


class NgramClassifier:
    """
    Multinomial logistic regression on the words and the pairs of neighbouring words of a sentence.

    The feature of an n-gram is its count over the square root of the number of n-grams of the sentence. N-grams that
    do not occur in the training sentences are ignored. The loss is the sum of ``-log p(label | sentence)`` over the
    training sentences plus ``l2 / 2`` times the squared weights of n-grams. It has one minimum, so there is no seed.

    Args:
        l2 (`float`, *optional*, defaults to 1.0):
            The weight decay.

    Raises:
        `ValueError`: If `l2` is not positive.
    """

    def __init__(self, l2: float = 1.0):
        if not l2 > 0:
            raise ValueError(
                f"l2={l2} is not positive, and without decay the weights of separable data grow without bound; use for"
                " example 1.0."
            )
        self.l2 = l2
        self.labels: list[Hashable] = []
        self._indices: dict[tuple[str, ...], int] = {}
        self._weights = torch.zeros(0, 0, dtype=torch.float64)  # (num_ngrams, num_labels)
        self._biases = torch.zeros(0, dtype=torch.float64)

    def fit(self, sentences: Sequence[Sequence[str]], labels: Sequence[Hashable]) -> "NgramClassifier":
        """
        Trains on real sentences with L-BFGS until the loss is constant.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The sentences as lists of tokens.
            labels (`Sequence`):
                The labels of the sentences, strings or numbers, at least 2 different ones.

        Returns:
            [`NgramClassifier`]: This classifier.

        Raises:
            `ValueError`: If there are no sentences, the numbers of sentences and labels differ, or fewer than 2 labels
                differ.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        _check_labelled(sentences, labels, "train")
        self.labels = sorted(set(labels), key=str)
        if len(self.labels) < 2:
            raise ValueError(
                f"All training sentences have the label {self.labels[0]!r}; pass at least 2 different labels."
            )
        ngrams = sorted({ngram for sentence in sentences for ngram in _ngrams(sentence)})
        self._indices = dict(zip(ngrams, range(len(ngrams)), strict=True))
        self._weights = torch.zeros(len(ngrams), len(self.labels), dtype=torch.float64, requires_grad=True)
        self._biases = torch.zeros(len(self.labels), dtype=torch.float64, requires_grad=True)
        label_indices = {label: index for index, label in enumerate(self.labels)}
        targets = torch.tensor([label_indices[label] for label in labels])
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
        Returns the most probable label of each sentence. That of an empty sentence follows from the biases alone.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The sentences as lists of tokens.

        Raises:
            `RuntimeError`: If the classifier was not trained.
        """
        if not self.labels:
            raise RuntimeError("The classifier has no labels; call fit with labelled real sentences first.")
        with torch.no_grad():
            return [self.labels[index] for index in self._scores(self._features(sentences)).argmax(1).tolist()]

    def _features(self, sentences: Sequence[Sequence[str]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the indices of the known n-grams of all sentences, their values, and the start of each sentence."""
        indices, values, starts = [], [], []
        for sentence in sentences:
            counts = Counter(_ngrams(sentence))
            starts.append(len(indices))
            known = sorted((self._indices[ngram], count) for ngram, count in counts.items() if ngram in self._indices)
            indices += [index for index, _ in known]
            values += [count / math.sqrt(counts.total()) for _, count in known]
        return torch.tensor(indices, dtype=torch.long), torch.tensor(values).double(), torch.tensor(starts)

    def _scores(self, features: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
        indices, values, starts = features
        sums = F.embedding_bag(indices, self._weights, starts, mode="sum", per_sample_weights=values)
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
    Returns the share of generated sentences that a classifier of real sentences assigns to the requested category.

    The classifier ([`NgramClassifier`]) learns from real sentences that are used neither to train nor to test the
    generator. Compare with its accuracy on real test sentences: a generator above it writes caricatures.

    Args:
        generated (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens. The label of an empty one follows from the biases alone.
        requested (`Sequence`):
            The requested labels of the generated sentences.
        train, train_labels (`Sequence`):
            Held-out real sentences and their labels, for the classifier.
        test, test_labels (`Sequence`):
            Real test sentences and their labels, for the accuracy to compare with.
        l2 (`float`, *optional*, defaults to 1.0):
            The weight decay of the classifier.
        num_bootstrap (`int`, *optional*, defaults to 0):
            The number of bootstrap samples of the generated sentences for an interval, 0 for none. The classifier is
            the same for all samples.
        confidence (`float`, *optional*, defaults to 0.95):
            The confidence of the interval.
        seed (`int`, *optional*, defaults to 0):
            The seed of the bootstrap.

    Returns:
        `dict[str, Any]`: `accuracy` and `real_accuracy`, also by label (`accuracy_<label>`, `real_accuracy_<label>`;
        NaN for a label without sentences), and the sizes `num_generated`, `num_test`, `num_train`; with
        `num_bootstrap` also `accuracy_interval`, two numbers, `num_bootstrap`, `confidence` and `seed`.

    Raises:
        `ValueError`: If there are no sentences of a kind, the numbers of sentences and labels differ, `train_labels`
            has fewer than 2 different labels or lacks a label of the others, or an argument of the bootstrap is out of
            its range.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    bootstrap = Bootstrap(num_bootstrap, confidence, seed)
    _check_labelled(generated, requested, "generated")
    _check_labelled(test, test_labels, "test")
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
            of_label = hits[prefix][[other == label for other in labels]]
            scores[f"{prefix}accuracy_{label}"] = float(of_label.mean()) if len(of_label) else math.nan
    sizes = {"num_generated": len(generated), "num_test": len(test), "num_train": len(train)}
    ones = np.ones(len(generated), np.int64)
    return {**scores, **sizes, **bootstrap.report(ratio_measure("accuracy", hits[""].astype(float), ones), len(ones))}


def _ngrams(sentence: Sequence[str]) -> list[tuple[str, ...]]:
    return [*((word,) for word in sentence), *pairwise(sentence)]


def _check_labelled(sentences: Sequence[Sequence[str]], labels: Sequence[Hashable], name: str) -> None:
    check_sentences(sentences, name, form="tokens")
    if len(sentences) != len(labels):
        raise ValueError(f"{name} has {len(sentences)} sentences and {len(labels)} labels; pass one label for each.")


__all__ = ["NgramClassifier", "category_accuracy"]
