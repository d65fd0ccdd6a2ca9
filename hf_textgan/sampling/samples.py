"""Sampled sequences and completions."""

from dataclasses import dataclass

import torch


@dataclass
class Samples:
    """
    Sampled sequences, without BOS.

    Args:
        sequences (`torch.LongTensor` of shape `(batch_size, max_length)`):
            Token ids through EOS, then padding.
        attention_mask (`torch.LongTensor` of shape `(batch_size, max_length)`):
            1 through the EOS (inclusive), 0 at padding.
    """

    sequences: torch.LongTensor
    attention_mask: torch.LongTensor


@dataclass
class RolloutChunk:
    """
    Completions of some prefixes of a batch of sequences.

    Args:
        row (`torch.LongTensor` of shape `(num_completions,)`):
            Which sequence of the batch a completion continues.
        prefix_length (`torch.LongTensor` of shape `(num_completions,)`):
            How many tokens of that sequence it keeps, from 1.
        sequences (`torch.LongTensor` of shape `(num_completions, max_length)`):
            The kept tokens and the drawn ones through EOS, then padding.
    """

    row: torch.LongTensor
    prefix_length: torch.LongTensor
    sequences: torch.LongTensor


__all__ = ["RolloutChunk", "Samples"]
