"""Callbacks: progress with phase and losses, samples and metrics on disk, phase boundaries."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback

from .checkpoints import write_text
from .timetable import Timetable


if TYPE_CHECKING:
    from .adversarial_trainer import AdversarialTrainer


class PhaseCallback(TrainerCallback):
    """Logs, evaluates and saves at the end of every phase, so that each phase's result stands beside the others'."""

    def __init__(self, timetable: Timetable):
        self.timetable = timetable

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step
        last = step >= self.timetable.total
        if last or self.timetable.at(step).tick_in_phase == 0:
            control.should_log = args.logging_strategy != "no"
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = args.save_strategy != "no"
        return control


class AdversarialProgressCallback(ProgressCallback):
    """A progress bar that shows the phase and the players' losses."""

    def __init__(self, timetable: Timetable, max_str_len: int = 100):
        super().__init__(max_str_len)
        self.timetable = timetable

    def on_step_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero and self.training_bar is not None:
            position = self.timetable.at(state.global_step)
            self.training_bar.set_description_str(
                f"{position.phase.name} {position.tick_in_phase + 1}/{position.phase.ticks}", refresh=False
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
        write_text(output_dir / "metrics.json", json.dumps(content, indent=2) + "\n")

    def _bar(self):
        for callback in self.trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressCallback) and callback.training_bar is not None:
                return callback.training_bar.write
        return print


def draw_curves(log_history: list[dict], timetable: Timetable, path: Path) -> None:
    """Draws the losses and the main metrics of a run over its steps, with the borders of the phases."""
    from matplotlib.figure import Figure

    panels = [
        ("loss of each player", lambda key: key.endswith("/loss")),
        ("reward, discriminator accuracy", lambda key: key.startswith(("reward/", "discriminator/accuracy"))),
        ("held-out NLL per token (nats)", lambda key: key == "eval_nll_per_token"),
        ("BLEU, Self-BLEU, grammar", lambda key: key in ("eval_bleu_4", "eval_self_bleu_4", "eval_grammar_share")),
    ]
    drawn = []
    for title, wanted in panels:
        keys = list(dict.fromkeys(key for entry in log_history for key in entry if wanted(key)))
        curves = {key: [(e["step"], e[key]) for e in log_history if key in e and e[key] is not None] for key in keys}
        if curves:
            drawn.append((title, curves))
    if not drawn:
        return
    figure = Figure(figsize=(9, 2.6 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    borders, start = [], 0
    for phase in timetable.phases:
        start += phase.ticks
        borders.append((start, phase.name))
    for axis, (title, curves) in zip(axes, drawn, strict=True):
        for key, points in curves.items():
            marker = "." if len(points) < 40 else None
            axis.plot(*zip(*points, strict=True), label=key.removeprefix("eval_"), linewidth=1, marker=marker)
        for border, _ in borders[:-1]:
            axis.axvline(border, color="0.7", linewidth=0.8, linestyle="--")
        axis.set_title(title, fontsize=10, loc="left")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    for border, name in borders:
        axes[0].annotate(
            name, (border, 1.0), xycoords=("data", "axes fraction"), ha="right", va="bottom", fontsize=8, color="0.4"
        )
    axes[-1].set_xlabel("step")
    temporary = path.with_name(f"_partial-{path.name}")
    figure.savefig(temporary, format="png", dpi=110)
    temporary.replace(path)


__all__ = ["AdversarialProgressCallback", "PhaseCallback", "SamplesCallback", "draw_curves"]
