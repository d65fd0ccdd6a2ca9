"""Relaxed samples against the limits of their temperature, exact enumeration, and an unrolled computation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.helpers import BOS, EOS, PAD, all_sequences, chi_square_p, exact_logps, randomize, tiny_lstm
from tests.labelled import LABELLED, joint, labelled
from tests.sampling.tools import ALPHA, BUILDERS, counts, engine_of, every_model, model_of, with_and_without_eos


pytestmark = pytest.mark.usefixtures("one_thread")

FEEDS = ("soft", "hard", "straight-through")


def stream(seed: int = 0):
    """Uniform numbers, the same at each call of this function."""
    source = torch.Generator().manual_seed(seed)
    return lambda rows, columns: torch.rand(rows, columns, generator=source)


# ---- Values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", FEEDS)
@every_model
def test_the_limits_of_the_temperature(build, feed):
    if build is BUILDERS["stateless"] and feed != "hard":
        pytest.skip("it reads token ids alone")
    model, engine = model_of(build, 5), engine_of(EOS, 4)
    cold = engine.relaxed_sample(model, 64, 1e-3, feed, noise=stream())
    expected = F.one_hot(cold.samples.sequences, 5).float()
    assert torch.equal(cold.onehots.argmax(-1), cold.samples.sequences)
    # Of 256 positions a few have two tokens within 0.01 of each other.
    assert float(((cold.onehots - expected).abs().amax(-1) < 1e-6).float().mean()) > 0.95
    torch.testing.assert_close(cold.onehots.sum(-1), torch.ones(64, 4), atol=1e-5, rtol=0)

    hot = engine.relaxed_sample(model, 64, 1e4, feed, noise=stream())
    read = hot.samples.attention_mask == 1
    if feed == "straight-through":
        assert torch.equal(hot.onehots, F.one_hot(hot.samples.sequences, 5).float()), "exactly one-hot"
    else:
        torch.testing.assert_close(hot.onehots[read], torch.full((int(read.sum()), 5), 0.2), atol=1e-3, rtol=0)
    assert torch.equal(hot.onehots[~read], F.one_hot(torch.full((int((~read).sum()),), PAD), 5).float())
    if feed != "soft":  # what the model reads does not depend on the temperature
        assert torch.equal(hot.samples.sequences, cold.samples.sequences)
    assert torch.equal(hot.onehots[:, 0].argmax(-1), cold.onehots[:, 0].argmax(-1))


@with_and_without_eos
@pytest.mark.parametrize("feed", FEEDS)
@every_model
def test_tokens_have_the_distribution_of_samples(build, feed, eos):
    """With `feed="soft"` they do near the limit of hard tokens."""
    if build is BUILDERS["stateless"] and feed != "hard":
        pytest.skip("it reads token ids alone")
    model, engine = model_of(build, eos=eos), engine_of(eos)
    known = all_sequences(3, 3, eos)
    with torch.no_grad():
        probabilities = exact_logps(model, known).sum(1).exp()
        torch.manual_seed(0)
        samples = engine.relaxed_sample(model, 6000, 1e-4 if feed == "soft" else 0.7, feed).samples
    assert torch.equal(samples.attention_mask, known.attention_mask[_rows(samples.sequences, known.sequences)])
    assert chi_square_p(counts(samples.sequences, known.sequences), probabilities) > ALPHA


def test_soft_feeding_at_a_high_temperature_has_another_distribution():
    """The test above can tell."""
    model, engine, known = model_of(BUILDERS["lstm"]), engine_of(EOS), all_sequences(3, 3, EOS)
    with torch.no_grad():
        probabilities = exact_logps(model, known).sum(1).exp()
        torch.manual_seed(0)
        samples = engine.relaxed_sample(model, 6000, 100.0).samples
    assert chi_square_p(counts(samples.sequences, known.sequences), probabilities) < ALPHA


def _rows(sequences: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return (sequences[:, None] == known).all(-1).long().argmax(1)


def test_the_temperature_of_sampling_is_that_of_the_engine():
    """It divides the scores alone, not the noise."""
    model, known = model_of(BUILDERS["lstm"]), all_sequences(3, 3, EOS)

    class Tempered(nn.Module):
        def forward(self, **inputs):
            output = model(**inputs)
            output.logits = output.logits / 0.5
            return output

    with torch.no_grad():
        probabilities = exact_logps(Tempered(), known).sum(1).exp()
        torch.manual_seed(0)
        samples = engine_of(EOS).at(0.5).relaxed_sample(model, 6000, 0.7, "hard").samples
    assert chi_square_p(counts(samples.sequences, known.sequences), probabilities) > ALPHA


def test_without_noise_they_are_the_soft_argmax():
    """Of scores 0, 0.01, -1 at temperature 0.001 the second token has 1 / (1 + e^-10) = 0.99995."""
    model = randomize(tiny_lstm(3), std=0.0)
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.tensor([0.0, 0.01, -1.0]))
    drawn = engine_of(None).relaxed_sample(model, 2, 1e-3, noise="none")
    expected = torch.tensor([4.54e-5, 0.9999546, 0.0]).expand(2, 3, 3)
    torch.testing.assert_close(drawn.onehots, expected, atol=1e-6, rtol=0)
    assert drawn.samples.sequences.tolist() == [[1, 1, 1]] * 2


def test_the_smallest_and_the_largest_noise_is_finite():
    model = model_of(BUILDERS["lstm"])
    for number in (0.0, 2**-24, 1 - 2**-24):
        drawn = engine_of(None).relaxed_sample(
            model, 2, 1e-4, noise=lambda rows, columns, number=number: torch.full((rows, columns), number)
        )
        assert drawn.onehots.isfinite().all()
        drawn.onehots[..., 1].sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_noise_is_gumbel_noise():
    """Its mean is Euler's constant, its variance pi^2 / 6: with scores 0 and without a softmax, y = noise."""
    seen = []

    def recorded(rows, columns):
        seen.append(torch.rand(rows, columns))  # overwritten by the noise, times 1 / relaxation
        return seen[-1]

    torch.manual_seed(0)
    engine_of(None, 1).relaxed_sample(randomize(tiny_lstm(1000), std=0.0), 1000, 1.0, noise=recorded)
    assert float(seen[0].mean()) == pytest.approx(0.5772, abs=0.005)
    assert float(seen[0].var()) == pytest.approx(torch.pi**2 / 6, abs=0.01)


