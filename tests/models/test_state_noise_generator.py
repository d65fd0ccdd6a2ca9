"""The recurrent generator whose state begins with noise."""

import pytest
import torch

from hf_textgan.models import CACHE_NAME, RecurrentState, StateNoiseGeneratorConfig, StateNoiseGeneratorForCausalLM
from hf_textgan.sampling import RolloutEngine
from tests.helpers import BOS, EOS, PAD, randomize, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(**options) -> StateNoiseGeneratorForCausalLM:
    config = StateNoiseGeneratorConfig(vocab_size=9, embedding_size=4, hidden_size=6, **options)
    return randomize(StateNoiseGeneratorForCausalLM(config), 1, 0.8).eval()


@pytest.mark.parametrize("options", [{}, {"num_hidden_layers": 2}, {"cell_type": "gru", "num_hidden_layers": 2}])
def test_the_noise_is_the_first_state(options):
    """It gives what the plain generator of the same weights gives after that state."""
    model, plain = generator(**options), tiny_lstm(9, **options)
    plain.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    noise = model.draw_inputs(4, 5)["state_noise"]
    layers, lstm = options.get("num_hidden_layers", 1), options.get("cell_type") != "gru"
    assert noise.shape == (4, layers * (2 if lstm else 1), 6)
    assert float(noise.min()) < -0.8 and float(noise.max()) > 0.8 and float(noise.abs().max()) <= 1.0
    states = (noise[:, :layers], noise[:, layers:]) if lstm else (noise,)
    ids = torch.randint(9, (4, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state = RecurrentState(tuple(part.transpose(0, 1).contiguous() for part in states), 0)
        expected = plain.eval()(input_ids=ids, cache=state).logits
        found = model(input_ids=ids, state_noise=noise)
        assert torch.equal(found.logits, expected)
        steps, state = [], None
        for position in range(5):
            output = model(input_ids=ids[:, position : position + 1], state_noise=noise, cache=state, use_cache=True)
            state = output[CACHE_NAME]
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), expected, atol=1e-6, rtol=0)


def test_noise_that_is_not_given_is_drawn():
    model, ids = generator(), torch.tensor([[1, 4]] * 3)
    torch.manual_seed(0)
    first, second = model(input_ids=ids).logits, model(input_ids=ids).logits
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    torch.manual_seed(0)
    assert torch.equal(model(input_ids=ids).logits, first)


def test_a_gradient_reaches_the_noise_from_the_last_position():
    model = generator()
    noise = model.draw_inputs(3, 4)["state_noise"].requires_grad_()
    drawn = RolloutEngine(4, BOS, PAD, None).relaxed_sample(model, 3, 1.0, inputs={"state_noise": noise})
    (gradient,) = torch.autograd.grad((drawn.onehots[:, -1] * torch.arange(9.0)).sum(), noise)
    assert bool((gradient.abs().amax(2) > 1e-6).all()), "in h_0 and in c_0 of every row"
    assert drawn.samples.inputs["state_noise"] is noise


def test_generate_draws_noise_for_each_sequence():
    model = generator()
    torch.manual_seed(0)
    sequences = model.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=5, num_return_sequences=1)
    noise = torch.zeros(1, 2, 6)
    given = [
        model.generate(torch.tensor([[1]]), do_sample=False, max_new_tokens=5, state_noise=noise, use_cache=use_cache)
        for use_cache in (True, False)
    ]
    assert torch.equal(*given) and sequences.shape[1] <= 6
    many = model.generate(torch.tensor([[1]] * 40), do_sample=False, max_new_tokens=5)
    assert len(many.unique(dim=0)) > 1, "greedy sequences differ by their noise"
    with pytest.raises(ValueError, match="use_cache is False, so each step would draw the noise .*; give state_noise"):
        model.generate(torch.tensor([[1]]), use_cache=False)


def test_samples_keep_their_noise():
    model, engine = generator(), RolloutEngine(5, BOS, PAD, EOS)
    samples = engine.sample(model, 6)
    scores = engine.score(model, samples)
    assert torch.equal(scores, engine.score(model, samples))
    samples.inputs["state_noise"] = -samples.inputs["state_noise"]
    assert not torch.allclose(scores, engine.score(model, samples))
