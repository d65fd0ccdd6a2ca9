"""Log-probabilities of given tokens without the scores of all rows in memory."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .output_layer import ROW_BATCH_SIZE, OutputLayer


def linear_logps(
    hidden: torch.Tensor, head: nn.Linear, targets: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """
    Returns ``log softmax(head(hidden) / temperature)[targets]`` with gradient, for CPU and single precision. The
    scores are computed a few rows at a time in one buffer, and again in the backward pass, because touching fresh
    memory for all of them costs more than the arithmetic.

    Args:
        hidden (`torch.FloatTensor` of shape `(num_rows, hidden_size)`):
            The input of the output layer.
        head (`torch.nn.Linear`):
            The output layer, of shape `(vocab_size, hidden_size)`.
        targets (`torch.LongTensor` of shape `(num_rows,)`):
            The tokens.
        temperature (`float`, *optional*, defaults to `1.0`):
            A positive number.

    Returns:
        `torch.FloatTensor` of shape `(num_rows,)`, in nats.
    """
    return _LinearLogps.apply(hidden, head.weight, head.bias, targets, temperature)


class _LinearLogps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
    ) -> torch.Tensor:
        layer = OutputLayer(weight, bias, temperature)
        inputs = layer.inputs(hidden)
        normalizers = hidden.new_empty(len(hidden))  # log2 of the sums
        buffer = _buffer(hidden, layer)
        for rows, powers in _parts(buffer, layer, len(hidden)):
            largest = layer.powers(inputs[rows], powers)
            torch.log2(powers.sum(0), out=normalizers[rows])
            if largest is not None:
                normalizers[rows] += largest
        scores = (inputs * layer.weight[targets]).sum(1)
        ctx.save_for_backward(hidden, weight, bias, targets, normalizers)
        ctx.temperature = temperature
        return (scores - normalizers) * math.log(2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets, normalizers = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        layer = OutputLayer(weight, bias, ctx.temperature)
        inputs = layer.inputs(hidden)
        # One more column subtracts the normaliser: the product is then the logarithm of the probabilities.
        columns = torch.cat([layer.weight, layer.weight.new_ones(layer.vocab_size, 1)], dim=1)
        normalized = torch.cat([inputs, -normalizers[:, None]], dim=1)
        # d log p_t / d scores = onehot_t - p
        slope = gradient[:, None] / ctx.temperature
        scaled = (
            hidden if bias is None else F.pad(hidden, (0, 1), value=1.0)
        ) * slope  # of the weights, and of the bias
        to_hidden = torch.empty_like(hidden) if needs_hidden else None
        to_weight = torch.zeros_like(layer.weight) if needs_weight or needs_bias else None
        buffer = _buffer(hidden, layer)
        for rows, probabilities in _parts(buffer, layer, len(hidden)):
            torch.mm(columns, normalized[rows].T, out=probabilities)
            probabilities.exp2_()
            if to_hidden is not None:
                torch.mm(probabilities.T, weight, out=to_hidden[rows])
            if to_weight is not None:
                to_weight.addmm_(probabilities, scaled[rows], alpha=-1)
        if to_hidden is not None:
            to_hidden = (weight[targets] - to_hidden).mul_(slope)
        if to_weight is None:
            return to_hidden, None, None, None, None
        to_weight.index_add_(0, targets, scaled)
        if bias is None:
            return to_hidden, to_weight, None, None, None
        return to_hidden, to_weight[:, :-1].contiguous(), to_weight[:, -1].contiguous(), None, None


def _buffer(hidden: torch.Tensor, layer: OutputLayer) -> torch.Tensor:
    return hidden.new_empty(layer.vocab_size * min(len(hidden), ROW_BATCH_SIZE))


def _parts(buffer: torch.Tensor, layer: OutputLayer, num_rows: int) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yields batches of rows with their part of the buffer, `(vocab_size, rows)`."""
    for start in range(0, num_rows, ROW_BATCH_SIZE):
        rows = slice(start, min(start + ROW_BATCH_SIZE, num_rows))
        size = rows.stop - start
        yield rows, buffer[: layer.vocab_size * size].view(-1, size)


__all__ = ["linear_logps"]