@pytest.mark.parametrize("kind", LABELLED)
@pytest.mark.parametrize("feed", ("hard", "straight-through"))
def test_what_the_generator_reads_beside_tokens_is_drawn_with_them(kind, feed):
    model, engine = labelled(LABELLED[kind]), engine_of(EOS)
    known, probabilities = joint(model, 3, EOS)
    torch.manual_seed(0)
    with torch.no_grad():
        samples = engine.relaxed_sample(model, 6000, 0.7, feed).samples
    assert set(samples.inputs) == {"class_labels", "noise"}
    rows = _rows(samples.sequences, known.sequences)
    label, noise = samples.inputs["class_labels"], samples.inputs["noise"]
    same = (label[:, None] == known.inputs["class_labels"]) & (noise[:, None] == known.inputs["noise"]).all(-1)
    observed = torch.zeros(probabilities.shape)
    observed.index_put_((same.long().argmax(1), rows), torch.ones(len(rows)), accumulate=True)
    assert chi_square_p(observed.flatten(), probabilities.flatten()) > ALPHA

    given = {"class_labels": torch.ones(4, dtype=torch.long)}
    assert engine.relaxed_sample(model, 4, 0.7, feed, given).samples.inputs["class_labels"].tolist() == [1] * 4


# ---- Gradients ------------------------------------------------------------------------------------------------------


