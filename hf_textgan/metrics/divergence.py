"""The Jensen-Shannon divergence of two tables of counts."""

import math
from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np


def jensen_shannon_divergence(counts: np.ndarray, totals: Sequence[int] | None = None) -> float:
    """
    Returns the Jensen-Shannon divergence, in bits, of two distributions given by counts: ``(KL(P | M) + KL(Q | M)) /
    2`` with ``M = (P + Q) / 2``, of relative frequencies without smoothing.

    Args:
        counts (`numpy.ndarray` of shape `(2, num_items)`):
            How often each item occurs on either side, whole numbers.
        totals (`Sequence[int]`, *optional*):
            How often all items of either side occur; by default the sums of `counts`. The difference stands for items
            that the other side does not have, which need not be listed: they add their whole frequency to the sum.

    Returns:
        `float`: From 0 (equal) to 1 (nothing in common); NaN if a side has no items.
    """
    counts = np.asarray(counts).astype(np.int64)
    listed = counts.sum(1)
    sums = listed if totals is None else np.asarray(totals, np.int64)
    if not sums.all():
        return math.nan
    # Many items share their pair of counts. The terms of a pair are computed once; each pair is one whole number.
    base = int(counts[1].max(initial=0)) + 1
    pairs, repetitions = np.unique(counts[0] * base + counts[1], return_counts=True)
    frequencies = np.stack(np.divmod(pairs, base)) / sums[:, None]  # (2, num_pairs)
    middle = np.broadcast_to(frequencies.mean(0), frequencies.shape)
    repetitions = np.broadcast_to(repetitions, frequencies.shape)
    occurs = frequencies > 0
    terms = (
        repeat(p * math.log2(p / m), count)
        for p, m, count in zip(
            frequencies[occurs].tolist(), middle[occurs].tolist(), repetitions[occurs].tolist(), strict=True
        )
    )
    unlisted = ((sums - listed) / sums).tolist()
    return math.fsum(chain(unlisted, chain.from_iterable(terms))) / 2  # exactly rounded, in any order


__all__ = ["jensen_shannon_divergence"]
