"""The metrics of one set of samples."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel

from ..evaluation.class_metrics import ClassMetrics
from ..evaluation.oracle import OracleMetrics
from ..metrics.embeddings import hashed_ngram_embedding
from ..metrics.frechet import frechet_distance
from ..metrics.jaccard import jaccard_diversity, jaccard_novelty
from ..metrics.language_model import KneserNeyModel, training_vocabulary
from ..metrics.ngrams import ReferenceTable, distinct_n, ngram_jsd, self_bleu
from .sources import ModelSource, SequenceSource, Source, TextSource
from .statistics import Axes


_SourceT = TypeVar("_SourceT", bound=Source, contravariant=True)


class Measure(Protocol[_SourceT]):
    """The metrics of draws from a source."""

    @property
    def axes(self) -> Sequence[Axes]:
        """The pairs of metrics that decide a verdict."""
        ...

    @property
    def columns(self) -> Mapping[str, bool | None]:
        """The metrics of a table, and whether higher is better; `None` where the value of real text is the best."""
        ...

    def __call__(
        self, source: _SourceT, num_samples: int, seed: int, **options: float
    ) -> tuple[dict[str, float], list[str]]:
        """Returns the metrics of a draw, and some or all of its texts; `options` are those of a sweep."""
        ...


class TextMeasure:
    """
    The metrics of texts against real text.

    - Likelihood, for models that have one: NLL of held-out text (`nll_test`, in nats per token, ends counted), given
      its labels and sources where a model reads them; of a model that has only a bound, the bound (`nll_bound_test`).
    - Quality: BLEU against held-out text, NLL under a language model of the training text (`forward_nll`).
    - Diversity: Self-BLEU, distinct n-grams.
    - Both: NLL of held-out text under a language model of the samples (`reverse_nll`), the divergence of n-grams and
      the Frechet distance of hashed n-gram embeddings.
    - Of text with classes: the category accuracy, also of each class; novelty and diversity by the Jaccard similarity.

    All but the likelihood depend on the number of samples.

    Args:
        train (`Sequence[str]`):
            The training text. It trains the language model of `forward_nll`, gives the vocabulary of both language
            models, and shows which texts are copies.
        references (`datasets.Dataset`):
            Held-out text: the column `text`, and `label` and `condition` if there are such.
        split (`Callable[[str], list[str]]`, *optional*):
            Splits a text into tokens; by default at blanks.
        grammar ([`CaptionGrammar`], *optional*):
            The grammar of the text.
        classes ([`ClassMetrics`], *optional*):
            The metrics of texts with classes.
    """

    axes = (
        Axes("bleu_4", "self_bleu_4", higher_quality=True, higher_diversity=False),
        Axes("reverse_nll", "forward_nll", higher_quality=False, higher_diversity=False),
    )
    columns: dict[str, bool | None] = {
        "nll_test": False,
        "nll_bound_test": False,
        "bleu_2": True,
        "bleu_4": True,
        "forward_nll": False,
        "self_bleu_4": False,
        "distinct_2": None,
        "reverse_nll": False,
        "jsd_2": False,
        "frechet": False,
        "copied": None,
        "repeated": None,
    }

    def __init__(
        self,
        train: Sequence[str],
        references: Dataset,
        split: Callable[[str], list[str]] = str.split,
        grammar: Any = None,
        classes: ClassMetrics | None = None,
    ):
        self.split, self.grammar, self.classes = split, grammar, classes
        tokens = [split(text) for text in train]
        self.train = {tuple(sentence) for sentence in tokens}
        self.vocabulary = training_vocabulary(tokens)
        self.forward = KneserNeyModel(self.vocabulary).fit(tokens)
        self.reference_texts = references
        self.references = [split(text) for text in references["text"]]
        self.nll: dict[str, float] = {}
        self.table = ReferenceTable(self.references)
        self.embedded = _embed(self.references)
        if grammar is not None:
            self.columns = {**self.columns, "grammar_share": True}
        if classes is not None:
            names = [f"{key}[{name}]" for key in ("category_accuracy", "bleu_2") for name in classes.names]
            of_classes = dict.fromkeys(("category_accuracy", "jaccard_novelty", "jaccard_diversity"))
            better = {name: True if name.startswith("bleu") else None for name in names}
            self.columns = {**self.columns, **of_classes, **better}

    def __call__(
        self, source: TextSource, num_samples: int, seed: int, **options: float
    ) -> tuple[dict[str, float], list[str]]:
        """Returns the metrics of a draw from a source, and its texts."""
        texts = source.texts(num_samples, seed, **options)
        metrics = self.metrics(texts, source.labels(num_samples, seed))
        if isinstance(source, ModelSource) and source.temperature == 1.0 and set(options.values()) == {1.0}:
            likelihood = source.likelihood_given(self.reference_texts)
            if likelihood is not None:
                metrics["nll_test" if likelihood == "exact" else "nll_bound_test"] = self._nll_test(source)
        return metrics, texts

    def _nll_test(self, source: ModelSource) -> float:
        """Returns the NLL per token of the references, which need not be tokens of the model; once per model."""
        if source.path not in self.nll:
            num_tokens = sum(len(sentence) + 1 for sentence in self.references)
            self.nll[source.path] = source.nll_of_texts(self.reference_texts) / num_tokens
        return self.nll[source.path]

    def metrics(self, texts: list[str], labels: list[int] | None = None) -> dict[str, float]:
        """Returns the metrics of texts, and if these have labels, those of classes."""
        tokens = [self.split(text) for text in texts]
        metrics: dict[str, float] = {**self.table.score(tokens), **self_bleu(tokens), **distinct_n(tokens)}
        metrics.update(ngram_jsd(tokens, self.references, 3))
        metrics["forward_nll"] = _per_token(self.forward, tokens)
        metrics["reverse_nll"] = _per_token(KneserNeyModel(self.vocabulary).fit(tokens), self.references)
        embedded = _embed(tokens)
        metrics["frechet"] = frechet_distance(embedded, self.embedded) if len(embedded) > 1 else math.nan
        metrics["empty"] = 1 - len(embedded) / len(tokens)
        sentences = [tuple(sentence) for sentence in tokens]
        metrics["copied"] = sum(sentence in self.train for sentence in sentences) / len(sentences)
        metrics["repeated"] = 1 - len(set(sentences)) / len(sentences)
        if self.grammar is not None:
            metrics.update(self.grammar.scores(texts))
        if self.classes is not None:
            metrics["jaccard_novelty"] = jaccard_novelty(tokens, self.train)
            metrics["jaccard_diversity"] = jaccard_diversity(tokens)
            if labels is not None:
                metrics.update({**self.classes.accuracy(tokens, labels), **self.classes.ngrams(tokens, labels)})
        return metrics


def _embed(sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Returns the embeddings of sentences without the empty ones, which have none."""
    return hashed_ngram_embedding([sentence for sentence in sentences if sentence] or [[""]])


