"""Callbacks: progress with phase and losses, samples and metrics on disk, phase boundaries."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from ..core.objective import Objective
from ..core.schedule import PhaseSchedule
from ..evaluation.text_metrics import EVALUATION_PANELS
from ..utils.files import make_folder, strict_json, write_text
from .plots import LOSS_PANELS, draw_curves, merge_panels


class SamplingTrainer(Protocol):
    """The attributes of the trainer that [`SamplesCallback`] reads."""

    schedule: PhaseSchedule
    objective: Objective
    last_samples: list[str]
    eval_sequences: dict[str, list[str]]
    callback_handler: Any

    def phase_after(self, step: int) -> str: ...


class PhaseCallback(TrainerCallback):
    """
    Logs, evaluates and saves at the end of every phase, so that each phase's result stands beside the others'. A
    generator that was not updated since its last evaluation is not evaluated again.
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
        if control.should_evaluate:
            evaluations = (e for e in reversed(state.log_history) if any(key.startswith("eval_") for key in e))
            last = next(evaluations, None)
            if last is not None and self._generator_steps(step) == self._generator_steps(int(last["step"])):
                control.should_evaluate = False
        return control

    def _generator_steps(self, step: int) -> int:
        return self.schedule.steps_before(step, "generator")


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
        losses = {key.removesuffix("/loss"): f"{value:.4g}" for key, value in shown.items() if key.endswith("/loss")}
        if losses:
            self.training_bar.set_postfix(losses, refresh=False)
        elif any(key.startswith("eval_") for key in shown):
            hidden = ("_runtime", "_per_second", "epoch")
            parts = [
                f"{key.removeprefix('eval_')} {value:.4g}" for key, value in shown.items() if not key.endswith(hidden)
            ]
            self.training_bar.write(f"step {state.global_step}: " + ", ".join(parts))


class SamplesCallback(TrainerCallback):
    """
    Writes the samples of each evaluation to `samples/step-N.txt` (the last also to `samples.txt`), all evaluations to
    `metrics.json`, and the curves of the run to `curves.png`.
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
            bar = self._bar()
            for text in texts[: self.num_shown]:
                bar(f"    {text}")
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
            panels = merge_panels(LOSS_PANELS, EVALUATION_PANELS, self.trainer.objective.panels)
            draw_curves(state.log_history, self.trainer.schedule, Path(args.output_dir or ".") / "curves.png", panels)

    def _write_metrics(self, output_dir: Path, state: TrainerState) -> None:
        evaluations = [
            {"phase": self.trainer.phase_after(int(entry["step"])), **entry}
            for entry in state.log_history
            if any(key.startswith("eval_") for key in entry)
        ]
        warnings = [entry for entry in state.log_history if "warning" in entry]
        content = {"steps": state.global_step, "evaluations": evaluations, "warnings": warnings}
        write_text(output_dir / "metrics.json", strict_json(content))

    def _bar(self) -> Callable[[str], Any]:
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback) and callback.training_bar is not None:
                return callback.training_bar.write
        return print


__all__ = ["AdversarialProgressCallback", "PhaseCallback", "SamplesCallback"]
