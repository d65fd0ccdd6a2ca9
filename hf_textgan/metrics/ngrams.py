"""
N-gram metrics of generated sentences: BLEU against a set of real sentences (quality), Self-BLEU among the generated
sentences (lack of diversity), the share of distinct n-grams, the divergence between the n-grams of generated and real
sentences and their overlap, and the n-grams that were copied from the training sentences.

A function whose name ends in `_measure` counts once and returns a function of weights ([`Measure`]).

N-grams are counted in numpy with exact integer ids. An n-gram is the pair (id of its first n - 1 tokens, id of its
last token). The distinct pairs are numbered again at every order, so ids stay small and two n-grams never share one.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np

from .bootstrap import Measure, mean_measure
from .divergence import jensen_shannon_divergence
from .sentences import check_sentences


_SMOOTHING = 0.1  # replaces a count of 0 (method 1 of Chen and Cherry, 2014)


class _Index:
    """
    The ids of n-grams, and their counts per sentence.

    Args:
        max_order (`int`):
            The longest n-grams.
    """

    def __init__(self, max_order: int):
        self.max_order = max_order
        self._token_ids: dict = {}
        self._pairs: list[np.ndarray] = []  # per order the sorted pairs; the id of an n-gram is the index of its pair

    def count(self, sentences: Sequence[Sequence], build: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """
        Yields the counts of n-grams per sentence, for the orders 1 to `max_order`.

        Args:
            sentences (`Sequence[Sequence]`):
                The sentences as lists of tokens.
            build (`bool`):
                Whether n-grams get their ids here, which is done once. Otherwise unknown n-grams are left out.

        Returns:
            Three arrays of one shape for each order: the ids of n-grams in ascending order, the indices of sentences,
            ascending for each n-gram, and the counts.
        """
        if build:
            distinct = dict.fromkeys(chain.from_iterable(sentences))
            self._token_ids = dict(zip(distinct, range(len(distinct)), strict=True))
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        # -1 marks an unknown token. No n-gram with an unknown token is known.
        ids = map(self._token_ids.get, chain.from_iterable(sentences), repeat(-1))
        tokens = np.fromiter(ids, np.int64, lengths.sum())
        sentence = np.repeat(np.arange(len(sentences)), lengths)
        room = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # tokens to the end of the sentence
        starts = np.arange(len(tokens))
        ids = np.zeros(len(tokens), np.int64)
        for offset in range(self.max_order):
            kept = room[starts] > offset
            starts, ids = starts[kept], ids[kept]
            last = tokens[starts + offset]
            kept = last >= 0
            pairs, starts = _sort_pairs(ids[kept] * len(self._token_ids) + last[kept], starts[kept], len(tokens))
            first = np.flatnonzero(np.diff(pairs, prepend=-1))
            known, indices = pairs[first], np.arange(len(first))
            if build:
                self._pairs.append(known)
            elif len(self._pairs[offset]):
                indices = np.searchsorted(self._pairs[offset], known).clip(max=len(self._pairs[offset]) - 1)
                indices[self._pairs[offset][indices] != known] = -1
            else:
                indices[:] = -1
            ids = np.repeat(indices, np.diff(first, append=len(pairs)))
            kept = ids >= 0
            starts, ids = starts[kept], ids[kept]
            rows = sentence[starts]
            entries = np.flatnonzero(np.diff(ids, prepend=-1) | np.diff(rows, prepend=-1))
            yield ids[entries], rows[entries], np.diff(entries, append=len(ids))


def _sort_pairs(pairs: np.ndarray, starts: np.ndarray, num_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorts by pair, then by start."""
    bits = num_tokens.bit_length()
    if len(pairs) and int(pairs.max()) >> (63 - bits):  # beyond some 10^7 tokens
        order = np.lexsort((starts, pairs))
        return pairs[order], starts[order]
    both = np.sort((pairs << bits) | starts)  # sorting numbers is many times as fast as sorting indices
    return both >> bits, both & ((1 << bits) - 1)


