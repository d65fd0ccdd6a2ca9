"""
N-gram measures of generated sentences: BLEU against a set of real sentences (quality) and Self-BLEU among the
generated ones (lack of diversity).

N-grams are counted in numpy with exact integer ids: an n-gram is the pair (id of its first n - 1 tokens, id of its
last token), and the distinct pairs are ranked anew at every order, so that ids stay small and two n-grams never share
one.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np


_SMOOTHING = 0.1  # stands in for a count of 0 (method 1 of Chen and Cherry, 2014)


class ReferenceTable:
    """
    The n-gram counts of a set of reference sentences. Build it once to score many sets of hypotheses against the same
    references.

    Args:
        references (`Sequence[Sequence[str]]`):
            The reference sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 5):
            Longest n-grams to count, at least 2.

    Raises:
        `ValueError`: If there are no references or `max_order` is less than 2.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """

    def __init__(self, references: Sequence[Sequence[str]], max_order: int = 5):
        if max_order < 2:
            raise ValueError(f"max_order={max_order} is too small; use 2 or more.")
        _check_sentences(references, "references")
        self.max_order = max_order
        self._lengths = Counter(map(len, references))
        self._token_ids = {token: index for index, token in enumerate(dict.fromkeys(chain.from_iterable(references)))}
        # Per order: the sorted pairs, whose positions are the ids, and for every id the largest and the second largest
        # number of times that it occurs in one reference.
        self._pairs: list[np.ndarray] = []
        self._largest: list[np.ndarray] = []
        self._second: list[np.ndarray] = []
        for _, ngrams, counts in self._count(references, build=True):
            by_ngram = np.lexsort((counts, ngrams))
            ngrams, counts = ngrams[by_ngram], counts[by_ngram]
            last = np.flatnonzero(np.diff(ngrams, append=-1))  # every id's entry with the largest count
            has_second = np.diff(last, prepend=-1) > 1
            self._largest.append(counts[last])
            self._second.append(np.where(has_second, counts[last - 1], 0))

    def score(self, hypotheses: Sequence[Sequence[str]]) -> dict[str, float]:
        """
        Mean sentence BLEU of the hypotheses, each against all references. See [`bleu`].

        Args:
            hypotheses (`Sequence[Sequence[str]]`):
                The sentences to score as lists of tokens.

        Returns:
            `dict[str, float]`: `bleu_2` to `bleu_{max_order}`, each from 0 to 1.

        Raises:
            `ValueError`: If there are no hypotheses.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        _check_sentences(hypotheses, "hypotheses")
        return {f"bleu_{order}": mean for order, mean in self._mean_bleu(hypotheses, leave_one_out=False).items()}

    def sentence_scores(self, hypotheses: Sequence[Sequence], order: int) -> list[float]:
        """BLEU-`order` of each hypothesis against all references, from 0 to 1. See [`bleu`]."""
        if not 2 <= order <= self.max_order:
            raise ValueError(f"order={order} is not counted in this table; use 2 to {self.max_order}.")
        _check_sentences(hypotheses, "hypotheses")
        return self._sentence_bleu(hypotheses, leave_one_out=False)[order]

    def _mean_bleu(self, hypotheses: Sequence[Sequence[str]], leave_one_out: bool) -> dict[int, float]:
        scores = self._sentence_bleu(hypotheses, leave_one_out)
        # The exactly rounded sum does not depend on the order of the sentences.
        return {order: math.fsum(values) / len(values) for order, values in scores.items()}

    def _sentence_bleu(self, hypotheses: Sequence[Sequence[str]], leave_one_out: bool) -> dict[int, list[float]]:
        """
        BLEU of each hypothesis, by order. With `leave_one_out` the hypotheses are the references, and each is scored
        against the others.
        """
        matches = np.zeros((self.max_order, len(hypotheses)))
        for row, (sentences, ngrams, counts) in enumerate(self._count(hypotheses, build=False)):
            limits = self._largest[row][ngrams]
            if leave_one_out:
                # Whoever holds the largest count alone finds the second largest in the others.
                limits = np.where(counts == limits, self._second[row][ngrams], limits)
            matches[row] = np.bincount(sentences, np.minimum(counts, limits), minlength=len(hypotheses))
        closest: dict[int, int] = {}
        scores: dict[int, list[float]] = {order: [] for order in range(2, self.max_order + 1)}
        for hypothesis, hits in zip(hypotheses, matches.T.tolist(), strict=True):
            length = len(hypothesis)
            if hits[0] == 0:  # nothing in common, or an empty hypothesis
                for values in scores.values():
                    values.append(0.0)
                continue
            if length not in closest:
                closest[length] = self._closest_length(length, leave_one_out)
            penalty = 1.0 if length > closest[length] else math.exp(1 - closest[length] / length)
            logs = []
            for order, hit in enumerate(hits, start=1):
                logs.append(math.log((hit or _SMOOTHING) / max(1, length - order + 1)))
                if order > 1:
                    scores[order].append(penalty * math.exp(math.fsum(logs) / order))
        return scores

    def _closest_length(self, length: int, leave_one_out: bool) -> int:
        """The reference length nearest to `length`, the shorter of two."""
        own = 1 if leave_one_out else 0
        others = (other for other, count in self._lengths.items() if count > (own if other == length else 0))
        return min(others, key=lambda other: (abs(other - length), other))

    def _count(
        self, sentences: Sequence[Sequence[str]], build: bool
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """
        Yields for the orders 1 to `max_order` which n-gram occurs in which sentence how often: three arrays of one
        shape with the sentence's index, the n-gram's id and the count. With `build` new n-grams get their ids, else
        they are left out.
        """
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        # -1 marks an unknown token, with which no n-gram is known.
        tokens = np.fromiter(
            (self._token_ids.get(token, -1) for token in chain.from_iterable(sentences)), np.int64, lengths.sum()
        )
        sentence = np.repeat(np.arange(len(sentences)), lengths)
        room = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # tokens to the end of the sentence
        starts = np.arange(len(tokens))
        ids = np.zeros(len(tokens), np.int64)
        for row in range(self.max_order):
            fits = room[starts] > row
            starts, ids = starts[fits], ids[fits]
            known = tokens[starts + row] >= 0
            starts, ids = starts[known], ids[known]
            pairs = ids * len(self._token_ids) + tokens[starts + row]
            if build:
                self._pairs.append(np.unique(pairs))
            ids = np.searchsorted(self._pairs[row], pairs)
            # The appended -1 is where a pair greater than all known ones lands; it equals none.
            known = np.append(self._pairs[row], -1)[ids] == pairs
            starts, ids = starts[known], ids[known]
            num_ngrams = max(1, len(self._pairs[row]))
            occurrences, counts = np.unique(sentence[starts] * num_ngrams + ids, return_counts=True)
            yield occurrences // num_ngrams, occurrences % num_ngrams, counts


def bleu(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 5
) -> dict[str, float]:
    """
    Mean over all hypotheses of the sentence BLEU against the whole set of references.

    A sentence's BLEU-N is the geometric mean of its n-gram precisions for n = 1 to N times the brevity penalty. A
    precision clips every n-gram's count at its largest count in one reference; a count of 0 is replaced by 0.1. The
    penalty compares with the reference closest in length, the shorter of two. Without a common token the score is 0.

    Args:
        hypotheses (`Sequence[Sequence[str]]`):
            The sentences to score as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The reference sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 5):
            Largest N, at least 2.

    Returns:
        `dict[str, float]`: `bleu_2` to `bleu_{max_order}`, each from 0 to 1; higher is closer to the references.

    Raises:
        `ValueError`: If there are no hypotheses or no references, or `max_order` is less than 2.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return ReferenceTable(references, max_order).score(hypotheses)


def self_bleu(sentences: Sequence[Sequence[str]], max_order: int = 5) -> dict[str, float]:
    """
    Mean sentence BLEU of every sentence against all the other ones. See [`bleu`].

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The sentences as lists of tokens, at least 2. Equal sentences count as others.
        max_order (`int`, *optional*, defaults to 5):
            Largest N, at least 2.

    Returns:
        `dict[str, float]`: `self_bleu_2` to `self_bleu_{max_order}`, each from 0 to 1; lower is more diverse.

    Raises:
        `ValueError`: If there are fewer than 2 sentences or `max_order` is less than 2.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    _check_sentences(sentences, "sentences")
    if len(sentences) < 2:
        raise ValueError("There is only 1 sentence to compare; Self-BLEU needs at least 2.")
    means = ReferenceTable(sentences, max_order)._mean_bleu(sentences, leave_one_out=True)
    return {f"self_bleu_{order}": mean for order, mean in means.items()}


def _check_sentences(sentences: Sequence[Sequence[str]], name: str) -> None:
    if isinstance(sentences, str):
        raise TypeError(f"The {name} are one string ({sentences[:20]!r}); pass a list of token lists instead.")
    if len(sentences) == 0:
        raise ValueError(f"There are 0 {name}; pass at least 1 sentence.")
    for index, sentence in enumerate(sentences):
        if isinstance(sentence, str):
            raise TypeError(
                f"Sentence {index} of the {name} is a string ({sentence[:20]!r}); split it into a list of tokens."
            )
