"""The optimizers of the players."""

from collections.abc import Collection
from typing import Any, cast

import torch
from torch import nn
from transformers import get_scheduler

from ..core.step import PlayerOptimizer
from .adversarial_config import AdversarialConfig


def create_player_optimizer(
    args: AdversarialConfig,
    module: nn.Module,
    num_steps: int,
    decayed: Collection[str],
    optimizer_class: type[torch.optim.Optimizer],
    options: dict[str, Any],
) -> PlayerOptimizer:
    """
    Creates an optimizer of a player with its schedule.

    Args:
        args ([`AdversarialConfig`]):
            The arguments of this optimizer.
        module (`torch.nn.Module`):
            The bare player.
        num_steps (`int`):
            Its steps in the run.
        decayed (`Collection[str]`):
            Names of the parameters that weight decay applies to.
        optimizer_class, options:
            Class of the optimizer and its keyword arguments.
    """
    trainable = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in trainable if name in decayed], "weight_decay": args.weight_decay},
        {"params": [p for name, p in trainable if name not in decayed], "weight_decay": 0.0},
    ]
    # Neither the optimizer nor the schedule is prepared by Accelerate: within an accumulation a prepared optimizer
    # silently does not step, and a prepared schedule steps once for each process.
    optimizer = optimizer_class(groups, **options)
    scheduler = get_scheduler(
        args.lr_scheduler_type,
        optimizer,
        num_warmup_steps=args.get_warmup_steps(num_steps),
        num_training_steps=num_steps,
        scheduler_specific_kwargs=cast(dict | None, args.lr_scheduler_kwargs),
    )
    return PlayerOptimizer(optimizer, scheduler, args.max_grad_norm)


__all__ = ["create_player_optimizer"]
