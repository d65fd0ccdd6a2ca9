"""The categorical draw."""

from collections.abc import Callable

import torch
from torch import nn

from .output_layer import LOG2_E, ROW_BATCH_SIZE, OutputLayer


_BLOCK_SIZE = 64  # tokens of a block of the cumulative distribution
_NUCLEUS_CANDIDATES = 256  # most probable tokens, which usually contain the nucleus


def draw_categorical(
    logits: torch.Tensor,
    temperature: float = 1.0,
    num_draws: int | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
) -> torch.Tensor:
    """
    Draws one index per row from ``softmax(logits / temperature)``, or several independently. An index of probability
    zero is never drawn.

    On CPU it inverts the cumulative distribution, which costs far less than `torch.multinomial` at large vocabularies.
    Logits with NaN or +inf give an arbitrary index instead of an error: the loss of such samples is not finite either.

    Args:
        logits (`torch.FloatTensor` of shape `(num_rows, vocab_size)`):
            Unnormalised log-probabilities; -inf for impossible tokens.
        temperature (`float`, *optional*, defaults to `1.0`):
            A positive number; below 1 sharpens.
        num_draws (`int`, *optional*):
            Number of draws of each row.
        top_k (`int`, *optional*):
            Number of most probable tokens to draw from.
        top_p (`float`, *optional*):
            Probability of the nucleus to draw from: the fewest most probable tokens, of those that `top_k` leaves,
            that together have at least this probability (Holtzman et al. 2020, arXiv 1904.09751).

    Returns:
        `torch.LongTensor` of shape `(num_rows,)`, or `(num_rows, num_draws)` if a number is given.
    """
    check_sampling(temperature, top_k, top_p)
    tokens = None
    if top_k is not None or top_p is not None:
        logits, tokens = _most_probable(logits.detach().float() / temperature, top_k, top_p)
        temperature = 1.0
    if logits.device.type == "cpu":

        def write(rows: slice, out: torch.Tensor) -> None:
            out.copy_(logits[rows].detach().T).mul_(LOG2_E / temperature)
            out.sub_(out.amax(dim=0)).exp2_()

        num_rows, vocab_size = logits.shape
        drawn = _invert(write, num_rows, vocab_size, num_draws or 1)
    else:
        drawn = _race(logits, temperature, num_draws or 1)
    if tokens is not None:
        drawn = tokens.gather(1, drawn)
    return drawn.squeeze(1) if num_draws is None else drawn


def draw_from_hidden(
    hidden: torch.Tensor,
    head: nn.Linear,
    temperature: float = 1.0,
    num_draws: int | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    layer: OutputLayer | None = None,
) -> torch.Tensor:
    """
    Returns ``draw_categorical(head(hidden), ...)`` without holding the scores of all rows in memory.

    Args:
        hidden (`torch.FloatTensor` of shape `(num_rows, hidden_size)`):
            The input of the output layer.
        head (`torch.nn.Linear`):
            The output layer, of shape `(vocab_size, hidden_size)`.
        layer ([`OutputLayer`], *optional*):
            The output layer at this temperature, prepared once for many draws.
    """
    if hidden.device.type != "cpu" or hidden.dtype != torch.float32 or head.weight.dtype != torch.float32:
        return draw_categorical(head(hidden), temperature, num_draws, top_k, top_p)
    if top_k is not None or top_p is not None:
        parts = hidden.split(ROW_BATCH_SIZE)
        return torch.cat([draw_categorical(head(part), temperature, num_draws, top_k, top_p) for part in parts])
    check_sampling(temperature)
    layer = layer or OutputLayer(head.weight, head.bias, temperature)
    inputs = layer.inputs(hidden)
    drawn = _invert(lambda rows, out: layer.powers(inputs[rows], out), len(hidden), layer.vocab_size, num_draws or 1)
    return drawn.squeeze(1) if num_draws is None else drawn


