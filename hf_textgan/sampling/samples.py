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

    sequences: torch.Tensor
    attention_mask: torch.Tensor


@dataclass
class RolloutChunk:
    """
    Completions of some prefixes of a batch of sequences.

    Args:
        row (`torch.LongTensor` of shape `(num_completions,)`):
            Index of the sequence in the batch that a completion continues.
        prefix_length (`torch.LongTensor` of shape `(num_completions,)`):
            Number of tokens of that sequence that it keeps, from 1.
        sequences (`torch.LongTensor` of shape `(num_completions, max_length)`):
            The kept and the drawn tokens through EOS, then padding.
    """

    row: torch.Tensor
    prefix_length: torch.Tensor
    sequences: torch.Tensor


__all__ = ["RolloutChunk", "Samples"]