def _per_token(model: KneserNeyModel, sentences: Sequence[Sequence[str]]) -> float:
    nats, tokens = model.nll(sentences)
    return nats / tokens


class OracleMeasure:
    """
    The metrics of sequences that an oracle can score: quality is NLL-oracle, diversity the NLL of held-out sequences
    of the oracle under the generator at that temperature (NLL-test).

    Args:
        oracle (`PreTrainedModel`):
            The oracle.
        held_out (`Dataset`):
            Sequences of the oracle that are no training data.
    """

    axes = (Axes("nll_test", "nll_oracle", higher_quality=False, higher_diversity=False),)
    columns: dict[str, bool | None] = {"nll_oracle": False, "nll_test": False, "self_bleu_4": False, "repeated": None}

    def __init__(self, oracle: PreTrainedModel, held_out: Dataset):
        self.oracle, self.held_out = OracleMetrics(oracle), held_out

    def __call__(
        self, source: SequenceSource, num_samples: int, seed: int, **options: float
    ) -> tuple[dict[str, float], list[str]]:
        """Returns the metrics of a draw from a source, and its first sequences."""
        samples = source.samples(num_samples, seed, **options)
        sequences = samples.sequences.tolist()
        metrics = {
            **self.oracle(samples),
            "nll_test": source.nll(self.held_out, **options),
            "self_bleu_4": self_bleu(sequences, 4)["self_bleu_4"],
            "repeated": 1 - len(set(map(tuple, sequences))) / len(sequences),
        }
        return metrics, [" ".join(map(str, row)) for row in sequences[:20]]


__all__ = ["Measure", "OracleMeasure", "TextMeasure"]
