"""
Parallel convolutions over a sequence, ReLU and max-over-time pooling: the features of the convolutional discriminators
(Kim 2014, arXiv 1408.5882; SeqGAN, arXiv 1609.05473, equations 12 and 13), computed in four ways.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .modeling_recurrence_utils import left_align


_WINDOW_BATCH_SIZE = 256  # sequences whose windows are looked up together
_MAX_RESPONSES = 2**18  # responses of filters in memory, which the cache of a core holds


def fill_padding(
    embeds: torch.Tensor, attention_mask: torch.Tensor | None, pad: torch.Tensor, missing: int
) -> torch.Tensor:
    """
    Moves padding to the end and fills it, and `missing` more positions, with the embedding of the pad token.

    Args:
        embeds (`torch.FloatTensor` of shape `(batch_size, length, size)`):
            The embeddings of the tokens.
        attention_mask (`torch.LongTensor` of shape `(batch_size, length)`, *optional*):
            1 for real tokens, 0 for padding on either side.
        pad (`torch.FloatTensor` of shape `(size,)`):
            The embedding of the pad token.
        missing (`int`):
            Number of positions to add.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, length + missing, size)`.
    """
    pad = pad.to(embeds.dtype)
    if attention_mask is not None:
        mask = attention_mask != 0
        if not bool(mask[:, :1].all()):
            order = left_align(attention_mask)
            embeds = embeds.gather(1, order[..., None].expand_as(embeds))
            mask = mask.gather(1, order)
        embeds = torch.where(mask[..., None], embeds, pad)
    if missing:
        embeds = torch.cat([embeds, pad.expand(len(embeds), missing, -1)], dim=1)
    return embeds


def pooled_features(
    convolutions: Iterable[nn.Conv1d], embeds: torch.Tensor, twice_differentiable: bool = True
) -> torch.Tensor:
    """
    Returns the largest response of every filter.

    Args:
        convolutions (`Iterable[nn.Conv1d]`):
            Convolutions of any widths, with stride 1 and without padding.
        embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`):
            The inputs.
        twice_differentiable (`bool`, *optional*, defaults to `True`):
            Whether gradients of gradients are needed, as by a gradient penalty. Without them, training on CPU takes
            about half the time.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, num_filters of all)`.
    """
    plain = embeds.device.type == "cpu" and embeds.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if plain and not (twice_differentiable and torch.is_grad_enabled()):
        by_position = embeds.transpose(0, 1).contiguous()  # (L, B, E)
        return torch.cat([_PooledConvolution.apply(by_position, c.weight, c.bias) for c in convolutions], dim=1)
    channels = embeds.transpose(1, 2)
    return torch.cat([F.relu(convolution(channels)).amax(dim=2) for convolution in convolutions], dim=1)


class _PooledConvolution(torch.autograd.Function):
    """
    A convolution as a sum of matrix products, one for each index of the window. With positions in the first dimension
    the inputs at one index are contiguous, so nothing is copied. In the backward pass only the position of a filter's
    largest response has a gradient.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # (L, B, E), (F, E, w), (F,)
        (length, batch, size), (filters, _, width) = inputs.shape, weight.shape
        positions = length - width + 1
        taps = weight.permute(2, 1, 0).contiguous()  # (w, E, F)
        responses = inputs.new_empty(positions * batch, filters)
        torch.mm(inputs[:positions].view(-1, size), taps[0], out=responses)
        for index in range(1, width):
            responses.addmm_(inputs[index : index + positions].view(-1, size), taps[index])
        largest, argmax = responses.view(positions, batch, filters).max(dim=0)
        features = largest.add_(bias).relu_()  # (B, F)
        ctx.save_for_backward(inputs, weight, argmax, features)
        return features

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight, argmax, features = ctx.saved_tensors
        (length, batch, size), (filters, _, width) = inputs.shape, weight.shape
        positions = length - width + 1
        gradient = gradient * (features > 0)
        to_responses = gradient.new_zeros(positions, batch, filters)
        to_responses.scatter_(0, argmax[None], gradient[None])
        to_responses = to_responses.view(-1, filters)
        taps = weight.permute(2, 0, 1).contiguous()  # (w, F, E)
        to_inputs = torch.zeros_like(inputs) if ctx.needs_input_grad[0] else None
        to_taps = inputs.new_empty(width, size, filters)
        for index in range(width):
            read = slice(index, index + positions)
            if to_inputs is not None:
                to_inputs[read].view(-1, size).addmm_(to_responses, taps[index])
            torch.mm(inputs[read].view(-1, size).T, to_responses, out=to_taps[index])
        return to_inputs, to_taps.permute(2, 1, 0), gradient.sum(0)


def pooled_narrow_features(convolutions: Iterable[nn.Conv1d], inputs: torch.Tensor) -> torch.Tensor:
    """
    Returns the largest response of every filter for many sequences of narrow vectors, whose responses take far more
    memory than the vectors.

    Args:
        convolutions (`Iterable[nn.Conv1d]`):
            Convolutions of any widths, with stride 1 and without padding.
        inputs (`torch.FloatTensor` of shape `(sequence_length, num_sequences, size)`):
            The sequences, with positions in the first dimension.

    Returns:
        `torch.FloatTensor` of shape `(num_sequences, num_filters of all)`, on CPU in single precision differentiable
        once.
    """
    if inputs.device.type == "cpu" and inputs.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
        inputs = inputs.contiguous()
        return torch.cat([_NarrowPooledConvolution.apply(inputs, c.weight, c.bias) for c in convolutions], dim=1)
    channels = inputs.permute(1, 2, 0)
    return torch.cat([F.relu(convolution(channels)).amax(dim=2) for convolution in convolutions], dim=1)


class _NarrowPooledConvolution(torch.autograd.Function):
    """
    A convolution as one matrix product of windows, for so few sequences at a time that their responses stay in the
    cache: writing all of them to memory and reading them for the maximum would take most of the time. The position of
    the maximum is kept, and the backward pass makes the gradient of the responses again, a few sequences at a time.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # (L, R, E), (F, E, w), (F,)
        filters, _, width = weight.shape
        taps = weight.permute(2, 1, 0).reshape(-1, filters)  # (w * E, F)
        features = inputs.new_empty(inputs.shape[1], filters)
        kept = torch.uint8 if len(inputs) < 256 else torch.int64
        argmax = torch.empty(features.shape, dtype=kept)
        for rows, windows, responses in _narrow_parts(inputs, width, filters):
            torch.mm(windows.reshape(-1, len(taps)), taps, out=responses.view(-1, filters))
            largest, where = responses.max(dim=0)
            features[rows] = largest
            argmax[rows] = where
        features.add_(bias).relu_()
        ctx.save_for_backward(inputs, weight, argmax, features)
        return features

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight, argmax, features = ctx.saved_tensors
        needs_inputs, needs_weight, _ = ctx.needs_input_grad
        filters, size, width = weight.shape
        taps = weight.permute(2, 1, 0).reshape(-1, filters)
        gradient = gradient * (features > 0)
        to_inputs = torch.zeros_like(inputs) if needs_inputs else None
        to_taps = torch.zeros_like(taps) if needs_weight else None
        for rows, windows, to_responses in _narrow_parts(inputs, width, filters):
            to_responses.zero_().scatter_(0, argmax[None, rows].long(), gradient[None, rows])
            flat = to_responses.view(-1, filters)
            if to_taps is not None:
                to_taps.addmm_(windows.reshape(-1, len(taps)).T, flat)
            if to_inputs is not None:
                to_windows = (flat @ taps.T).view(*windows.shape[:2], width, size)
                for index in range(width):
                    to_inputs[index : index + len(windows), rows] += to_windows[:, :, index]
        to_weight = to_taps.view(width, size, filters).permute(2, 1, 0) if to_taps is not None else None
        return to_inputs, to_weight, gradient.sum(0)


def _narrow_parts(
    inputs: torch.Tensor, width: int, filters: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """
    Yields some of the sequences: their windows, `(positions, sequences, width * size)`, and a buffer for the responses
    to them, `(positions, sequences, filters)`.
    """
    length, num_rows, size = inputs.shape
    positions = length - width + 1
    number = max(1, _MAX_RESPONSES // (positions * filters))
    buffer = inputs.new_empty(positions * min(number, num_rows) * filters)
    for start in range(0, num_rows, number):
        rows = slice(start, min(start + number, num_rows))
        windows = inputs[:, rows].unfold(0, width, 1).transpose(2, 3).reshape(positions, -1, width * size)
        yield rows, windows, buffer[: positions * windows.shape[1] * filters].view(positions, -1, filters)


@torch.no_grad()
def looked_up_features(
    convolutions: Iterable[nn.Conv1d], embedding: torch.Tensor, input_ids: torch.Tensor
) -> torch.Tensor | None:
    """
    Returns ``pooled_features(convolutions, embedding[input_ids])`` of many sequences with few distinct tokens, on CPU.

    A token at an index of a window adds the product of its embedding with that slice of the filters. The products are
    computed once for every token that occurs and a window sums them, which takes a fraction of the arithmetic.

    Args:
        embedding (`torch.FloatTensor` of shape `(vocab_size, embedding_size)`):
            The embeddings.
        input_ids (`torch.LongTensor` of shape `(num_sequences, sequence_length)`):
            The tokens.

    Returns:
        `torch.FloatTensor` of shape `(num_sequences, num_filters of all)`; `None` if this way would take longer.
    """
    if input_ids.device.type != "cpu" or embedding.dtype != torch.float32:
        return None
    occurs = torch.zeros(len(embedding), dtype=torch.bool)
    occurs[input_ids.flatten()] = True
    embeds = embedding[occurs]  # (S, E)
    if 2 * len(embeds) >= input_ids.numel():
        return None
    ids = (occurs.int().cumsum(0, dtype=torch.int32) - 1)[input_ids]  # into `embeds`
    convolutions = list(convolutions)
    features = embedding.new_empty(len(ids), sum(convolution.out_channels for convolution in convolutions))
    # One buffer for the products of all widths: touching fresh memory takes longer than computing them.
    buffer = embedding.new_empty(len(embeds) * max(c.weight[:, 0].numel() for c in convolutions))
    columns = features.split([convolution.out_channels for convolution in convolutions], dim=1)
    with torch.autocast("cpu", enabled=False):  # sums of rounded products would be off by more
        for convolution, largest in zip(convolutions, columns, strict=True):
            filters, _, width = convolution.weight.shape
            # (S, w, F): the products of a token with the slices of the filters, one after the other.
            products = buffer[: len(embeds) * width * filters].view(len(embeds), width * filters)
            torch.mm(embeds, convolution.weight.permute(1, 2, 0).flatten(1), out=products)
            assert convolution.bias is not None
            products[:, :filters] += convolution.bias  # once per window
            products = products.view(-1, filters)
            windows = (ids * width).unfold(1, width, 1) + torch.arange(width, dtype=torch.int32)  # (B, P, w)
            for rows, part in zip(largest.split(_WINDOW_BATCH_SIZE), windows.split(_WINDOW_BATCH_SIZE), strict=True):
                sums = F.embedding_bag(part.flatten(0, 1), products, mode="sum")  # (B * P, F)
                rows.copy_(sums.view(len(part), -1, filters).amax(1))  # with `out`, columns take twice as long
    return features.relu_()


__all__ = ["fill_padding", "looked_up_features", "pooled_features", "pooled_narrow_features"]
