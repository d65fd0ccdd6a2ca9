"""Rewards of sequences and of their prefixes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from .metrics.ngrams import ReferenceTable
from .sampling import RolloutEngine, Samples


def score_in_batches(
    score: Callable[[torch.LongTensor], torch.Tensor], sequences: torch.LongTensor, batch_size: int = 512
) -> torch.Tensor:
    """`score` applied to `(num_sequences, sequence_length)` a batch at a time, which bounds the memory it needs."""
    return torch.cat([score(part).float() for part in sequences.split(batch_size)])


@torch.no_grad()
def rollout_rewards(
    engine: RolloutEngine,
    model: PreTrainedModel,
    samples: Samples,
    score: Callable[[torch.LongTensor], torch.Tensor],
    num_rollouts: int,
    temperature: float = 1.0,
) -> torch.Tensor:
    """
    Action values by Monte-Carlo search (SeqGAN, arXiv 1609.05473, equation 4): ``Q_t`` is the mean score of
    `num_rollouts` completions of ``y_1..y_t`` drawn from the current policy, and the score itself at the last token.

    Args:
        engine ([`RolloutEngine`]):
            Draws the completions.
        model (`PreTrainedModel`):
            The bare generator.
        samples ([`Samples`]):
            `batch_size` sequences of `engine.max_length` positions.
        score (`Callable`):
            Maps sequences of shape `(n, max_length)` to `n` scores.
        num_rollouts (`int`):
            Completions per prefix.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, max_length)`: 0 at padding.
    """
    lengths = samples.attention_mask.sum(1)
    final = score_in_batches(score, samples.sequences)  # (B,)
    rewards = torch.zeros(samples.sequences.shape, device=samples.sequences.device)
    rewards[torch.arange(len(lengths), device=lengths.device), lengths - 1] = final
    for chunk in engine.rollout(model, samples, num_rollouts, temperature):
        if len(chunk.row):
            scores = score_in_batches(score, chunk.sequences)
            rewards.index_put_((chunk.row, chunk.prefix_length - 1), scores / num_rollouts, accumulate=True)
    return rewards


class BleuScore:
    """
    BLEU of sequences against real ones, as a score for [`rollout_rewards`] (PG-BLEU, the baseline of SeqGAN, arXiv
    1609.05473, section 4). Counts of 0 are smoothed; EOS and padding are left out.

    Args:
        dataset (sequence of `dict`):
            Encoded real text, BOS first.
        engine ([`RolloutEngine`]):
            Knows the EOS.
        order (`int`, *optional*, defaults to `3`):
            The longest n-grams.
        num_references (`int`, *optional*, defaults to `10000`):
            How many rows to compare with, evenly spaced in `dataset`.
    """

    def __init__(
        self,
        dataset: Sequence[dict[str, Any]],
        engine: RolloutEngine,
        order: int = 3,
        num_references: int = 10_000,
    ):
        self.eos_token_id = engine.eos_token_id
        self.order = order
        places = np.unique(np.linspace(0, len(dataset) - 1, min(num_references, len(dataset))).astype(int))
        rows = (np.asarray(dataset[int(place)]["input_ids"]) for place in places)  # lists or tensors
        references = [self._tokens(row[1:].tolist()) for row in rows]
        self.table = ReferenceTable(references, order)

    def __call__(self, sequences: torch.LongTensor) -> torch.Tensor:
        """The scores of sequences `(n, sequence_length)` without BOS, from 0 to 1."""
        tokens = [self._tokens(row) for row in sequences.tolist()]
        return torch.tensor(self.table.sentence_scores(tokens, self.order), device=sequences.device)

    def _tokens(self, row: list[int]) -> list[int]:
        return row[: row.index(self.eos_token_id)] if self.eos_token_id in row else row


__all__ = ["BleuScore", "rollout_rewards", "score_in_batches"]
