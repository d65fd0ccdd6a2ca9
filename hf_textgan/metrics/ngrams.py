"""
N-gram measures of generated sentences: BLEU against a set of real sentences (quality), Self-BLEU among the generated
ones (lack of diversity), the share of distinct n-grams, the divergence from the n-grams of real sentences and their
overlap with them, and what was copied from the training sentences.

A function whose name ends in `_measure` counts once and returns a function of weights: the measure of a set in which
each sentence occurs as many times as its weight says. Weights of one give the measure of the set itself, weights drawn
at random that of a bootstrap sample.

N-grams are counted in numpy with exact integer ids: an n-gram is the pair (id of its first n - 1 tokens, id of its
last token), and the distinct pairs are ranked anew at every order, so that ids stay small and two n-grams never share
one.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np

from .module_helpers import check_token_lists


_SMOOTHING = 0.1  # stands in for a count of 0 (method 1 of Chen and Cherry, 2014)

Measure = Callable[[np.ndarray], dict[str, float]]  # of one whole number of at least 0 per sentence


class _Index:
    """
    The ids of n-grams.

    Args:
        max_order (`int`):
            The longest n-grams.
    """

    def __init__(self, max_order: int):
        self.max_order = max_order
        self._token_ids: dict = {}
        self._pairs: list[np.ndarray] = []  # per order the sorted pairs; the id of an n-gram is the place of its pair

    def count(self, sentences: Sequence[Sequence], build: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """
        Yields for the orders 1 to `max_order` which n-gram occurs in which sentence how often: three arrays of one
        shape with the n-gram's id, ascending, the sentence's index, ascending for an n-gram, and the count. With
        `build` n-grams get their ids, once; else unknown ones are left out.
        """
        if build:
            distinct = dict.fromkeys(chain.from_iterable(sentences))
            self._token_ids = dict(zip(distinct, range(len(distinct)), strict=True))
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        # -1 marks an unknown token, with which no n-gram is known.
        ids = map(self._token_ids.get, chain.from_iterable(sentences), repeat(-1))
        tokens = np.fromiter(ids, np.int64, lengths.sum())
        sentence = np.repeat(np.arange(len(sentences)), lengths)
        room = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # tokens to the end of the sentence
        starts = np.arange(len(tokens))
        ids = np.zeros(len(tokens), np.int64)
        for row in range(self.max_order):
            kept = room[starts] > row
            starts, ids = starts[kept], ids[kept]
            last = tokens[starts + row]
            kept = last >= 0
            pairs, starts = _sort_pairs(ids[kept] * len(self._token_ids) + last[kept], starts[kept], len(tokens))
            first = np.flatnonzero(np.diff(pairs, prepend=-1))
            known, places = pairs[first], np.arange(len(first))
            if build:
                self._pairs.append(known)
            elif len(self._pairs[row]):
                places = np.searchsorted(self._pairs[row], known).clip(max=len(self._pairs[row]) - 1)
                places[self._pairs[row][places] != known] = -1
            else:
                places[:] = -1
            ids = np.repeat(places, np.diff(first, append=len(pairs)))
            kept = ids >= 0
            starts, ids = starts[kept], ids[kept]
            where = sentence[starts]
            entries = np.flatnonzero(np.diff(ids, prepend=-1) | np.diff(where, prepend=-1))
            yield ids[entries], where[entries], np.diff(entries, append=len(ids))


def _sort_pairs(pairs: np.ndarray, starts: np.ndarray, num_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorts by pair, then by start."""
    bits = num_tokens.bit_length()
    if len(pairs) and int(pairs.max()) >> (63 - bits):  # beyond some 10^7 tokens
        order = np.lexsort((starts, pairs))
        return pairs[order], starts[order]
    both = np.sort((pairs << bits) | starts)  # one sort of numbers, many times as fast as that of places
    return both >> bits, both & ((1 << bits) - 1)


