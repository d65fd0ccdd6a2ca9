"""The interface of objectives."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..randomness import mixed_seed
from ..trainer.timetable import Phase, Turn


if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..sampling import RolloutEngine
    from ..trainer.players import Players


@dataclass(frozen=True)
class StepContext:
    """
    When a loss is computed.

    Args:
        tick (`int`):
            The number of the tick in the run, from 0.
        phase (`str`):
            Name of the phase.
        progress (`float`):
            Share of the phase that is over, from 0 to below 1.
        temperature (`float`, *optional*, defaults to `1.0`):
            Sampling temperature of the generator.
        step (`int`, *optional*, defaults to `0`):
            How many steps the player that moves has taken in this phase.
        shard, num_shards (`int`, *optional*, default to `0` and `1`):
            Which of the parts of the step this batch is, over micro-batches and processes.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the run, for draws that all processes must share.
    """

    tick: int = 0
    phase: str = "adversarial"
    progress: float = 0.0
    temperature: float = 1.0
    step: int = 0
    shard: int = 0
    num_shards: int = 1
    seed: int = 0

    def randn(self, name: str, num_rows: int, *shape: int) -> torch.FloatTensor:
        """
        Standard normal numbers for the rows of this part of the step, of shape `(num_rows, *shape)`, on CPU.

        They are drawn for the whole step at once, from a seed that all parts share, so a step draws the same numbers
        however many micro-batches and processes share it. Draws of one step need different names.
        """
        return self._mine(torch.randn(self.num_shards * num_rows, *shape, generator=self._generator(name)))

    def rand(self, name: str, num_rows: int, *shape: int) -> torch.FloatTensor:
        """Numbers from U[0, 1), otherwise as [`~StepContext.randn`]."""
        return self._mine(torch.rand(self.num_shards * num_rows, *shape, generator=self._generator(name)))

    def _generator(self, name: str) -> torch.Generator:
        return torch.Generator().manual_seed(mixed_seed(self.seed, self.tick, self.step, name))

    def _mine(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.chunk(self.num_shards)[self.shard]


@dataclass
class ObjectiveReport:
    """
    What an objective says of its players at an evaluation.

    Args:
        metrics (`dict[str, float]`, *optional*):
            Values to log, the same in every process.
        sequences (`dict[str, torch.LongTensor]`, *optional*):
            Token ids to show as text, of shape `(num_sequences, length)` each, by a name.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    sequences: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class ObjectiveOutput:
    """
    The loss of one micro-batch.

    Args:
        loss (`torch.Tensor`):
            A scalar with gradient.
        metrics (`dict[str, float | torch.Tensor]`, *optional*):
            Detached values to log, under the same names in every process.
        weight (`float`, *optional*, defaults to `1.0`):
            How many items `loss` is the mean of; decides its share of a step over several micro-batches or processes.
        reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            Whether a step minimises the weighted mean of the losses or their sum.
    """

    loss: torch.Tensor
    metrics: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    reduction: Literal["mean", "sum"] = "mean"

    def detach(self) -> "ObjectiveOutput":
        return replace(self, loss=self.loss.detach())


@dataclass
class Objective:
    """
    What the players of a system minimise: the fields are the hyperparameters of the paper, each loss is a function.

    A loss is called as ``loss(players, engine, batch, context)`` with [`~trainer.players.Players`], the
    [`RolloutEngine`], a batch of real text (`input_ids` of shape `(batch_size, length)` from BOS to EOS, then padding,
    and `attention_mask`) and the [`StepContext`], and returns an [`ObjectiveOutput`]. An objective holds no model and
    no tokenizer. State of its own goes through `state_dict`.
    """

    # Set by objectives whose loss couples the examples of a batch (matching moments, ranking): their steps cannot be
    # split into micro-batches.
    couples_batch = False

    def turns(self) -> dict[str, tuple[Turn, ...]]:
        """The turns of each phase, by the names `pretrain_generator`, `pretrain_discriminator` and `adversarial`."""
        raise NotImplementedError(f"{type(self).__name__} does not say who moves; define turns().")

    def phases(self, pretrain_generator: int, pretrain_discriminator: int, adversarial: int) -> list[Phase]:
        """The phases of a run with these numbers of generator, discriminator and adversarial generator steps."""
        turns = self.turns()
        steps = {
            "pretrain_generator": (pretrain_generator, "pretrain_generator_steps", "generator"),
            "pretrain_discriminator": (pretrain_discriminator, "pretrain_discriminator_steps", "discriminator"),
            "adversarial": (adversarial, "max_steps", "generator"),
        }
        phases = []
        for name, (count, option, player) in steps.items():
            if count < 0:
                raise ValueError(f"{option} is {count}; set it to 0 or more.")
            if count and name not in turns:
                raise ValueError(
                    f"{option} is {count}, but {type(self).__name__} has no {name} phase; set it to 0 "
                    f"(its phases: {', '.join(turns)})."
                )
            per_tick = (
                sum(turn.repeat for turn in turns.get(name, ()) if turn.player == player and turn.every == 1) or 1
            )
            if count % per_tick:
                raise ValueError(
                    f"{option} is {count}, but a tick has {per_tick} {player} steps; set a multiple of {per_tick}."
                )
            phases.append(Phase(name, count // per_tick, turns.get(name, ())))
        return phases

    @property
    def unused_players(self) -> frozenset[str]:
        """Players of the system that these hyperparameters leave without a part: they need not be built."""
        return frozenset()

    def check_step_size(self, num_examples: int) -> None:
        """Called before training with the examples of a step, all micro-batches and processes; raises `ValueError`."""

    def check_players(self, models: dict[str, "PreTrainedModel"], engine: "RolloutEngine") -> None:
        """Called before training with the models by name; raises `ValueError` where they do not fit each other."""

    def report(self, players: "Players", engine: "RolloutEngine", batch: dict) -> ObjectiveReport:
        """
        Called at every evaluation, without gradient and with all players in evaluation mode, with a batch of held-out
        text (of training text, if there is none): what should be known of the players beside their losses.
        """
        return ObjectiveReport()

    def prepare(self, train_dataset: Sequence[dict[str, Any]], engine: "RolloutEngine") -> None:
        """Called once before training, for losses that compare with the training data as a whole."""

    def hyperparameters(self) -> dict[str, Any]:
        return asdict(self)

    def state_dict(self) -> dict[str, Any]:
        """State beyond the hyperparameters, of tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError(
                f"The checkpoint holds the state {sorted(state)} of an objective, but {type(self).__name__} keeps "
                "none; resume with the objective that wrote it."
            )


__all__ = ["Objective", "ObjectiveOutput", "ObjectiveReport", "StepContext"]
