"""Measures systems side by side and says which is better."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ..sampling.categorical import check_sampling
from .sources import REAL_TEXT_LABEL
from .statistics import Verdict, holm, hypotheses, outcome


_MORE_THAN_REAL = 0.05  # share of copies, or of repetitions, above that of real text that is remarked on


@dataclass
class CompareConfig:
    """
    What to draw and how to decide.

    Args:
        sweep (`"temperature"` or `"top_p"`, *optional*, defaults to `"temperature"`):
            What trades quality for diversity.
        values (`tuple[float, ...]`, *optional*):
            Its values; 1 among them, at which models are what they were trained to be.
        num_samples (`int`, *optional*, defaults to `2000`):
            Texts per draw.
        num_seeds (`int`, *optional*, defaults to `5`):
            Draws at each value.
        seed (`int`, *optional*, defaults to `0`):
            The first of their seeds.
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
            check_sampling(**{"temperature": 1.0, self.sweep: value})
        if 1.0 not in self.values:
            raise ValueError(
                f"The values {', '.join(map(str, self.values))} of {self.sweep} lack 1, at which models are what they "
                "were trained to be; add it."
            )
        for name, least in (("num_samples", 50), ("num_seeds", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to {least} or more.")
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}; set it between 0 and 1.")


def compare(
    groups: dict[str, Sequence[Any]],
    reference_sources: Sequence[Any],
    measure: Any,
    config: CompareConfig,
    progress: Callable[[str], Any] = lambda text: None,
) -> dict[str, Any]:
    """
    Measures and judges.

    Args:
        groups (`dict[str, Sequence]`):
            The systems by label, each with its sources, one for each training seed.
        reference_sources (`Sequence`):
            Sources that are measured and not is_compared; the one that is called `real text` shows what that scores.
        measure ([`TextMeasure`] or [`OracleMeasure`]):
            The metrics.
        progress (`Callable[[str], Any]`, *optional*):
            Is told what is being measured.

    Returns:
        `dict` with `rows` (every draw of every source), `verdicts`, `notes` and `samples`.
    """
    rows, samples = {}, {}
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
        "columns": measure.columns,
        "axes": [vars(axes) for axes in measure.axes],
        "rows": rows,
        "verdicts": [verdict.to_dict() for verdict in judge(groups, rows, measure.axes, config.level, notes)],
        "notes": notes,
        "samples": samples,
    }


def judge(
    groups: Sequence[str], rows: dict[str, dict], axes: Sequence, level: float, notes: dict[str, list[str]]
) -> list[Verdict]:
    """A verdict for each pair, with one correction over all tests of all of them."""
    verdicts = []
    for first, second in combinations(groups, 2):
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
            # Whoever repeats real text scores like real text, and has learned nothing.
            verdict.outcome = "no verdict"
            verdict.notes.append(f"{winner} copies the training text")
    return verdicts


def _units(row: dict[str, Any], by_run: bool) -> list[list[dict[str, float]]]:
    """For each training run, or each seed of a draw, the metrics at each value of the sweep."""
    units: dict[int, dict[float, list[dict]]] = {}
    for draw in row["draws"]:
        unit = units.setdefault(draw["source"] if by_run else draw["seed"], {})
        unit.setdefault(draw["value"], []).append(draw["metrics"])
    return [[{"value": value, **_mean(metrics)} for value, metrics in unit.items()] for unit in units.values()]


def _mean(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: math.fsum(m[key] for m in metrics) / len(metrics) for key in metrics[0]}


def summary(row: dict[str, Any], key: str, value: float = 1.0) -> tuple[float, float]:
    """
    Mean and standard deviation of a metric at a value of the sweep: over the means of training runs if there are
    several, else over draws.
    """
    by_run = len(row["sources"]) > 1
    points = [point for unit in _units(row, by_run) for point in unit if point["value"] == value]
    values = [point[key] for point in points if point.get(key) is not None and not math.isnan(point[key])]
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _notes(label: str, rows: dict[str, dict]) -> list[str]:
    """What a reader of the numbers must know about a system."""
    real = rows.get(REAL_TEXT_LABEL)
    if real is None:
        return []
    notes = []
    mean = {key: (summary(rows[label], key)[0], summary(real, key)[0]) for key in real["draws"][0]["metrics"]}
    shares = (("copied", "copies the training text"), ("repeated", "repeats itself"), ("empty", "writes nothing"))
    for key, what in shares:
        ours, theirs = mean.get(key, (0.0, 0.0))
        if ours > theirs + _MORE_THAN_REAL:
            notes.append(f"{what} in {ours:.1%} of its texts (real text: {theirs:.1%})")
    ours, theirs = mean.get("bleu_4", (0.0, 0.0))
    deviations = [summary(row, "bleu_4")[1] for row in (rows[label], real)]
    if ours - theirs > 2 * math.hypot(*(0.0 if math.isnan(d) else d for d in deviations)):
        notes.append(f"has a BLEU-4 of {ours:.3f}, above that of real text ({theirs:.3f}): more typical than real")
    return notes


__all__ = ["CompareConfig", "compare", "judge", "summary"]
