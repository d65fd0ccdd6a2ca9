"""The Jensen-Shannon divergence of two tables of counts."""

import math
from fractions import Fraction

import numpy as np
import pytest

from hf_textgan.metrics.divergence import jensen_shannon_divergence


def test_by_hand():
    # P = 3/4, 1/4, 0 and Q = 1/4, 0, 3/4; M = 1/2, 1/8, 3/8.
    expected = (0.75 * math.log2(1.5) + 0.25 * math.log2(2) + 0.25 * math.log2(0.5) + 0.75 * math.log2(2)) / 2
    assert jensen_shannon_divergence(np.array([[3, 1, 0], [1, 0, 3]])) == pytest.approx(expected, abs=1e-15)
    # Items that the other side does not have need not be listed.
    assert jensen_shannon_divergence(np.array([[3], [1]]), (4, 4)) == pytest.approx(expected, abs=1e-15)


def test_extremes():
    assert jensen_shannon_divergence(np.array([[1, 2, 3], [2, 4, 6]])) == 0
    assert jensen_shannon_divergence(np.array([[1, 0], [0, 2]])) == 1
    assert jensen_shannon_divergence(np.empty((2, 0), int), (3, 5)) == 1
    for counts in ([[0, 0], [1, 2]], [[1, 2], [0, 0]], [[], []]):
        assert math.isnan(jensen_shannon_divergence(np.array(counts)))


@pytest.mark.parametrize("seed", range(3))
def test_against_one_item_at_a_time(seed):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 4, (2, 500))  # many pairs of counts occur many times
    totals = counts.sum(1).tolist()
    terms = []
    for pair in counts.T.tolist():
        p, q = (Fraction(count, total) for count, total in zip(pair, totals, strict=True))
        terms += [float(x) * math.log2(2 * x / (p + q)) for x in (p, q) if x]
    expected = math.fsum(terms) / 2
    assert jensen_shannon_divergence(counts) == pytest.approx(expected, abs=1e-14)
    assert jensen_shannon_divergence(counts[::-1].astype(float)) == pytest.approx(expected, abs=1e-14)
    shared = counts[:, counts.all(0)]
    assert jensen_shannon_divergence(shared, totals) == pytest.approx(expected, abs=1e-14)
    order = random.permutation(500)
    assert jensen_shannon_divergence(counts[:, order]) == jensen_shannon_divergence(counts)
