"""
One optimizer step of one player.

Nothing here imports the Trainer: a loop over a bare `accelerate.Accelerator` can use it (examples/own_loop.py).
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import nn

from ..sampling.engine import RolloutEngine
from .context import ObjectiveOutput, StepContext
from .objective import Objective
from .players import Players
from .schedule import Update


# Arguments of an optimizer in its parameter groups, which do not change during a run; the learning rate does.
_ARGUMENTS = ("weight_decay", "betas", "eps")


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
    # Steps in a row that were skipped, by loss: updates that share an optimizer fail on their own.
    skipped_in_a_row: dict[str, int] = field(default_factory=dict)
    skipped: int = 0

    def state_dict(self) -> dict:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "skipped": self.skipped,
            "skipped_in_a_row": dict(self.skipped_in_a_row),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores moments, schedule and counts; arguments that differ from the saved ones take over."""
        new_lrs = self.scheduler.base_lrs
        arguments = [{key: group[key] for key in _ARGUMENTS if key in group} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(self.optimizer.param_groups, arguments, strict=True):
            group.update(own)
        self.scheduler.load_state_dict(state["scheduler"])
        if self.scheduler.base_lrs != new_lrs:
            for group, new, old in zip(self.optimizer.param_groups, new_lrs, self.scheduler.base_lrs, strict=True):
                group["initial_lr"] = new
                group["lr"] = group["lr"] / old * new if old else new
            self.scheduler.base_lrs = new_lrs
            self.scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]
        self.skipped = state["skipped"]
        self.skipped_in_a_row = dict(state["skipped_in_a_row"])


@dataclass
class StepResult:
    """
    The result of one optimizer step: its loss, its gradient norm before clipping, the largest absolute value of the
    player's parameters after it, and the objective's metrics.
    """

    loss: float
    grad_norm: float
    skipped: bool
    largest_parameter: float = math.nan
    metrics: dict[str, float] = field(default_factory=dict)


def _sum_statistics(accelerator: Accelerator, outputs: list[ObjectiveOutput]) -> dict[str, torch.Tensor]:
    """Returns the sums of the statistics over micro-batches and processes."""
    sums = {}
    for key in outputs[0].statistics:
        total = torch.stack([output.statistics[key].detach() for output in outputs]).sum(0)
        sums[key] = cast(torch.Tensor, accelerator.reduce(total, reduction="sum"))
    return sums


@torch.no_grad()
def largest_parameter(model: nn.Module) -> float:
    """Returns the largest absolute value of the parameters of a model; NaN or infinity if one of them is."""
    parameters = [parameter.detach() for parameter in model.parameters()]
    if not parameters:
        return 0.0
    norms = torch._foreach_norm(parameters, float("inf"))  # pyright: ignore[reportPrivateImportUsage]
    return float(torch.stack([norm.float() for norm in norms]).amax())


def take_step(
    accelerator: Accelerator,
    players: Players,
    optimizer: PlayerOptimizer,
    update: Update,
    batches: list[dict],
    objective: Objective,
    engine: RolloutEngine,
    context: StepContext,
) -> StepResult:
    """
    Makes one optimizer step of one player over the micro-batches of all processes.

    The step minimizes the weighted mean of the micro-batches' losses, ``sum(weight * loss) / sum(weight)`` over
    micro-batches and processes, or ``sum(weight * loss)`` where the objective says `reduction="sum"`; so accumulation
    and data parallelism change nothing but memory and time. A step whose loss or gradient is not finite is skipped:
    parameters and optimizer state stay as they are.

    Raises:
        `FloatingPointError`: If the step makes a parameter that is not finite.
    """
    model = players.wrapped(update.player)
    loss_function = objective.loss_of(update)
    context = replace(context, noise_keys=objective.noise_keys)
    engine = engine.at(context.temperature)
    optimizer.optimizer.zero_grad(set_to_none=True)
    outputs: list[ObjectiveOutput] = []
    with players.updating(update.player, update.part):
        for micro, batch in enumerate(batches):
            last = micro == len(batches) - 1
            with nullcontext() if last else accelerator.no_sync(model):
                shard = micro * accelerator.num_processes + accelerator.process_index
                part = context.for_shard(shard, len(batches) * accelerator.num_processes)
                with accelerator.autocast():
                    output = loss_function(players, engine, batch, part)
                accelerator.backward(output.loss * output.weight)
            outputs.append(output.detach())

    weights = torch.tensor([float(o.weight) for o in outputs], dtype=torch.float64)
    losses = torch.stack([o.loss.float() for o in outputs]).cpu().double()
    sums = torch.stack([losses @ weights, weights.sum()])
    if accelerator.num_processes > 1:
        sums = cast(torch.Tensor, accelerator.reduce(sums.to(accelerator.device), reduction="sum")).cpu()
    divisor = sums[1] if outputs[0].reduction == "mean" else torch.ones_like(sums[1])
    loss = float(sums[0] / divisor)
    # `backward` has divided by the accelerator's own accumulation steps, and data parallelism has averaged the
    # gradients over the processes: undo both, then normalize.
    scale = float(accelerator.gradient_accumulation_steps * accelerator.num_processes / divisor)

    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    if scale != 1.0 and parameters:
        torch._foreach_mul_([parameter.grad for parameter in parameters], scale)  # pyright: ignore
    bound = optimizer.max_grad_norm or float("inf")
    grad_norm = float(cast(torch.Tensor, accelerator.clip_grad_norm_(parameters, bound)))

    parameter_norm = math.nan
    skipped = not (math.isfinite(loss) and math.isfinite(grad_norm))
    if skipped:
        optimizer.skipped += 1
        optimizer.skipped_in_a_row[update.loss] = optimizer.skipped_in_a_row.get(update.loss, 0) + 1
    else:
        optimizer.optimizer.step()
        optimizer.skipped_in_a_row[update.loss] = 0
        parameter_norm = largest_parameter(model)
        if not math.isfinite(parameter_norm):
            raise FloatingPointError(
                f"The step of {update.player}/{update.loss} in iteration {context.iteration} made parameters that are "
                f"not finite (its loss was {loss:.4g}, its gradient norm {grad_norm:.4g}); lower the learning rate."
            )
        objective.after_step(update, _sum_statistics(accelerator, outputs), context)
    optimizer.scheduler.step()
    optimizer.optimizer.zero_grad(set_to_none=True)
    metrics = {key: sum(float(o.metrics[key]) for o in outputs) / len(outputs) for key in outputs[0].metrics}
    return StepResult(loss, grad_norm, skipped, parameter_norm, metrics)


__all__ = ["PlayerOptimizer", "StepResult", "largest_parameter", "take_step"]
