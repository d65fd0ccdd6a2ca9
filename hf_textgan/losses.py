"""Losses as pure functions of tensors, each with its source."""

import torch
from torch.nn import functional as F


def token_nll(per_token_logps: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Mean negative log-likelihood per token.

    Args:
        per_token_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            ``log p(x_t | x_<t)`` in nats.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 where a token counts.

    Returns:
        The loss in nats per token, and the number of tokens.
    """
    num_tokens = attention_mask.sum()
    return -(per_token_logps * attention_mask).sum() / num_tokens.clamp(min=1), num_tokens


def policy_gradient_loss(per_token_logps: torch.Tensor, rewards: torch.Tensor, attention_mask: torch.Tensor):
    """
    REINFORCE with one reward per token, summed over batch and time: ``- sum_b sum_t log G(y_t | y_<t) Q_{b,t}``
    (SeqGAN, arXiv 1609.05473, equation 7). The rewards are data: no gradient flows through them.

    Args:
        per_token_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            With gradient.
        rewards (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            Action values.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 through EOS; padding earns no loss.
    """
    return -(per_token_logps * rewards.detach() * attention_mask).sum()


def real_fake_cross_entropy(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """
    Mean two-class cross-entropy of real (class 1) and fake (class 0) sequences, ``- E log D(x) - E log(1 - D(G))`` up
    to the factor 1/2 of the mean (SeqGAN, arXiv 1609.05473, equation 5).

    Args:
        real_logits, fake_logits (`torch.FloatTensor` of shape `(batch_size, 2)`):
            Scores before the softmax.
    """
    real = torch.ones(len(real_logits), dtype=torch.long, device=real_logits.device)
    fake = torch.zeros(len(fake_logits), dtype=torch.long, device=fake_logits.device)
    return F.cross_entropy(torch.cat([real_logits, fake_logits]).float(), torch.cat([real, fake]))


def wasserstein_gap(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """
    ``E f(x) - E f(G(z))``: what a critic maximises, an estimate of the Wasserstein distance if it is 1-Lipschitz
    (IWGAN, arXiv 1704.00028, equation 2).

    Args:
        real_scores, fake_scores (`torch.FloatTensor` of shape `(batch_size,)`):
            The critic's scores.
    """
    return real_scores.float().mean() - fake_scores.float().mean()


def squared_error_of_symbols(probabilities: torch.Tensor, sequences: torch.LongTensor) -> torch.Tensor:
    """
    ``|| x - xt ||^2`` of the one-hot rows ``x`` of sequences and rows ``xt`` of probabilities, summed over positions
    and symbols, mean over sequences: the loss of TextKD-GAN's autoencoder (arXiv 1905.01976). With uniform
    probabilities over V symbols it is ``1 - 1/V`` per position.

    Args:
        probabilities (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`):
            The reconstructions.
        sequences (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            The symbols.
    """
    hit = probabilities.gather(2, sequences[..., None]).squeeze(2)
    return (probabilities.square().sum(2) - 2 * hit + 1).sum(1).mean()


def row_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """The entropy in nats of distributions `(..., vocab_size)`: 0 for one-hot rows, at most ``log V``."""
    return torch.special.entr(probabilities).sum(-1)


__all__ = [
    "policy_gradient_loss",
    "real_fake_cross_entropy",
    "row_entropy",
    "squared_error_of_symbols",
    "token_nll",
    "wasserstein_gap",
]
