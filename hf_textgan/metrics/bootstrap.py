"""
Bootstrap intervals of metrics.

A *measure* is a function of weights: it returns the values of the set in which each sentence occurs as many times as
its weight says. Weights of one give the values of the set itself, the counts of a random draw those of a bootstrap
sample.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


Measure = Callable[[np.ndarray], dict[str, float]]  # the weights are whole numbers of at least 0, one per sentence


def mean_measure(scores: dict[str, Sequence[float]]) -> Measure:
    """
    Returns the measure of means over sentences.

    Args:
        scores (`dict[str, Sequence[float]]`):
            For each name the scores of the sentences.
    """
    arrays = {name: np.asarray(values, np.float64) for name, values in scores.items()}

    def measure(weights: np.ndarray) -> dict[str, float]:
        # The exactly rounded sum does not depend on the order of the sentences.
        return {name: math.fsum((values * weights).tolist()) / int(weights.sum()) for name, values in arrays.items()}

    return measure


def ratio_measure(name: str, numerators: np.ndarray, denominators: np.ndarray) -> Measure:
    """
    Returns the measure of the ratio of two sums over sentences.

    Args:
        name (`str`):
            The name of the ratio.
        numerators (`numpy.ndarray` of shape `(num_sentences,)`):
            The term of each sentence in the upper sum.
        denominators (`numpy.ndarray` of shape `(num_sentences,)`):
            The term of each sentence in the lower sum, a positive whole number.
    """
    order = np.lexsort((denominators, numerators))  # intervals do not depend on the order of the sentences
    numerators, denominators = numerators[order], denominators[order]

    def measure(weights: np.ndarray) -> dict[str, float]:
        return {name: math.fsum((numerators * weights).tolist()) / int((denominators * weights).sum())}

    return measure


@dataclass(frozen=True)
class Bootstrap:
    """
    Percentile intervals from samples of as many sentences as there are, drawn with replacement and recentred.

    A bootstrap sample repeats sentences and has about 63 % of the different ones. This alone changes the value of a
    set as a whole, such as distinct-n or a divergence, and the plain quantiles of the samples may not even contain it.
    Only the variation of the samples around their mean is like that of fresh sets. So the values of the samples are
    shifted to have the value of the whole set as their mean before the quantiles are taken: ``value - mean(samples) +
    quantiles(samples)``. This is an interval of the expected value for sets of this size. For a mean over sentences or
    a ratio of two such means the shift is of order ``1 / n`` and the width of order ``1 / sqrt(n)``, so the interval
    of a large set equals the plain one.

    Args:
        num_bootstrap (`int`):
            The number of samples, 0 for no interval.
        confidence (`float`):
            The share of samples whose values lie in the interval, between 0 and 1.
        seed (`int`):
            The seed of the draws.

    Raises:
        `ValueError`: If a number is out of its range.
        `TypeError`: If `num_bootstrap` or `seed` is not a whole number.
    """

    num_bootstrap: int
    confidence: float
    seed: int

    def __post_init__(self):
        for name in ("num_bootstrap", "seed"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name}={value!r} is not a whole number; use 0 or more.")
            if value < 0:
                raise ValueError(f"{name}={value} is negative; use 0 or more.")
        if not isinstance(self.confidence, Real) or not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence!r} is not between 0 and 1; use for example 0.95.")

    def report(
        self, measure: Measure, num_sentences: int, digits: int | None = None, unbounded: Collection[str] = ()
    ) -> dict[str, Any]:
        """
        Returns the values of the whole set and their intervals.

        Args:
            measure (`Measure`):
                The values as a function of weights.
            num_sentences (`int`):
                The number of sentences to draw from.
            digits (`int`, *optional*):
                Decimal places to round to.
            unbounded (`Collection[str]`, *optional*):
                The names of values that may be greater than 1. Intervals of all others end at 1, and all at 0.

        Returns:
            `dict[str, Any]`: The values; with samples also `<name>_interval`, the lower and the upper end, for each of
            them, `num_bootstrap`, `confidence` and `seed`.

        Raises:
            `ValueError`: If there is only 1 sentence to draw from.
        """
        values = measure(np.ones(num_sentences, np.int64))
        result: dict[str, Any] = dict(values)
        if self.num_bootstrap:
            for name, interval in self._intervals(measure, values, num_sentences, unbounded).items():
                result[f"{name}_interval"] = interval
        if digits is not None:
            result = {name: np.round(value, digits).tolist() for name, value in result.items()}
        if self.num_bootstrap:
            result |= {
                "num_bootstrap": int(self.num_bootstrap),
                "confidence": float(self.confidence),
                "seed": int(self.seed),
            }
        return result

    def _intervals(
        self, measure: Measure, values: dict[str, float], num_sentences: int, unbounded: Collection[str]
    ) -> dict[str, list[float]]:
        if num_sentences < 2:
            raise ValueError("There is only 1 sentence to draw from; pass at least 2 or num_bootstrap=0.")
        random = np.random.default_rng(self.seed)
        samples = [
            measure(np.bincount(random.integers(num_sentences, size=num_sentences), minlength=num_sentences))
            for _ in range(self.num_bootstrap)
        ]
        tail = (1 - self.confidence) / 2
        intervals = {}
        for name, value in values.items():
            drawn = np.array([sample[name] for sample in samples])
            drawn = drawn[~np.isnan(drawn)]  # a sample without a sentence long enough has no value
            if math.isnan(value) or not len(drawn):
                intervals[name] = [math.nan, math.nan]
                continue
            low, high = value - drawn.mean() + np.quantile(drawn, [tail, 1 - tail])
            maximum = math.inf if name in unbounded else 1.0
            intervals[name] = [float(max(low, 0.0)), float(min(high, maximum))]
        return intervals


__all__ = ["Bootstrap", "Measure", "mean_measure", "ratio_measure"]