def lstm_logits(model, embeds: torch.Tensor) -> torch.Tensor:
    """The recurrence of the LSTM, written out; scores after the last of the embeddings `(1, length, size)`."""
    weights = {name: parameter.double() for name, parameter in model.named_parameters()}
    hidden = cell = embeds.new_zeros(1, model.config.hidden_size)
    for x in embeds.unbind(1):
        gates = x @ weights["rnn.weight_ih_l0"].T + hidden @ weights["rnn.weight_hh_l0"].T
        gates = gates + weights["rnn.bias_ih_l0"] + weights["rnn.bias_hh_l0"]
        i, f, g, o = gates.chunk(4, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
    return hidden @ weights["lm_head.weight"].T + weights["lm_head.bias"]


def gpt2_logits(model, embeds: torch.Tensor) -> torch.Tensor:
    """All positions at once, without a cache."""
    return model(inputs_embeds=embeds.float(), use_cache=False).logits[:, -1].double()


def unrolled(
    model, logits_of, tau: float, feed: str, weights: torch.Tensor, end: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of weighted one-hot vectors of one row after the other, in double precision, and the tokens."""
    table = model.get_input_embeddings().weight.double()
    number, length, vocab_size = weights.shape
    draw = stream()
    noise = [-(-draw(number, vocab_size).double().log()).log() for _ in range(length)]
    total, rows = torch.zeros((), dtype=torch.float64), []
    for row in range(number):
        embeds, tokens = table[BOS][None, None], []
        for position in range(length):
            scores = (logits_of(model, embeds) / 0.8 + noise[position][row]).squeeze(0)
            token = int(scores.argmax())
            soft = (scores / tau).softmax(0)
            hard = F.one_hot(torch.tensor(token), vocab_size).double()
            vector = soft + (hard - soft).detach() if feed == "straight-through" else soft
            total = total + (vector * weights[row, position]).sum()
            tokens.append(token)
            if token == end:  # padding has a constant vector
                total = total + weights[row, position + 1 :, PAD].sum()
                tokens += [PAD] * (length - len(tokens))
                break
            following = table[token] if feed == "hard" else vector @ table
            embeds = torch.cat([embeds, following[None, None]], dim=1)
        rows.append(tokens)
    return total, torch.tensor(rows)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(("build", "logits_of", "end"), [("lstm", lstm_logits, 3), ("gpt2", gpt2_logits, 4)])
def test_gradients_are_those_of_an_unrolled_computation(build, logits_of, end, feed):
    model, engine = model_of(BUILDERS[build], 5), engine_of(end, 4).at(0.8)
    weights = torch.randn(16, 4, 5, generator=torch.Generator().manual_seed(2))
    total, tokens = unrolled(model, logits_of, 0.6, feed, weights.double(), end)
    parameters = [parameter for _, parameter in sorted(model.named_parameters())]
    expected = torch.autograd.grad(total, parameters, allow_unused=True)
    assert (tokens == end).any() and (tokens == end).any(1).logical_not().any(), "some rows end, some do not"

    drawn = engine.relaxed_sample(model, 16, 0.6, feed, noise=stream())
    assert torch.equal(drawn.samples.sequences, tokens)
    found_total = (drawn.onehots * weights).sum()
    torch.testing.assert_close(found_total.double(), total, atol=1e-5, rtol=1e-5)
    found = torch.autograd.grad(found_total, parameters, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    assert all(float(gradient.abs().max()) > 1e-3 for gradient in found if gradient is not None)


def test_the_derivative_of_one_position():
    """For a linear critic ``w y`` the derivative is ``(diag(y) - y y^T) w / tau`` (GSGAN and Jang et al.)."""
    model = randomize(tiny_lstm(4), std=0.3)
    w = torch.tensor([0.5, -1.0, 2.0, 0.3])
    drawn = engine_of(None, 1).relaxed_sample(model, 1, 0.5, noise=stream())
    y = drawn.onehots[0, 0]
    (found,) = torch.autograd.grad(y @ w, model.lm_head.bias)
    y = y.detach()
    torch.testing.assert_close(found, (torch.diag(y) - torch.outer(y, y)) @ w / 0.5, atol=1e-6, rtol=1e-5)


def test_hard_tokens_pass_no_gradient_to_the_steps_before_them():
    """Without a state in which to keep anything, the last position's vector depends on the last step alone."""
    model = model_of(BUILDERS["stateless"], 5)
    seen = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output))
    drawn = engine_of(None, 3).relaxed_sample(model, 4, 0.5, "hard", noise=stream())
    for position in range(3):
        total = (drawn.onehots[:, position] * torch.arange(5.0)).sum()
        gradients = torch.autograd.grad(total, seen, allow_unused=True, retain_graph=True)
        reached = [gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients]
        assert reached == [step == position for step in range(3)]


# ---- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relaxation": 0.0}, r"relaxation is 0.0; set it to a number above 0 \(near 0 the vectors are one-hot"),
        ({"relaxation": float("nan")}, "relaxation is nan; set it to a number above 0"),
        ({"relaxation": float("inf")}, "relaxation is inf; set it to a number above 0"),
        ({"feed": "sof"}, "feed is 'sof'; set it to one of 'soft', 'hard', 'straight-through'."),
        ({"inputs": {"noise": torch.zeros(2)}}, "noise is given, but a RecurrentGeneratorForCausalLM reads nothing"),
    ],
)
def test_options_that_cannot_be_used_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        engine_of(EOS).relaxed_sample(model_of(BUILDERS["lstm"]), 2, **{"relaxation": 1.0, **change})


def test_generators_without_relaxed_samples_are_refused():
    with pytest.raises(ValueError, match="A StatelessLM reads no inputs_embeds, .*; set feed to 'hard', or use anoth"):
        engine_of(EOS).relaxed_sample(model_of(BUILDERS["stateless"]), 2, 1.0)
    from hf_textgan.models import ConvGenerator, ConvGeneratorConfig

    model = ConvGenerator(ConvGeneratorConfig(vocab_size=5, sequence_length=4, hidden_size=4, num_blocks=1))
    with pytest.raises(ValueError, match="A ConvGenerator does not write one token after the other, .*; use a causal"):
        engine_of(EOS).relaxed_sample(model, 2, 1.0)
