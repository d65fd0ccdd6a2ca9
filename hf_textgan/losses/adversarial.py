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


def penalty_loss(per_token_logps: torch.Tensor, penalties: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """
    Returns the penalty-based loss, summed over batch and time: ``sum_b sum_t G(y_t | y_<t) V_{b,t}`` (SentiGAN, Wang
    and Wan, IJCAI 2018, equations 1 and 2). The tokens and the penalties are data: the gradient is that of the
    probabilities alone. Its expectation at a prefix is the gradient of ``1/2 sum_v G(v)^2 V(v)``, which is least where
    ``G(v)`` is proportional to ``1 / V(v)``.

    Args:
        per_token_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            Log-probabilities with gradient.
        penalties (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            The penalties ``V``.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 through EOS; padding does not count.
    """
    return (per_token_logps.exp() * penalties.detach() * attention_mask).sum()


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


def class_cross_entropy(
    real_logits: torch.Tensor, fake_logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """
    Returns the cross-entropy of a discriminator of `k` classes of real text and one of fake text: ``- (sum_i
    E_{real_i} log D_i(x) + E_fake log D_fake(x)) / (k + 1)`` (SentiGAN, Wang and Wan, IJCAI 2018, equation 5, up to
    the constant factor). With one class it is [`real_fake_cross_entropy`].

    Args:
        real_logits, fake_logits (`torch.FloatTensor` of shape `(batch_size, k + 1)`):
            Scores before the softmax; class 0 is fake, class `i + 1` real text of class `i`.
        labels (`torch.LongTensor` of shape `(batch_size,)`):
            The classes of the real sequences, from 0.
        weights (`torch.FloatTensor` of shape `(k,)`):
            One over the share of each class in real text, so that each counts the same however frequent it is.
    """
    real = F.cross_entropy(real_logits.float(), labels + 1, reduction="none") * weights[labels]
    fake = F.cross_entropy(fake_logits.float(), torch.zeros_like(labels), reduction="none")
    return (real.mean() + fake.mean()) / (len(weights) + 1)


def score_gap(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """
    Returns ``E f(x) - E f(G(z))``, which a critic maximizes: an estimate of the Wasserstein distance up to the
    critic's Lipschitz constant (IWGAN, arXiv 1704.00028, equation 2).

    Args:
        real_scores, fake_scores (`torch.FloatTensor` of shape `(batch_size,)`):
            The critic's scores.
    """
    return real_scores.float().mean() - fake_scores.float().mean()


__all__ = ["class_cross_entropy", "penalty_loss", "policy_gradient_loss", "real_fake_cross_entropy", "score_gap"]
