"""The optimizers of the players."""

from collections.abc import Collection
from typing import Any, cast

import torch
from transformers import PreTrainedModel, Trainer, get_scheduler
from transformers.training_args import OptimizerNames

from ..core.step import PlayerOptimizer
from .adversarial_config import AdversarialConfig


def optimizer_class(
    args: AdversarialConfig, module: PreTrainedModel
) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """
    Returns the class of an optimizer and its keyword arguments.

    Raises:
        `ValueError`: If the optimizer needs a package that is not there.
    """
    try:
        return Trainer.get_optimizer_cls_and_kwargs(args, module)
    except (ImportError, ValueError) as error:
        name = OptimizerNames(args.optim).value
        raise ValueError(f"optim is {name!r}, which cannot be used here ({error}); choose another.") from error


def create_player_optimizer(
    args: AdversarialConfig,
    module: PreTrainedModel,
    num_steps: int,
    decayed: Collection[str],
    part: str | None = None,
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
        part (`str`, *optional*):
            The submodule whose parameters it trains; by default the whole player.
    """
    kind, options = optimizer_class(args, module)
    own = {id(parameter) for parameter in (module.get_submodule(part) if part else module).parameters()}
    trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad and id(p) in own]
    groups = [
        {"params": [p for name, p in trainable if name in decayed], "weight_decay": args.weight_decay},
        {"params": [p for name, p in trainable if name not in decayed], "weight_decay": 0.0},
    ]
    # Neither the optimizer nor the schedule is prepared by Accelerate: within an accumulation a prepared optimizer
    # silently does not step, and a prepared schedule steps once for each process.
    optimizer = kind(groups, **options)
    scheduler = get_scheduler(
        args.lr_scheduler_type,
        optimizer,
        num_warmup_steps=args.get_warmup_steps(num_steps),
        num_training_steps=num_steps,
        scheduler_specific_kwargs=cast(dict | None, args.lr_scheduler_kwargs),
    )
    return PlayerOptimizer(optimizer, scheduler, args.max_grad_norm)


__all__ = ["create_player_optimizer", "optimizer_class"]
