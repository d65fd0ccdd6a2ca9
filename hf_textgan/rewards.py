"""Rewards of sequences and of their prefixes."""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

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


__all__ = ["rollout_rewards", "score_in_batches"]
