"""The arguments of a loss beside models and text, and its result."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from ..utils.random import derive_seed, fork_rng
from .schedule import Position


@dataclass(frozen=True)
class StepContext:
    """
    The point of the run at which a loss is computed.

    Args:
        iteration (`int`):
            The iteration in the run, from 0.
        phase (`str`):
            Name of the phase.
        progress (`float`):
            The fraction of the phase before this iteration, from 0 to below 1.
        temperature (`float`, *optional*, defaults to `1.0`):
            Sampling temperature of the generator. The engine that a loss gets is bound to it.
        step (`int`, *optional*, defaults to `0`):
            Number of steps that the updated player has made in this phase.
        shard, num_shards (`int`, *optional*, default to `0` and `1`):
            Index and number of the parts of the step, over micro-batches and processes; this batch is one of them.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the run, for draws that all processes must share.
        num_iterations (`int`, *optional*, defaults to `1`):
            Number of iterations of the phase.
        noise_keys (`tuple[str, ...]`, *optional*):
            The keys of [`~StepContext.randn`] and [`~StepContext.rand`] that the objective declares; by default any.
    """

    iteration: int = 0
    phase: str = "adversarial"
    progress: float = 0.0
    temperature: float = 1.0
    step: int = 0
    shard: int = 0
    num_shards: int = 1
    seed: int = 0
    num_iterations: int = 1
    noise_keys: tuple[str, ...] | None = field(default=None, repr=False, compare=False)
    _drawn: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def at(cls, position: Position, iteration: int, temperature: float, seed: int) -> "StepContext":
        """Returns the context of an iteration of a run, of which `position` is the point of the schedule."""
        phase = position.phase
        return cls(iteration, phase.name, position.progress, temperature, seed=seed, num_iterations=phase.iterations)

    def for_shard(self, shard: int, num_shards: int) -> "StepContext":
        """Returns the context of one part of the step, in which every noise key is still to be drawn."""
        return replace(self, shard=shard, num_shards=num_shards)

    def randn(self, key: str, num_rows: int, *shape: int) -> torch.Tensor:
        """
        Draws standard normal numbers for the rows of this part of the step, of shape `(num_rows, *shape)`, on CPU.

        They are drawn for the whole step at once, from a seed that all parts share, so a step draws the same numbers
        for any number of micro-batches and processes. An objective declares its keys in `noise_keys` and draws each at
        most once in a step: a key drawn twice would give the same numbers again.

        Raises:
            `ValueError`: If the key is not declared, or was drawn before in this step.
        """
        return self._own_rows(torch.randn(self.num_shards * num_rows, *shape, generator=self._generator(key)))

    def rand(self, key: str, num_rows: int, *shape: int) -> torch.Tensor:
        """Draws numbers from U[0, 1), otherwise as [`~StepContext.randn`]."""
        return self._own_rows(torch.rand(self.num_shards * num_rows, *shape, generator=self._generator(key)))

    def uniform(self, key: str, device: torch.device | str = "cpu") -> Callable[..., torch.Tensor]:
        """
        Returns a function that draws numbers from U[0, 1) for the rows of this part of the step. Each call
        ``draw(num_rows, *shape)`` draws further ones, of shape `(num_rows, *shape)`, from a generator on `device`.
        Otherwise as [`~StepContext.randn`]; the numbers are those of this kind of device.
        """
        generator = self._generator(key, device)

        def draw(num_rows: int, *shape: int) -> torch.Tensor:
            numbers = torch.rand(self.num_shards * num_rows, *shape, generator=generator, device=device)
            return self._own_rows(numbers)

        return draw

    def draw_rows(
        self, key: str, num_rows: int, draw: Callable[[int], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """
        Returns the rows of this part of the step of ``draw(number of rows of the whole step)``, which draws tensors by
        name from the global generators. Otherwise as [`~StepContext.randn`].
        """
        with fork_rng(self._seed(key)):
            return {name: self._own_rows(value) for name, value in draw(self.num_shards * num_rows).items()}

    def _generator(self, key: str, device: torch.device | str = "cpu") -> torch.Generator:
        return torch.Generator(device).manual_seed(self._seed(key))

    def _seed(self, key: str) -> int:
        if self.noise_keys is not None and key not in self.noise_keys:
            raise ValueError(
                f"The objective declares no noise key {key!r}; add it to its noise_keys (now: "
                f"{', '.join(self.noise_keys) or 'none'})."
            )
        if key in self._drawn:
            raise ValueError(
                f"The noise {key!r} was drawn twice in one step, which gives the same numbers again; declare a second "
                "key in noise_keys of the objective."
            )
        self._drawn.add(key)
        return derive_seed(self.seed, self.iteration, self.step, key)

    def _own_rows(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.chunk(self.num_shards)[self.shard]


@dataclass
class ObjectiveReport:
    """
    The result of [`Objective.report`] at an evaluation.

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
            Number of items that `loss` is the mean of; decides its part of a step over several micro-batches or
            processes.
        reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            Whether a step minimizes the weighted mean of the losses or their sum.
        statistics (`dict[str, torch.Tensor]`, *optional*):
            Detached sums over the micro-batch, under the same names and of the same shapes in every process. Their
            sums over micro-batches and processes reach [`Objective.after_step`].
    """

    loss: torch.Tensor
    metrics: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    reduction: Literal["mean", "sum"] = "mean"
    statistics: dict[str, torch.Tensor] = field(default_factory=dict)

    def detach(self) -> "ObjectiveOutput":
        """Returns the same output without the graph of its loss."""
        return replace(self, loss=self.loss.detach())


__all__ = ["ObjectiveOutput", "ObjectiveReport", "StepContext"]