def check_sampling(temperature: float, top_k: int | None = None, top_p: float | None = None) -> None:
    """Raises an error for invalid options of a draw."""
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; set it above 0 (1 samples the model's own distribution).")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; set it to 1 or more tokens, or to None for all.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; set it above 0 and at most to 1, or to None for all tokens.")


def _most_probable(scores: torch.Tensor, top_k: int | None, top_p: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the scores that top-k and top-p leave, the others -inf, and their tokens, a row each."""
    vocab_size = scores.shape[1]
    if top_k is not None:
        scores, tokens = scores.topk(min(top_k, vocab_size), dim=1)
        if top_p is None:
            return scores, tokens
        return _nucleus(scores, scores.logsumexp(1, keepdim=True), top_p), tokens
    assert top_p is not None
    # The whole vocabulary is sorted only if the candidates do not contain the nucleus.
    total = scores.logsumexp(1, keepdim=True)
    best, tokens = scores.topk(min(_NUCLEUS_CANDIDATES, vocab_size), dim=1)
    if bool(((best - total).exp().sum(1) < top_p).any()):
        best, tokens = scores.sort(dim=1, descending=True)
    return _nucleus(best, total, top_p), tokens


def _nucleus(scores: torch.Tensor, total: torch.Tensor, top_p: float) -> torch.Tensor:
    """Returns descending scores, with -inf after the tokens that together have probability `top_p`."""
    probabilities = (scores - total).exp()
    before = probabilities.cumsum(1) - probabilities
    beyond = before >= top_p
    beyond[:, 0] = False
    return scores.masked_fill(beyond, -torch.inf)


def _invert(
    write: Callable[[slice, torch.Tensor], object], num_rows: int, vocab_size: int, num_draws: int
) -> torch.Tensor:
    """
    Inverts the cumulative distribution in two steps: the sums of blocks of tokens, then the tokens of one block. It
    takes a few rows at a time in one buffer, because touching fresh memory for every row costs more than the
    arithmetic.

    `write` writes the unnormalised probabilities of some rows to a tensor of shape `(vocab_size, rows)`.
    """
    num_blocks = -(-vocab_size // _BLOCK_SIZE)
    buffer = torch.empty(num_blocks * _BLOCK_SIZE * min(num_rows, ROW_BATCH_SIZE))
    drawn = torch.empty(num_rows, num_draws, dtype=torch.long)
    row_indices = torch.arange(min(num_rows, ROW_BATCH_SIZE))[:, None]
    for start in range(0, num_rows, ROW_BATCH_SIZE):
        rows = slice(start, min(start + ROW_BATCH_SIZE, num_rows))
        size = rows.stop - start
        weights = buffer[: num_blocks * _BLOCK_SIZE * size].view(-1, size)
        write(rows, weights[:vocab_size])
        weights[vocab_size:] = 0.0
        blocks = weights.view(num_blocks, _BLOCK_SIZE, size)
        uniform = torch.rand(2, size, num_draws)
        cumulative = blocks.sum(1).T.contiguous().cumsum_(1)  # (R, num_blocks)
        block = _first_above(cumulative, uniform[0] * cumulative[:, -1:])  # (R, N)
        within = blocks[block, :, row_indices[:size]].cumsum_(2)  # (R, N, _BLOCK_SIZE)
        index = _first_above(within, (uniform[1] * within[..., -1])[..., None]).squeeze(2)
        torch.add(index, block, alpha=_BLOCK_SIZE, out=drawn[rows])
    return drawn.clamp_(max=vocab_size - 1)  # NaN gives an index beyond the last


def _first_above(cumulative: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """
    Returns the first index in the last dimension whose cumulative sum exceeds the threshold, in the threshold's shape.
    It exists, since a uniform number is at most 1 - 2^-24 and its product with the total is rounded below the total.
    """
    return torch.searchsorted(cumulative, threshold, right=True).clamp_(max=cumulative.shape[-1] - 1)


def _race(logits: torch.Tensor, temperature: float, num_draws: int) -> torch.Tensor:
    """Draws the first of exponential clocks whose rates are the weights, for devices with parallel cumulative sums."""
    logits = logits.float()
    weights = torch.exp((logits - logits.amax(dim=-1, keepdim=True)) / temperature)
    races = [(weights / torch.empty_like(weights).exponential_()).argmax(dim=-1) for _ in range(num_draws)]
    return torch.stack(races, dim=1)


__all__ = ["check_sampling", "draw_categorical"]