def _largest_two(ngrams: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest count of every n-gram in one sentence, and the largest in the others: those of [`_Index.count`]."""
    if not len(ngrams):
        return counts, counts
    first = np.flatnonzero(np.diff(ngrams, prepend=-1))
    largest = np.maximum.reduceat(counts, first)
    holds = counts == np.repeat(largest, np.diff(first, append=len(ngrams)))
    alone = np.add.reduceat(holds, first, dtype=np.int64) == 1
    others = np.maximum.reduceat(np.where(holds, 0, counts), first)
    return largest, np.where(alone, others, largest)


def _closest_lengths(lengths: Counter, others: Counter, leave_one_out: bool = False) -> dict[int, int]:
    """For each length the nearest one among the references, the shorter of two."""
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
    BLEU of sentences, by order, from 2.

    Args:
        matches (`numpy.ndarray` of shape `(max_order, num_sentences)`):
            Clipped numbers of n-grams in common.
        closest (`dict[int, int]`):
            The nearest length of a reference for each length.
    """
    longest = max(1, max(lengths))
    # Logarithms and exponentials of the math module: those of numpy may depend on the place in the array.
    logs = np.array([math.log(_SMOOTHING), *map(math.log, range(1, longest + 1))])
    penalties = np.ones(longest + 1)
    for length, nearest in closest.items():
        if brevity_penalty and 0 < length < nearest:
            penalties[length] = math.exp(1 - nearest / length)
    lengths = np.asarray(lengths)
    penalties = np.where(matches[0] > 0, penalties[lengths], 0.0)  # nothing in common gives 0
    scores, total = {}, np.zeros(len(lengths))
    for order, hits in enumerate(matches, start=1):
        precision = logs[hits] - logs[np.maximum(1, lengths - order + 1)]
        total += precision
        if order > 1:
            mean = total / order if cumulative else precision
            means = np.fromiter(map(math.exp, mean.tolist()), np.float64, len(total))
            scores[order] = (penalties * means).tolist()
    return scores


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # the exactly rounded sum does not depend on the order


def mean_measure(scores: dict[str, Sequence[float]]) -> Measure:
    """The means of scores that each sentence has for itself, as a function of the sentences' weights."""
    arrays = {name: np.asarray(values, np.float64) for name, values in scores.items()}

    def measure(weights: np.ndarray) -> dict[str, float]:
        return {name: math.fsum((values * weights).tolist()) / int(weights.sum()) for name, values in arrays.items()}

    return measure


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
        check_token_lists(references, "references")
        self.max_order = max_order
        self._lengths = Counter(map(len, references))
        self._index = _Index(max_order)
        self._largest = [
            np.maximum.reduceat(counts, np.flatnonzero(np.diff(ngrams, prepend=-1))) if len(ngrams) else counts
            for ngrams, _, counts in self._index.count(references, build=True)
        ]

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
        scores = self._sentence_bleu(hypotheses)
        return {f"bleu_{order}": _mean(values) for order, values in scores.items()}

    def sentence_scores(self, hypotheses: Sequence[Sequence], order: int) -> list[float]:
        """BLEU-`order` of each hypothesis against all references, from 0 to 1. See [`bleu`]."""
        if not 2 <= order <= self.max_order:
            raise ValueError(f"order={order} is not counted in this table; use 2 to {self.max_order}.")
        return self._sentence_bleu(hypotheses)[order]

    def _sentence_bleu(self, hypotheses: Sequence[Sequence], **options: bool) -> dict[int, list[float]]:
        check_token_lists(hypotheses, "hypotheses")
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


def bleu_scores(
    hypotheses: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    max_order: int = 5,
    cumulative: bool = True,
    brevity_penalty: bool = True,
) -> dict[int, list[float]]:
    """
    The sentence BLEU of each hypothesis, and the two other definitions in use. See [`bleu`].

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
            Whether sentences shorter than the reference closest in length lose.

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
    return {f"self_bleu_{order}": _mean(values) for order, values in self_bleu_scores(sentences, max_order).items()}


def self_bleu_scores(
    sentences: Sequence[Sequence[str]], max_order: int = 5, cumulative: bool = True, brevity_penalty: bool = True
) -> dict[int, list[float]]:
    """The sentence BLEU of each sentence against all the other ones. See [`self_bleu`] and [`bleu_scores`]."""
    check_token_lists(sentences, "sentences")
    if len(sentences) < 2:
        raise ValueError("There is only 1 sentence to compare; Self-BLEU needs at least 2.")
    if max_order < 2:
        raise ValueError(f"max_order={max_order} is too small; use 2 or more.")
    matches = []
    for ngrams, where, counts in _Index(max_order).count(sentences, build=True):
        largest, second = _largest_two(ngrams, counts)
        # Whoever holds the largest count alone finds the second largest in the others.
        limits = np.where(counts == largest[ngrams], second[ngrams], largest[ngrams])
        matches.append(np.bincount(where, np.minimum(counts, limits), len(sentences)))
    lengths = list(map(len, sentences))
    closest = _closest_lengths(Counter(lengths), Counter(lengths), leave_one_out=True)
    return _sentence_bleu(np.array(matches, int), lengths, closest, cumulative, brevity_penalty)


def distinct_n(sentences: Sequence[Sequence[str]], max_order: int = 4) -> dict[str, float]:
    """
    The number of distinct n-grams over the number of all n-grams of a set of sentences (Li et al. 2016, arXiv
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
    """[`distinct_n`] as a function of the sentences' weights."""
    counted = _count_by_order(max_order, sentences=sentences)

    def measure(weights: np.ndarray) -> dict[str, float]:
        shares = {}
        for order, (ngrams, where, counts) in enumerate(counted, start=1):
            frequencies = np.bincount(ngrams, counts * weights[where], 1)
            total = int(frequencies.sum())
            shares[f"distinct_{order}"] = int(np.count_nonzero(frequencies)) / total if total else math.nan
        return shares

    return measure


def ngram_jsd(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> dict[str, float]:
    """
    The Jensen-Shannon divergence between the relative frequencies of the n-grams of two sets of sentences (IWGAN,
    arXiv 1704.00028): ``(KL(P | M) + KL(Q | M)) / 2`` with ``M = (P + Q) / 2``, in bits. Small sets are
    far apart even if both are real: compare at equal sizes.

    Args:
        hypotheses (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens; characters are tokens, too.
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
    """[`ngram_jsd`] as a function of the hypotheses' weights."""
    counted = _count_by_order(max_order, hypotheses=hypotheses, references=references)

    def measure(weights: np.ndarray) -> dict[str, float]:
        divergences = {}
        for order, frequencies in enumerate(_frequency_pairs(counted, weights), start=1):
            totals = frequencies.sum(1)
            if not totals.all():
                divergences[f"jsd_{order}"] = math.nan
                continue
            # Most n-grams share their pair of frequencies with many others; its terms are computed once.
            pairs, times = np.unique(frequencies[0] + 1j * frequencies[1], return_counts=True)
            shares = np.stack([pairs.real, pairs.imag]) / totals[:, None]  # (2, num_pairs)
            middle, times = np.broadcast_to(shares.mean(0), shares.shape), np.broadcast_to(times, shares.shape)
            seen = shares > 0
            terms = (
                repeat(p * math.log2(p / m), count)
                for p, m, count in zip(shares[seen].tolist(), middle[seen].tolist(), times[seen].tolist(), strict=True)
            )
            divergences[f"jsd_{order}"] = math.fsum(chain.from_iterable(terms)) / 2
        return divergences

    return measure


def ms_jaccard(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 5
) -> dict[str, float]:
    """
    MS-Jaccard (Montahaei, Alihosseini and Baghshah 2019, arXiv 1904.03971, section 4.1): the multisets of n-grams of
    two sets of sentences in common. With ``C(g)`` the number of times that an n-gram occurs per sentence,
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
    """[`ms_jaccard`] as a function of the hypotheses' weights."""
    counted = _count_by_order(max_order, hypotheses=hypotheses, references=references)

    def measure(weights: np.ndarray) -> dict[str, float]:
        shares = []
        for frequencies in _frequency_pairs(counted, weights):
            # Times the sizes of both sets, which leaves whole numbers and so exact sums.
            ours, theirs = frequencies[0] * len(references), frequencies[1] * int(weights.sum())
            union = np.maximum(ours, theirs).sum()
            shares.append(float(np.minimum(ours, theirs).sum() / union) if union else math.nan)
        result = {f"jaccard_{order}": share for order, share in enumerate(shares, start=1)}
        for order in range(1, max_order + 1):
            result[f"ms_jaccard_{order}"] = math.prod(shares[:order]) ** (1 / order)
        return result

    return measure


def longest_copied(sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[int]:
    """
    For each sentence the number of tokens of its longest n-gram that some reference contains.

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
    for order, (_, where, _, copied) in enumerate(_count_copied(None, sentences, references), start=1):
        if not copied.any():
            break  # nor is any longer one
        longest[where[copied]] = order
    return longest.tolist()


def novelty(
    sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> dict[str, float]:
    """
    What generated sentences repeat and what they copy from the training sentences.

    Args:
        sentences (`Sequence[Sequence[str]]`):
            The generated sentences as lists of tokens.
        references (`Sequence[Sequence[str]]`):
            The training sentences as lists of tokens.
        max_order (`int`, *optional*, defaults to 4):
            The longest n-grams of which the novel ones are counted.

    Returns:
        `dict[str, float]`:

        - `duplicates`: 1 minus the number of different sentences over the number of sentences.
        - `copied_sentences`: The share of sentences that equal a training sentence.
        - `longest_copied_mean`: The mean of [`longest_copied`], in tokens.
        - `novel_1` to `novel_{max_order}`: The share of n-grams, each as many times as it occurs, that no training
          sentence contains; NaN if no sentence is that long.

    Raises:
        `ValueError`: If there are no sentences or no references, or `max_order` is less than 1.
        `TypeError`: If a sentence is a string and not a list of tokens.
    """
    return novelty_measure(sentences, references, max_order)(_ones(sentences))


def novelty_measure(
    sentences: Sequence[Sequence[str]], references: Sequence[Sequence[str]], max_order: int = 4
) -> Measure:
    """[`novelty`] as a function of the sentences' weights; how often a sentence occurs is that of the whole set."""
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
    totals = []  # per order the sentences' numbers of n-grams and of novel ones
    for _, where, counts, copied in _count_copied(max_order, sentences, references):
        both = (np.bincount(where, counts * mask, len(whole)) for mask in (True, ~copied))
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
    """[`_Index.count`] of the sentences, and which of these n-grams a reference contains."""
    check_token_lists(sentences, "sentences")
    check_token_lists(references, "references")
    index = _Index(max(map(len, sentences)) if max_order is None else max_order)
    # Order by order: the index knows the n-grams of the sentences before it looks those of the references up, and only
    # the references' n-grams that it knows are continued.
    both = zip(index.count(sentences, build=True), index.count(references, build=False), strict=True)
    for (ngrams, where, counts), (found, _, _) in both:
        copied = np.zeros(int(ngrams[-1]) + 1 if len(ngrams) else 0, bool)
        copied[found] = True
        yield ngrams, where, counts, copied[ngrams]


def _count_by_order(
    max_order: int, **sentences: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """[`_Index.count`] of all the sentences, one set after the other."""
    _check_order(max_order)
    for name, one in sentences.items():
        check_token_lists(one, name)
    return list(_Index(max_order).count(list(chain.from_iterable(sentences.values())), build=True))


def _frequency_pairs(
    counted: list[tuple[np.ndarray, np.ndarray, np.ndarray]], weights: np.ndarray
) -> Iterator[np.ndarray]:
    """Per order how often each n-gram occurs in the weighted hypotheses and in the references after them: (2, n)."""
    for ngrams, where, counts in counted:
        ours = where < len(weights)
        factors = np.where(ours, weights[np.where(ours, where, 0)], 0)
        yield np.stack([np.bincount(ngrams, counts * factors, 1), np.bincount(ngrams, counts * ~ours, 1)])


def _ones(sentences: Sequence) -> np.ndarray:
    return np.ones(len(sentences), np.int64)


def _check_order(max_order: int) -> None:
    if max_order < 1:
        raise ValueError(f"max_order={max_order} is too small; use 1 or more.")
