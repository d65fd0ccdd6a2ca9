"""A finished run in words."""

from ..core.schedule import PhaseSchedule
from ..evaluation.descriptions import SUMMARY_METRICS, describe_metric


_SAME = 0.005  # a relative change below this is called the same


def summarize(log_history: list[dict], schedule: PhaseSchedule, stop_reason: str | None = None) -> list[str]:
    """
    Returns the lines of a summary: for each phase the metrics at its end, against those at its start, in words.

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
            lines.append(f"{phase.name}, {done:,}{cut} iterations:")
            lines += [f"  {line}" for line in _changes(before[-1] if before else None, within[-1] if within else None)]
        start = end
    lines += [f"warning at step {e['step']}: {e['warning']}" for e in log_history if "warning" in e]
    if stop_reason is not None:
        lines.append(f"The run ended before its last iteration: {stop_reason}.")
    return lines


def _changes(before: dict | None, after: dict | None) -> list[str]:
    """Returns a line for each metric at the end of a phase, with its change since the start where that is known."""
    if after is None:
        return ["no evaluation"]
    lines = []
    for name in SUMMARY_METRICS:
        value, described = after.get(f"eval_{name}"), describe_metric(name)
        if value is None or described is None:
            continue
        old = None if before is None else before.get(f"eval_{name}")
        change = "" if old is None else f", was {old:.4g} ({_judgement(old, value, described.higher_is_better)})"
        lines.append(f"{name.ljust(24)} {value:.4g}{change}: {described.meaning}")
    return lines or ["no metric that this summary knows"]


def _judgement(old: float, new: float, higher_is_better: bool | None) -> str:
    if abs(new - old) <= _SAME * max(abs(old), abs(new)):
        return "the same"
    if higher_is_better is None:
        return "higher" if new > old else "lower"
    return "better" if (new > old) == higher_is_better else "worse"


__all__ = ["summarize"]
