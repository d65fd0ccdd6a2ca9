"""Single steps of generators, with and without the output layer."""

import pytest
import torch

from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.reader import Reader
from tests.helpers import BOS, PAD, chi_square_p, randomize, tiny_lstm
from tests.sampling.tools import ALPHA


pytestmark = pytest.mark.usefixtures("one_thread")


class Capped(type(tiny_lstm())):
    """Scores with something after the output layer: the engine must not leave it out."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = 3.0 * torch.tanh(output.logits / 3.0)
        return output


@pytest.mark.parametrize("capped", (False, True))
def test_what_comes_after_the_output_layer_is_kept(capped):
    model = randomize(tiny_lstm(vocab_size=5, eos=False), std=3.0)
    if capped:
        model = Capped(model.config).eval()
        randomize(model, std=3.0)
    reader = Reader(model)
    reader.read(torch.tensor([BOS, BOS]))
    reader.read(torch.tensor([3, 4]))
    assert (reader.head is None) == capped and "forward" not in vars(model.lm_head)
    logits = model(input_ids=torch.tensor([[BOS, 3], [BOS, 4]])).logits[:, -1]
    drawn = reader.draw(slice(None), 30_000)
    for row, expected in zip(drawn, logits.softmax(-1).detach().double(), strict=True):
        assert chi_square_p(row.bincount(minlength=5), expected / expected.sum()) > ALPHA


def test_an_output_layer_with_a_replaced_forward_is_kept():
    model = tiny_lstm(vocab_size=5, eos=False).eval()
    own = lambda hidden: torch.nn.functional.linear(hidden, model.lm_head.weight, model.lm_head.bias)  # noqa: E731
    model.lm_head.forward = own
    RolloutEngine(3, BOS, PAD).sample(model, 4)
    assert model.lm_head.forward is own
    broken = tiny_lstm(vocab_size=5, eos=False).eval()
    reader = Reader(broken)
    reader.read(torch.tensor([BOS]))
    with pytest.raises(IndexError):
        reader.read(torch.tensor([77]))
    assert "forward" not in vars(broken.lm_head)
