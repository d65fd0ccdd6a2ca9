"""Callbacks: progress with phase and losses, samples and metrics on disk, phase boundaries."""

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback

from .checkpoints import strict_json, write_text
from .timetable import Timetable


if TYPE_CHECKING:
    from .adversarial_trainer import AdversarialTrainer


class PhaseCallback(TrainerCallback):
    """
    Logs, evaluates and saves at the end of every phase, so that each phase's result stands beside the others'. A
    generator that has not moved since its last evaluation is not evaluated again.
    """

    def __init__(self, timetable: Timetable):
        self.timetable = timetable

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step
        last = step >= self.timetable.total
        if last or self.timetable.at(step).tick_in_phase == 0:
            control.should_log = args.logging_strategy != "no"
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = args.save_strategy != "no"
        if control.should_evaluate:
            evaluations = (e for e in reversed(state.log_history) if any(key.startswith("eval_") for key in e))
            last = next(evaluations, None)
            if last is not None and self._generator_steps(step) == self._generator_steps(last["step"]):
                control.should_evaluate = False
        return control

    def _generator_steps(self, step: int) -> int:
        return self.timetable.before(step, "generator")


class AdversarialProgressCallback(ProgressCallback):
    """A progress bar that shows the phase and the players' losses."""

    def __init__(self, timetable: Timetable, max_str_len: int = 100):
        super().__init__(max_str_len)
        self.timetable = timetable

    def on_step_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero and self.training_bar is not None:
            position = self.timetable.at(state.global_step)
            self.training_bar.set_description_str(
                f"{position.phase.name} {position.tick_in_phase + 1}/{position.phase.ticks}",
                refresh=position.tick_in_phase == 0,
            )

    def on_log(self, args, state, control, logs=None, **kwargs):
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

    def __init__(self, trainer: "AdversarialTrainer"):
        self.trainer = trainer

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if not state.is_world_process_zero:
            return
        output_dir = Path(args.output_dir)
        texts = self.trainer.last_samples
        if texts:
            (output_dir / "samples").mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{text}\n" for text in texts)
            write_text(output_dir / "samples" / f"step-{state.global_step:07d}.txt", lines)
            write_text(output_dir / "samples.txt", lines)
            bar = self._bar()
            for text in texts[: self.num_shown]:
                bar(f"    {text}")
        for name, shown in self.trainer.last_shown.items():
            (output_dir / "samples").mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{text}\n" for text in shown)
            write_text(output_dir / "samples" / f"step-{state.global_step:07d}-{name}.txt", lines)
            write_text(output_dir / f"{name}.txt", lines)
        self._write_metrics(output_dir, state)

    def on_train_end(self, args, state, control, **kwargs):
        if state.is_world_process_zero and state.log_history:
            self._write_metrics(Path(args.output_dir), state)
            draw_curves(state.log_history, self.trainer.timetable, Path(args.output_dir) / "curves.png")

    def _write_metrics(self, output_dir: Path, state) -> None:
        evaluations = [
            {"phase": self.trainer.phase_after(entry["step"]), **entry}
            for entry in state.log_history
            if any(key.startswith("eval_") for key in entry)
        ]
        content = {"steps": state.global_step, "evaluations": evaluations}
        write_text(output_dir / "metrics.json", strict_json(content))

    def _bar(self):
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback) and callback.training_bar is not None:
                return callback.training_bar.write
        return print


# Rows of the figure: title, and which entries of the log belong to it.
_PANELS = {
    "NLL per token (nats)": lambda key: key in ("generator/nll_per_token", "eval_nll_per_token", "eval_nll_div"),
    "NLL under the oracle": lambda key: key == "eval_nll_oracle",
    "generator loss": lambda key: key == "generator/loss",
    "losses of the others": lambda key: key.endswith("/loss") and key != "generator/loss",
    "critic gap": lambda key: key == "discriminator/gap",
    "critic's gradient norm": lambda key: key == "discriminator/input_gradient_norm",
    "row entropy (nats)": lambda key: key in ("real/row_entropy", "generator/row_entropy"),
    "norm of the codes": lambda key: key == "generator/code_norm",
    "reconstruction accuracy": lambda key: key in ("autoencoder/accuracy", "eval_reconstruction_accuracy"),
    "divergence of n-grams (bits)": lambda key: key.startswith("eval_jsd_"),
    "reward, accuracy": lambda key: key.startswith(("reward/", "discriminator/accuracy")),
    "quality, diversity": lambda key: key in ("eval_bleu_4", "eval_self_bleu_4", "eval_grammar_share"),
}


def draw_curves(log_history: list[dict], timetable: Timetable, path: Path) -> None:
    """
    Draws the losses and the main metrics of a run: a column for each phase, since their lengths and losses differ by
    orders of magnitude, and a row for each kind of value.
    """
    from matplotlib.figure import Figure

    columns, start = [], 0
    for phase in timetable.phases:
        # An evaluation belongs to the phase that it ends, and is where the next one starts from.
        inside = [e for e in log_history if start < e["step"] <= start + phase.ticks]
        before = [e for e in log_history if e["step"] <= start and any(key.startswith("eval_") for key in e)]
        columns.append((f"{phase.name} ({phase.ticks:,} steps)", [{**e, "step": start} for e in before[-1:]] + inside))
        start += phase.ticks
    rows = {
        title: wanted
        for title, wanted in _PANELS.items()
        if any(wanted(key) for _, entries in columns for entry in entries for key in entry)
    }
    if not rows:
        return
    figure = Figure(figsize=(1.5 + 4 * len(columns), 2.4 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), sharex="col", squeeze=False)
    for axes, (title, wanted) in zip(grid, rows.items(), strict=True):
        keys = sorted({key for _, entries in columns for entry in entries for key in entry if wanted(key)})
        for axis, (_, entries) in zip(axes, columns, strict=True):
            for number, key in enumerate(keys):
                points = [(e["step"], e[key]) for e in entries if key in e and e[key] is not None]
                if points:
                    few = key.startswith("eval_") or len(points) == 1
                    style = {"marker": "o", "markersize": 3} if few else {}
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
        axis.set_xlabel("step")
    temporary = path.with_name(f"_partial-{path.name}")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)


__all__ = ["AdversarialProgressCallback", "PhaseCallback", "SamplesCallback", "draw_curves"]
