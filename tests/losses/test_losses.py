"""Losses and penalties against values by hand."""

import math

import pytest
import torch
from torch import nn

from hf_textgan.losses import (
    gradient_penalty,
    input_gradient,
    interpolate,
    output_layer_l2,
    policy_gradient_loss,
    real_fake_cross_entropy,
    score_gap,
    squared_error,
    token_entropy,
    token_nll,
)


def test_policy_gradient_loss():
    logps = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]], requires_grad=True)
    rewards = torch.tensor([[0.5, 2.0], [1.0, 9.0]], requires_grad=True)
    loss = policy_gradient_loss(logps, rewards, torch.tensor([[1, 1], [1, 0]]))
    assert float(loss.detach()) == 0.5 + 4.0 + 3.0
    loss.backward()
    assert logps.grad.tolist() == [[-0.5, -2.0], [-1.0, 0.0]] and rewards.grad is None


def test_real_fake_cross_entropy():
    real, fake = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[math.log(4), 0.0], [0.0, 0.0]])
    expected = -(math.log(3 / 4) + math.log(4 / 5) + math.log(1 / 2)) / 3
    assert float(real_fake_cross_entropy(real, fake)) == pytest.approx(expected)


def test_score_gap():
    assert float(score_gap(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0, 4.0]))) == 0.5


def test_token_nll_leaves_out_padding():
    logps = torch.tensor([[-1.0, -2.0], [-4.0, -100.0]])
    loss, number = token_nll(logps, torch.tensor([[1, 1], [1, 0]]))
    assert float(loss) == pytest.approx(7 / 3) and int(number) == 3
    loss, number = token_nll(logps, torch.zeros(2, 2, dtype=torch.long))
    assert float(loss) == 0 and int(number) == 0


def test_squared_error():
    sequences = torch.tensor([[0, 2], [1, 1]])
    onehot = nn.functional.one_hot(sequences, 3).float()
    assert float(squared_error(onehot, sequences)) == 0
    uniform = torch.full((2, 2, 3), 1 / 3)
    assert float(squared_error(uniform, sequences)) == pytest.approx(2 * (1 - 1 / 3))
    probabilities = torch.tensor([[[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]]])
    assert float(squared_error(probabilities, sequences[:1])) == pytest.approx(0.25 + 0.25 + 0.04 + 0.04 + 0.16)


def test_token_entropy():
    probabilities = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    torch.testing.assert_close(token_entropy(probabilities), torch.tensor([0.0, math.log(4), math.log(2)]))


def test_output_layer_l2():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.copy_(torch.tensor([3.0]))
    assert float(output_layer_l2(layer).detach()) == (1 + 4 + 9) / 2


def test_points_between_pairs():
    first, second = torch.zeros(3, 2, 2), torch.tensor([4.0, 8.0, 12.0])[:, None, None].expand(3, 2, 2)
    points = interpolate(first, second, torch.tensor([0.0, 0.25, 1.0]))
    assert torch.equal(points, torch.tensor([0.0, 2.0, 12.0])[:, None, None].expand(3, 2, 2))


def test_the_penalty_of_a_quadratic_score():
    """With f(x) = w x^2 / 2 the gradient is w x, its norm w |x|, and the penalty (w |x| - 1)^2."""
    weight = torch.tensor(2.0, requires_grad=True)
    inputs = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    with torch.no_grad():  # the gradient is taken all the same
        gradients = input_gradient(lambda x: weight * x.square().sum(1) / 2, inputs)
    assert torch.equal(gradients, 2 * inputs) and not inputs.requires_grad
    penalty, norms = gradient_penalty(gradients)
    torch.testing.assert_close(norms, torch.tensor([10.0, 1.0]))
    assert float(penalty.detach()) == pytest.approx((81 + 0) / 2) and not norms.requires_grad
    penalty.backward()
    # d/dw mean (w |x| - 1)^2 = mean 2 (w |x| - 1) |x|
    assert float(weight.grad) == pytest.approx((2 * 9 * 5 + 0) / 2)


def test_the_penalty_of_a_mean_score():
    gradients = torch.tensor([[0.75, 1.0]])  # of a score divided by a batch size of 4 elsewhere: the norm is 1.25
    penalty, norms = gradient_penalty(gradients, batch_size=4)
    assert float(norms) == pytest.approx(1.25 / 4) and float(penalty) == pytest.approx((1.25 / 4 - 1) ** 2)
