"""The categorical draw."""

import torch


_ROWS = 256  # rows whose weights are held at once, on CPU
_BLOCK = 64  # symbols


def draw_categorical(logits: torch.Tensor, temperature: float = 1.0, num_draws: int | None = None) -> torch.LongTensor:
    """
    Draws one index per row from ``softmax(logits / temperature)``, or several independently; an index of probability
    zero is never drawn.

    On CPU it inverts the cumulative distribution, which costs far less than `torch.multinomial` at large vocabularies.
    Logits with NaN or +inf give an arbitrary index instead of an error: the loss of such samples is not finite either.

    Args:
        logits (`torch.FloatTensor` of shape `(num_rows, vocab_size)`):
            Unnormalised log-probabilities; -inf for impossible symbols.
        temperature (`float`, *optional*, defaults to `1.0`):
            Positive; below 1 sharpens.
        num_draws (`int`, *optional*):
            How many of each row.

    Returns:
        `torch.LongTensor` of shape `(num_rows,)`, or `(num_rows, num_draws)` if a number is given.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; set it above 0 (1 samples the model's own distribution).")
    draw = _invert if logits.device.type == "cpu" else _race
    drawn = draw(logits, temperature, num_draws or 1)
    return drawn.squeeze(1) if num_draws is None else drawn


def _invert(logits: torch.Tensor, temperature: float, num_draws: int) -> torch.LongTensor:
    """
    Inverts the cumulative distribution in two steps: the sums of blocks of symbols, then the symbols of one block. A
    few rows at a time, in one buffer: touching fresh memory for every row would cost more than the arithmetic.
    """
    num_rows, vocab_size = logits.shape
    num_blocks = -(-vocab_size // _BLOCK)
    weights = torch.zeros(min(num_rows, _ROWS), num_blocks * _BLOCK)  # what exceeds the vocabulary stays 0
    drawn = torch.empty(num_rows, num_draws, dtype=torch.long)
    for start in range(0, num_rows, _ROWS):
        rows = logits[start : start + _ROWS].float()
        part = weights[: len(rows)]
        symbols = part[:, :vocab_size]
        torch.sub(rows, rows.amax(dim=-1, keepdim=True), out=symbols)
        if temperature != 1.0:
            symbols.div_(temperature)
        symbols.exp_()
        blocks = part.view(len(rows), num_blocks, _BLOCK)
        cumulative = blocks.sum(-1).cumsum(-1)  # (R, num_blocks), unnormalised
        threshold = torch.rand(len(rows), num_draws) * cumulative[:, -1:]
        block = _first_above(cumulative, threshold)  # (R, N)
        before = cumulative.gather(1, (block - 1).clamp(min=0)).masked_fill_(block == 0, 0.0)
        within = blocks.gather(1, block[..., None].expand(-1, -1, _BLOCK)).cumsum(-1)  # (R, N, _BLOCK)
        symbol = _first_above(within, (threshold - before)[..., None]).squeeze(-1)
        drawn[start : start + len(rows)] = block * _BLOCK + symbol
    return drawn.clamp_(max=vocab_size - 1)  # NaN lies beyond the last


def _first_above(cumulative: torch.Tensor, threshold: torch.Tensor) -> torch.LongTensor:
    """The first place in the last dimension whose cumulative sum exceeds the threshold, in the threshold's shape."""
    # Rounding may lift the threshold to the total, beyond the last place that can occur.
    total = cumulative[..., -1:]
    threshold = torch.minimum(threshold, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, threshold, right=True).clamp_(max=cumulative.shape[-1] - 1)


def _race(logits: torch.Tensor, temperature: float, num_draws: int) -> torch.LongTensor:
    """The first of exponential clocks with these rates; for devices whose cumulative sums are parallel."""
    logits = logits.float()
    weights = torch.exp((logits - logits.amax(dim=-1, keepdim=True)) / temperature)
    races = [(weights / torch.empty_like(weights).exponential_()).argmax(dim=-1) for _ in range(num_draws)]
    return torch.stack(races, dim=1)


__all__ = ["draw_categorical"]
