"""The curves of a run."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from ..core.schedule import Phase, PhaseSchedule
from ..utils.files import writing_file


_COLUMNS = 3
_LOSS_KEYS = ("{}/loss_per_token", "{}/loss")  # the first that is logged; a sum over tokens says little


class _Stretch(NamedTuple):
    """The part of a phase that was run: its iterations lie above `start`, up to `end`."""

    phase: Phase
    start: int
    end: int


class _Panel(NamedTuple):
    title: str
    curves: dict[str, list[tuple[int, float]]]  # logged key -> iteration and value
    stretches: list[_Stretch]  # the phases, one after the other, in which there are points


def merge_panels(*groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the panels of several groups; panels of one title show the keys of all groups."""
    merged: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for title, patterns in group.items():
            merged[title] = (*merged.get(title, ()), *patterns)
    return merged


def draw_curves(
    log_history: list[dict],
    schedule: PhaseSchedule,
    path: Path,
    panels: Mapping[str, Sequence[str]],
    title: str | None = None,
) -> None:
    """
    Draws the metrics and the losses of a run, each in a panel of its own over the phases in which it was logged. The
    phases follow one another on one axis, each with the same width, since their lengths differ by orders of magnitude.

    Args:
        log_history (`list[dict]`):
            The log of the Trainer.
        schedule ([`PhaseSchedule`]):
            The phases of the run.
        path (`Path`):
            The PNG file to write.
        panels (`Mapping[str, Sequence[str]]`):
            Title of a panel, and the patterns of the logged keys that it shows; a key is shown in the first panel that
            it matches. Panels of the losses come after them.
        title (`str`, *optional*):
            A line above all panels.
    """
    from matplotlib.figure import Figure

    stretches = _stretches(log_history, schedule)
    filled = _metric_panels(log_history, stretches, panels)
    drawn = [points for panel in filled for points in panel.curves.values()]
    # A likelihood loss is also a metric; it is not drawn twice.
    filled += [panel for panel in _loss_panels(log_history, stretches) if not _repeats(panel, drawn)]
    if not filled:
        return
    columns = min(_COLUMNS, len(filled))
    rows = math.ceil(len(filled) / columns)
    figure = Figure(figsize=(4.6 * columns, 2.9 * rows), layout="constrained")
    for number, panel in enumerate(filled, 1):
        _draw_panel(figure.add_subplot(rows, columns, number), panel)
    if title is not None:
        figure.suptitle(_plain(title), fontsize=10)
    with writing_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _stretches(log_history: list[dict], schedule: PhaseSchedule) -> list[_Stretch]:
    """Returns the phases that were begun, up to the last logged iteration."""
    last, start, stretches = max((entry["step"] for entry in log_history), default=0), 0, []
    for phase in schedule.phases:
        if start < last:
            stretches.append(_Stretch(phase, start, min(start + phase.iterations, last)))
        start += phase.iterations
    return stretches


def _points(log_history: list[dict], key: str) -> list[tuple[int, float]]:
    """Returns the finite values of a logged key, with their iterations."""
    values = [(entry["step"], entry[key]) for entry in log_history if isinstance(entry.get(key), int | float)]
    return [(step, value) for step, value in values if math.isfinite(value)]


def _metric_panels(
    log_history: list[dict], stretches: list[_Stretch], panels: Mapping[str, Sequence[str]]
) -> list[_Panel]:
    left = {key for entry in log_history for key in entry}
    filled = []
    for title, patterns in panels.items():
        keys = sorted(key for key in left if any(fnmatchcase(key, pattern) for pattern in patterns))
        left -= set(keys)
        curves = {key: _held(key, points, stretches) for key in keys if (points := _points(log_history, key))}
        if curves:
            filled.append(_Panel(title, curves, _spanned(curves, stretches)))
    return filled


def _held(key: str, points: list[tuple[int, float]], stretches: list[_Stretch]) -> list[tuple[int, float]]:
    """Adds the values of evaluations at the end of phases that leave the generator, and so the values, as they are."""
    held = dict(points)
    for stretch in stretches if key.startswith("eval_") else []:
        before = [step for step in held if step <= stretch.start]
        if before and not any(update.player == "generator" for update in stretch.phase.updates):
            held.setdefault(stretch.end, held[max(before)])
    return sorted(held.items())


