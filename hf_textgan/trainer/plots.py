"""The curves of a run."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..core.schedule import PhaseSchedule
from ..utils.files import writing_file


# The first rows of every figure; the objective and the evaluation add theirs.
LOSS_PANELS = {"generator loss": ("generator/loss",), "losses of the other players": ("*/loss",)}


def merge_panels(*groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the rows of several groups of panels; rows of one title show the keys of all groups."""
    merged: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for title, patterns in group.items():
            merged[title] = (*merged.get(title, ()), *patterns)
    return merged


def draw_curves(
    log_history: list[dict], schedule: PhaseSchedule, path: Path, panels: Mapping[str, Sequence[str]]
) -> None:
    """
    Draws the losses and the main metrics of a run: a column for each phase, since their lengths and losses differ by
    orders of magnitude, and a row for each kind of value.

    Args:
        log_history (`list[dict]`):
            The log of the Trainer.
        schedule ([`PhaseSchedule`]):
            The phases of the run.
        path (`Path`):
            The PNG file to write.
        panels (`Mapping[str, Sequence[str]]`):
            Title of a row, and the patterns of the logged keys that it shows; a key is shown in the first row that it
            matches.
    """
    from matplotlib.figure import Figure

    columns, start = [], 0
    for phase in schedule.phases:
        # An evaluation belongs to the phase that it ends, and is the starting point of the next one.
        inside = [e for e in log_history if start < e["step"] <= start + phase.iterations]
        before = [e for e in log_history if e["step"] <= start and any(key.startswith("eval_") for key in e)]
        title = f"{phase.name} ({phase.iterations:,} iterations)"
        columns.append((title, [{**e, "step": start} for e in before[-1:]] + inside))
        start += phase.iterations
    logged = {key for _, entries in columns for entry in entries for key in entry}
    rows = _assign(logged, panels)
    if not rows:
        return
    figure = Figure(figsize=(1.5 + 4 * len(columns), 2.4 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), sharex="col", squeeze=False)
    for axes, (title, keys) in zip(grid, rows.items(), strict=True):
        for axis, (_, entries) in zip(axes, columns, strict=True):
            for number, key in enumerate(keys):
                points = [(e["step"], e[key]) for e in entries if key in e and e[key] is not None]
                if points:
                    sparse = key.startswith("eval_") or len(points) == 1
                    style = {"marker": "o", "markersize": 3} if sparse else {}
                    label = key.replace("eval_", "held-out " if "nll" in key else "")
                    axis.plot(*zip(*points, strict=True), label=label, color=f"C{number}", linewidth=1, **style)
            if axis.lines:
                axis.legend(fontsize=7)
                axis.grid(alpha=0.3)
            else:
                axis.set_axis_off()
        axes[0].set_ylabel(title, fontsize=9)
        if not axes[0].lines:  # its label went with the axis
            for axis in [axis for axis in axes if axis.lines][:1]:
                axis.set_ylabel(title, fontsize=9)
    for axis, (name, _) in zip(grid[0], columns, strict=True):
        axis.set_title(name, fontsize=10)
    for axis in grid[-1]:
        axis.set_xlabel("iteration")
    with writing_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _assign(logged: set[str], panels: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Returns the keys of each row that has any, each key in the first row whose patterns it matches."""
    rows: dict[str, list[str]] = {}
    left = set(logged)
    for title, patterns in panels.items():
        keys = {key for key in left if any(fnmatchcase(key, pattern) for pattern in patterns)}
        left -= keys
        if keys:
            rows[title] = sorted(keys)
    return rows


__all__ = ["LOSS_PANELS", "draw_curves", "merge_panels"]
