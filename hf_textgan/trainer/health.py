"""The guard of a run's health: divergence of losses and parameters, and collapse of the generator."""

from collections.abc import Mapping
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging

from ..core.schedule import PhaseSchedule
from ..core.step import StepResult
from ..evaluation.health import collapse_signs


logger = logging.get_logger(__name__)

_MIN_STEPS = 20  # of an update, before its losses have a scale
_LOSS_FACTOR = 1000.0  # a loss this many times the largest one before is divergence
_MAX_PARAMETER = 1000.0  # and so is a parameter of this size that has also grown this many times
_PARAMETER_FACTOR = 100.0


class DivergenceGuard:
    """
    Tells losses and parameters that lie far outside of what a run has seen.

    It has no part in training, so its state need not be resumed.

    Args:
        largest_parameters (`Mapping[str, float]`):
            The largest absolute value of the parameters of each player before the first step.
    """

    def __init__(self, largest_parameters: Mapping[str, float]):
        self._losses: dict[str, tuple[int, float]] = {}  # steps, and the largest loss
        self._parameters = {player: max(value, 1.0) for player, value in largest_parameters.items()}
        self._warned: set[tuple[str, str]] = set()

    def observe(self, player: str, loss_name: str, result: StepResult) -> str | None:
        """Returns a sentence the first time that a step of an update is far outside, else `None`."""
        name = f"{player}/{loss_name}"
        steps, largest = self._losses.get(name, (0, 0.0))
        size = abs(result.loss)
        first = self._parameters.get(player, 1.0)
        problem = None
        if steps >= _MIN_STEPS and size > _LOSS_FACTOR * max(largest, 1.0):
            problem = (
                "loss",
                f"the loss of {name} is {result.loss:.3g}, in the {steps} steps before at most {largest:.3g}",
            )
        elif result.largest_parameter > max(_MAX_PARAMETER, _PARAMETER_FACTOR * first):
            problem = (
                "parameter",
                f"a parameter of the {player} is {result.largest_parameter:.3g}, at first {first:.3g}",
            )
        self._losses[name] = (steps + 1, max(largest, size))
        if problem is None or (player, problem[0]) in self._warned:
            return None
        self._warned.add((player, problem[0]))
        return f"The training diverges: {problem[1]}; lower the learning rate of the {player}."


class WatchedTrainer(Protocol):
    """The attributes of the trainer that [`CollapseCallback`] uses."""

    schedule: PhaseSchedule
    stop_reason: str | None
    rollback_phase: str | None
    best: dict[str, dict[str, Any]]

    def phase_after(self, step: int) -> str: ...

    def warn(self, text: str) -> None: ...


class CollapseCallback(TrainerCallback):
    """Compares each evaluation with the start of its phase, and warns, stops or rolls back at a collapse."""

    def __init__(self, trainer: WatchedTrainer, action: str):
        self.trainer, self.action = trainer, action

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict | None = None,
        **kwargs: Any,
    ) -> None:
        start = self._start(state)
        signs = collapse_signs(_bare(metrics or {}), _bare(start)) if start is not None else []
        if not signs:
            return
        phase = self.trainer.phase_after(state.global_step)
        self.trainer.warn(f"The generator collapses in the {phase} phase: {'; '.join(signs)}.")
        if self.action == "warn":
            return
        control.should_training_stop = True
        self.trainer.stop_reason = f"it collapsed at step {state.global_step} ({'; '.join(signs)})"
        if self.action == "rollback":
            self.trainer.rollback_phase = phase

    def _start(self, state: TrainerState) -> dict | None:
        """Returns the evaluation with which the phase of the current step began, or the first within it."""
        phase_start = 0
        for phase in self.trainer.schedule.phases:
            if state.global_step <= phase_start + phase.iterations:
                break
            phase_start += phase.iterations
        evaluations = [e for e in state.log_history if any(key.startswith("eval_") for key in e)]
        before = [e for e in evaluations if e["step"] <= phase_start]
        later = [e for e in evaluations if phase_start < e["step"] < state.global_step]
        return before[-1] if before else (later[0] if later else None)


def _bare(metrics: dict) -> dict[str, float]:
    return {
        key.removeprefix("eval_"): value
        for key, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


__all__ = ["CollapseCallback", "DivergenceGuard", "WatchedTrainer"]
