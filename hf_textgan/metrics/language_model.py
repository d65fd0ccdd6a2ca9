"""
N-gram language models as metrics of generated sentences. Forward, a model of real sentences scores generated ones:
quality. Reverse, a model of generated sentences scores real ones: quality and diversity.

The n-grams are counted in numpy. The id of an n-gram is the index of the pair (id of its first n - 1 tokens, id of its
last token) among the sorted distinct pairs, so two n-grams never share one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np

from .bootstrap import Bootstrap, ratio_measure
from .sentences import check_sentences


_BEGIN, _END, _UNKNOWN = 0, 1, 2  # the words of the vocabulary come after them
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # for data too small to estimate them


@dataclass
class _Ngrams:
    """
    The n-grams of one length.

    Args:
        pairs (`numpy.ndarray` of shape `(num_ngrams,)`):
            The sorted pairs; none for single tokens, whose ids are those of the tokens.
        counts (`numpy.ndarray` of shape `(num_ngrams,)`):
            The number of occurrences of each n-gram, or the number of different tokens before it.
        discounted (`numpy.ndarray` of shape `(num_ngrams,)`):
            The counts minus the discounts.
        totals (`numpy.ndarray` of shape `(num_contexts,)`):
            The sum of the counts of the n-grams that begin with each context, which is one token shorter.
        backoff_weights (`numpy.ndarray` of shape `(num_contexts,)`):
            The share of the total that the discounts give to shorter n-grams.
    """

    pairs: np.ndarray
    counts: np.ndarray
    discounted: np.ndarray
    totals: np.ndarray
    backoff_weights: np.ndarray

    def find(self, pairs: np.ndarray) -> np.ndarray:
        """Returns the ids of pairs, -1 for those that never occurred."""
        indices = np.searchsorted(self.pairs, pairs)
        known = indices < len(self.pairs)
        known[known] = self.pairs[indices[known]] == pairs[known]
        return np.where(known, indices, -1)


class KneserNeyModel:
    """
    An n-gram language model with interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999, "An empirical
    study of smoothing techniques for language modeling", Computer Speech and Language 13, section 3):

    ``p(w | h) = (c(hw) - D(c(hw))) / sum_v c(hv) + gamma(h) p(w | h')``

    where `h'` is the context `h` without its first token and `gamma(h)` is the share that the discounts `D` take away.
    For the longest n-grams `c` is the number of occurrences. For shorter ones it is the number of distinct tokens
    before the n-gram, or the number of occurrences if it begins a sentence and has nothing before it. The recursion
    ends in the uniform distribution over the vocabulary, the unknown word and the end, so no probability is zero.

    Every length has the three discounts of the paper, for counts of 1, 2, and at least 3:
    ``D_i = i - (i + 1) Y n_{i+1} / n_i`` with ``Y = n_1 / (n_1 + 2 n_2)``, where `n_i` n-grams have the count `i`.
    If one of `n_1` to `n_4` is 0 or a discount is not positive, as in tiny data, they are 0.5, 1 and 1.5.

    Args:
        vocabulary (`Iterable[str]`):
            The known words. All others become one unknown word. Only models of one vocabulary are comparable.
        order (`int`, *optional*, defaults to 5):
            The longest n-grams.

    Raises:
        `ValueError`: If the vocabulary is empty or `order` is less than 1.
        `TypeError`: If the vocabulary is a string.

    Example:

    ```python
    >>> model = KneserNeyModel(["a", "dog", "cat"], order=2).fit([["a", "dog"], ["a", "cat"]])
    >>> nats, num_tokens = model.nll([["a", "dog"]])
    >>> round(nats, 4), num_tokens
    (1.9914, 3)
    ```
    """

    def __init__(self, vocabulary: Iterable[str], order: int = 5):
        if isinstance(vocabulary, str):
            raise TypeError(f"The vocabulary is one string ({vocabulary[:20]!r}); pass a list of words instead.")
        if order < 1:
            raise ValueError(f"order={order} is too small; use 1 or more.")
        words = dict.fromkeys(vocabulary)
        if not words:
            raise ValueError("The vocabulary has 0 words; pass at least 1, for example those of the training text.")
        self.order = order
        self.vocabulary = list(words)
        self.num_train_sentences = 0
        self._token_ids = dict(zip(words, range(_UNKNOWN + 1, _UNKNOWN + 1 + len(words)), strict=True))
        self._num_ids = _UNKNOWN + 1 + len(words)
        self._ngrams: list[_Ngrams] = []  # by length, from 1

    def fit(self, sentences: Sequence[Sequence[str]]) -> "KneserNeyModel":
        """
        Counts the n-grams of the training sentences, and discards earlier counts.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The training sentences as lists of tokens.

        Returns:
            [`KneserNeyModel`]: This model.

        Raises:
            `ValueError`: If there are no sentences.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        check_sentences(sentences, "train", form="tokens")
        tokens, positions = self._encode(sentences)
        ids, everywhere = tokens, np.arange(len(tokens))
        # By length: the pairs, and for each n-gram its context, its occurrences and the position of its first end.
        # The begin token is read but not predicted, so it counts as 0 on its own.
        pairs = [np.empty(0, np.int64)]
        contexts = [np.zeros(self._num_ids, np.int64)]
        occurrences = [np.bincount(tokens[positions > 0], minlength=self._num_ids)]
        continuations = []
        begins = [np.zeros(self._num_ids, bool)]
        for length in range(2, self.order + 1):
            ends = everywhere[positions >= length - 1]
            distinct, first, inverse, counts = np.unique(
                ids[ends - 1] * self._num_ids + tokens[ends],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            first = ends[first]
            pairs.append(distinct)
            contexts.append(ids[first - 1])
            occurrences.append(counts)
            # Each distinct n-gram adds one token that comes before the n-gram without its first token.
            continuations.append(np.bincount(ids[first], minlength=len(occurrences[-2])))
            begins.append(positions[first] == length - 1)
            ids = np.full(len(tokens), -1)
            ids[ends] = inverse.ravel()
        self._ngrams = []
        for row in range(self.order):
            counts = occurrences[row]
            if row < self.order - 1:
                counts = np.where(begins[row], counts, continuations[row])
            num_contexts = 1 if row == 0 else len(occurrences[row - 1])
            self._ngrams.append(_smooth(pairs[row], counts, contexts[row], num_contexts))
        self.num_train_sentences = len(sentences)
        return self

    def nll(self, sentences: Sequence[Sequence[str]]) -> tuple[float, int]:
        """
        Returns the negative log-likelihood of sentences.

        Args:
            sentences (`Sequence[Sequence[str]]`):
                The sentences as lists of tokens. An empty one has the NLL of its end.

        Returns:
            `tuple[float, int]`: The sum over all tokens in nats, and their number. The ends of sentences count.

        Raises:
            `RuntimeError`: If the model was not fitted.
            `ValueError`: If there are no sentences.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        nlls = self.nll_per_sentence(sentences)
        return math.fsum(nlls), sum(map(len, sentences)) + len(sentences)

    def nll_per_sentence(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """
        Returns the negative log-likelihood of each sentence with its end. See [`~KneserNeyModel.nll`].

        Returns:
            `numpy.ndarray` of shape `(num_sentences,)`: In nats.
        """
        check_sentences(sentences, "sentences", form="tokens")
        tokens, positions = self._encode(sentences)
        probabilities = self._probabilities(tokens, positions)
        # Logarithms of the math module: those of numpy may depend on the position in the array.
        nlls = -np.fromiter(map(math.log, probabilities.tolist()), np.float64, len(tokens))
        return np.add.reduceat(nlls, np.flatnonzero(positions == 0))

    def distribution(self, context: Sequence[str]) -> np.ndarray:
        """
        Returns the probabilities of the next token after the beginning of a sentence.

        Args:
            context (`Sequence[str]`):
                The first tokens of a sentence, which may be none.

        Returns:
            `numpy.ndarray` of shape `(vocabulary_size + 2,)`: the words of `vocabulary` in their order, the unknown
            word, and the end.
        """
        next_ids = [*range(_UNKNOWN + 1, self._num_ids), _UNKNOWN, _END]
        prefix = [_BEGIN, *(self._token_ids.get(token, _UNKNOWN) for token in context)]
        tokens = np.array([[*prefix, next_id] for next_id in next_ids])
        positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
        return self._probabilities(tokens.ravel(), positions.ravel()).reshape(tokens.shape)[:, -1]

    def unknown_share(self, sentences: Sequence[Sequence[str]]) -> float:
        """Returns the share of the tokens of sentences, without ends, that are not in the vocabulary."""
        total = sum(map(len, sentences))
        unknown = sum(token not in self._token_ids for token in chain.from_iterable(sentences))
        return unknown / total if total else 0.0

    def _encode(self, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids of all sentences in one row, with begin and end tokens, and their positions in sentences."""
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        ids = map(self._token_ids.get, chain.from_iterable(sentences), repeat(_UNKNOWN))
        words = np.fromiter(ids, np.int64, lengths.sum())
        starts = np.cumsum(lengths + 2) - lengths - 2
        positions = np.arange(lengths.sum() + 2 * len(lengths)) - np.repeat(starts, lengths + 2)
        tokens = np.full(len(positions), _END)
        tokens[starts] = _BEGIN
        tokens[(positions > 0) & (positions <= np.repeat(lengths, lengths + 2))] = words
        return tokens, positions

    def _probabilities(self, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Returns the probability of every token given those before it in its sentence; 1 for the begin token."""
        if not self._ngrams:
            raise RuntimeError("The model has no counts; call fit with the training sentences first.")
        probabilities = np.where(positions > 0, 1 / (self._num_ids - 1), 1.0)  # all tokens but the begin token
        ids = tokens
        for length, ngrams in enumerate(self._ngrams, start=1):
            ends = np.flatnonzero(positions >= max(1, length - 1))  # the whole n-gram is in one sentence
            if length == 1:
                contexts, indices = np.zeros(len(ends), np.int64), tokens[ends]
            else:
                contexts, last = ids[ends - 1], tokens[ends]
                indices = np.where(contexts >= 0, ngrams.find(contexts * self._num_ids + last), -1)
                ids = np.full(len(tokens), -1)
                ids[ends] = indices
            # After a context that never occurred, the probability is that of the shorter n-gram.
            kept = contexts >= 0
            kept[kept] = ngrams.totals[contexts[kept]] > 0
            ends, contexts, indices = ends[kept], contexts[kept], indices[kept]
            discounted = np.zeros(len(ends))
            discounted[indices >= 0] = ngrams.discounted[indices[indices >= 0]]
            probabilities[ends] = (
                discounted / ngrams.totals[contexts] + ngrams.backoff_weights[contexts] * probabilities[ends]
            )
        return probabilities


def training_vocabulary(train: Sequence[Sequence[str]], min_count: int = 2) -> list[str]:
    """
    Returns the vocabulary for a fair comparison: the words that occur at least `min_count` times in the real training
    text.

    If all of its words were known, the training text would have no unknown words. A model of it could not predict the
    unknown words of the test text, but a model of any other real text could, and would score better. If words that
    occur once are unknown, both texts have unknown words.

    Args:
        train (`Sequence[Sequence[str]]`):
            The real training sentences as lists of tokens.
        min_count (`int`, *optional*, defaults to 2):
            The minimum number of occurrences of a word.

    Returns:
        `list[str]`: The words, sorted.

    Raises:
        `ValueError`: If there are no sentences or no word occurs that often.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    check_sentences(train, "train", form="tokens")
    counts = Counter(chain.from_iterable(train))
    words = sorted(word for word, count in counts.items() if count >= min_count)
    if not words:
        raise ValueError(
            f"None of the {len(counts)} words of the training text occurs {min_count} times; pass a longer training "
            "text, or a vocabulary."
        )
    return words


def forward_nll(
    train: Sequence[Sequence[str]],
    generated: Sequence[Sequence[str]],
    vocabulary: Iterable[str] | None = None,
    order: int = 5,
    num_bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Returns the negative log-likelihood of generated sentences under an n-gram model of real ones. Lower is more
    probable: it measures quality, not diversity. See [`KneserNeyModel`].

    Args:
        train (`Sequence[Sequence[str]]`):
            The real training sentences as lists of tokens.
        generated (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens. An empty one has the NLL of its end.
        vocabulary (`Iterable[str]`, *optional*):
            The known words; by default those that occur at least twice in `train` ([`training_vocabulary`]).
        order (`int`, *optional*, defaults to 5):
            The longest n-grams.
        num_bootstrap (`int`, *optional*, defaults to 0):
            The number of bootstrap samples of the scored sentences for an interval, 0 for none. The model is the same
            for all samples.
        confidence (`float`, *optional*, defaults to 0.95):
            The confidence of the interval.
        seed (`int`, *optional*, defaults to 0):
            The seed of the bootstrap.

    Returns:
        `dict[str, Any]`: `nll_per_token` in nats and `perplexity` over words and ends; `unknown_share`, the share of
        unknown words in the scored sentences, and `train_unknown_share`, that in the sentences of the model;
        `num_tokens`, `num_sentences`, `num_train_sentences`, `vocabulary_size` without unknown word and end, `order`;
        with `num_bootstrap` also `nll_per_token_interval`, two numbers, `num_bootstrap`, `confidence` and `seed`.

    Raises:
        `ValueError`: If there are no sentences, the vocabulary is empty, `order` is less than 1, or an argument of the
            bootstrap is out of its range.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    check_sentences(train, "train", form="tokens")
    check_sentences(generated, "generated", form="tokens")
    if vocabulary is None:
        vocabulary = training_vocabulary(train)
    return _score(KneserNeyModel(vocabulary, order), train, generated, num_bootstrap, confidence, seed)


def reverse_nll(
    generated: Sequence[Sequence[str]],
    test: Sequence[Sequence[str]],
    vocabulary: Iterable[str],
    order: int = 5,
    num_bootstrap: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Returns the negative log-likelihood of real held-out sentences under an n-gram model of generated ones (Zhao et al.
    2018, arXiv 1706.04223, "reverse perplexity"). Lower is better, in quality and in diversity. It falls with the
    number of generated sentences: compare at equal numbers, and with a model of the same number of real ones. See
    [`KneserNeyModel`].

    Args:
        generated (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens, which the model learns from.
        test (`Sequence[Sequence[str]]`):
            The real held-out sentences as lists of tokens.
        vocabulary (`Iterable[str]`):
            The known words, the same for all generators that are compared: [`training_vocabulary`] of the real
            training text. With those of the generated text a generator of few words would have the best score.
        order, num_bootstrap, confidence, seed:
            See [`forward_nll`].

    Returns:
        `dict[str, Any]`: See [`forward_nll`].

    Raises:
        See [`forward_nll`].
    """
    check_sentences(generated, "generated", form="tokens")
    check_sentences(test, "test", form="tokens")
    return _score(KneserNeyModel(vocabulary, order), generated, test, num_bootstrap, confidence, seed)


def _score(
    model: KneserNeyModel,
    train: Sequence[Sequence[str]],
    scored: Sequence[Sequence[str]],
    num_bootstrap: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    bootstrap = Bootstrap(num_bootstrap, confidence, seed)
    nlls = model.fit(train).nll_per_sentence(scored)
    tokens = np.fromiter(map(len, scored), np.int64, len(scored)) + 1
    name = "nll_per_token"
    report = bootstrap.report(ratio_measure(name, nlls, tokens), len(nlls), unbounded=[name])
    return {
        name: report[name],
        "perplexity": math.exp(report[name]),
        "unknown_share": model.unknown_share(scored),
        "train_unknown_share": model.unknown_share(train),
        "num_tokens": int(tokens.sum()),
        "num_sentences": len(scored),
        "num_train_sentences": len(train),
        "vocabulary_size": len(model.vocabulary),
        "order": model.order,
        **report,
    }


def _smooth(pairs: np.ndarray, counts: np.ndarray, contexts: np.ndarray, num_contexts: int) -> _Ngrams:
    """Returns the n-grams of one length with their discounted counts and the backoff weights of their contexts."""
    discounts = np.array([0.0, *_discounts(counts)])
    classes = np.minimum(counts, 3)
    totals = np.bincount(contexts, counts, num_contexts)
    taken = sum(
        discount * np.bincount(contexts[classes == count], minlength=num_contexts)
        for count, discount in enumerate(discounts[1:], start=1)
    )
    backoff_weights = np.divide(taken, totals, out=np.ones(num_contexts), where=totals > 0)
    return _Ngrams(pairs, counts, counts - discounts[classes], totals, backoff_weights)


def _discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """Returns the discounts of counts of 1, 2, and at least 3 (Chen and Goodman 1999, section 3)."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).tolist()
    if min(n[1:5]) == 0:
        return _FALLBACK_DISCOUNTS
    y = n[1] / (n[1] + 2 * n[2])
    discounts = tuple(i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3))
    return discounts if min(discounts) > 0 else _FALLBACK_DISCOUNTS


__all__ = ["KneserNeyModel", "forward_nll", "reverse_nll", "training_vocabulary"]
