"""The loader of the batches of a run."""

from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader, SequentialSampler

from ..core.batches import AlternatingBatches
from ..core.schedule import PhaseSchedule
from ..data.rows import Rows
from .adversarial_config import AdversarialConfig


def batch_loader(
    dataset: Rows, schedule: PhaseSchedule, args: AdversarialConfig, collator: Callable[..., Any]
) -> DataLoader:
    """Returns the loader that gives the batches of all updates, micro-batch by micro-batch of the schedule."""
    batches = AlternatingBatches(
        dataset,
        schedule,
        args.per_device_train_batch_size,
        collator,
        seed=args.data_seed if args.data_seed is not None else args.seed,
        accumulation=args.gradient_accumulation_steps,
        world_size=args.world_size,
    )
    return DataLoader(
        batches,
        batch_size=1,
        sampler=SequentialSampler(batches),
        collate_fn=_first,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory and args.device.type != "cpu",
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        multiprocessing_context=args.dataloader_multiprocessing_context,
        in_order=args.dataloader_in_order,
    )


def _first(items: list) -> Any:
    return items[0]


__all__ = ["batch_loader"]
