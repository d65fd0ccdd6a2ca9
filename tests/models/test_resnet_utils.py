"""Convolutions over positions: against PyTorch's own, to second order, and how much is computed."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from hf_textgan.models import modeling_resnet_utils as residual
from hf_textgan.models.modeling_resnet_utils import PositionConvolution, ResidualBlock
from tests.helpers import randomize


def convolution(channels=(3, 4), kernel_size=5, dtype=torch.float64) -> PositionConvolution:
    return randomize(PositionConvolution(*channels, kernel_size)).to(dtype)


def by_pytorch(module: PositionConvolution, inputs: torch.Tensor) -> torch.Tensor:
    weight = module.weight.permute(2, 1, 0)
    outputs = F.conv1d(inputs.permute(1, 2, 0), weight, module.bias, padding=weight.shape[2] // 2)
    return outputs.permute(2, 0, 1)


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64).requires_grad_()


def second_order(outputs: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients of a smooth function of the outputs, and of the gradients' squares."""
    first = torch.autograd.grad((outputs**3).sum(), leaves, create_graph=True)
    return [*first, *torch.autograd.grad(sum((value**2).sum() for value in first), leaves)]


@pytest.mark.parametrize(("kernel_size", "length"), [(1, 3), (3, 4), (5, 6), (5, 2), (7, 1)])
def test_it_equals_the_convolution_of_pytorch_to_second_order(kernel_size, length):
    module, inputs = convolution(kernel_size=kernel_size), draw(length, 2, 3)
    leaves = [inputs, module.weight, module.bias]
    actual, reference = module(inputs), by_pytorch(module, inputs)
    torch.testing.assert_close(actual, reference)
    torch.testing.assert_close(module(inputs, with_relu=True), reference.relu())
    for found, expected in zip(second_order(actual, leaves), second_order(reference, leaves), strict=True):
        torch.testing.assert_close(found, expected)


def test_inputs_that_are_not_contiguous_and_gradients_that_are_expanded():
    module, inputs = convolution(), draw(2, 4, 3)
    actual, reference = module(inputs.transpose(0, 1)), by_pytorch(module, inputs.transpose(0, 1))
    torch.testing.assert_close(actual, reference)
    found, expected = (torch.autograd.grad(outputs.sum(), inputs)[0] for outputs in (actual, reference))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_the_three_maps_and_their_derivatives(kernel_size):
    inputs, gradient, bias = draw(4, 2, 3, seed=1), draw(4, 2, 2, seed=2), draw(2, seed=3)
    weight = draw(kernel_size, 3, 2, seed=4)
    for function, arguments in (
        (lambda x, w, b: residual._Convolve.apply(x, w, b, False, False), (inputs, weight, bias)),
        (lambda x, w, b: residual._Convolve.apply(x, w, b, True, False), (inputs, weight, bias)),
        (lambda g, w: residual._ConvolveTransposed.apply(g, w, None, False), (gradient, weight)),
        (lambda g, w: residual._ConvolveTransposed.apply(g, w, inputs.detach(), False), (gradient, weight)),
        (lambda x, g: residual._WeightGradient.apply(x, g, kernel_size, False), (inputs, gradient)),
    ):
        assert gradcheck(function, arguments)
        assert gradgradcheck(function, arguments)


def test_the_maps_are_adjoint():
    """One number, linear in inputs, weight and gradient, computed by each map."""
    inputs, gradient, weight = draw(6, 2, 3, seed=1), draw(6, 2, 4, seed=2), draw(5, 3, 4, seed=3)
    numbers = [
        (residual._Convolve.apply(inputs, weight, None, False, False) * gradient).sum(),
        (residual._ConvolveTransposed.apply(gradient, weight, None, False) * inputs).sum(),
        (residual._WeightGradient.apply(inputs, gradient, 5, False) * weight).sum(),
    ]
    torch.testing.assert_close(numbers[1:], numbers[:1] * 2)


def test_no_gradient_is_computed_that_nobody_needs():
    module, inputs = convolution(dtype=torch.float32), draw(4, 2, 3).float().detach()
    module.requires_grad_(False)
    inputs.requires_grad_()
    module(inputs).sum().backward()
    assert module.weight.grad is None and inputs.grad is not None
    module.requires_grad_()
    module(inputs.detach()).sum().backward()
    assert module.weight.grad is not None


def test_the_relu_is_that_of_pytorch_without_a_second_derivative():
    inputs = torch.tensor([-1.0, 0.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(residual.relu(inputs), inputs.relu())
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((scale * residual.relu(inputs)).sum(), inputs, create_graph=True)
    assert gradient.tolist() == [0, 0, 2, 2]  # 0 at 0
    to_scale, to_inputs = torch.autograd.grad((gradient**2).sum(), (scale, inputs), allow_unused=True)
    assert to_scale == 8  # d/ds of 2 s^2 at s = 2
    assert to_inputs is None, "a gradient of zeros went back through the forward pass"


def test_a_branch_counts_by_the_scale():
    block = randomize(ResidualBlock(2, 3, scale=0.3))
    inputs = torch.randn(4, 2, 2)
    with torch.no_grad():
        block.convolution2.weight.zero_()
        block.convolution2.bias.zero_()
        assert torch.equal(block(inputs), inputs)
        block.convolution2.bias.copy_(torch.tensor([1.0, -2.0]))  # the branch is a known constant
    torch.testing.assert_close(block(inputs), inputs + torch.tensor([0.3, -0.6]))


def test_elsewhere_the_convolution_of_pytorch_is_used(monkeypatch):
    block, inputs = randomize(ResidualBlock(3, 5, 0.3)).double(), draw(6, 2, 3)
    leaves = [inputs, *block.parameters()]
    expected = [block(inputs), *second_order(block(inputs), leaves)]
    monkeypatch.setattr(PositionConvolution, "uses_matrix_products", False)
    for found, value in zip([block(inputs), *second_order(block(inputs), leaves)], expected, strict=True):
        torch.testing.assert_close(found, value)


def test_products_in_bf16(monkeypatch):
    """Only under autocast and where the processor has instructions for them; rounded, and not by more than once."""
    module, inputs = convolution((16, 16), dtype=torch.float32), draw(6, 2, 16).float().detach().requires_grad_()
    leaves = [inputs, module.weight, module.bias]
    exact = [module(inputs), *torch.autograd.grad((module(inputs) ** 2).sum(), leaves)]

    def under_autocast() -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = module(inputs)
        return [outputs, *torch.autograd.grad((outputs**2).sum(), leaves)]

    monkeypatch.setattr(residual, "computes_bf16", lambda: False)
    for found, value in zip(under_autocast(), exact, strict=True):
        assert torch.equal(found, value)
    monkeypatch.setattr(residual, "computes_bf16", lambda: True)
    for found, value in zip(under_autocast(), exact, strict=True):
        assert found.dtype == torch.float32
        assert 0 < (found - value).norm() / value.norm() < 0.01


def test_even_windows_are_an_error():
    with pytest.raises(ValueError, match="kernel_size is 4; set it to an odd number of 1 or more."):
        PositionConvolution(2, 2, 4)