def _largest_two(ngrams: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each n-gram of [`_Index.count`] its largest count in a sentence and in the other sentences."""
    if not len(ngrams):
        return counts, counts
    first = np.flatnonzero(np.diff(ngrams, prepend=-1))
    largest = np.maximum.reduceat(counts, first)
    holds = counts == np.repeat(largest, np.diff(first, append=len(ngrams)))
    alone = np.add.reduceat(holds, first, dtype=np.int64) == 1
    others = np.maximum.reduceat(np.where(holds, 0, counts), first)
    return largest, np.where(alone, others, largest)


def _closest_lengths(lengths: Counter, others: Counter, leave_one_out: bool = False) -> dict[int, int]:
    """Returns for each length the nearest length of a reference, the shorter of two."""
    closest = {}
    for length in lengths:
        own = 1 if leave_one_out else 0
        known = (other for other, count in others.items() if count > (own if other == length else 0))
        closest[length] = min(known, key=lambda other: (abs(other - length), other))
    return closest


def _sentence_bleu(
    matches: np.ndarray,
    lengths: Sequence[int],
    closest: dict[int, int],
    cumulative: bool = True,
    brevity_penalty: bool = True,
) -> dict[int, list[float]]:
    """
    Returns the BLEU of sentences for each order, from 2.

    Args:
        matches (`numpy.ndarray` of shape `(max_order, num_sentences)`):
            The clipped numbers of n-grams in common.
        closest (`dict[int, int]`):
            The nearest length of a reference for each length.
    """
    longest = max(1, max(lengths))
    # Logarithms and exponentials of the math module: those of numpy may depend on the position in the array.
    logs = np.array([math.log(_SMOOTHING), *map(math.log, range(1, longest + 1))])
    penalties = np.ones(longest + 1)
    for length, nearest in closest.items():
        if brevity_penalty and 0 < length < nearest:
            penalties[length] = math.exp(1 - nearest / length)
    num_tokens = np.asarray(lengths)
    penalties = np.where(matches[0] > 0, penalties[num_tokens], 0.0)  # nothing in common gives 0
    scores, total = {}, np.zeros(len(num_tokens))
    for order, hits in enumerate(matches, start=1):
        precision = logs[hits] - logs[np.maximum(1, num_tokens - order + 1)]
        total += precision
        if order > 1:
            mean = total / order if cumulative else precision
            means = np.fromiter(map(math.exp, mean.tolist()), np.float64, len(total))
            scores[order] = (penalties * means).tolist()
    return scores


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # the exactly rounded sum does not depend on the order


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

    def __init__(self, references: Sequence[Sequence[Hashable]], max_order: int = 5):
        if max_order < 2:
            raise ValueError(f"max_order={max_order} is too small; use 2 or more.")
        check_sentences(references, "references", form="tokens")
        self.max_order = max_order
        self._lengths = Counter(map(len, references))
        self._index = _Index(max_order)
        self._largest = [
            np.maximum.reduceat(counts, np.flatnonzero(np.diff(ngrams, prepend=-1))) if len(ngrams) else counts
            for ngrams, _, counts in self._index.count(references, build=True)
        ]

    def score(self, hypotheses: Sequence[Sequence[Hashable]]) -> dict[str, float]:
        """
        Returns the mean sentence BLEU of the hypotheses, each against all references. See [`bleu`].

        Args:
            hypotheses (`Sequence[Sequence[str]]`):
                The sentences to score as lists of tokens.

        Returns:
            `dict[str, float]`: `bleu_2` to `bleu_{max_order}`, each from 0 to 1.

        Raises:
            `ValueError`: If there are no hypotheses.
            `TypeError`: If a sentence is a string and not a list of tokens.
        """
        scores = self._sentence_bleu(hypotheses)
        return {f"bleu_{order}": _mean(values) for order, values in scores.items()}

    def sentence_scores(self, hypotheses: Sequence[Sequence], order: int) -> list[float]:
        """Returns the BLEU-`order` of each hypothesis against all references, from 0 to 1. See [`bleu`]."""
        if not 2 <= order <= self.max_order:
            raise ValueError(f"order={order} is not counted in this table; use 2 to {self.max_order}.")
        return self._sentence_bleu(hypotheses)[order]

    def _sentence_bleu(self, hypotheses: Sequence[Sequence], **options: bool) -> dict[int, list[float]]:
        check_sentences(hypotheses, "hypotheses", form="tokens")
        matches = [
            np.bincount(sentences, np.minimum(counts, largest[ngrams]), len(hypotheses))
            for (ngrams, sentences, counts), largest in zip(
                self._index.count(hypotheses, build=False), self._largest, strict=True
            )
        ]
        lengths = list(map(len, hypotheses))
        closest = _closest_lengths(Counter(lengths), self._lengths)
        return _sentence_bleu(np.array(matches, int), lengths, closest, **options)


def bleu(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 5
) -> dict[str, float]:
    """
    Returns the mean over all hypotheses of the sentence BLEU against the whole set of references.

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


def bleu_scores(
    hypotheses: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    max_order: int = 5,
    cumulative: bool = True,
    brevity_penalty: bool = True,
) -> dict[int, list[float]]:
    """
    Returns the sentence BLEU of each hypothesis, also by two other definitions in use. See [`bleu`].

    Args:
        hypotheses (`Sequence[Sequence[str]]`):
            The sentences to score as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The reference sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 5):
            Largest N, at least 2.
        cumulative (`bool`, *optional*, defaults to `True`):
            Whether BLEU-N is the mean over the orders 1 to N, or the precision of the N-grams alone.
        brevity_penalty (`bool`, *optional*, defaults to `True`):
            Whether sentences shorter than the reference closest in length have a lower score.

    Returns:
        `dict[int, list[float]]`: For N = 2 to `max_order` the BLEU-N of the hypotheses in their order, from 0 to 1.

    Raises:
        `ValueError`: If there are no hypotheses or no references, or `max_order` is less than 2.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    table = ReferenceTable(references, max_order)
    return table._sentence_bleu(hypotheses, cumulative=cumulative, brevity_penalty=brevity_penalty)


def self_bleu(sentences: Sequence[Sequence[str]], max_order: int = 5) -> dict[str, float]:
    """
    Returns the mean sentence BLEU of every sentence against all the other ones. See [`bleu`].

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
    return {f"self_bleu_{order}": _mean(values) for order, values in self_bleu_scores(sentences, max_order).items()}


def self_bleu_scores(
    sentences: Sequence[Sequence[str]], max_order: int = 5, cumulative: bool = True, brevity_penalty: bool = True
) -> dict[int, list[float]]:
    """Returns the sentence BLEU of each sentence against all the others. See [`self_bleu`] and [`bleu_scores`]."""
    check_sentences(sentences, "sentences", form="tokens")
    if len(sentences) < 2:
        raise ValueError("There is only 1 sentence to compare; Self-BLEU needs at least 2.")
    if max_order < 2:
        raise ValueError(f"max_order={max_order} is too small; use 2 or more.")
    matches = []
    for ngrams, rows, counts in _Index(max_order).count(sentences, build=True):
        largest, second = _largest_two(ngrams, counts)
        # A sentence that alone has the largest count is compared with the second largest.
        limits = np.where(counts == largest[ngrams], second[ngrams], largest[ngrams])
        matches.append(np.bincount(rows, np.minimum(counts, limits), len(sentences)))
    lengths = list(map(len, sentences))
    closest = _closest_lengths(Counter(lengths), Counter(lengths), leave_one_out=True)
    return _sentence_bleu(np.array(matches, int), lengths, closest, cumulative, brevity_penalty)


def distinct_n(sentences: Sequence[Sequence[str]], max_order: int = 4) -> dict[str, float]:
    """
    Returns the number of distinct n-grams over the number of all n-grams of a set of sentences (Li et al. 2016, arXiv
    1510.03055). It falls with the size of the set.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 4):
            The longest n-grams.

    Returns:
        `dict[str, float]`: `distinct_1` to `distinct_{max_order}`, each from 0 to 1; NaN if no sentence is that long.

    Raises:
        `ValueError`: If there are no sentences or `max_order` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return distinct_n_measure(sentences, max_order)(_ones(sentences))


def distinct_n_measure(sentences: Sequence[Sequence[str]], max_order: int = 4) -> Measure:
    """Returns [`distinct_n`] as a function of the sentences' weights."""
    counted = _count_by_order(max_order, sentences=sentences)

    def measure(weights: np.ndarray) -> dict[str, float]:
        shares = {}
        for order, (ngrams, rows, counts) in enumerate(counted, start=1):
            frequencies = np.bincount(ngrams, counts * weights[rows], 1)
            total = int(frequencies.sum())
            shares[f"distinct_{order}"] = int(np.count_nonzero(frequencies)) / total if total else math.nan
        return shares

    return measure


def ngram_jsd(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> dict[str, float]:
    """
    Returns the Jensen-Shannon divergence between the relative frequencies of the n-grams of two sets of sentences
    (IWGAN, arXiv 1704.00028), in bits. See [`jensen_shannon_divergence`]. Small sets are far apart even if both are
    real: compare at equal sizes.

    Args:
        hypotheses (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens, which may be characters.
        references (`Sequence[Sequence[str]]`):
            The real sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 4):
            The longest n-grams.

    Returns:
        `dict[str, float]`: `jsd_1` to `jsd_{max_order}`, each from 0 (equal) to 1 (nothing in common); NaN if one of
        the sets has no sentence that long.

    Raises:
        `ValueError`: If there are no hypotheses or no references, or `max_order` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return ngram_jsd_measure(hypotheses, references, max_order)(_ones(hypotheses))


def ngram_jsd_measure(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> Measure:
    """Returns [`ngram_jsd`] as a function of the hypotheses' weights."""
    counted = _count_by_order(max_order, hypotheses=hypotheses, references=references)

    def measure(weights: np.ndarray) -> dict[str, float]:
        return {
            f"jsd_{order}": jensen_shannon_divergence(frequencies)
            for order, frequencies in enumerate(_frequency_pairs(counted, weights), start=1)
        }

    return measure


def ms_jaccard(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 5
) -> dict[str, float]:
    """
    Returns MS-Jaccard (Montahaei, Alihosseini and Baghshah 2019, arXiv 1904.03971, section 4.1), which compares the
    multisets of n-grams of two sets of sentences. With ``C(g)``, the number of occurrences of an n-gram per sentence,
    ``J_n = sum_g min(C_1(g), C_2(g)) / sum_g max(C_1(g), C_2(g))``, and MS-Jaccard-N is the geometric mean of ``J_1``
    to ``J_N``. It grows with the sizes of the sets: compare at equal sizes.

    Args:
        hypotheses (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The real sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 5):
            The longest n-grams.

    Returns:
        `dict[str, float]`: `jaccard_1` to `jaccard_{max_order}`, the ``J_n``, and `ms_jaccard_1` to
        `ms_jaccard_{max_order}`, each from 0 (nothing in common) to 1 (equal); NaN if no sentence is that long.

    Raises:
        `ValueError`: If there are no hypotheses or no references, or `max_order` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return ms_jaccard_measure(hypotheses, references, max_order)(_ones(hypotheses))


def ms_jaccard_measure(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 5
) -> Measure:
    """Returns [`ms_jaccard`] as a function of the hypotheses' weights."""
    counted = _count_by_order(max_order, hypotheses=hypotheses, references=references)

    def measure(weights: np.ndarray) -> dict[str, float]:
        ratios = []
        for frequencies in _frequency_pairs(counted, weights):
            # Multiplied by the sizes of both sets: whole numbers have exact sums.
            generated, real = frequencies[0] * len(references), frequencies[1] * int(weights.sum())
            union = np.maximum(generated, real).sum()
            ratios.append(float(np.minimum(generated, real).sum() / union) if union else math.nan)
        result = {f"jaccard_{order}": ratio for order, ratio in enumerate(ratios, start=1)}
        for order in range(1, max_order + 1):
            result[f"ms_jaccard_{order}"] = math.prod(ratios[:order]) ** (1 / order)
        return result

    return measure


def longest_copied(sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[int]:
    """
    Returns for each sentence the number of tokens of its longest n-gram that some reference contains.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The training sentences as lists of tokens.

    Returns:
        `list[int]`: One number per sentence, 0 if no reference has any of its tokens.

    Raises:
        `ValueError`: If there are no sentences or no references.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    longest = np.zeros(len(sentences), np.int64)
    for order, (_, rows, _, copied) in enumerate(_count_copied(None, sentences, references), start=1):
        if not copied.any():
            break  # no longer n-gram is copied either
        longest[rows[copied]] = order
    return longest.tolist()


def novelty(
    sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> dict[str, float]:
    """
    Returns how much generated sentences repeat each other and copy from the training sentences.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The training sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 4):
            The longest n-grams that are counted for `novel_n`.

    Returns:
        `dict[str, float]`:

        - `duplicates`: 1 minus the number of different sentences over the number of sentences.
        - `copied_sentences`: The share of sentences that equal a training sentence.
        - `longest_copied_mean`: The mean of [`longest_copied`], in tokens.
        - `novel_1` to `novel_{max_order}`: The share of occurrences of n-grams that no training sentence contains; NaN
          if no sentence is that long.

    Raises:
        `ValueError`: If there are no sentences or no references, or `max_order` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return novelty_measure(sentences, references, max_order)(_ones(sentences))


def novelty_measure(
    sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> Measure:
    """Returns [`novelty`] as a function of the sentences' weights. Duplicates are always those of the whole set."""
    _check_order(max_order)
    whole = list(map(tuple, sentences))
    times, known = Counter(whole), set(map(tuple, references))
    means = mean_measure(
        {
            "duplicates": [1 - 1 / times[sentence] for sentence in whole],
            "copied_sentences": [float(sentence in known) for sentence in whole],
            "longest_copied_mean": longest_copied(sentences, references),
        }
    )
    totals = []  # per order the numbers of n-grams and of novel n-grams of each sentence
    for _, rows, counts, copied in _count_copied(max_order, sentences, references):
        both = (np.bincount(rows, counts * mask, len(whole)) for mask in (True, ~copied))
        totals.append(np.stack(list(both)))

    def measure(weights: np.ndarray) -> dict[str, float]:
        result = means(weights)
        for order, numbers in enumerate(totals, start=1):
            total, novel = (numbers @ weights).tolist()
            result[f"novel_{order}"] = novel / total if total else math.nan
        return result

    return measure


def _count_copied(
    max_order: int | None, sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields [`_Index.count`] of the sentences, and for each entry whether a reference contains the n-gram."""
    check_sentences(sentences, "sentences", form="tokens")
    check_sentences(references, "references", form="tokens")
    index = _Index(max(map(len, sentences)) if max_order is None else max_order)
    # At each order the index first gets the n-grams of the sentences, then finds those of the references among them,
    # and continues only these.
    both = zip(index.count(sentences, build=True), index.count(references, build=False), strict=True)
    for (ngrams, rows, counts), (found, _, _) in both:
        copied = np.zeros(int(ngrams[-1]) + 1 if len(ngrams) else 0, bool)
        copied[found] = True
        yield ngrams, rows, counts, copied[ngrams]


def _count_by_order(
    max_order: int, **sentences: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns [`_Index.count`] of all the sentences, one set after the other."""
    _check_order(max_order)
    for name, one in sentences.items():
        check_sentences(one, name, form="tokens")
    return list(_Index(max_order).count(list(chain.from_iterable(sentences.values())), build=True))


def _frequency_pairs(
    counted: list[tuple[np.ndarray, np.ndarray, np.ndarray]], weights: np.ndarray
) -> Iterator[np.ndarray]:
    """Yields for each order how often each n-gram occurs in the weighted hypotheses and in the references: (2, n)."""
    for ngrams, rows, counts in counted:
        is_hypothesis = rows < len(weights)  # the references come after the hypotheses
        factors = np.where(is_hypothesis, weights[np.where(is_hypothesis, rows, 0)], 0)
        yield np.stack([np.bincount(ngrams, counts * factors, 1), np.bincount(ngrams, counts * ~is_hypothesis, 1)])


def _ones(sentences: Sequence) -> np.ndarray:
    return np.ones(len(sentences), np.int64)


def _check_order(max_order: int) -> None:
    if max_order < 1:
        raise ValueError(f"max_order={max_order} is too small; use 1 or more.")


__all__ = [
    "ReferenceTable",
    "bleu",
    "bleu_scores",
    "distinct_n",
    "distinct_n_measure",
    "longest_copied",
    "ms_jaccard",
    "ms_jaccard_measure",
    "ngram_jsd",
    "ngram_jsd_measure",
    "novelty",
    "novelty_measure",
    "self_bleu",
    "self_bleu_scores",
]
