"""A finished run in words."""

from collections.abc import Sequence
from typing import Any

from ..core.schedule import PhaseSchedule
from ..evaluation.descriptions import SUMMARY_METRICS, describe_metric


_SAME = 0.005  # a relative change below this is called the same
_NUMBER_WIDTH = 9


def summarize(log_history: list[dict], schedule: PhaseSchedule, stop_reason: str | None = None) -> list[str]:
    """
    Returns the lines of a summary: for each phase the metrics at its start and at its end, and what they mean.

    Args:
        log_history (`list[dict]`):
            The log of the Trainer; entries with `warning` are told, too.
        schedule ([`PhaseSchedule`]):
            The phases of the run.
        stop_reason (`str`, *optional*):
            Why the run ended before its last iteration.
    """
    lines, start = [], 0
    evaluations = [e for e in log_history if any(key.startswith("eval_") for key in e)]
    last_step = max((e["step"] for e in log_history), default=0)
    for phase in schedule.phases:
        end = start + phase.iterations
        done = min(max(last_step - start, 0), phase.iterations)
        within = [e for e in evaluations if start < e["step"] <= end]
        before = [e for e in evaluations if e["step"] <= start]
        cut = "" if done == phase.iterations else f" of {phase.iterations:,}"
        if done:
            title = f"{phase.name}, {done:,}{cut} iterations"
            if within:
                lines += _changes(title, before[-1] if before else None, within[-1])
            elif any(update.player == "generator" for update in phase.updates):
                lines.append(f"{title}: no evaluation")
            else:
                lines.append(f"{title}: the generator stays as it was")
        start = end
    lines += [f"warning at step {e['step']}: {e['warning']}" for e in log_history if "warning" in e]
    if stop_reason is not None:
        lines.append(f"{describe_stop(schedule, last_step)}: {stop_reason}.")
    return lines


def stop_position(schedule: PhaseSchedule, step: int) -> dict[str, Any] | None:
    """
    Returns where a run ended after `step` iterations: `phase`, `iteration` within it, and `of` how many; `None` at its
    last iteration.
    """
    if step >= schedule.total:
        return None
    position = schedule.at(max(step - 1, 0))
    done = position.iteration_in_phase + (step > 0)
    return {"phase": position.phase.name, "iteration": done, "of": position.phase.iterations}


def describe_stop(schedule: PhaseSchedule, step: int) -> str:
    """Returns [`stop_position`] in words."""
    stop = stop_position(schedule, step)
    if stop is None:
        return "The run ended at its last iteration"
    where = f"in the phase {stop['phase']}, after {stop['iteration']:,} of its {stop['of']:,} iterations"
    names = [phase.name for phase in schedule.phases]
    missing = names[names.index(stop["phase"]) + 1 :]
    return f"The run ended {where}{', without ' + ' and '.join(missing) if missing else ''}"


def stop_reason_of(callbacks: Sequence[Any]) -> str | None:
    """Returns the reason for which one of the callbacks of a trainer ended the run early, if one did."""
    reasons = (getattr(callback, "stop_reason", None) for callback in callbacks)
    return next((reason for reason in reasons if reason), None)


def _changes(title: str, before: dict | None, after: dict) -> list[str]:
    """Returns a table of the metrics at the end of a phase, beside those at its start where they are known."""
    lines = [f"{title}, at its {'end' if before is None else 'start -> end'}:"]
    for name in SUMMARY_METRICS:
        value, described = after.get(f"eval_{name}"), describe_metric(name)
        if value is None or described is None:
            continue
        line = f"  {name.ljust(24)}"
        if before is not None:
            old = before.get(f"eval_{name}")
            line += ("-" if old is None else f"{old:.4g}").rjust(_NUMBER_WIDTH)
            change = "" if old is None else _judgement(old, value, described.higher_is_better)
            line += f" -> {f'{value:.4g}'.ljust(_NUMBER_WIDTH)} {change.ljust(8)}"
        else:
            line += f"{value:.4g}".rjust(_NUMBER_WIDTH)
        lines.append(f"{line}  {described}")
    return lines if len(lines) > 1 else [f"{title}: no metric that this summary knows"]


def _judgement(old: float, new: float, higher_is_better: bool | None) -> str:
    if abs(new - old) <= _SAME * max(abs(old), abs(new)):
        return "the same"
    if higher_is_better is None:
        return "higher" if new > old else "lower"
    return "better" if (new > old) == higher_is_better else "worse"


__all__ = ["describe_stop", "stop_position", "stop_reason_of", "summarize"]
