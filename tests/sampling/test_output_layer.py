"""Draws from the input of an output layer."""

import math

import pytest
import torch

from hf_textgan.sampling.categorical import draw_from_hidden
from hf_textgan.sampling.output_layer import OutputLayer
from tests.helpers import chi_square_p
from tests.sampling.tools import ALPHA, output_layer


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("scale", (0.3, 40.0))  # scores that need no largest one subtracted, and scores that do
@pytest.mark.parametrize("temperature", (0.7, 1.0))
def test_draw_from_the_input_of_the_output_layer(scale, temperature):
    head = output_layer(scale * torch.randn(130, 4), scale * torch.randn(130))
    hidden = torch.randn(3, 4) / 4
    layer = OutputLayer(head.weight, head.bias, temperature)
    scores = torch.empty(130, 3)
    assert (layer.powers(layer.inputs(hidden), scores) is not None) == (scale == 40.0)
    probabilities = (head(hidden) / temperature).softmax(-1).detach()
    torch.testing.assert_close((scores / scores.sum(0)).T, probabilities, atol=1e-6, rtol=1e-4)
    drawn = draw_from_hidden(hidden, head, temperature, 30_000)
    for row, probabilities in zip(drawn, (head(hidden) / temperature).softmax(-1).detach(), strict=True):
        probabilities = probabilities.double()
        assert chi_square_p(row.bincount(minlength=130), probabilities / probabilities.sum()) > ALPHA
    one = draw_from_hidden(hidden.repeat(20_000, 1), head, temperature)
    assert one.shape == (60_000,)
    probabilities = (head(hidden[1]) / temperature).softmax(-1).detach().double()
    assert chi_square_p(one[1::3].bincount(minlength=130), probabilities / probabilities.sum()) > ALPHA


def test_draw_from_odd_inputs_of_the_output_layer():
    head = output_layer(torch.eye(5) * 100)
    rows = torch.tensor([[0.0, math.nan, 0, 0, 0], [math.inf, 0, 0, 0, 0], [0, 0, 0, 1, 0]])
    for part in (rows, rows[:1], rows[2:], rows[:0]):
        drawn = draw_from_hidden(part, head)
        assert drawn.shape == (len(part),) and drawn.ge(0).all() and drawn.lt(5).all()
    assert draw_from_hidden(rows[2:], head).tolist() == [3]
    assert draw_from_hidden(rows[2:].bfloat16(), head.bfloat16()).tolist() == [3]
    with pytest.raises(ValueError, match="temperature is 0; set it above 0"):
        draw_from_hidden(rows, output_layer(torch.eye(5)), 0)
