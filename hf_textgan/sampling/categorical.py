"""The categorical draw."""

import torch


def draw_categorical(logits: torch.Tensor, temperature: float = 1.0) -> torch.LongTensor:
    """
    Draws one index per row from ``softmax(logits / temperature)``; an index of probability zero is never drawn.

    On CPU it inverts the cumulative distribution, which costs far less than `torch.multinomial` at large vocabularies.
    Logits with NaN or +inf give an arbitrary index instead of an error: the loss of such samples is not finite either.

    Args:
        logits (`torch.FloatTensor` of shape `(num_rows, vocab_size)`):
            Unnormalised log-probabilities; -inf for impossible symbols.
        temperature (`float`, *optional*, defaults to `1.0`):
            Positive; below 1 sharpens.

    Returns:
        `torch.LongTensor` of shape `(num_rows,)`.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; set it above 0 (1 samples the model's own distribution).")
    logits = logits.float()
    weights = torch.exp((logits - logits.amax(dim=-1, keepdim=True)) / temperature)
    return _invert(weights) if weights.device.type == "cpu" else _race(weights)


def _invert(weights: torch.Tensor) -> torch.LongTensor:
    """Inverts the cumulative distribution, which must be summed in order: rounding must not make it fall."""
    cumulative = weights.cumsum(dim=-1)  # (R, V), unnormalised
    total = cumulative[:, -1:]
    # Rounding may lift the threshold to the total, beyond the last symbol that can occur.
    threshold = torch.minimum(torch.rand_like(total) * total, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)
    return drawn.clamp_(max=weights.shape[-1] - 1)  # NaN lies beyond the last


def _race(weights: torch.Tensor) -> torch.LongTensor:
    """The first of exponential clocks with these rates; for devices whose cumulative sums are parallel."""
    return (weights / torch.empty_like(weights).exponential_()).argmax(dim=-1)


__all__ = ["draw_categorical"]
