"""Likelihood, reconstruction and entropy."""

import torch


def token_nll(per_token_logps: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Returns the mean negative log-likelihood per token.

    Args:
        per_token_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
            ``log p(x_t | x_<t)`` in nats.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 where a token counts, 0 at padding.

    Returns:
        The loss in nats per token, and the number of tokens.
    """
    num_tokens = attention_mask.sum()
    return -(per_token_logps * attention_mask).sum() / num_tokens.clamp(min=1), num_tokens


def squared_error(probabilities: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """
    Returns ``|| x - xt ||^2`` of the one-hot vectors ``x`` of sequences and probabilities ``xt``, summed over
    positions and tokens, averaged over sequences: the loss of TextKD-GAN's autoencoder (arXiv 1905.01976). With
    uniform probabilities over V tokens it is ``1 - 1/V`` per position.

    Args:
        probabilities (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`):
            The reconstructions.
        sequences (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            Token ids.
    """
    true_probability = probabilities.gather(2, sequences[..., None]).squeeze(2)
    return (probabilities.square().sum(2) - 2 * true_probability + 1).sum(1).mean()


def token_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Returns the entropy in nats of distributions `(..., vocab_size)`: 0 for one-hot vectors, at most ``log V``."""
    return torch.special.entr(probabilities).sum(-1)


__all__ = ["squared_error", "token_entropy", "token_nll"]
