"""The maximum-likelihood twin of a run: the same generator on the same text for as long."""

import copy
import json
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainerCallback

from ..comparison.sources import LEAST_HELD_OUT
from ..evaluation import has_likelihood
from ..objectives import MLEObjective
from ..systems import get_system
from ..trainer.adversarial_config import OPTIMIZER_ARGUMENTS, AdversarialConfig
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.checkpoints import write_text, writing_folder
from .arguments import TrainArguments


FOLDER = "mle_twin"
START = "mle_start"
_PATIENCE = 5  # evaluations without a better likelihood of held-out text


class WallClock(TrainerCallback):
    """
    Keeps the seconds that a run has trained, whatever interrupted it, in its folder: in all, and at each evaluation.
    """

    clock = staticmethod(time.monotonic)

    def __init__(self, output_dir: Path):
        self.path = output_dir / "training_seconds.json"

    def on_train_begin(self, args, state, control, **kwargs):
        resumed = state.global_step > 0 and self.path.is_file()
        kept = json.loads(self.path.read_text(encoding="utf-8")) if resumed else {}
        self.before, self.evaluations = kept.get("seconds", 0.0), kept.get("evaluations", {})
        self.started = self.clock()

    def on_evaluate(self, args, state, control, **kwargs):
        self.evaluations[str(state.global_step)] = self.seconds

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            write_text(self.path, json.dumps({"seconds": self.seconds, "evaluations": self.evaluations}))

    on_train_end = on_save

    @property
    def seconds(self) -> float:
        return self.before + self.clock() - self.started


class KeepStart(TrainerCallback):
    """Saves the generator with which adversarial training begins: what a GAN has to be better than."""

    def __init__(self, trainer: AdversarialTrainer, steps: int):
        self.trainer, self.steps = trainer, steps

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.steps and state.is_world_process_zero:
            with writing_folder(Path(args.output_dir) / START) as folder:
                self.trainer.players.unwrap("generator").save_pretrained(folder)
                if self.trainer.processing_class is not None:
                    self.trainer.processing_class.save_pretrained(folder)


class TimeLimit(WallClock):
    """Ends a training after so many seconds, those before an interruption counted."""

    def __init__(self, output_dir: Path, limit: float):
        super().__init__(output_dir)
        self.limit = limit

    def on_step_end(self, args, state, control, **kwargs):
        over = self.seconds > self.limit
        if PartialState().num_processes > 1:  # the processes must agree, or some would wait for the others for ever
            over = broadcast_object_list([over])[0]
        if over:
            control.should_evaluate = control.should_save = control.should_training_stop = True


def check_twin(arguments: TrainArguments) -> None:
    """Refuses, before the first step, what has no twin."""
    training = arguments.training
    if arguments.system.name == "rnnlm":
        raise ValueError("--mle_twin is set, but rnnlm is what a twin is; train another system, or leave it out.")
    if str(getattr(training.eval_strategy, "value", training.eval_strategy)) == "no":
        raise ValueError(
            '--mle_twin is set and eval_strategy is "no"; a twin stops by held-out text, so set eval_steps.'
        )


def check_held_out(held_out: Dataset | None) -> None:
    """Whether there is held-out text enough to stop the twin by, and to compare with at the end."""
    if held_out is None:
        raise ValueError("--mle_twin is set, but there is no held-out text to stop by; add --eval_file FILE.")
    if len(held_out) < LEAST_HELD_OUT:
        raise ValueError(
            f"--mle_twin is set and the held-out text has {len(held_out)} lines; give {LEAST_HELD_OUT} or more: the "
            "comparison at the end needs them."
        )


def lstm_of_equal_size(num_parameters: int, vocab_size: int) -> int:
    """The width of embeddings and state with which the LSTM generator has the nearest number of parameters."""

    def size(width: int) -> int:  # embeddings, gates with two biases, output layer
        return vocab_size * width + 8 * width * width + 8 * width + (width + 1) * vocab_size

    width = 1
    while size(width + 1) <= num_parameters:
        width += 1
    return min((width, width + 1), key=lambda w: abs(size(w) - num_parameters))


def twin_of(arguments: TrainArguments, generator: PreTrainedModel) -> TrainArguments:
    """
    The arguments of the twin: the generator, the text and the optimizer of the generator's pre-training, at most ten
    times its steps; the best model on held-out text is kept. A generator without a likelihood has an LSTM of as many
    parameters as its twin, trained as the maximum-likelihood baseline is.
    """
    system, training = get_system("rnnlm"), copy.deepcopy(arguments.training)
    training.output_dir = str(Path(training.output_dir) / FOLDER)
    training.max_steps = 0
    training.pretrain_discriminator_steps = 0
    steps = training.pretrain_generator_steps or system.training["pretrain_generator_steps"]
    training.pretrain_generator_steps = 10 * steps
    training.load_best_model_at_end, training.metric_for_best_model, training.greater_is_better = True, "loss", False
    training.push_to_hub = False
    configs = {"generator": arguments.configs["generator"]}
    kept: tuple[str, ...] = ("generator", "generator/pretrain_generator")
    if not has_likelihood(generator):
        width = lstm_of_equal_size(generator.num_parameters(), generator.config.vocab_size)
        configs, kept = {"generator": {"hidden_size": width, "embedding_size": width}}, ()
        plain = AdversarialConfig(output_dir=training.output_dir, use_cpu=True)
        for name in OPTIMIZER_ARGUMENTS:
            setattr(training, name, system.training.get(name, getattr(plain, name)))
    training.player_optimizers = {
        key: training.player_optimizers[key] for key in kept if key in training.player_optimizers
    }
    return replace(
        arguments,
        system=system,
        run=replace(arguments.run, discriminator=None, generator=None, mle_twin=False),
        training=training,
        objective=MLEObjective(),
        configs=configs,
    )


def callbacks(output_dir: Path, limit: float) -> list[TrainerCallback]:
    """What ends the training of a twin."""
    return [TimeLimit(output_dir, limit), EarlyStoppingCallback(early_stopping_patience=_PATIENCE)]


def comparison_of(output_dir: Path) -> Namespace:
    """The options of `textgan compare` for a run, the model that its adversarial training began with, and its twin."""
    from .compare import make_parser  # with all metrics: only when there is something to compare

    start = output_dir / START
    sources = [output_dir, *([start] if (start / "config.json").is_file() else []), output_dir / FOLDER]
    return make_parser().parse_args([*map(str, sources), "--output_dir", str(output_dir / "report")])


__all__ = [
    "FOLDER",
    "START",
    "KeepStart",
    "TimeLimit",
    "WallClock",
    "callbacks",
    "check_held_out",
    "check_twin",
    "comparison_of",
    "twin_of",
]
