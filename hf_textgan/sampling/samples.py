"""Sampled sequences and completions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F


@dataclass
class Samples:
    """
    Sequences, without BOS, and what their generator reads beside tokens.

    ``samples[rows]`` takes some of them, by a slice or a tensor of indices.

    Args:
        sequences (`torch.LongTensor` of shape `(batch_size, max_length)`):
            Token ids through EOS, then padding.
        attention_mask (`torch.LongTensor` of shape `(batch_size, max_length)`):
            1 through the EOS (inclusive), 0 at padding.
        inputs (`dict[str, torch.Tensor]`, *optional*):
            The inputs of the generator beside tokens, by name, a row per sequence: class labels, latents, noise,
            conditions (see [`Capabilities`]).
    """

    sequences: torch.Tensor
    attention_mask: torch.Tensor
    inputs: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, rows: slice | torch.Tensor) -> "Samples":
        inputs = {name: value[rows] for name, value in self.inputs.items()}
        return Samples(self.sequences[rows], self.attention_mask[rows], inputs)

    def to(self, device: torch.device | str) -> "Samples":
        """Returns the samples on a device."""
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return Samples(self.sequences.to(device), self.attention_mask.to(device), inputs)


def concatenate_samples(parts: Sequence[Samples]) -> Samples:
    """
    Returns the samples of all parts, in order. Inputs of several columns, such as conditions, are padded on the right
    with 0 to the widest part, where their mask is then 0 as well.
    """
    inputs = {}
    for name, first in parts[0].inputs.items():
        values = [part.inputs[name] for part in parts]
        if first.dim() == 2:
            width = max(value.shape[1] for value in values)
            values = [F.pad(value, (0, width - value.shape[1])) for value in values]
        inputs[name] = torch.cat(values)
    return Samples(
        torch.cat([part.sequences for part in parts]), torch.cat([part.attention_mask for part in parts]), inputs
    )


@dataclass
class RolloutChunk:
    """
    Completions of some prefixes of a batch of sequences.

    Args:
        row (`torch.LongTensor` of shape `(num_completions,)`):
            Index of the sequence in the batch that a completion continues.
        prefix_length (`torch.LongTensor` of shape `(num_completions,)`):
            Number of tokens of that sequence that it keeps, from 1.
        samples ([`Samples`]):
            The completions: the kept and the drawn tokens of shape `(num_completions, max_length)`, and the inputs
            that their generator read.
    """

    row: torch.Tensor
    prefix_length: torch.Tensor
    samples: Samples

    @property
    def sequences(self) -> torch.Tensor:
        """The token ids of the completions, of shape `(num_completions, max_length)`."""
        return self.samples.sequences


__all__ = ["RolloutChunk", "Samples", "concatenate_samples"]
