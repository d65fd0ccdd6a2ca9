"""Measures systems side by side and decides which is better."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeVar

import numpy as np

from ..sampling.categorical import check_sampling
from .measure import Measure
from .sources import REAL_TEXT_LABEL, Source
from .statistics import Axes, Verdict, holm, hypotheses, outcome


SourceT = TypeVar("SourceT", bound=Source)

_MAX_EXCESS = 0.05  # share of copies, or of repetitions, above that of real text without a note


@dataclass
class CompareConfig:
    """
    The draws of a comparison, and the level of its tests.

    Args:
        sweep (`"temperature"` or `"top_p"`, *optional*, defaults to `"temperature"`):
            The option that trades quality for diversity.
        values (`tuple[float, ...]`, *optional*, defaults to `(0.7, 0.85, 1.0, 1.15)`):
            The values of the option. They include 1, the value of training.
        num_samples (`int`, *optional*, defaults to `2000`):
            The number of texts of a draw.
        num_seeds (`int`, *optional*, defaults to `5`):
            The number of draws at each value.
        seed (`int`, *optional*, defaults to `0`):
            The first seed of the draws.
        level (`float`, *optional*, defaults to `0.05`):
            The probability of calling any pair of equal systems different.
    """

    sweep: Literal["temperature", "top_p"] = "temperature"
    values: tuple[float, ...] = (0.7, 0.85, 1.0, 1.15)
    num_samples: int = 2000
    num_seeds: int = 5
    seed: int = 0
    level: float = 0.05

    def __post_init__(self) -> None:
        if self.sweep not in ("temperature", "top_p"):
            raise ValueError(f"sweep is {self.sweep!r}; set it to 'temperature' or 'top_p'.")
        for value in self.values:
            check_sampling(
                value if self.sweep == "temperature" else 1.0, top_p=value if self.sweep == "top_p" else None
            )
        if 1.0 not in self.values:
            raise ValueError(
                f"The values {', '.join(map(str, self.values))} of {self.sweep} lack 1, the value of training; add it."
            )
        for name, minimum in (("num_samples", 50), ("num_seeds", 2)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to {minimum} or more.")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}; set it between 0 and 1.")


def compare(
    groups: Mapping[str, Sequence[SourceT]],
    reference_sources: Sequence[SourceT],
    measure: Measure[SourceT],
    config: CompareConfig,
    progress: Callable[[str], Any] = lambda text: None,
) -> dict[str, Any]:
    """
    Measures systems, and returns a verdict for each pair.

    Args:
        groups (`Mapping[str, Sequence[Source]]`):
            The systems by label, each with its sources, one for each training seed.
        reference_sources (`Sequence[Source]`):
            Sources that are measured without a verdict. The source with the label `real text` gives the scores of real
            text.
        measure ([`Measure`]):
            The metrics: a [`TextMeasure`] or an [`OracleMeasure`].
        config ([`CompareConfig`]):
            The draws, and the level of the tests.
        progress (`Callable[[str], Any]`, *optional*):
            A function that gets a line of text before each draw.

    Returns:
        `dict[str, Any]`: `rows` (every draw of every source), `verdicts`, `notes` and `samples`, and the `config`,
        `columns` and `axes` of the comparison.
    """
    rows: dict[str, dict[str, Any]] = {}
    samples: dict[str, dict[str, list[str]]] = {}
    for label, sources in {**groups, **{source.label: [source] for source in reference_sources}}.items():
        rows[label] = {"sources": [source.path for source in sources], "is_compared": label in groups, "draws": []}
        for number, source in enumerate(sources):
            for value in config.values if source.swept else (1.0,):
                for seed in range(config.seed, config.seed + config.num_seeds):
                    progress(f"{source.path}, {config.sweep} {value:g}, seed {seed}")
                    metrics, texts = measure(source, config.num_samples, seed, **{config.sweep: value})
                    draw = {"source": number, "value": value, "seed": seed, "metrics": metrics}
                    rows[label]["draws"].append(draw)
                    if number == 0 and seed == config.seed:
                        samples.setdefault(label, {})[f"{value:g}"] = texts[:5]
    notes = {label: _notes(label, rows) for label in rows if rows[label]["is_compared"]}
    return {
        "config": {**vars(config), "values": list(config.values)},
        "columns": dict(measure.columns),
        "axes": [vars(axes) for axes in measure.axes],
        "rows": rows,
        "verdicts": [verdict.to_dict() for verdict in judge(list(groups), rows, measure.axes, config.level, notes)],
        "notes": notes,
        "samples": samples,
    }


def judge(
    labels: Sequence[str],
    rows: Mapping[str, dict[str, Any]],
    axes: Sequence[Axes],
    level: float,
    notes: Mapping[str, list[str]],
) -> list[Verdict]:
    """Returns a verdict for each pair of labels, with one correction for the tests of all pairs."""
    verdicts = []
    for first, second in combinations(labels, 2):
        sizes = [len(rows[label]["sources"]) for label in (first, second)]
        by_run = max(sizes) > 1
        verdicts.append(
            Verdict(
                first,
                second,
                "no difference",
                scope="systems" if by_run else "these two models",
                test="Welch's t-test" if min(sizes) > 1 or not by_run else "Student's t-test",
                unit="training run" if by_run else "draw",
                correction="Holm",
                level=level,
                hypotheses=hypotheses(axes, *(_units(rows[label], by_run) for label in (first, second))),
            )
        )
    tests = [test for verdict in verdicts for test in verdict.hypotheses]
    for test, adjusted in zip(tests, holm([test.p_value for test in tests]), strict=True):
        test.adjusted = adjusted
    for verdict in verdicts:
        verdict.outcome = outcome(verdict.hypotheses, level)
        winner = {"better": verdict.first, "worse": verdict.second}.get(verdict.outcome)
        if winner is not None and any(note.startswith("copies") for note in notes.get(winner, [])):
            # Copies score like real text, but show nothing about the model.
            verdict.outcome = "no verdict"
            verdict.notes.append(f"{winner} copies the training text")
    return verdicts


def _units(row: dict[str, Any], by_run: bool) -> list[list[dict[str, float]]]:
    """Returns for each training run, or each seed of a draw, the metrics at each value of the sweep."""
    units: dict[int, dict[float, list[dict]]] = {}
    for draw in row["draws"]:
        unit = units.setdefault(draw["source"] if by_run else draw["seed"], {})
        unit.setdefault(draw["value"], []).append(draw["metrics"])
    return [[{"value": value, **_mean(metrics)} for value, metrics in unit.items()] for unit in units.values()]


def _mean(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: math.fsum(m[key] for m in metrics) / len(metrics) for key in metrics[0]}


def summary(row: dict[str, Any], key: str, value: float = 1.0) -> tuple[float, float]:
    """
    Returns the mean and the standard deviation of a metric at a value of the sweep: over the means of training runs if
    there are several, else over draws.
    """
    by_run = len(row["sources"]) > 1
    points = [point for unit in _units(row, by_run) for point in unit if point["value"] == value]
    values = [point[key] for point in points if point.get(key) is not None and not math.isnan(point[key])]
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _notes(label: str, rows: Mapping[str, dict[str, Any]]) -> list[str]:
    """Returns warnings about the texts of a system."""
    real = rows.get(REAL_TEXT_LABEL)
    if real is None:
        return []
    notes = []
    means = {key: (summary(rows[label], key)[0], summary(real, key)[0]) for key in real["draws"][0]["metrics"]}
    faults = (("copied", "copies the training text"), ("repeated", "repeats itself"), ("empty", "writes nothing"))
    for key, fault in faults:
        gen_mean, real_mean = means.get(key, (0.0, 0.0))
        if gen_mean > real_mean + _MAX_EXCESS:
            notes.append(f"{fault} in {gen_mean:.1%} of its texts (real text: {real_mean:.1%})")
    gen_mean, real_mean = means.get("bleu_4", (0.0, 0.0))
    deviations = [summary(row, "bleu_4")[1] for row in (rows[label], real)]
    if gen_mean - real_mean > 2 * math.hypot(*(0.0 if math.isnan(d) else d for d in deviations)):
        notes.append(
            f"has a BLEU-4 of {gen_mean:.3f}, above that of real text ({real_mean:.3f}): more typical than real"
        )
    return notes


__all__ = ["CompareConfig", "compare", "judge", "summary"]
