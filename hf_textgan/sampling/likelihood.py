"""Log-probabilities of given symbols without ever holding the scores of all rows."""

import torch
from torch import nn


_ROWS = 256  # rows whose scores are held at once


def linear_logps(hidden: torch.Tensor, head: nn.Linear, targets: torch.LongTensor) -> torch.Tensor:
    """
    ``log softmax(head(hidden))[targets]``, with gradient, for CPU and single precision. The scores are computed a few
    rows at a time in one buffer, and again in the backward pass: touching fresh memory for all of them, several times
    over, would cost more than the arithmetic.

    Args:
        hidden (`torch.FloatTensor` of shape `(num_rows, hidden_size)`):
            What the output layer reads.
        head (`torch.nn.Linear`):
            The output layer, of shape `(vocab_size, hidden_size)`.
        targets (`torch.LongTensor` of shape `(num_rows,)`):
            The symbols.

    Returns:
        `torch.FloatTensor` of shape `(num_rows,)`, in nats.
    """
    return _LinearLogps.apply(hidden, head.weight, head.bias, targets)


class _LinearLogps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, targets):
        logps, normalizers = hidden.new_empty(len(hidden)), hidden.new_empty(len(hidden), 1)
        for rows, scores in _scores(hidden, weight, bias):
            torch.logsumexp(scores, dim=1, keepdim=True, out=normalizers[rows])
            logps[rows] = (scores.gather(1, targets[rows, None]) - normalizers[rows]).squeeze(1)
        ctx.save_for_backward(hidden, weight, bias, targets, normalizers)
        return logps

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        hidden, weight, bias, targets, normalizers = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias, _ = ctx.needs_input_grad
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_weight = torch.zeros_like(weight) if wants_weight else None
        to_bias = torch.zeros_like(bias) if wants_bias else None
        for rows, scores in _scores(hidden, weight, bias):
            # d log p_t / d scores = onehot_t - p
            slope = gradient[rows, None]
            scores.sub_(normalizers[rows]).exp_().mul_(-slope)
            scores.scatter_add_(1, targets[rows, None], slope)
            if wants_hidden:
                torch.mm(scores, weight, out=to_hidden[rows])
            if wants_weight:
                to_weight.addmm_(scores.T, hidden[rows])
            if wants_bias:
                to_bias.add_(scores.sum(0))
        return to_hidden, to_weight, to_bias, None


def _scores(hidden, weight, bias):
    """The scores of some rows after the other, in one buffer."""
    buffer = hidden.new_empty(min(len(hidden), _ROWS), len(weight))
    for start in range(0, len(hidden), _ROWS):
        rows = slice(start, start + _ROWS)
        part = hidden[rows]
        scores = buffer[: len(part)]
        if bias is None:
            torch.mm(part, weight.T, out=scores)
        else:
            torch.addmm(bias, part, weight.T, out=scores)
        yield rows, scores


__all__ = ["linear_logps"]
