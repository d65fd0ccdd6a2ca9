"""Callbacks: progress with phase and losses, samples and metrics on disk, phase boundaries."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from ..core.objective import Objective
from ..core.schedule import PhaseSchedule
from ..evaluation.descriptions import SUMMARY_METRICS, evaluation_panels
from ..utils.escaping import printable
from ..utils.files import make_folder, strict_json, write_text
from .plots import draw_curves, merge_panels
from .summary import describe_stop, stop_position, stop_reason_of


# A phase that is short beside the intervals of the run is logged and evaluated as often as this all the same.
_LOGS_OF_A_PHASE = 20
_EVALUATIONS_OF_A_PHASE = 4
_SHORTEST_PHASE = 20  # iterations; the end of a shorter phase is enough


class SamplingTrainer(Protocol):
    """The attributes of the trainer that [`SamplesCallback`] reads."""

    schedule: PhaseSchedule
    objective: Objective
    last_samples: list[str]
    last_inputs: dict[str, list[str]]
    eval_sequences: dict[str, list[str]]
    callback_handler: Any

    def phase_after(self, step: int) -> str: ...


class PhaseCallback(TrainerCallback):
    """
    Logs, evaluates and saves at the end of every phase, so that each phase's result stands beside the others'. A short
    phase is logged and evaluated a few times on its way, so that its curve can be seen. A generator that was not
    updated since its last evaluation is not evaluated again.
    """

    def __init__(self, schedule: PhaseSchedule):
        self.schedule = schedule

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        step = state.global_step
        last = step >= self.schedule.total
        if last or self.schedule.at(step).iteration_in_phase == 0:
            control.should_log = args.logging_strategy != "no"
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = args.save_strategy != "no"
        position = self.schedule.at(step - 1)
        done, iterations = position.iteration_in_phase + 1, position.phase.iterations
        if iterations >= _SHORTEST_PHASE:
            if args.logging_strategy != "no" and _is_due(done, iterations, _LOGS_OF_A_PHASE, state.logging_steps):
                control.should_log = True
            if args.eval_strategy != "no" and iterations <= state.eval_steps:
                if _is_due(done, iterations, _EVALUATIONS_OF_A_PHASE, state.eval_steps):
                    control.should_evaluate = True
        if control.should_evaluate:
            evaluations = (e for e in reversed(state.log_history) if any(key.startswith("eval_") for key in e))
            last = next(evaluations, None)
            if last is not None and self._generator_steps(step) == self._generator_steps(int(last["step"])):
                control.should_evaluate = False
        return control

    def _generator_steps(self, step: int) -> int:
        return self.schedule.steps_before(step, "generator")


def _is_due(done: int, iterations: int, times: int, interval: float) -> bool:
    """Returns whether one of `times` equal parts of a phase has ended; never if its intervals are shorter anyway."""
    part = iterations // times
    return part < interval and done % part == 0


class AdversarialProgressCallback(ProgressCallback):
    """A progress bar that shows the phase and the players' losses."""

    def __init__(self, schedule: PhaseSchedule, max_str_len: int = 100):
        super().__init__(max_str_len)
        self.schedule = schedule

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and self.training_bar is not None:
            position = self.schedule.at(state.global_step)
            self.training_bar.set_description_str(
                f"{position.phase.name} {position.iteration_in_phase + 1}/{position.phase.iterations}",
                refresh=position.iteration_in_phase == 0,
            )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or self.training_bar is None:
            return
        shown = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        losses = shown_losses(shown)
        if losses:
            self.training_bar.set_postfix_str(losses, refresh=False)
        elif any(key.startswith("eval_") for key in shown):
            values = {name: shown.get(f"eval_{name}") for name in SUMMARY_METRICS}
            parts = [f"{name} {value:.4g}" for name, value in values.items() if value is not None]
            parts = parts or [f"{key.removeprefix('eval_')} {value:.4g}" for key, value in shown.items()]
            self.training_bar.write(f"iteration {state.global_step}: " + ", ".join(parts))


def shown_losses(logs: Mapping[str, float]) -> str:
    """Returns the losses of the players in words, per token where a loss is a sum over tokens."""
    parts = []
    for key in logs:
        player, _, name = key.rpartition("/")
        if player and name == "loss":
            per_token = logs.get(f"{player}/loss_per_token")
            parts.append(
                f"{player} loss {logs[key]:.4g}" if per_token is None else f"{player} loss {per_token:.4g} per token"
            )
    return ", ".join(parts)


def _tab_separated(columns: Mapping[str, list[str]]) -> str:
    """Returns columns as a table that a program for CSV, or `textgan data report`, reads."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return file.getvalue()


class SamplesCallback(TrainerCallback):
    """
    Writes the samples of each evaluation to `samples/step-N.txt` (the last also to `samples.txt`), with their labels
    or sources, if they have some, to `.tsv` files of the same names, all evaluations to `metrics.json`, and the curves
    of the run to `curves.png`.
    """

    num_shown = 5

    def __init__(self, trainer: SamplingTrainer):
        self.trainer = trainer

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero:
            return
        output_dir = Path(args.output_dir or ".")
        texts = self.trainer.last_samples
        if texts:
            make_folder(output_dir / "samples")
            lines = "".join(f"{text}\n" for text in texts)
            write_text(output_dir / "samples" / f"step-{state.global_step:07d}.txt", lines)
            write_text(output_dir / "samples.txt", lines)
            inputs = self.trainer.last_inputs
            if inputs:
                table = _tab_separated({**inputs, "text": texts})
                write_text(output_dir / "samples" / f"step-{state.global_step:07d}.tsv", table)
                write_text(output_dir / "samples.tsv", table)
            bar = self._bar()
            for number, text in enumerate(texts[: self.num_shown]):
                beside = "".join(f"[{column[number]}] " for column in inputs.values())
                bar(f"    {printable(beside + text)}")
        for name, shown in self.trainer.eval_sequences.items():
            make_folder(output_dir / "samples")
            lines = "".join(f"{text}\n" for text in shown)
            write_text(output_dir / "samples" / f"step-{state.global_step:07d}-{name}.txt", lines)
            write_text(output_dir / f"{name}.txt", lines)
        self._write_metrics(output_dir, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and state.log_history:
            self._write_metrics(Path(args.output_dir or "."), state)
            panels = merge_panels(evaluation_panels(), self.trainer.objective.panels)
            schedule, path = self.trainer.schedule, Path(args.output_dir or ".") / "curves.png"
            title = describe_stop(schedule, state.global_step) if state.global_step < schedule.total else None
            draw_curves(state.log_history, schedule, path, panels, title)

    def _write_metrics(self, output_dir: Path, state: TrainerState) -> None:
        evaluations = [
            {"phase": self.trainer.phase_after(int(entry["step"])), **entry}
            for entry in state.log_history
            if any(key.startswith("eval_") for key in entry)
        ]
        warnings = [entry for entry in state.log_history if "warning" in entry]
        content = {"steps": state.global_step, "evaluations": evaluations, "warnings": warnings}
        reason = stop_reason_of([self.trainer, *self.trainer.callback_handler.callbacks])
        if reason is not None:
            content["stopped"] = {**(stop_position(self.trainer.schedule, state.global_step) or {}), "reason": reason}
        write_text(output_dir / "metrics.json", strict_json(content))

    def _bar(self) -> Callable[[str], Any]:
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback) and callback.training_bar is not None:
                return callback.training_bar.write
        return print


__all__ = ["AdversarialProgressCallback", "PhaseCallback", "SamplesCallback"]
