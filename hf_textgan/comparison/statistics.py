"""
Verdicts: whether one system is better than another, by which test, on which unit, with which correction.

A generator can be made sharper or flatter at will by its temperature, which trades quality for diversity. So two
generators are compared by the quality that they reach at equal diversity, along the curves that a sweep over
temperatures draws (Caccia et al. 2020, arXiv 1811.02549, section 3).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy import stats


_GRID = 25  # diversities at which curves are compared
_LEAST_OVERLAP = 0.25  # of the shorter curve


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
            What is compared.
        first, second (`list[float]`):
            The values, one for each unit; oriented so that higher is better.
        difference (`float`):
            Of their means.
        p_value, adjusted (`float`):
            Two-sided, and after the correction; NaN if there is nothing to test.
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
            The two.
        outcome (`str`):
            `better`, `worse`, `trade-off` or `no difference`, of the first against the second.
        scope (`str`):
            What the outcome speaks of: `systems`, or `these two models` where each has one training seed.
        test, unit, correction (`str`):
            How it was found.
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
        return asdict(self)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """
    The two-sided p-value of equal means: Welch's t-test, or, where one side has a single value, Student's with the
    variance of the other. NaN with one value on both sides.
    """
    if len(first) < 2 and len(second) < 2:
        return math.nan
    spread = np.ptp(first) + np.ptp(second)
    if spread == 0.0:  # values without noise
        return 1.0 if first[0] == second[0] else 0.0
    return float(stats.ttest_ind(first, second, equal_var=min(len(first), len(second)) < 2).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm 1979); NaN stays NaN and does not count."""
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[place] = largest
    return adjusted


def quality_at_equal_diversity(
    first: Sequence[Sequence[tuple[float, float]]], second: Sequence[Sequence[tuple[float, float]]]
) -> tuple[list[float], list[float]] | None:
    """
    The mean quality of each curve over the diversities that all curves reach.

    Args:
        first, second (`Sequence[Sequence[tuple[float, float]]]`):
            Curves of the two sides, each of points `(diversity, quality)`, one for each temperature.

    Returns:
        One value for each curve of the first and of the second side; `None` if the curves have too few diversities in
        common.
    """
    curves = [np.array(sorted(curve)) for curve in (*first, *second)]
    low = max(curve[0, 0] for curve in curves)
    high = min(curve[-1, 0] for curve in curves)
    shortest = min(curve[-1, 0] - curve[0, 0] for curve in curves)
    if not high - low > _LEAST_OVERLAP * shortest:
        return None
    grid = np.linspace(low, high, _GRID)
    values = [float(np.interp(grid, curve[:, 0], curve[:, 1]).mean()) for curve in curves]
    return values[: len(first)], values[len(first) :]


def hypotheses(
    axes: Sequence[Axes], first: Sequence[Sequence[dict[str, float]]], second: Sequence[Sequence[dict[str, float]]]
) -> list[Hypothesis]:
    """
    The tests of a pair.

    Args:
        first, second (`Sequence[Sequence[dict[str, float]]]`):
            For each unit of a side the metrics at each value of its sweep, and its `value`.
    """
    found = []
    for pair in axes:
        keys = (pair.diversity, pair.quality)
        sides = [[[point for point in unit if _has(point, keys)] for unit in side] for side in (first, second)]
        if not all(unit for side in sides for unit in side):
            continue
        curves = [[[(point[keys[0]], point[keys[1]]) for point in unit] for unit in side] for side in sides]
        swept = all(len(curve) > 1 for side in curves for curve in side)
        compared = quality_at_equal_diversity(*curves) if swept else None
        if compared is not None:
            found.append(_hypothesis(str(pair), *compared, pair.higher_quality))
            continue
        # One temperature each, or too little in common: quality and diversity for themselves, as the models come.
        for key, higher in ((pair.quality, pair.higher_quality), (pair.diversity, pair.higher_diversity)):
            values = [[min(unit, key=_distance_from_one)[key] for unit in side] for side in sides]
            found.append(_hypothesis(key, *values, higher))
    return found


def _distance_from_one(point: dict[str, float]) -> float:
    return abs(math.log(point["value"]))


def _has(point: dict[str, float], keys: tuple[str, ...]) -> bool:
    return all(point.get(key) is not None and math.isfinite(point[key]) for key in keys)


def _hypothesis(name: str, first: list[float], second: list[float], higher_is_better: bool) -> Hypothesis:
    sign = 1.0 if higher_is_better else -1.0
    first, second = ([sign * value for value in side] for side in (first, second))
    return Hypothesis(name, first, second, float(np.mean(first) - np.mean(second)), welch(first, second))


def outcome(tests: Sequence[Hypothesis], level: float) -> str:
    """`better` or `worse` if every significant difference points that way, `trade-off` if they contradict."""
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
