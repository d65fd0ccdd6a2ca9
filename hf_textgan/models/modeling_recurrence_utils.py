"""The recurrences of the recurrent generators and discriminators."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.backends import cudnn, mkldnn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


_MAX_STEP_STATE = 2**15  # numbers; with more of them, whole layers are as fast as their cells


def left_align(attention_mask: torch.Tensor) -> torch.Tensor:
    """
    Returns the permutation of positions that moves each row's real tokens to the front and keeps their order.

    Args:
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 for real tokens, 0 for padding.

    Returns:
        `torch.LongTensor` of shape `(batch_size, sequence_length)`: indices for `torch.gather` along dimension 1.
    """
    return torch.sort(attention_mask != 0, dim=1, descending=True, stable=True).indices


def run_recurrence(
    rnn: nn.LSTM | nn.GRU,
    embeds: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    past: tuple[torch.Tensor, ...] | None = None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """
    Returns the outputs of recurrent layers and their state after each row's last real token. Padding does not change
    the state.

    Args:
        rnn (`torch.nn.LSTM` or `torch.nn.GRU`):
            The layers, with `batch_first=True`.
        embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, input_size)`):
            The inputs.
        attention_mask (`torch.LongTensor` of shape `(batch_size, past_length + sequence_length)`, *optional*):
            1 for real tokens, 0 for padding on either side.
        past (`tuple[torch.FloatTensor, ...]`, *optional*):
            The previous state, `(h, c)` of an LSTM or `(h,)` of a GRU, each of shape
            `(num_layers * num_directions, batch_size, hidden_size)`.

    Returns:
        The outputs, of shape `(batch_size, sequence_length, num_directions * hidden_size)`, and the state.
    """
    mask = attention_mask[:, -embeds.shape[1] :] if attention_mask is not None else None
    if mask is None or bool((mask != 0).all()):
        one_step = embeds.shape[1] == 1 and not rnn.bidirectional and not torch.is_grad_enabled()
        if one_step and past is not None and past[0].numel() <= _MAX_STEP_STATE:
            return _step(rnn, embeds, past)
        return _recur(rnn, embeds, past)

    # Padding must not advance the state: move it to the end, run packed, and put the outputs back.
    order = left_align(mask)
    aligned = embeds.gather(1, order[..., None].expand_as(embeds))
    # A row of padding alone still runs one step, because packing takes no empty rows. Its state is restored below.
    lengths = (mask != 0).sum(1)
    packed = pack_padded_sequence(aligned, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
    packed_hidden, state = _recur(rnn, packed, past)
    hidden, _ = pad_packed_sequence(packed_hidden, batch_first=True, total_length=embeds.shape[1])
    back = order.argsort(1)
    hidden = hidden.gather(1, back[..., None].expand_as(hidden))
    empty = (lengths == 0)[None, :, None]
    if past is not None:
        return hidden, tuple(torch.where(empty, old, new) for old, new in zip(past, state, strict=True))
    return hidden, tuple(new.masked_fill(empty, 0.0) for new in state)


def run_peephole_recurrence(
    rnn: nn.LSTM,
    peepholes: nn.Linear,
    embeds: torch.Tensor,
    mask: torch.Tensor | None = None,
    past: tuple[torch.Tensor, ...] | None = None,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """
    Returns the outputs of an LSTM whose gates also read the previous cell, and its state, as [`run_recurrence`]
    (VGAN, arXiv 1712.00170, equations 1 to 5): ``i_t = sigmoid(W_ix x_t + W_ih h_{t-1} + W_ic c_{t-1})``, and so the
    forget and the output gate.

    Args:
        rnn (`torch.nn.LSTM`):
            One layer without biases, with `batch_first=True`: the matrices of ``x_t`` and ``h_{t-1}``.
        peepholes (`torch.nn.Linear`):
            The matrices of ``c_{t-1}`` for the input, the forget and the output gate, one below the other.
        embeds, mask, past:
            As in [`run_recurrence`]; the mask has the positions of `embeds`.
    """
    from_inputs, from_state = rnn.all_weights[0]
    dtype = from_inputs.dtype
    with torch.autocast(embeds.device.type, enabled=False):  # rounding errors of the state add up
        gates_of_inputs = F.linear(embeds.to(dtype), from_inputs)  # (B, L, 4 * H)
        if past is None:
            hidden = cell = gates_of_inputs.new_zeros(len(embeds), rnn.hidden_size)
        else:
            hidden, cell = (tensor[0].to(dtype) for tensor in past)
        outputs = []
        for position in range(embeds.shape[1]):
            gates = gates_of_inputs[:, position] + F.linear(hidden, from_state)
            of_input, of_forget, candidate, of_output = gates.chunk(4, dim=1)
            peep_input, peep_forget, peep_output = F.linear(cell, peepholes.weight).chunk(3, dim=1)
            kept = (of_forget + peep_forget).sigmoid() * cell
            new_cell = kept + (of_input + peep_input).sigmoid() * candidate.tanh()
            new_hidden = (of_output + peep_output).sigmoid() * new_cell.tanh()
            if mask is not None:
                real = mask[:, position, None] != 0
                new_hidden, new_cell = torch.where(real, new_hidden, hidden), torch.where(real, new_cell, cell)
            hidden, cell = new_hidden, new_cell
            outputs.append(hidden)
    return torch.stack(outputs, dim=1), (hidden[None], cell[None])


def _step(
    rnn: nn.LSTM | nn.GRU, embeds: torch.Tensor, past: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """
    Computes one position of few rows without gradient, with the cells alone, in as little as a quarter of the time.
    The cells of an LSTM have a row per unit, which is faster for few columns.
    """
    dtype = rnn.all_weights[0][0].dtype
    inputs, states = embeds[:, 0].to(dtype), []
    with torch.autocast(embeds.device.type, enabled=False):
        for layer in range(rnn.num_layers):
            w_ih, w_hh, b_ih, b_hh = rnn.all_weights[layer]
            before = [tensor[layer].to(dtype) for tensor in past]
            if isinstance(rnn, nn.LSTM):
                gates = torch.addmm((b_ih + b_hh)[:, None], w_ih, inputs.T).addmm_(w_hh, before[0].T)  # (4 * H, B)
                input_gate, forget, candidate, output_gate = gates.chunk(4)
                cell = forget.sigmoid_().mul_(before[1].T).add_(input_gate.sigmoid_().mul_(candidate.tanh_()))
                state = (output_gate.sigmoid_().mul_(cell.tanh()).T, cell.T)
            else:
                state = (torch.gru_cell(inputs, before[0], w_ih, w_hh, b_ih, b_hh),)
            states.append(state)
            inputs = F.dropout(state[0], rnn.dropout, rnn.training and layer + 1 < rnn.num_layers)
    return inputs[:, None], tuple(torch.stack(tensors) for tensors in zip(*states, strict=True))


def _recur(
    rnn: nn.LSTM | nn.GRU, inputs: torch.Tensor | PackedSequence, past: tuple[torch.Tensor, ...] | None
) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """
    Applies the recurrent layers in the dtype of their weights, also under autocast: rounding errors of the state add
    up over the steps.
    """
    weight = rnn.all_weights[0][0]
    device_type, dtype = weight.device.type, weight.dtype
    states = None
    if past is not None:
        states = tuple(tensor.to(dtype) for tensor in past)
    with torch.autocast(device_type, enabled=False), usable_kernels(device_type, dtype, rnn.training):
        hidden, state = rnn(inputs.to(dtype), states if isinstance(rnn, nn.LSTM) or states is None else states[0])
    return hidden, state if isinstance(state, tuple) else (state,)


def usable_kernels(device_type: str, dtype: torch.dtype, training: bool) -> AbstractContextManager:
    """
    Returns a context without the kernels that cannot compute a recurrence: on CPUs the LSTM kernel of oneDNN supports
    single precision alone, and on NVIDIA GPUs those of cuDNN have no gradient in evaluation mode, in which a frozen
    discriminator passes one to its input.
    """
    if device_type == "cpu" and dtype != torch.float32:
        return mkldnn.flags(enabled=False)
    if device_type == "cuda" and not training and torch.is_grad_enabled():
        return cudnn.flags(enabled=False)
    return nullcontext()


__all__ = ["left_align", "run_peephole_recurrence", "run_recurrence", "usable_kernels"]
