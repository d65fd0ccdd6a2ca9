"""
The players, their optimizers, and the taking of a turn.

Nothing here imports the Trainer: a loop over a bare `accelerate.Accelerator` can use it (examples/own_loop.py).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import nn

from .timetable import Turn


if TYPE_CHECKING:
    from ..objectives.base import Objective, ObjectiveOutput, StepContext
    from ..sampling import RolloutEngine


class Players(Mapping):
    """
    The models of a run by name, in the order of the system; all that an objective gets to see of them.

    In a turn of a player, `players[name]` is the wrapped model for that player, so that gradients are averaged over
    the processes, and the bare one for the others, which have no gradients to average. The player that moves is in
    training mode; the others are in evaluation mode and frozen.

    Args:
        modules (`dict[str, torch.nn.Module]`):
            The models, wrapped or not.
        unwrap (`Callable`, *optional*):
            Returns the bare model of a wrapped one, for example `accelerator.unwrap_model`.
        mean (`Callable`, *optional*):
            Averages a tensor over the processes.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        unwrap: Callable[[nn.Module], nn.Module] | None = None,
        mean: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        self._modules = dict(modules)
        self._unwrap = unwrap or (lambda module: module)
        self._mean = mean or (lambda tensor: tensor)
        self._moving: str | None = None

    def __getitem__(self, name: str) -> nn.Module:
        if name not in self._modules:
            raise KeyError(f"There is no player {name!r}; this run has {', '.join(self._modules)}.")
        return self._modules[name] if name == self._moving else self.unwrap(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def unwrap(self, name: str) -> nn.Module:
        """The bare model, for sampling and for attributes."""
        return self._unwrap(self._modules[name])

    def wrapped(self, name: str) -> nn.Module:
        return self._modules[name]

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean of a detached tensor over the processes."""
        return self._mean(tensor.detach())

    @contextmanager
    def turn_of(self, name: str) -> Iterator[None]:
        """Makes `name` the player that moves."""
        frozen = [
            parameter
            for other in self
            if other != name
            for parameter in self._modules[other].parameters()
            if parameter.requires_grad
        ]
        modes = {other: self._modules[other].training for other in self}
        self._moving = name
        self._set_modes({other: other == name for other in self})
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)
            self._set_modes(modes)
            self._moving = None

    def _set_modes(self, training: dict[str, bool]) -> None:
        for name, wanted in training.items():
            if self._modules[name].training != wanted:
                self._modules[name].train(wanted)


@dataclass
class PlayerOptimizer:
    """
    One optimizer of one player, with its schedule.

    Args:
        optimizer (`torch.optim.Optimizer`):
            The optimizer; need not be prepared by the accelerator.
        scheduler (`torch.optim.lr_scheduler.LRScheduler`):
            Steps once per optimizer step.
        max_grad_norm (`float`, *optional*, defaults to `0.0`):
            Bound on the norm of the player's gradient; 0 for no clipping.
    """

    optimizer: torch.optim.Optimizer
    scheduler: Any
    max_grad_norm: float = 0.0
    skipped_in_a_row: int = 0
    skipped: int = 0

    def state_dict(self) -> dict:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores moments, schedule and counts; a learning rate that differs from the saved one takes over."""
        wanted = self.scheduler.base_lrs
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.scheduler.base_lrs != wanted:
            for group, new, old in zip(self.optimizer.param_groups, wanted, self.scheduler.base_lrs, strict=True):
                group["initial_lr"] = new
                group["lr"] = group["lr"] / old * new if old else new
            self.scheduler.base_lrs = wanted
            self.scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        self.skipped = state["skipped"]
        self.skipped_in_a_row = state["skipped_in_a_row"]


@dataclass
class StepResult:
    """What one optimizer step did: its loss, its gradient norm before clipping, the objective's metrics."""

    loss: float
    grad_norm: float
    skipped: bool
    metrics: dict[str, float] = field(default_factory=dict)


def take_step(
    accelerator: Accelerator,
    players: Players,
    optimizer: PlayerOptimizer,
    turn: Turn,
    batches: list[dict],
    objective: "Objective",
    engine: "RolloutEngine",
    context: "StepContext",
) -> StepResult:
    """
    One optimizer step of one player over the micro-batches of all processes.

    The step minimises the weighted mean of the micro-batches' losses, ``sum(weight * loss) / sum(weight)`` over
    micro-batches and processes, or ``sum(weight * loss)`` where the objective says `reduction="sum"`; so accumulation
    and data parallelism change nothing but memory and time. A step whose loss or gradient is not finite is not taken:
    parameters and optimizer state stay as they are.
    """
    model = players.wrapped(turn.player)
    loss_function = getattr(objective, turn.loss)
    optimizer.optimizer.zero_grad(set_to_none=True)
    outputs: list[ObjectiveOutput] = []
    with players.turn_of(turn.player):
        for micro, batch in enumerate(batches):
            last = micro == len(batches) - 1
            with nullcontext() if last else accelerator.no_sync(model):
                shard = micro * accelerator.num_processes + accelerator.process_index
                part = replace(context, shard=shard, num_shards=len(batches) * accelerator.num_processes)
                with accelerator.autocast():
                    output = loss_function(players, engine, batch, part)
                accelerator.backward(output.loss * output.weight)
            outputs.append(output.detach())

    weights = torch.tensor([float(o.weight) for o in outputs], dtype=torch.float64)
    losses = torch.stack([o.loss.float() for o in outputs]).cpu().double()
    sums = torch.stack([losses @ weights, weights.sum()])
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(sums.to(accelerator.device), reduction="sum").cpu()
    divisor = sums[1] if outputs[0].reduction == "mean" else torch.ones_like(sums[1])
    loss = float(sums[0] / divisor)
    # `backward` has divided by the accelerator's own accumulation steps, and data parallelism has averaged the
    # gradients over the processes: undo both, then normalise.
    scale = float(accelerator.gradient_accumulation_steps * accelerator.num_processes / divisor)

    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    if scale != 1.0 and parameters:
        torch._foreach_mul_([parameter.grad for parameter in parameters], scale)
    bound = optimizer.max_grad_norm or float("inf")
    grad_norm = float(accelerator.clip_grad_norm_(parameters, bound))

    skipped = not (math.isfinite(loss) and math.isfinite(grad_norm))
    if skipped:
        optimizer.skipped += 1
        optimizer.skipped_in_a_row += 1
    else:
        optimizer.optimizer.step()
        optimizer.skipped_in_a_row = 0
    optimizer.scheduler.step()
    optimizer.optimizer.zero_grad(set_to_none=True)
    metrics = {key: sum(float(o.metrics[key]) for o in outputs) / len(outputs) for key in outputs[0].metrics}
    return StepResult(loss=loss, grad_norm=grad_norm, skipped=skipped, metrics=metrics)


__all__ = ["PlayerOptimizer", "Players", "StepResult", "take_step"]
