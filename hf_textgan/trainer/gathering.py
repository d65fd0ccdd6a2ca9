"""Samples of all processes."""

from typing import cast

import torch
from accelerate import Accelerator

from ..evaluation import SAMPLE_BLOCK
from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples


def gather_samples(accelerator: Accelerator, own: Samples, engine: RolloutEngine, num_samples: int) -> Samples:
    """
    Returns the first `num_samples` of the samples that all processes have drawn by [`~evaluation.sample_sequences`],
    in the order of their blocks, with what their generator read.
    """
    sequences = _gather(accelerator, own.sequences, engine.pad_token_id)
    inputs = {name: _gather(accelerator, value) for name, value in own.inputs.items()}
    return engine.as_samples(sequences, inputs)[:num_samples]


def _gather(accelerator: Accelerator, own: torch.Tensor, padding: int = 0) -> torch.Tensor:
    padded = accelerator.pad_across_processes(own, pad_index=padding)
    if own.dim() == 2:  # conditions of the processes may have other lengths
        padded = accelerator.pad_across_processes(padded, dim=1, pad_index=padding)
    rows = cast(torch.Tensor, accelerator.gather(padded))
    if accelerator.num_processes == 1:
        return rows
    # (world, blocks, SAMPLE_BLOCK, ...): block b of rank r is block b * world_size + r of the whole.
    blocks = rows.view(accelerator.num_processes, -1, SAMPLE_BLOCK, *rows.shape[1:])
    return blocks.transpose(0, 1).reshape(-1, *rows.shape[1:])


__all__ = ["gather_samples"]
