"""Losses of generators and discriminators."""

import torch
from torch.nn import functional as F


def policy_gradient_loss(
    per_token_logps: torch.Tensor, rewards: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """
    Returns the REINFORCE loss with one reward per token, summed over batch and time: ``- sum_b sum_t log G(y_t | y_<t)
    Q_{b,t}`` (SeqGAN, arXiv 1609.05473, equation 7). The rewards are data: no gradient flows through them.

    Args:
        per_token_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            Log-probabilities with gradient.
        rewards (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            Action values.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 through EOS; padding does not count.
    """
    return -(per_token_logps * rewards.detach() * attention_mask).sum()


def real_fake_cross_entropy(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """
    Returns the mean two-class cross-entropy of real (class 1) and fake (class 0) sequences, ``- E log D(x) - E log(1 -
    D(G))`` up to the factor 1/2 of the mean (SeqGAN, arXiv 1609.05473, equation 5).

    Args:
        real_logits, fake_logits (`torch.FloatTensor` of shape `(batch_size, 2)`):
            Scores before the softmax.
    """
    real = torch.ones(len(real_logits), dtype=torch.long, device=real_logits.device)
    fake = torch.zeros(len(fake_logits), dtype=torch.long, device=fake_logits.device)
    return F.cross_entropy(torch.cat([real_logits, fake_logits]).float(), torch.cat([real, fake]))


def score_gap(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """
    Returns ``E f(x) - E f(G(z))``, which a critic maximizes: an estimate of the Wasserstein distance up to the
    critic's Lipschitz constant (IWGAN, arXiv 1704.00028, equation 2).

    Args:
        real_scores, fake_scores (`torch.FloatTensor` of shape `(batch_size,)`):
            The critic's scores.
    """
    return real_scores.float().mean() - fake_scores.float().mean()


__all__ = ["policy_gradient_loss", "real_fake_cross_entropy", "score_gap"]
