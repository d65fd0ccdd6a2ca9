"""
Statistical tests of a comparison, and verdicts: whether one system is better than another.

The temperature makes a generator sharper or flatter, which trades quality for diversity. Therefore two generators are
compared by their quality at equal diversity, on the curves of a sweep over temperatures (Caccia et al. 2020, arXiv
1811.02549, section 3).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
from scipy import stats


_NUM_DIVERSITIES = 25  # at which curves are compared
_MIN_OVERLAP = 0.25  # of the shorter curve


@dataclass(frozen=True)
class Axes:
    """
    Two metrics that a temperature trades for each other.

    Args:
        quality, diversity (`str`):
            Keys of the metrics.
        higher_quality, higher_diversity (`bool`):
            Whether higher values are better.
    """

    quality: str
    diversity: str
    higher_quality: bool
    higher_diversity: bool

    def __str__(self) -> str:
        return f"{self.quality} at equal {self.diversity}"


@dataclass
class Hypothesis:
    """
    One test of a verdict.

    Args:
        name (`str`):
            The metric that is compared.
        first, second (`list[float]`):
            The values of both sides, one for each unit; oriented so that higher is better.
        difference (`float`):
            The difference of their means.
        p_value, adjusted (`float`):
            The two-sided p-value, and the same after the correction; NaN without a test.
    """

    name: str
    first: list[float]
    second: list[float]
    difference: float
    p_value: float
    adjusted: float = math.nan


@dataclass
class Verdict:
    """
    The outcome for a pair.

    Args:
        first, second (`str`):
            The labels of the pair.
        outcome (`str`):
            `better`, `worse`, `trade-off`, `no difference` or `no verdict`, of the first against the second.
        scope (`str`):
            `systems`, or `these two models` where each has one training seed.
        test, unit, correction (`str`):
            The test, its unit of observation, and the correction for the number of tests.
        level (`float`):
            The significance level.
        hypotheses (`list[Hypothesis]`):
            The tests of the pair.
        notes (`list[str]`):
            The reasons of `no verdict`.
    """

    first: str
    second: str
    outcome: str
    scope: str
    test: str
    unit: str
    correction: str
    level: float
    hypotheses: list[Hypothesis]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Returns the verdict as plain values."""
        return asdict(self)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """
    Returns the two-sided p-value of equal means by Welch's t-test; if one side has a single value, by Student's t-test
    with the variance of the other side; NaN if both sides have a single value.
    """
    if len(first) < 2 and len(second) < 2:
        return math.nan
    spread = np.ptp(first) + np.ptp(second)
    if spread == 0.0:  # values without noise
        return 1.0 if first[0] == second[0] else 0.0
    result = cast(Any, stats.ttest_ind(first, second, equal_var=min(len(first), len(second)) < 2))
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number (Holm 1979); NaN stays NaN and does not count."""
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[index] = largest
    return adjusted


def quality_at_equal_diversity(
    first: Sequence[Sequence[tuple[float, float]]], second: Sequence[Sequence[tuple[float, float]]]
) -> tuple[list[float], list[float]] | None:
    """
    Returns the mean quality of each curve over the diversities that all curves reach.

    Args:
        first, second (`Sequence[Sequence[tuple[float, float]]]`):
            The curves of both sides: points `(diversity, quality)`, one for each temperature.

    Returns:
        `tuple[list[float], list[float]]`: One value for each curve of either side; `None` if the curves overlap too
        little.
    """
    curves = [np.array(sorted(curve)) for curve in (*first, *second)]
    low = max(curve[0, 0] for curve in curves)
    high = min(curve[-1, 0] for curve in curves)
    shortest = min(curve[-1, 0] - curve[0, 0] for curve in curves)
    if not high - low > _MIN_OVERLAP * shortest:
        return None
    grid = np.linspace(low, high, _NUM_DIVERSITIES)
    values = [float(np.interp(grid, curve[:, 0], curve[:, 1]).mean()) for curve in curves]
    return values[: len(first)], values[len(first) :]


def hypotheses(
    axes: Sequence[Axes], first: Sequence[Sequence[dict[str, float]]], second: Sequence[Sequence[dict[str, float]]]
) -> list[Hypothesis]:
    """
    Returns the tests of a pair.

    Args:
        axes (`Sequence[Axes]`):
            The pairs of metrics.
        first, second (`Sequence[Sequence[dict[str, float]]]`):
            For each unit of a side the metrics at each value of the sweep, which is the item `value`.
    """
    tests = []
    for pair in axes:
        keys = (pair.diversity, pair.quality)
        sides = [[[point for point in unit if _has(point, keys)] for unit in side] for side in (first, second)]
        if not all(unit for side in sides for unit in side):
            continue
        curves = [[[(point[keys[0]], point[keys[1]]) for point in unit] for unit in side] for side in sides]
        swept = all(len(curve) > 1 for side in curves for curve in side)
        qualities = quality_at_equal_diversity(curves[0], curves[1]) if swept else None
        if qualities is not None:
            tests.append(_hypothesis(str(pair), *qualities, pair.higher_quality))
            continue
        # One temperature each, or too little overlap: quality and diversity are tested separately, near temperature 1.
        for key, higher in ((pair.quality, pair.higher_quality), (pair.diversity, pair.higher_diversity)):
            values = [[min(unit, key=_distance_from_one)[key] for unit in side] for side in sides]
            tests.append(_hypothesis(key, values[0], values[1], higher))
    return tests


def _distance_from_one(point: dict[str, float]) -> float:
    return abs(math.log(point["value"]))


def _has(point: dict[str, float], keys: tuple[str, ...]) -> bool:
    return all(point.get(key) is not None and math.isfinite(point[key]) for key in keys)


def _hypothesis(name: str, first: list[float], second: list[float], higher_is_better: bool) -> Hypothesis:
    sign = 1.0 if higher_is_better else -1.0
    first, second = ([sign * value for value in side] for side in (first, second))
    return Hypothesis(name, first, second, float(np.mean(first) - np.mean(second)), welch(first, second))


def outcome(tests: Sequence[Hypothesis], level: float) -> str:
    """Returns `better` or `worse` if all significant differences have this sign, `trade-off` if they have both."""
    signs = {test.difference > 0 for test in tests if test.adjusted <= level}
    if not signs:
        return "no difference"
    return "trade-off" if len(signs) == 2 else ("better" if signs.pop() else "worse")


__all__ = [
    "Axes",
    "Hypothesis",
    "Verdict",
    "holm",
    "hypotheses",
    "outcome",
    "quality_at_equal_diversity",
    "welch",
]
