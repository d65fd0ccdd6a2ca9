"""The categorical draw."""

import math
from collections.abc import Callable

import torch
from torch import nn


_ROWS = 256  # rows whose weights are held at once, on CPU
_BLOCK = 64  # symbols
_LARGEST_EXPONENT = 90.0  # 2^90 times any vocabulary is finite in single precision, and 2^-90 is not 0
_LOG2_E = 1 / math.log(2)


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
    if logits.device.type == "cpu":

        def write(rows: slice, out: torch.Tensor) -> None:
            torch.mul(logits[rows].detach().float(), _LOG2_E / temperature, out=out)

        drawn = _invert(write, logits.shape, num_draws or 1)
    else:
        drawn = _race(logits, temperature, num_draws or 1)
    return drawn.squeeze(1) if num_draws is None else drawn


def draw_from_hidden(
    hidden: torch.Tensor,
    head: nn.Linear,
    temperature: float = 1.0,
    num_draws: int | None = None,
    norms: tuple[float, float] | None = None,
) -> torch.LongTensor:
    """
    ``draw_categorical(head(hidden), temperature, num_draws)`` without ever holding the scores of all rows.

    Args:
        hidden (`torch.FloatTensor` of shape `(num_rows, hidden_size)`):
            What the output layer reads.
        head (`torch.nn.Linear`):
            The output layer, of shape `(vocab_size, hidden_size)`.
        norms (`tuple[float, float]`, *optional*):
            Its [`head_norms`], for many draws with the same layer.
    """
    if hidden.device.type != "cpu" or hidden.dtype != torch.float32 or head.weight.dtype != torch.float32:
        return draw_categorical(head(hidden), temperature, num_draws)
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; set it above 0 (1 samples the model's own distribution).")
    hidden, weight = hidden.detach() * (_LOG2_E / temperature), head.weight.detach().T
    bias = head.bias.detach() * (_LOG2_E / temperature) if head.bias is not None else hidden.new_zeros(())

    def write(rows: slice, out: torch.Tensor) -> None:
        torch.addmm(bias, hidden[rows], weight, out=out)

    shape = torch.Size((len(hidden), head.out_features))
    by_weight, by_bias = norms or head_norms(head)
    largest = float(hidden.abs().max()) if len(hidden) else 0.0
    # No score is further from 0.
    bound = largest * by_weight + by_bias * _LOG2_E / temperature
    drawn = _invert(write, shape, num_draws or 1, bound)
    return drawn.squeeze(1) if num_draws is None else drawn


def head_norms(head: nn.Linear) -> tuple[float, float]:
    """The largest 1-norm of the weights of a symbol, and the largest absolute bias."""
    bias = float(head.bias.detach().abs().max()) if head.bias is not None else 0.0
    return float(head.weight.detach().abs().sum(1).max()), bias


def _invert(
    write: Callable[[slice, torch.Tensor], None],
    shape: torch.Size,
    num_draws: int,
    bound: float = math.inf,
) -> torch.LongTensor:
    """
    Inverts the cumulative distribution in two steps: the sums of blocks of symbols, then the symbols of one block. A
    few rows at a time, in one buffer: touching fresh memory for every row would cost more than the arithmetic.

    `write` puts the scores of some rows, as logarithms to the base 2, into a tensor: powers of 2 take half the time of
    those of e. Where the scores are known to be small, their powers are finite and not 0 without subtracting the
    largest one first.
    """
    num_rows, vocab_size = shape
    num_blocks = -(-vocab_size // _BLOCK)
    weights = torch.zeros(min(num_rows, _ROWS), num_blocks * _BLOCK)
    drawn = torch.empty(num_rows, num_draws, dtype=torch.long)
    for start in range(0, num_rows, _ROWS):
        rows = slice(start, min(start + _ROWS, num_rows))
        part = weights[: rows.stop - start]
        symbols = part[:, :vocab_size]
        write(rows, symbols)
        if bound > _LARGEST_EXPONENT:
            symbols.sub_(symbols.amax(dim=-1, keepdim=True))
        part.exp2_()  # as one piece of memory
        part[:, vocab_size:] = 0.0
        blocks = part.view(len(part), num_blocks, _BLOCK)
        cumulative = blocks.sum(-1).cumsum(-1)  # (R, num_blocks), unnormalised
        threshold = torch.rand(len(part), num_draws) * cumulative[:, -1:]
        block = _first_above(cumulative, threshold)  # (R, N)
        before = cumulative.gather(1, (block - 1).clamp(min=0)).masked_fill_(block == 0, 0.0)
        within = blocks.gather(1, block[..., None].expand(-1, -1, _BLOCK)).cumsum(-1)  # (R, N, _BLOCK)
        symbol = _first_above(within, (threshold - before)[..., None]).squeeze(-1)
        drawn[rows] = block * _BLOCK + symbol
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


__all__ = ["draw_categorical", "draw_from_hidden", "head_norms"]
