"""A pool of generated sequences that several epochs of discriminator steps share."""

import zlib
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ..core.context import StepContext
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples, concatenate_samples
from ..utils.random import fork_rng


_SAMPLING_BATCH_SIZE = 1024


class NegativePool:
    """
    A pool of negatives as in SeqGAN's reference schedule: `size` sequences are drawn from the generator, with what it
    reads beside tokens, serve for `epochs` epochs, each in an order of its own, and are then replaced.

    The rows of a step are a pure function of its number in the phase, and all processes draw the same pool. So the
    negatives of a step do not depend on the number of processes. The pool itself is state, because the generator may
    have been updated since it was drawn.

    Args:
        size (`int`):
            Sequences in the pool. An epoch leaves out what does not fill a step.
        epochs (`int`):
            Number of epochs before the pool is replaced.
    """

    def __init__(self, size: int, epochs: int):
        self.size = size
        self.epochs = epochs
        self._key: tuple[str, int] | None = None  # phase, number of the pool in it
        self._sequences: torch.Tensor | None = None
        self._inputs: dict[str, torch.Tensor] = {}

    def steps_per_epoch(self, num_examples: int) -> int:
        """
        Returns the number of steps of `num_examples` in an epoch; raises `ValueError` if the pool does not fill one.
        """
        if self.size < num_examples:
            raise ValueError(
                f"num_negatives is {self.size}, but a step takes {num_examples}; set it to a multiple of that, or to "
                "0 for fresh negatives."
            )
        return self.size // num_examples

    def batch(self, engine: RolloutEngine, model: PreTrainedModel, batch_size: int, context: StepContext) -> Samples:
        """Returns the `batch_size` negatives of this step and shard."""
        steps_per_epoch = self.steps_per_epoch(batch_size * context.num_shards)
        number, step = divmod(context.step, steps_per_epoch * self.epochs)
        # A phase begins with a new pool, even where an earlier run has left one of this name and number.
        if context.step == 0 or self._key != (context.phase, number):
            with fork_rng("negatives", context.seed, context.phase, number):
                counts = [
                    min(_SAMPLING_BATCH_SIZE, self.size - start) for start in range(0, self.size, _SAMPLING_BATCH_SIZE)
                ]
                drawn = concatenate_samples([engine.sample(model, count) for count in counts])
            self._key, self._sequences, self._inputs = (context.phase, number), drawn.sequences, drawn.inputs
        epoch, step = divmod(step, steps_per_epoch)
        order = np.random.Generator(
            np.random.PCG64([context.seed, zlib.crc32(context.phase.encode()), number, epoch])
        ).permutation(self.size)
        start = (step * context.num_shards + context.shard) * batch_size
        assert self._sequences is not None
        rows = torch.from_numpy(order[start : start + batch_size]).to(self._sequences.device)
        inputs = {name: value[rows] for name, value in self._inputs.items()}
        return engine.as_samples(self._sequences[rows], inputs).to(model.device)

    def state_dict(self) -> dict[str, Any]:
        if self._key is None or self._sequences is None:
            return {}
        return {
            "key": list(self._key),
            "sequences": self._sequences.to("cpu", torch.int32),
            "inputs": {name: value.cpu() for name, value in self._inputs.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._key, self._sequences, self._inputs = None, None, {}
        if state:
            self._key, self._sequences = tuple(state["key"]), state["sequences"].long()
            self._inputs = state.get("inputs", {})  # older checkpoints have none


__all__ = ["NegativePool"]
