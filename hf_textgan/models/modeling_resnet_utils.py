"""
Residual blocks of one-dimensional convolutions: the generator and the critic of WGAN-GP on text (arXiv 1704.00028).

Activations have the shape `(L, B, C)`, positions first. The inputs at one index of the window, for all positions, are
then contiguous, and a convolution on CPU is a sum of matrix products without padding or copies. A gradient penalty
differentiates twice; the maps below are closed under differentiation, so plain autograd works to any order.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init


def computes_bf16() -> bool:
    """Returns whether this CPU has instructions for products in bfloat16, which take several times longer without."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    known = [getattr(torch.cpu, name)() for name in names if hasattr(torch.cpu, name)]
    return any(known) or not known  # if torch cannot tell, autocast stays as it was set


def autocast_where_fast(device: torch.device, cache_enabled: bool | None = None) -> torch.autocast:
    """Returns the current autocast, disabled on a CPU without instructions for bfloat16."""
    kind = device.type if device.type != "meta" else "cpu"
    enabled = _in_bf16() if kind == "cpu" else torch.is_autocast_enabled(kind)
    return torch.autocast(kind, torch.get_autocast_dtype(kind), enabled=enabled, cache_enabled=cache_enabled)


def _in_bf16() -> bool:
    enabled = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return enabled and computes_bf16()


# ---- Three bilinear maps and a ReLU -------------------------------------------------------------------------------
#
# With o = k - kernel_size // 2, the sum over window indices k and positions p of x[p + o] W[k] g[p] is linear in x,
# in W and in g. Its derivatives are the convolution (in g), its transpose (in x) and the gradient of the weight (in
# W), and the derivatives of each of these are the other two.


