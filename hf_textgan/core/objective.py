"""The interface of objectives."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from ..data.rows import Rows
from ..sampling.engine import RolloutEngine
from ..utils.names import unknown_name
from ..utils.numbers import Range, check_numbers
from .context import ObjectiveReport, StepContext
from .players import Players
from .schedule import Phase, Update


@dataclass
class Objective:
    """
    The losses of the players of a system and the order of their updates. The fields are the hyperparameters of the
    paper, each loss is a method.

    A loss is called as ``loss(players, engine, batch, context)`` with [`Players`], the [`RolloutEngine`] bound to the
    sampling temperature of the run, a batch of real text (`input_ids` of shape `(batch_size, length)` from BOS to EOS,
    then padding, and `attention_mask`) and the [`StepContext`], and returns an [`ObjectiveOutput`]. An objective holds
    no model and no tokenizer. State of its own goes through `state_dict`.

    Class attributes:
        couples_batch (`bool`):
            Whether a loss compares the examples of a batch with each other (matching moments, ranking), so that a step
            cannot be split into micro-batches.
        several_processes (`bool`):
            Whether such losses are right over several processes too, for example because they gather the examples.
        noise_keys (`tuple[str, ...]`):
            The keys of the noise that the losses draw by [`~StepContext.randn`] and [`~StepContext.rand`].
        panels (`dict[str, tuple[str, ...]]`):
            Rows of the figure of a run: a title, and the patterns (as in `fnmatch`) of the logged keys it shows.
        ranges (`dict[str, Range]`):
            The ranges of hyperparameters, checked when an objective is made; all numbers must be finite.
    """

    couples_batch: ClassVar[bool] = False
    several_processes: ClassVar[bool] = False
    noise_keys: ClassVar[tuple[str, ...]] = ()
    panels: ClassVar[dict[str, tuple[str, ...]]] = {}
    ranges: ClassVar[dict[str, Range]] = {}

    def __post_init__(self) -> None:
        check_numbers(self, self.ranges)

    def updates(self) -> dict[str, tuple[Update, ...]]:
        """
        Returns the updates of an iteration of each phase, by the names `pretrain_generator`, `pretrain_discriminator`
        and `adversarial`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what is updated; define updates().")

    def phases(self, pretrain_generator: int, pretrain_discriminator: int, adversarial: int) -> list[Phase]:
        """Returns the phases of a run with these numbers of iterations."""
        updates = self.updates()
        iterations = {
            "pretrain_generator": (pretrain_generator, "pretrain_generator_steps"),
            "pretrain_discriminator": (pretrain_discriminator, "pretrain_discriminator_steps"),
            "adversarial": (adversarial, "max_steps"),
        }
        for name, (count, option) in iterations.items():
            if count < 0:
                raise ValueError(f"{option} is {count}; set it to 0 or more.")
            if count and name not in updates:
                raise ValueError(
                    f"{option} is {count}, but {type(self).__name__} has no {name} phase; set it to 0 "
                    f"(its phases: {', '.join(updates)})."
                )
        return [Phase(name, count, updates.get(name, ())) for name, (count, _) in iterations.items()]

    def loss_of(self, update: Update) -> Any:
        """Returns the method that an update minimizes; raises `ValueError` if there is none of its name."""
        loss = getattr(self, update.loss, None)
        if not callable(loss):
            losses = [name for name in dir(self) if name.endswith("_loss")]
            raise ValueError(unknown_name(f"loss of {type(self).__name__}", update.loss, losses))
        return loss

    def likelihood_objective(self) -> tuple[str, dict[str, Any]]:
        """
        Returns the objective that trains the generator alone by likelihood, for the baseline of a run: its name in
        [`~objectives.OBJECTIVES`] and hyperparameters.
        """
        return "mle", {}

    @property
    def unused_players(self) -> frozenset[str]:
        """The players of the system that these hyperparameters do not need: they are not built."""
        return frozenset()

    def check_step_size(self, num_examples: int) -> None:
        """
        Raises `ValueError` if steps of `num_examples` examples, all micro-batches and processes together, do not suit
        the objective. Called before training.
        """

    def check_players(self, models: dict[str, PreTrainedModel], engine: RolloutEngine) -> None:
        """Raises `ValueError` if the models, by name, do not fit each other. Called before training."""

    def report(self, players: Players, engine: RolloutEngine, batch: dict) -> ObjectiveReport:
        """
        Measures the players beside their losses, on a batch of held-out text (of training text, if there is none).
        Called at every evaluation, without gradient and with all players in evaluation mode.
        """
        return ObjectiveReport()

    def prepare(self, train_dataset: Rows, engine: RolloutEngine, models: dict[str, PreTrainedModel]) -> None:
        """Reads the training data, or sets up the models (by name). Called once before training."""

    def after_step(self, update: Update, statistics: dict[str, torch.Tensor], context: StepContext) -> None:
        """
        Changes the state of the objective, of which this is the only place. Called after each step that was not
        skipped, with the sums of [`ObjectiveOutput.statistics`] over micro-batches and processes, the same in all.
        """

    def hyperparameters(self) -> dict[str, Any]:
        """Returns the fields by name."""
        return asdict(self)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state beside the hyperparameters, of tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        if state:
            raise ValueError(
                f"The checkpoint holds the state {sorted(state)} of an objective, but {type(self).__name__} keeps "
                "none; resume with the objective that wrote it."
            )


__all__ = ["Objective"]
