"""The maximum-likelihood baseline of a run: the same generator on the same text for as long."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ..core.optimizer_arguments import OPTIMIZER_ARGUMENTS
from ..evaluation.text_metrics import MIN_HELD_OUT_LINES
from ..sampling.capabilities import capabilities_of
from ..systems import get_system
from ..trainer.adversarial_config import AdversarialConfig
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..utils.files import writing_folder
from .arguments import TrainArguments
from .folder import BASELINE_FOLDER, PRETRAINED_FOLDER


_PATIENCE = 5  # evaluations without a better likelihood of held-out text


class SavePretrainedGenerator(TrainerCallback):
    """Saves the generator at the start of adversarial training, which a GAN has to beat."""

    def __init__(self, trainer: AdversarialTrainer):
        self.trainer = trainer

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        schedule = self.trainer.schedule
        if not state.is_world_process_zero or state.global_step >= schedule.total:
            return
        position = schedule.at(state.global_step)
        if position.phase.name == "adversarial" and position.iteration_in_phase == 0:
            with writing_folder(Path(args.output_dir or ".") / PRETRAINED_FOLDER) as folder:
                self.trainer.players.unwrap("generator").save_pretrained(folder)
                if self.trainer.processing_class is not None:
                    self.trainer.processing_class.save_pretrained(folder)


def validate_baseline(arguments: TrainArguments) -> None:
    """Raises `ValueError` before the first step if a run cannot have a baseline."""
    training = arguments.training
    if arguments.system.mode == "mle":
        raise ValueError(
            f"--mle_baseline is set, but {arguments.system.name} is itself trained by likelihood; train another "
            "system, or leave it out."
        )
    if str(getattr(training.eval_strategy, "value", training.eval_strategy)) == "no":
        raise ValueError(
            '--mle_baseline is set and eval_strategy is "no"; a baseline stops by held-out text, so set eval_steps.'
        )


def check_held_out(held_out: Dataset | None) -> None:
    """Raises `ValueError` if there is too little held-out text to stop the baseline by and to compare with."""
    if held_out is None:
        raise ValueError("--mle_baseline is set, but there is no held-out text to stop by; add --eval_file FILE.")
    if len(held_out) < MIN_HELD_OUT_LINES:
        raise ValueError(
            f"--mle_baseline is set and the held-out text has {len(held_out)} lines; give {MIN_HELD_OUT_LINES} or "
            "more: the comparison at the end needs them."
        )


def lstm_of_equal_size(num_parameters: int, vocab_size: int) -> int:
    """Returns the width of embeddings and state with which the LSTM generator has the nearest number of parameters."""

    def size(width: int) -> int:  # embeddings, gates with two biases, output layer
        return vocab_size * width + 8 * width * width + 8 * width + (width + 1) * vocab_size

    width = 1
    while size(width + 1) <= num_parameters:
        width += 1
    return min((width, width + 1), key=lambda w: abs(size(w) - num_parameters))


def baseline_arguments(arguments: TrainArguments, generator: PreTrainedModel) -> TrainArguments:
    """
    Returns the arguments of the baseline: the generator, the text and the optimizer of the generator's pre-training,
    and at most ten times its iterations; the best model on held-out text is kept. The baseline of a generator without
    a likelihood is an LSTM of as many parameters, trained as the system `rnnlm` is.
    """
    training = copy.deepcopy(arguments.training)
    lacks_likelihood = capabilities_of(generator).likelihood is None
    system = get_system("rnnlm") if lacks_likelihood else arguments.system.mle_baseline(arguments.configs)
    training.output_dir = str(training.output_path / BASELINE_FOLDER)
    training.max_steps = 0
    training.pretrain_discriminator_steps = 0
    steps = training.pretrain_generator_steps or system.training["pretrain_generator_steps"]
    training.pretrain_generator_steps = 10 * steps
    training.load_best_model_at_end, training.metric_for_best_model, training.greater_is_better = True, "loss", False
    training.push_to_hub = False
    configs = {"generator": arguments.configs["generator"]}
    kept: tuple[str, ...] = ("generator", "generator/pretrain_generator")
    values: dict[str, Any] = {}
    if lacks_likelihood:
        width = lstm_of_equal_size(generator.num_parameters(), generator.config.vocab_size)
        configs, kept = {"generator": {"hidden_size": width, "embedding_size": width}}, ()
        plain = AdversarialConfig(output_dir=training.output_dir, use_cpu=True)
        for name in OPTIMIZER_ARGUMENTS:
            setattr(training, name, system.training.get(name, getattr(plain, name)))
    else:
        _, values = arguments.objective.likelihood_objective()
    training.player_optimizers = {
        key: training.optimizer_options[key] for key in kept if key in training.optimizer_options
    }
    return replace(
        arguments,
        system=system,
        run=replace(arguments.run, discriminator=None, generator=None, mle_baseline=False),
        training=training,
        objective=system.build_objective(**values),
        configs=configs,
    )


def early_stopping() -> TrainerCallback:
    """Returns the callback that ends the training of a baseline when held-out text gets no more likely."""
    return EarlyStoppingCallback(early_stopping_patience=_PATIENCE)


__all__ = [
    "SavePretrainedGenerator",
    "baseline_arguments",
    "check_held_out",
    "early_stopping",
    "validate_baseline",
]
