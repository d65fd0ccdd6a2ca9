"""Outputs and recurrent states shared by the models."""

from dataclasses import dataclass

import torch
from transformers.generation.utils import ALL_CACHE_NAMES
from transformers.utils.generic import ModelOutput


# The name of the cache in the arguments and the output of a model, for `generate`; transformers 5.24 renamed it.
CACHE_NAME = "cache" if "cache" in ALL_CACHE_NAMES else "past_key_values"


class RecurrentState:
    """
    The state of a recurrent generator after the tokens it has read: the counterpart of a key-value cache.

    Args:
        tensors (`tuple[torch.FloatTensor, ...]`):
            `(h, c)` of an LSTM or `(h,)` of a GRU, each of shape `(num_layers, batch_size, hidden_size)`.
        length (`int`):
            Number of tokens read.
    """

    # `generate` reads these attributes of a cache that it continues from.
    is_compileable = False
    is_croppable = False
    is_linear = (False,)  # the length is known, so `generate` can leave out the tokens that were read

    def __init__(self, tensors: tuple[torch.Tensor, ...], length: int):
        self.tensors = tensors
        self.length = length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Replaces row `i` by row `beam_idx[i]`, in place; `beam_idx` may repeat and drop rows."""
        self.tensors = tuple(tensor.index_select(1, beam_idx.to(tensor.device)) for tensor in self.tensors)

    def crop(self, max_length: int) -> None:
        """Refuses, because a recurrent state does not keep the states before it."""
        raise ValueError(
            "A recurrent state cannot go back to an earlier token, as assisted generation asks of the assistant; use "
            "an assistant_model with a key-value cache, or none."
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Returns the number of tokens read."""
        return self.length


@dataclass
class LatentGenerationOutput(ModelOutput):
    """
    Output of a one-shot generator, which maps a latent vector to a whole sequence.

    Args:
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`):
            Scores of the tokens at each position, before the softmax.
        codes (`torch.FloatTensor` of shape `(batch_size, code_size)`, *optional*):
            Codes of the latent vectors, of a generator in the code space of an autoencoder.
    """

    logits: torch.Tensor | None = None
    codes: torch.Tensor | None = None


@dataclass
class AutoencoderOutput(ModelOutput):
    """
    Output of an autoencoder.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*):
            Mean cross-entropy of the tokens whose label is not -100, in nats.
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`):
            Scores of the tokens at each position, before the softmax.
        codes (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
            The codes of the sequences, without noise.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    codes: torch.Tensor | None = None


@dataclass
class DiscriminatorOutput(ModelOutput):
    """
    Output of a discriminator of whole sequences, or of a critic.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*, returned when `labels` is provided):
            Mean cross-entropy of the labels.
        logits (`torch.FloatTensor` of shape `(batch_size, num_labels)`):
            Scores of the classes before the softmax; class 1 is `real`. A critic (`num_labels` 1) has one unbounded
            score, higher for real sequences.
        features (`torch.FloatTensor` of shape `(batch_size, num_features)`):
            The representation that the output layer reads, without dropout.
        scores (`torch.FloatTensor` of shape `(batch_size, num_scores)`, *optional*):
            Several scores of a sequence before any sigmoid, higher for real ones, of which `logits` is the mean.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    features: torch.Tensor | None = None
    scores: torch.Tensor | None = None


__all__ = [
    "AutoencoderOutput",
    "CACHE_NAME",
    "DiscriminatorOutput",
    "LatentGenerationOutput",
    "RecurrentState",
]