def _window_slices(kernel_size: int, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Yields the indices of the window, the centre first, with the positions p + o and p where both exist."""
    centre = kernel_size // 2
    for index in sorted(range(kernel_size), key=lambda index: abs(index - centre)):
        offset = index - centre
        if abs(offset) < length:
            ahead, behind = max(0, offset), max(0, -offset)
            yield index, slice(ahead, length - behind), slice(behind, length - ahead)


def _sum_of_products(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, transposed: bool, bf16: bool
) -> torch.Tensor:
    """Returns ``y[p] = b + sum x[p + o] @ W[k]``, or transposed ``sum x[p - o] @ W[k].T``: `(L, B, out)`."""
    length, batch, _ = inputs.shape
    outputs = inputs.new_empty(length, batch, weight.shape[1 if transposed else 2])
    if bf16:  # one product, so that the sum over the window is rounded once
        taps = (weight.transpose(1, 2) if transposed else weight).bfloat16().flatten(0, 1)
        outputs.view(length * batch, -1).copy_(_windows(inputs, len(weight), transposed) @ taps)
        return outputs if bias is None else outputs.add_(bias)
    for index, read, written in _window_slices(len(weight), length):
        tap = weight[index]
        if transposed:
            tap, read, written = tap.T, written, read
        rows, sums = inputs[read].flatten(0, 1), outputs[written].flatten(0, 1)
        if index != len(weight) // 2:
            sums.addmm_(rows, tap)
        elif bias is None:
            torch.mm(rows, tap, out=sums)
        else:
            torch.addmm(bias, rows, tap, out=sums)
    return outputs


def _windows(inputs: torch.Tensor, kernel_size: int, transposed: bool) -> torch.Tensor:
    """Returns the inputs of every window side by side, in bfloat16: `(L * B, kernel_size * in)`."""
    length, batch, size = inputs.shape
    windows = inputs.new_zeros(length, batch, kernel_size, size, dtype=torch.bfloat16)
    for index, read, written in _window_slices(kernel_size, length):
        if transposed:
            read, written = written, read
        windows[written, :, index] = inputs[read].bfloat16()
    return windows.view(length * batch, kernel_size * size)


def _gradient_of_weight(inputs: torch.Tensor, gradient: torch.Tensor, kernel_size: int, bf16: bool) -> torch.Tensor:
    """Returns ``dW[k] = sum x[p + o].T @ g[p]``: `(kernel_size, in, out)`."""
    length, size, out = inputs.shape[0], inputs.shape[2], gradient.shape[2]
    if bf16:
        products = _windows(inputs, kernel_size, False).T @ gradient.flatten(0, 1).bfloat16()
        return products.to(inputs.dtype).view(kernel_size, size, out)
    slices = list(_window_slices(kernel_size, length))
    make = inputs.new_empty if len(slices) == kernel_size else inputs.new_zeros
    products = make(kernel_size, size, out)
    for index, read, written in slices:
        torch.mm(inputs[read].flatten(0, 1).T, gradient[written].flatten(0, 1), out=products[index])
    return products


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, relu: bool, bf16: bool
    ) -> torch.Tensor:
        outputs = _sum_of_products(inputs, weight, bias, False, bf16)
        if relu:
            outputs.relu_()
        ctx.save_for_backward(inputs, weight, outputs if relu else None)
        ctx.bf16 = bf16
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight, outputs = ctx.saved_tensors
        gradient = gradient.contiguous() if outputs is None else gate(gradient, outputs)
        return (
            _ConvolveTransposed.apply(gradient, weight, None, ctx.bf16) if ctx.needs_input_grad[0] else None,
            _WeightGradient.apply(inputs, gradient, len(weight), ctx.bf16) if ctx.needs_input_grad[1] else None,
            gradient.sum((0, 1)) if ctx.needs_input_grad[2] else None,
            None,
            None,
        )


class _ConvolveTransposed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, weight: torch.Tensor, outputs: torch.Tensor | None, bf16: bool
    ) -> torch.Tensor:
        result = _sum_of_products(gradient, weight, None, True, bf16)
        if outputs is not None:
            torch.ops.aten.threshold_backward(result, outputs, 0, grad_input=result)
        ctx.save_for_backward(gradient, weight, outputs)
        ctx.bf16 = bf16
        return result

    @staticmethod
    def backward(ctx: Any, inputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradient, weight, outputs = ctx.saved_tensors
        inputs = inputs.contiguous() if outputs is None else gate(inputs, outputs)
        return (
            _Convolve.apply(inputs, weight, None, False, ctx.bf16) if ctx.needs_input_grad[0] else None,
            _WeightGradient.apply(inputs, gradient, len(weight), ctx.bf16) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, gradient: torch.Tensor, kernel_size: int, bf16: bool) -> torch.Tensor:
        ctx.save_for_backward(inputs, gradient)
        ctx.bf16 = bf16
        return _gradient_of_weight(inputs, gradient, kernel_size, bf16)

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, gradient = ctx.saved_tensors
        weight = weight.contiguous()
        return (
            _ConvolveTransposed.apply(gradient, weight, None, ctx.bf16) if ctx.needs_input_grad[0] else None,
            _Convolve.apply(inputs, weight, None, False, ctx.bf16) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        outputs = inputs.relu()
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (outputs,) = ctx.saved_tensors
        return gate(gradient, outputs)


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(outputs)
        return torch.ops.aten.threshold_backward(gradient, outputs, 0)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (outputs,) = ctx.saved_tensors
        return gate(gradient, outputs), None


def relu(inputs: torch.Tensor) -> torch.Tensor:
    """
    Applies a ReLU whose second derivative is absent instead of zero. That of PyTorch sends a gradient of zeros through
    the whole forward pass when its gradient is differentiated.
    """
    return _ReLU.apply(inputs) if torch.is_grad_enabled() else inputs.relu()


def gate(gradient: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """Returns the gradient where the output of a ReLU is above 0, and 0 elsewhere; `outputs` is a constant."""
    return _Gate.apply(gradient.expand_as(outputs).contiguous(), outputs.detach())


# ---- Modules ------------------------------------------------------------------------------------------------------


class PositionConvolution(nn.Module):
    """
    A convolution over positions with stride 1 and zeros beyond both ends:
    ``y[p] = b + sum_k x[p + k - kernel_size // 2] W[k]``.

    Args:
        in_channels (`int`):
            Channels of the inputs.
        out_channels (`int`):
            Channels of the outputs.
        kernel_size (`int`):
            Width of the window in positions, odd.

    `weight` has the shape `(kernel_size, in_channels, out_channels)`; `initialize` draws it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; set it to an odd number of 1 or more.")
        self.weight = nn.Parameter(torch.empty(kernel_size, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, inputs: torch.Tensor, with_relu: bool = False) -> torch.Tensor:
        """Maps `(L, B, in_channels)` to `(L, B, out_channels)`, followed by a ReLU if asked; differentiable twice."""
        if self.uses_matrix_products:
            inputs = inputs.to(self.weight.dtype).contiguous()
            return _Convolve.apply(inputs, self.weight, self.bias, with_relu, _in_bf16())
        channels = inputs.permute(1, 2, 0)  # (B, in, L)
        outputs = F.conv1d(channels, self.weight.permute(2, 1, 0), self.bias, padding=len(self.weight) // 2)
        outputs = outputs.permute(2, 0, 1)
        return relu(outputs) if with_relu else outputs

    def transposed(self, gradient: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """
        Returns the gradient before the ReLU whose outputs are the inputs of this convolution, from the gradient
        `(L, B, out_channels)` of its output. `outputs`, of shape `(L, B, in_channels)`, are those of the ReLU and
        count as constants. The result is differentiable. For CPU.
        """
        gradient, outputs = gradient.to(self.weight.dtype).contiguous(), outputs.detach()
        if gradient.shape[1] != outputs.shape[1]:  # the same for the whole batch
            return gate(_ConvolveTransposed.apply(gradient, self.weight, None, _in_bf16()), outputs)
        return _ConvolveTransposed.apply(gradient, self.weight, outputs, _in_bf16())

    @property
    def uses_matrix_products(self) -> bool:
        """Returns whether the convolution is computed as a sum of matrix products."""
        return self.weight.device.type == "cpu" and self.weight.dtype in (torch.float32, torch.float64)


class ResidualBlock(nn.Module):
    """
    ``x + scale * Conv(ReLU(Conv(ReLU(x))))`` without normalisation (arXiv 1704.00028; the scale is that of its code).

    Args:
        channels (`int`):
            Channels of inputs and outputs.
        kernel_size (`int`):
            Width of the windows in positions, odd.
        scale (`float`):
            Weight of the branch.
    """

    def __init__(self, channels: int, kernel_size: int, scale: float):
        super().__init__()
        self.convolution1 = PositionConvolution(channels, channels, kernel_size)
        self.convolution2 = PositionConvolution(channels, channels, kernel_size)
        self.scale = scale

    def forward(self, inputs: torch.Tensor, gates: list[tuple[torch.Tensor, ...]] | None = None) -> torch.Tensor:
        """Maps `(L, B, C)` to `(L, B, C)` and appends the outputs of its two ReLUs to `gates`."""
        first = relu(inputs)
        second = self.convolution1(first, with_relu=True)
        if gates is not None:
            gates.append((first, second))
        # In place: touching fresh memory takes several times longer than the sum.
        return self.convolution2(second).mul_(self.scale).add_(inputs)

    def input_gradient(self, gradient: torch.Tensor, gates: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """
        Returns the gradient with respect to the input, differentiable once more with respect to the weights.

        Args:
            gradient (`torch.FloatTensor` of shape `(L, B, C)` or `(L, 1, C)`):
                Gradient with respect to the output; of shape `(L, 1, C)` if it is the same for the whole batch.
            gates (`tuple[torch.FloatTensor, ...]`):
                The outputs of the ReLUs that `forward` has appended.
        """
        first, second = gates
        branch = self.convolution1.transposed(self.convolution2.transposed(gradient, second), first)
        return branch.mul_(self.scale).add_(gradient)


def initialize(module: PositionConvolution | nn.Linear, before_relu: bool = True) -> None:
    """
    Draws a weight as the code of the paper does: uniform with variance ``4 / (fan_in + fan_out)``, or
    ``2 / (fan_in + fan_out)`` if no ReLU follows (`before_relu=False`). A fan is the number of channels times the
    width of the window. The bias is 0. Call it under `torch.no_grad`.
    """
    width = len(module.weight) if isinstance(module, PositionConvolution) else 1
    fans = width * sum(module.weight.shape[-2:])
    bound = math.sqrt(3 * (4 if before_relu else 2) / fans)
    init.uniform_(module.weight, -bound, bound)
    init.zeros_(module.bias)


__all__ = ["PositionConvolution", "ResidualBlock", "autocast_where_fast", "computes_bf16", "initialize", "relu"]
