"""The real batches of every iteration, as a pure function of the seed and the index."""

import zlib
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
from torch.utils.data import Dataset

from ..data.rows import Rows
from .schedule import PhaseSchedule


class AlternatingBatches(Dataset):
    """
    Item `i` holds all real batches that one process needs for one micro-step of one iteration.

    Index `i` belongs to iteration `i // (accumulation * world_size)`; within it the micro-steps follow one another,
    and within those the ranks. So a sequential loader that deals its items to the ranks in turn gives each its own
    data. Each player reads its own stream: permutations of the data set, one after the other.

    Args:
        dataset (`datasets.Dataset` or sequence of `dict`):
            The encoded training data.
        schedule ([`PhaseSchedule`]):
            The updates of each iteration.
        batch_size (`int`):
            Examples per batch, process and micro-step.
        collate (`Callable[[list[dict]], dict[str, torch.Tensor]]`):
            Makes a batch of examples.
        seed (`int`):
            Decides the order.
        accumulation (`int`, *optional*, defaults to `1`):
            Micro-steps per optimizer step.
        world_size (`int`, *optional*, defaults to `1`):
            Number of processes.

    An item is a list with one entry per update of the iteration, each a list of `repeat` batches.
    """

    def __init__(
        self,
        dataset: Rows,
        schedule: PhaseSchedule,
        batch_size: int,
        collate: Callable[[list[dict[str, Any]]], dict],
        seed: int,
        accumulation: int = 1,
        world_size: int = 1,
    ):
        self.dataset = dataset
        self.schedule = schedule
        self.batch_size = batch_size
        self.collate = collate
        self.seed = seed
        self.accumulation = accumulation
        self.world_size = world_size
        self._permutations: dict[tuple[str, int], np.ndarray] = {}

    def __len__(self) -> int:
        return self.schedule.total * self.accumulation * self.world_size

    def __getitem__(self, index: int) -> list[list[dict]]:
        if not 0 <= index < len(self):
            raise IndexError(f"index is {index}; this run has {len(self)} micro-steps.")
        micro, rank = divmod(index, self.world_size)
        iteration, micro = divmod(micro, self.accumulation)
        taken: dict[str, int] = {}
        batches = []
        for update in self.schedule.at(iteration).updates:
            first = self.schedule.steps_before(iteration, update.player) + taken.get(update.player, 0)
            taken[update.player] = taken.get(update.player, 0) + update.repeat
            batches.append(
                [
                    self._batch(update.player, ((first + k) * self.accumulation + micro) * self.world_size + rank)
                    for k in range(update.repeat)
                ]
            )
        return batches

    def _batch(self, player: str, number: int) -> dict:
        """Returns the batch with this number in the stream of a player."""
        positions = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        epochs, offsets = np.divmod(positions, len(self.dataset))
        indices = [int(self._permutation(player, int(e))[o]) for e, o in zip(epochs, offsets, strict=True)]
        if isinstance(self.dataset, datasets.Dataset):
            return self.collate(self.dataset.__getitems__(indices))  # all at once
        return self.collate([self.dataset[i] for i in indices])

    def _permutation(self, player: str, epoch: int) -> np.ndarray:
        key = (player, epoch)
        if key not in self._permutations:
            generator = np.random.Generator(np.random.PCG64([self.seed, zlib.crc32(player.encode()), epoch]))
            for old in [k for k in self._permutations if k[0] == player and k[1] < epoch - 1]:
                del self._permutations[old]
            # The order of `generator.permutation` in half of its memory.
            kind = np.uint32 if len(self.dataset) < 2**32 else np.int64
            self._permutations[key] = np.arange(len(self.dataset), dtype=kind)
            generator.shuffle(self._permutations[key])
        return self._permutations[key]


__all__ = ["AlternatingBatches"]
