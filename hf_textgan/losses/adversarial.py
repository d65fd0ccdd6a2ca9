"""Losses of generators and discriminators."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..utils.names import unknown_name


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


@dataclass(frozen=True)
class AdversarialLoss:
    """
    The losses of a discriminator and of a generator whose samples it can be differentiated with respect to.

    Both functions take scores ``a`` of real and ``b`` of generated examples before any sigmoid, higher for real, as
    tensors of one shape `(batch_size, ...)`, and return the mean over all entries, in single precision.

    Args:
        discriminator (`Callable`):
            ``L_D(a, b)``.
        generator (`Callable`):
            ``L_G(a, b)``, in which no gradient flows through ``a``.
        generator_reads_real (`bool`):
            Whether ``L_G`` depends on ``a``.
        couples_batch (`bool`):
            Whether the loss of an example depends on the others of its batch.
    """

    discriminator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator_reads_real: bool = False
    couples_batch: bool = False


def standard_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``- E log s(a) - E log(1 - s(b))`` with the logistic function ``s`` (Goodfellow et al. 2014, arXiv
    1406.2661, equation 1).
    """
    return F.softplus(-a.float()).mean() + F.softplus(b.float()).mean()


def non_saturating_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Returns ``- E log s(b)`` (Goodfellow et al. 2014, arXiv 1406.2661, section 3)."""
    return F.softplus(-b.float()).mean()


def minimax_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``E log(1 - s(b))``, which up to constants is the Jensen-Shannon divergence if the discriminator is optimal
    (Goodfellow et al. 2014, arXiv 1406.2661, equation 1).
    """
    return -F.softplus(b.float()).mean()


def log_ratio_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``- E b = - E log(D / (1 - D))``, which is the divergence ``KL(p_generator || p_data)`` if the
    discriminator is optimal (Soenderby et al. 2017, arXiv 1610.04490). It is the generator's loss of a Wasserstein GAN
    and of the hinge loss as well.
    """
    return -b.float().mean()


def wasserstein_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Returns ``E b - E a`` (Arjovsky et al. 2017, arXiv 1701.07875, equation 3)."""
    return -score_gap(a, b)


def hinge_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Returns ``E max(0, 1 - a) + E max(0, 1 + b)`` (Lim and Ye 2017, arXiv 1705.02894)."""
    return F.relu(1 - a.float()).mean() + F.relu(1 + b.float()).mean()


def total_variation_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``E tanh(b) - E tanh(a)``, minus twice the total variation if the discriminator is optimal (f-GAN, Nowozin
    et al. 2016, arXiv 1606.00709, table 2).
    """
    return torch.tanh(b.float()).mean() - torch.tanh(a.float()).mean()


def least_squares_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Returns ``1/2 E (a - 1)^2 + 1/2 E b^2`` (Mao et al. 2017, arXiv 1611.04076, equation 9)."""
    return 0.5 * (a.float() - 1).square().mean() + 0.5 * b.float().square().mean()


def relativistic_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``- E log s(a - b)`` over pairs of a real and a generated example of the same index (RSGAN,
    Jolicoeur-Martineau 2019, arXiv 1807.00734).
    """
    return F.softplus(b.float() - a.float()).mean()


def relativistic_average_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """
    Returns ``- E log s(a - E b) - E log(1 - s(b - E a))`` with means over the batch (RaSGAN, Jolicoeur-Martineau 2019,
    arXiv 1807.00734).
    """
    a, b = a.float(), b.float()
    return F.softplus(b.mean(0) - a).mean() + F.softplus(b - a.mean(0)).mean()


# The choices of an adversarial loss, by name.
ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    "standard": AdversarialLoss(standard_loss, non_saturating_loss),
    "js": AdversarialLoss(standard_loss, minimax_loss),
    "kl": AdversarialLoss(standard_loss, log_ratio_loss),
    "hinge": AdversarialLoss(hinge_loss, log_ratio_loss),
    "tv": AdversarialLoss(total_variation_loss, lambda a, b: -torch.tanh(b.float()).mean()),
    "wasserstein": AdversarialLoss(wasserstein_loss, log_ratio_loss),
    "least_squares": AdversarialLoss(least_squares_loss, lambda a, b: 0.5 * (b.float() - 1).square().mean()),
    "rsgan": AdversarialLoss(
        relativistic_loss, lambda a, b: relativistic_loss(b, a.detach()), generator_reads_real=True
    ),
    "ragan": AdversarialLoss(
        relativistic_average_loss,
        lambda a, b: relativistic_average_loss(b, a.detach()),
        generator_reads_real=True,
        couples_batch=True,
    ),
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Returns the adversarial loss of this name, one of [`ADVERSARIAL_LOSSES`]."""
    if name not in ADVERSARIAL_LOSSES:
        raise ValueError(unknown_name("adversarial loss", name, ADVERSARIAL_LOSSES))
    return ADVERSARIAL_LOSSES[name]


__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "adversarial_loss",
    "class_cross_entropy",
    "penalty_loss",
    "policy_gradient_loss",
    "real_fake_cross_entropy",
    "score_gap",
]