def _repeats(panel: _Panel, drawn: list[list[tuple[int, float]]]) -> bool:
    def close(first: list[tuple[int, float]], second: list[tuple[int, float]]) -> bool:
        return [step for step, _ in first] == [step for step, _ in second] and all(
            math.isclose(a, b, rel_tol=1e-5) for (_, a), (_, b) in zip(first, second, strict=True)
        )

    return any(close(points, other) for points in panel.curves.values() for other in drawn)


def _loss_panels(log_history: list[dict], stretches: list[_Stretch]) -> list[_Panel]:
    """Returns a panel for each loss of a player: phases that minimize different losses do not share a scale."""
    groups: dict[tuple[str, tuple[str, ...]], list[_Stretch]] = {}
    for stretch in stretches:
        for player in dict.fromkeys(update.player for update in stretch.phase.updates):
            losses = tuple(dict.fromkeys(u.loss for u in stretch.phase.updates if u.player == player))
            groups.setdefault((player, losses), []).append(stretch)
    filled = []
    for (player, losses), parts in groups.items():
        for key in (pattern.format(player) for pattern in _LOSS_KEYS):
            points = [(s, v) for s, v in _points(log_history, key) if any(p.start < s <= p.end for p in parts)]
            if points:
                unit = ", per token" if key.endswith("per_token") else ""
                title = f"loss of the {player}{unit} ({', '.join(losses)}; lower is better for the {player})"
                filled.append(_Panel(title, {key: points}, _spanned({key: points}, stretches)))
                break
    return filled


def _spanned(curves: Mapping[str, list[tuple[int, float]]], stretches: list[_Stretch]) -> list[_Stretch]:
    """Returns the phases from the first to the last in which curves have points."""
    steps = [step for points in curves.values() for step, _ in points]
    inside = [i for i, s in enumerate(stretches) if any(s.start < step <= s.end for step in steps)]
    return stretches[inside[0] : inside[-1] + 1] if inside else stretches[:1]


def _draw_panel(axis: Any, panel: _Panel) -> None:
    stretches = panel.stretches

    def place(step: float) -> float:
        """Returns the position of an iteration on the axis, on which each phase has the width 1."""
        number = next(i for i, stretch in enumerate(stretches) if step <= stretch.end)
        start, end = stretches[number][1:]
        return number + (step - start) / (end - start)

    for number, (key, points) in enumerate(panel.curves.items()):
        marker = {"marker": "o", "markersize": 3} if len(points) <= 40 else {}
        places = [place(step) for step, _ in points]
        axis.plot(
            places, [value for _, value in points], color=f"C{number}", linewidth=1.2, label=_label(key), **marker
        )
    for boundary in range(1, len(stretches)):
        axis.axvline(boundary, color="0.5", linewidth=0.8, linestyle="--")
    for number, stretch in enumerate(stretches):
        name = stretch.phase.name.replace("_", " ", 1)
        style = {"ha": "center", "va": "bottom", "fontsize": 7, "color": "0.35"}
        axis.annotate(_plain(name), (number + 0.5, 1.0), xycoords=("data", "axes fraction"), **style)
    parts = 4 if len(stretches) == 1 else 2  # of a phase, with a tick at each end
    steps = [s.start + (s.end - s.start) * part // parts for s in stretches for part in range(parts)]
    steps = list(dict.fromkeys([*steps, stretches[-1].end]))
    axis.set_xticks([place(step) for step in steps], [f"{step:,}" for step in steps], fontsize=7)
    axis.set_xlim(-0.03 * len(stretches), 1.03 * len(stretches))
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel("iteration", fontsize=7)
    axis.set_title(textwrap.fill(_plain(panel.title), 58), fontsize=8.5, pad=13)
    axis.grid(alpha=0.3)
    if len(panel.curves) > 1:
        axis.legend(fontsize=7)


def _label(key: str) -> str:
    """Returns a logged key as words: `discriminator/accuracy_real` is "discriminator accuracy real"."""
    return _plain(key.removeprefix("eval_").replace("/", " ").replace("_", " "))


def _plain(text: str) -> str:
    """Returns a text without a formula: matplotlib reads what stands between dollars as one."""
    return text.replace("$", r"\$")


__all__ = ["draw_curves", "merge_panels"]
