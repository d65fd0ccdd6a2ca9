"""Draws, samples, rollouts and log-probabilities against exact probabilities, for models with and without a state."""

import math

import pytest
import torch
from torch import nn
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from hf_textgan.sampling import engine as engine_module
from hf_textgan.sampling.categorical import _first_above, _race, draw_categorical, draw_from_hidden
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.likelihood import linear_logps
from hf_textgan.sampling.output_layer import OutputLayer
from hf_textgan.sampling.reader import Reader, evaluating, state_bytes
from hf_textgan.sampling.samples import Samples
from tests.helpers import (
    BOS,
    EOS,
    PAD,
    all_sequences,
    chi_square_p,
    exact_logps,
    randomize,
    tiny_gpt2,
    tiny_lstm,
    tiny_stateless,
)


pytestmark = pytest.mark.usefixtures("one_thread")

BUILDERS = {"lstm": tiny_lstm, "gpt2": tiny_gpt2, "stateless": tiny_stateless}
every_model = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
with_and_without_eos = pytest.mark.parametrize("eos", (EOS, None), ids=("eos", "fixed"))
ALPHA = 1e-3  # the seeds are fixed: a right sampler passes always, a wrong one fails at these numbers of draws


def model_of(build, vocab_size: int = 3, eos: int | None = EOS, **options) -> nn.Module:
    return randomize(build(vocab_size, eos=eos is not None, **options), seed=1, std=0.5).eval()


def engine_of(eos: int | None, max_length: int = 3, chunk_size: int = 16384) -> RolloutEngine:
    return RolloutEngine(max_length, BOS, PAD, eos, chunk_size)


def counts(sequences: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """How often each row of `known` occurs among `sequences`; no other row may occur."""
    matches = (sequences[:, None] == known[None]).all(-1)
    assert matches.any(1).all(), "a sequence that cannot be drawn"
    return matches.sum(0)


# ---- The categorical draw -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", (1.0, 0.5, 3.0))
def test_draws_follow_the_softmax(temperature):
    logits = torch.tensor([2.0, -math.inf, 0.5, -1.0, 0.0, -math.inf])
    weights = [math.exp(value / temperature) for value in logits.tolist()]
    probabilities = torch.tensor([weight / sum(weights) for weight in weights])
    drawn = draw_categorical(logits.expand(100_000, -1), temperature)
    assert drawn.dtype == torch.long and drawn.shape == (100_000,)
    observed = drawn.bincount(minlength=6)
    assert observed[1] == observed[5] == 0
    assert chi_square_p(observed, probabilities) > ALPHA


def test_draws_from_a_large_vocabulary():
    logits = torch.randn(5000) * 2
    impossible = torch.randperm(5000)[:1000]
    logits[impossible] = -math.inf
    logits[[0, -1]] = -math.inf  # the two ends are where rounding shows
    probabilities = logits.double().exp() / logits.double().exp().sum()
    observed = sum(draw_categorical(logits.expand(1000, -1)).bincount(minlength=5000) for _ in range(20))
    assert observed[probabilities == 0].sum() == 0
    assert chi_square_p(observed, probabilities) > ALPHA


def test_only_the_possible_symbols_are_drawn_at_the_edges_of_rounding():
    # One symbol, or two of which one has the smallest weight that a float keeps, in front, in the middle, at the end.
    logits = torch.full((3, 5000), -math.inf)
    logits[torch.arange(3), torch.tensor([0, 2500, 4999])] = 50.0
    for _ in range(200):
        assert draw_categorical(logits).tolist() == [0, 2500, 4999]
    weights = torch.zeros(20_000, 7)
    weights[:, 2], weights[:, 4] = 1.0, 1e-38
    assert set(draw_categorical(weights.log()).tolist()) <= {2, 4}


def test_rows_are_drawn_independently():
    logits = torch.log(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).repeat(20_000, 1)
    pairs = draw_categorical(logits).view(-1, 2)
    observed = (pairs[:, 0] * 2 + pairs[:, 1]).bincount(minlength=4)
    assert chi_square_p(observed, torch.tensor([0.2 * 0.6, 0.2 * 0.4, 0.8 * 0.6, 0.8 * 0.4])) > ALPHA


@pytest.mark.parametrize("draw", (draw_categorical, _race))
def test_both_ways_to_draw(draw):
    weights = torch.tensor([0.0, 3.0, 0.0, 1e-3, 1.0, 0.2, 0.0])  # unnormalised
    drawn = draw(weights.log().expand(25_000, -1), 1.0, 4)
    assert drawn.shape == (25_000, 4)
    for observed in (drawn.flatten(), *drawn.T):
        probabilities = weights / weights.sum()
        assert chi_square_p(observed.bincount(minlength=7), probabilities) > ALPHA
    pairs = (drawn[:, 0] * 7 + drawn[:, 1]).bincount(minlength=49)  # the draws of a row know nothing of each other
    assert chi_square_p(pairs, torch.outer(probabilities, probabilities).flatten()) > ALPHA
    broken = draw(torch.full((4, 7), math.nan), 1.0, 2)
    assert broken.ge(0).all() and broken.lt(7).all()


def test_a_threshold_of_zero_skips_what_cannot_occur():
    cumulative = torch.tensor([[0.0, 1.0, 1.0]])
    assert _first_above(cumulative, torch.tensor([[0.0, 1 - 2.0**-24]])).tolist() == [[1, 1]]


@pytest.mark.parametrize("temperature", (1.0, 0.6))
@pytest.mark.parametrize("scale", (3.0, 100.0))
@pytest.mark.parametrize("bias", (True, False))
def test_linear_logps_and_their_gradients(bias, scale, temperature):
    """Against autograd through the softmax of all scores; 300 rows are more than one piece."""
    head = nn.Linear(7, 40, bias=bias)
    hidden, targets, slope = torch.randn(300, 7) * scale, torch.randint(40, (300,)), torch.randn(300)
    layer = OutputLayer(head.weight, head.bias, temperature)
    largest = float(layer.inputs(hidden).norm(dim=1).max()) * layer.norm
    assert (largest > 90) == (scale == 100.0)  # then the largest score is taken off first

    def plainly(hidden, head, targets, temperature):
        return (head(hidden) / temperature).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)

    results = []
    for logps in (linear_logps, plainly):
        given = hidden.clone().requires_grad_()
        values = logps(given, head, targets, temperature)
        results.append([values, *torch.autograd.grad((values * slope).sum(), [given, *head.parameters()])])
    for ours, expected in zip(*results, strict=True):
        # Scores of 300 are only known to 3e-5.
        torch.testing.assert_close(ours, expected, atol=5e-3 if scale == 100.0 else 3e-5, rtol=1e-5)
    with torch.no_grad():
        alone = linear_logps(hidden, head, targets, temperature)
        assert torch.equal(alone, results[0][0])
    # Only what is asked for.
    frozen = nn.Linear(7, 40, bias=bias).requires_grad_(False)
    given = hidden.clone().requires_grad_()
    linear_logps(given, frozen, targets).sum().backward()
    assert given.grad is not None and frozen.weight.grad is None
    linear_logps(hidden, head, targets).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert linear_logps(hidden[:0], head, targets[:0]).shape == (0,)


@pytest.mark.parametrize("build", (tiny_lstm, tiny_gpt2), ids=("lstm", "gpt2"))
def test_logps_of_many_symbols_have_the_gradient_of_autograd(build):
    """600 symbols take the way without scores; GPT-2 shares its output layer with its embedding."""
    engine = RolloutEngine(4, BOS, PAD, EOS)
    model = randomize(build(vocab_size=600), std=0.3).eval()
    samples = engine.as_samples(torch.tensor([[5, 599, 2, 0], [7, 8, 9, 10], [2, 0, 0, 0]]))
    assert engine._head_to_skip(model) is model.get_output_embeddings()
    ours = engine.per_token_logps(model, samples)
    expected = exact_logps(model, samples)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    slope = torch.randn(3, 4)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad((logps * slope).sum(), parameters) for logps in (ours, expected)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(engine.score(model, samples), expected.detach(), atol=1e-5, rtol=0)
    assert engine._head_to_skip(nn.ModuleDict({"wrapped": model})) is None  # as data parallelism wraps it
    # Where rounding is asked for, and in double precision, the model computes its scores itself.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert engine._head_to_skip(model) is None
    assert engine._head_to_skip(model.double()) is None


def output_layer(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        head.weight.copy_(weight)
        if bias is not None:
            head.bias.copy_(bias)
    return head


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


def test_an_output_layer_of_the_users_own_is_left_alone():
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


def test_large_logits_and_bfloat16():
    assert set(draw_categorical(torch.tensor([[1e4, 1e4 - 200, -1e30]]).expand(1000, -1)).tolist()) == {0}
    observed = draw_categorical(torch.zeros(30_000, 3, dtype=torch.bfloat16)).bincount(minlength=3)
    assert chi_square_p(observed, torch.full((3,), 1 / 3)) > ALPHA


def test_logits_that_are_not_finite_give_an_index_all_the_same():
    # The loss of such samples is not finite either, and a trainer reports that; an index error would hide it.
    rows = torch.tensor([[0.0, math.nan, 0.0], [math.inf, 0.0, 0.0], [-math.inf] * 3])
    drawn = draw_categorical(rows)
    assert drawn.ge(0).all() and drawn.lt(3).all()


@pytest.mark.parametrize("temperature", (0.0, -1.0))
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=f"temperature is {temperature}; set it above 0"):
        draw_categorical(torch.zeros(1, 2), temperature)


@pytest.mark.parametrize("vocab_size", (5, 70, 600))
@pytest.mark.parametrize("spread", (0.2, 3.0), ids=("flat", "peaked"))
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    ((1.0, 3, None), (0.7, 1000, None), (1.0, None, 0.5), (0.6, None, 0.97), (1.0, 20, 0.4), (2.0, 4, 0.9), (1, 1, 1)),
)
def test_top_k_and_top_p_are_those_of_generate(vocab_size, spread, temperature, top_k, top_p):
    """Against the logits processors of transformers; the nucleus is among the 256 best symbols, or it is not."""
    logits = torch.randn(2, vocab_size) * spread
    warped = TemperatureLogitsWarper(temperature)(None, logits) if temperature != 1 else logits
    warped = TopKLogitsWarper(top_k)(None, warped) if top_k else warped
    warped = TopPLogitsWarper(top_p)(None, warped) if top_p and top_p < 1 else warped
    probabilities = warped.double().softmax(-1)
    for drawn in (
        draw_categorical(logits, temperature, 20_000, top_k, top_p),
        draw_categorical(logits.repeat(20_000, 1), temperature, None, top_k, top_p).view(-1, 2).T,
        draw_from_hidden(torch.eye(2), output_layer(logits.T), temperature, 20_000, top_k, top_p),
    ):
        for row, expected in zip(drawn, probabilities, strict=True):
            observed = row.bincount(minlength=vocab_size)
            assert observed[expected == 0].sum() == 0
            if (expected > 0).sum() > 1:
                assert chi_square_p(observed, expected) > ALPHA


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"top_k": 0}, "top_k is 0; set it to 1 or more symbols, or to None for all."),
        ({"top_p": 0.0}, "top_p is 0.0; set it above 0 and at most to 1, or to None for all symbols."),
        ({"top_p": 1.5}, "top_p is 1.5; set it above 0 and at most to 1, or to None for all symbols."),
        ({"temperature": math.nan}, "temperature is nan; set it above 0"),
    ),
)
def test_options_of_a_draw_without_meaning(options, message):
    options = dict(options)
    with pytest.raises(ValueError, match=message):
        draw_categorical(torch.zeros(1, 2), **options)
    with pytest.raises(ValueError, match=message):
        draw_from_hidden(torch.zeros(1, 2), output_layer(torch.zeros(5, 2)), **options)
    with pytest.raises(ValueError, match=message):
        temperature = options.pop("temperature", 1.0)
        engine_of(EOS).at(temperature).sample(model_of(tiny_lstm), 1, **options)


# ---- Samples --------------------------------------------------------------------------------------------------------


def test_the_enumeration_is_complete():
    # 3 symbols, 3 positions: 1 + 2 + 4 * 3 sequences with EOS, 27 without; their probabilities sum to 1.
    for eos, number in ((EOS, 15), (None, 27)):
        known = all_sequences(3, 3, eos)
        assert len(known.sequences) == number
        for build in BUILDERS.values():
            total = exact_logps(model_of(build, eos=eos), known).detach().double().sum(1).exp().sum()
            assert float(total) == pytest.approx(1, abs=1e-6)


@with_and_without_eos
@every_model
@pytest.mark.parametrize(("vocab_size", "temperature"), ((3, 1.0), (4, 1.0), (3, 0.6)))
def test_samples_follow_the_exact_distribution(build, eos, vocab_size, temperature):
    model, engine = model_of(build, vocab_size, eos), engine_of(eos)
    known = all_sequences(vocab_size, 3, eos)
    with torch.no_grad():
        # The temperature divides the logits of every step, so tempered sequences are those of the tempered head.
        tempered = _TemperedModel(model, temperature)
        probabilities = exact_logps(tempered, known).sum(1).exp()
    samples = engine.at(temperature).sample(model, 20_000)
    observed = counts(samples.sequences, known.sequences)
    assert chi_square_p(observed, probabilities) > ALPHA
    # Each sequence has the mask of its enumeration.
    order = (samples.sequences[:, None] == known.sequences[None]).all(-1).long().argmax(1)
    assert torch.equal(samples.attention_mask, known.attention_mask[order])


@with_and_without_eos
@every_model
def test_samples_of_a_prompt_follow_the_conditional_distribution(build, eos):
    model, engine = model_of(build, 4, eos), engine_of(eos)
    known = all_sequences(4, 3, eos)
    for prompt in ([3], [1, 3]):
        begins = (known.sequences[:, : len(prompt)] == torch.tensor(prompt)).all(1)
        begins = Samples(known.sequences[begins], known.attention_mask[begins])
        with torch.no_grad():
            probabilities = exact_logps(model, begins)[:, len(prompt) :].sum(1).exp()
        samples = engine.sample(model, 20_000, prompt=prompt)
        assert chi_square_p(counts(samples.sequences, begins.sequences), probabilities) > ALPHA
        order = (samples.sequences[:, None] == begins.sequences[None]).all(-1).long().argmax(1)
        assert torch.equal(samples.attention_mask, begins.attention_mask[order])
    with pytest.raises(ValueError, match="The prompt has 3 tokens and max_length is 3; shorten it, or raise max_leng"):
        engine.sample(model, 1, prompt=[3, 3, 3])
    assert engine.sample(model, 0).sequences.shape == engine.sample(model, 0, prompt=[3]).sequences.shape == (0, 3)


@every_model
def test_sampling_with_top_k_one_is_greedy(build):
    model, engine = model_of(build, 5, None), engine_of(None, max_length=4)
    expected, inputs = [], torch.tensor([[BOS]])
    for _ in range(4):
        expected.append(int(model(input_ids=inputs).logits[0, -1].argmax()))
        inputs = torch.cat([inputs, torch.tensor([[expected[-1]]])], 1)
    assert engine.sample(model, 3, top_k=1).sequences.tolist() == [expected] * 3
    assert engine.sample(model, 3, top_p=1e-6).sequences.tolist() == [expected] * 3


class _TemperedModel(nn.Module):
    def __init__(self, model: nn.Module, temperature: float):
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, **inputs):
        output = self.model(**inputs)
        output.logits = output.logits / self.temperature
        return output


@every_model
def test_fixed_length_and_padding(build):
    model = model_of(build, vocab_size=5)
    fixed = engine_of(None, max_length=6).sample(model, 500)
    assert fixed.attention_mask.all() and (fixed.sequences == EOS).any(), "without EOS, id 2 is a symbol as any other"

    samples = RolloutEngine(6, BOS, 4, EOS).sample(model, 500)  # another pad id
    lengths = set()
    for row, mask in zip(samples.sequences.tolist(), samples.attention_mask.tolist(), strict=True):
        length = row.index(EOS) + 1 if EOS in row else 6
        lengths.add(length)
        assert mask == [1] * length + [0] * (6 - length)
        assert row[length:] == [4] * (6 - length)
    assert lengths == {1, 2, 3, 4, 5, 6}


def test_eos_may_be_the_padding():
    samples = RolloutEngine(4, BOS, EOS, EOS).sample(model_of(tiny_lstm), 200)
    ends = samples.attention_mask.sum(1)
    first = torch.where(samples.sequences == EOS, torch.arange(4), 3).amin(1) + 1
    assert torch.equal(ends, first)


@every_model
def test_sampling_stops_when_all_have_ended(build):
    model = model_of(build)
    with torch.no_grad():
        if build is tiny_gpt2:
            model.lm_head = nn.Linear(16, 3)
        model.lm_head.bias.copy_(torch.tensor([-1e3, -1e3, 1e3]))
    calls = []
    model.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    samples = engine_of(EOS, max_length=8).sample(model, 20)
    assert samples.sequences.tolist() == [[EOS] + [PAD] * 7] * 20 and samples.attention_mask.sum() == 20
    assert len(calls) == 1


@every_model
def test_dropout_is_off_while_sampling_and_the_mode_comes_back(build):
    options = {"embd_pdrop": 0.9} if build is tiny_gpt2 else {"dropout": 0.9}
    model, known = model_of(build, **options), all_sequences(3, 3, EOS)
    with torch.no_grad():
        probabilities = exact_logps(model, known).sum(1).exp()
    engine = engine_of(EOS)
    for training in (True, False):
        model.train(training)
        samples = engine.sample(model, 20_000)
        assert model.training is training
        assert chi_square_p(counts(samples.sequences, known.sequences), probabilities) > ALPHA
        list(engine.rollout(model, samples, 1))
        assert model.training is training
    model.train()
    with pytest.raises(RuntimeError, match="stop"), evaluating(model):
        raise RuntimeError("stop")
    assert model.training


@every_model
def test_sampling_keeps_no_gradient(build):
    model = model_of(build)
    samples = engine_of(EOS).sample(model, 5)
    assert not samples.sequences.requires_grad and all(p.grad is None for p in model.parameters())


# ---- Log-probabilities ----------------------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Passes calls on and keeps the log-probabilities that each step offered."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.steps, self.device = model, [], torch.device("cpu")

    def forward(self, **inputs):
        output = self.model(**inputs)
        self.steps.append(output.logits[:, -1].log_softmax(-1))
        return output


@every_model
def test_logps_of_samples_equal_the_recorded_step_probabilities(build):
    model, engine = model_of(build, vocab_size=6), engine_of(None, max_length=5)
    recorder = Recorder(model)
    samples = engine.sample(recorder, 50)
    steps = torch.stack([step.expand(50, -1) for step in recorder.steps], 1)  # (B, T, V); the first read is shared
    recorded = steps.gather(2, samples.sequences[..., None]).squeeze(2)
    logps = engine.per_token_logps(model, samples)
    torch.testing.assert_close(logps.detach(), recorded, atol=1e-5, rtol=0)
    torch.testing.assert_close(logps.detach().sum(1), recorded.sum(1), atol=1e-5, rtol=0)


@with_and_without_eos
@every_model
def test_per_token_logps(build, eos):
    model, engine = model_of(build, 4, eos), engine_of(eos, max_length=4)
    known = all_sequences(4, 4, eos)
    logps = engine.per_token_logps(model, known)
    expected = exact_logps(model, known)
    torch.testing.assert_close(logps, expected, atol=1e-5, rtol=0)
    assert (logps[known.attention_mask == 0] == 0).all()

    weights = torch.randn(logps.shape)
    gradients = [torch.autograd.grad((weights * value).sum(), list(model.parameters())) for value in (logps, expected)]
    for ours, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, exact, atol=2e-4, rtol=1e-4)
    assert any(gradient.abs().max() > 0.1 for gradient in gradients[0])


@every_model
def test_per_token_logps_do_not_depend_on_padding(build):
    model, engine = model_of(build, 5), engine_of(EOS, max_length=9)
    rows = [[3, 4, EOS], [4, EOS], [3, 3, 1, 4, EOS]]
    alone = []
    for row in rows:
        alone.append(engine.per_token_logps(model, Samples(torch.tensor([row]), torch.ones(1, len(row)).long()))[0])
    for width, fill in ((5, PAD), (9, PAD), (9, 4)):
        sequences = torch.full((3, width), fill)
        mask = torch.zeros(3, width, dtype=torch.long)
        for index, row in enumerate(rows):
            sequences[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        logps = engine.per_token_logps(model, Samples(sequences, mask))
        assert logps.shape == (3, width)
        for index, row in enumerate(rows):
            torch.testing.assert_close(logps[index, : len(row)], alone[index], atol=1e-6, rtol=0)
            assert not logps[index, len(row) :].any()


def test_per_token_logps_at_a_temperature():
    model, known = model_of(tiny_lstm), all_sequences(3, 3, EOS)
    tempered = exact_logps(_TemperedModel(model, 0.5), known)
    torch.testing.assert_close(engine_of(EOS).at(0.5).per_token_logps(model, known), tempered, atol=1e-5, rtol=0)


# ---- Rollouts -------------------------------------------------------------------------------------------------------


@with_and_without_eos
@every_model
@pytest.mark.parametrize("chunk_size", (1, 40, 16384))
def test_every_proper_prefix_is_completed_equally_often(build, eos, chunk_size):
    model, engine = model_of(build, 4, eos), engine_of(eos, max_length=5, chunk_size=chunk_size)
    samples = engine.sample(model, 30)
    if eos is not None:  # one sequence without a proper prefix
        samples.sequences[7], samples.attention_mask[7] = torch.tensor([EOS] + [PAD] * 4), torch.tensor([1] + [0] * 4)
    lengths = samples.attention_mask.sum(1).tolist()
    expected = {(row, prefix): 3 for row, length in enumerate(lengths) for prefix in range(1, length)}
    seen: dict[tuple[int, int], int] = {}
    for chunk in engine.rollout(model, samples, 3):
        assert len(chunk.row) <= max(chunk_size, 3 * 4)
        for row, prefix, completion in zip(
            chunk.row.tolist(), chunk.prefix_length.tolist(), chunk.sequences.tolist(), strict=True
        ):
            seen[row, prefix] = seen.get((row, prefix), 0) + 1
            assert completion[:prefix] == samples.sequences[row, :prefix].tolist()
            if eos is not None and eos in completion:
                assert set(completion[completion.index(eos) + 1 :]) <= {PAD}
    assert seen == expected


def test_a_chunk_is_bounded_by_the_states_of_its_continuations(monkeypatch):
    """Keys and values of 2 layers: 2 * 2 * 16 numbers a token; h and c of an LSTM: 2 * 6, at most once a token."""
    for build, options, size in ((tiny_gpt2, {"n_layer": 2}, 2 * 2 * 16 * 4), (tiny_lstm, {}, 2 * 6 * 4)):
        model, engine = model_of(build, 600, **options), RolloutEngine(10, BOS, PAD, EOS)
        assert engine._default_chunk_size(model) == 16384
        monkeypatch.setattr(engine_module, "_MAX_STATE_BYTES", size * 10 * 37 + 1)
        assert engine._default_chunk_size(model) == 37
        assert max(len(chunk.row) for chunk in engine.rollout(model, engine.sample(model, 12), 2)) <= 37
        monkeypatch.setattr(engine_module, "_MAX_STATE_BYTES", 1)
        assert engine._default_chunk_size(model) == 1
        monkeypatch.undo()
    stateless = model_of(tiny_stateless, 600)
    assert RolloutEngine(10, BOS, PAD, EOS)._default_chunk_size(stateless) in (16384, 2**22 // 600)
    cyclic = {"keys": torch.zeros(3), "type": dict}
    cyclic["self"] = cyclic
    assert state_bytes(cyclic) == 12


@with_and_without_eos
@every_model
@pytest.mark.parametrize(("chunk_size", "temperature"), ((300, 1.0), (1_000_000, 1.0), (1_000_000, 0.6)))
def test_completions_follow_the_conditional_distribution(build, eos, chunk_size, temperature):
    # Prefixes of several lengths in one batch, so that rows join and leave while others go on.
    model, engine = model_of(build, 3, eos), engine_of(eos, max_length=4, chunk_size=chunk_size)
    rows = [[0, 1, 1, 0], [1, EOS, 0, 0], [1, 0, 0, 1], [EOS, 0, 0, 0], [0, 0, 1, EOS]]
    sequences = torch.tensor(rows)
    lengths = [row.index(EOS) + 1 if eos is not None and EOS in row else 4 for row in rows]
    samples = Samples(sequences, (torch.arange(4) < torch.tensor(lengths)[:, None]).long())
    known = all_sequences(3, 4, eos)
    with torch.no_grad():
        probabilities = exact_logps(_TemperedModel(model, temperature), known).double().sum(1).exp()

    chunks = list(engine.at(temperature).rollout(model, samples, 3000))
    row, prefix_length, completions = (
        torch.cat([getattr(chunk, name) for chunk in chunks]) for name in ("row", "prefix_length", "sequences")
    )
    tested = 0
    for index, length in enumerate(lengths):
        for kept in range(1, length):
            mine = completions[(row == index) & (prefix_length == kept)]
            assert len(mine) == 3000
            possible = (known.sequences[:, :kept] == sequences[index, :kept]).all(1)
            possible &= known.attention_mask.sum(1) > kept  # the prefix itself has not ended
            conditional = probabilities[possible] / probabilities[possible].sum()
            assert chi_square_p(counts(mine, known.sequences[possible]), conditional) > ALPHA / 10, (index, kept)
            tested += 1
    assert tested == (3 + 1 + 3 + 0 + 3 if eos is not None else 15)


@every_model
def test_completions_are_independent_of_each_other(build):
    model, engine = model_of(build, 3, None), engine_of(None, max_length=2)
    samples = Samples(torch.tensor([[0, 1], [1, 1]]).repeat(4000, 1), torch.ones(8000, 2, dtype=torch.long))
    drawn = torch.empty(8000, 2, dtype=torch.long)
    chunk = next(engine.rollout(model, samples, 2))
    for row in range(2):
        drawn[row::2] = chunk.sequences[chunk.row % 2 == row][:, 1].view(-1, 2)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[BOS, 0], [BOS, 1]])).logits[:, -1]
    for row, marginal in enumerate(logits.softmax(-1)):
        joint = (drawn[row::2, 0] * 3 + drawn[row::2, 1]).bincount(minlength=9)
        assert chi_square_p(joint, torch.outer(marginal, marginal).flatten()) > ALPHA


@every_model
def test_rollouts_leave_the_samples_alone(build):
    model, engine = model_of(build), engine_of(EOS, max_length=5, chunk_size=20)
    samples = engine.sample(model, 20)
    before = samples.sequences.clone(), samples.attention_mask.clone()
    assert not any(chunk.sequences.requires_grad for chunk in engine.rollout(model, samples, 2))
    assert torch.equal(samples.sequences, before[0]) and torch.equal(samples.attention_mask, before[1])


def test_one_token_has_no_rollouts():
    model, engine = model_of(tiny_lstm), engine_of(EOS, max_length=1)
    samples = engine.sample(model, 10)
    assert samples.attention_mask.all()
    assert sum(len(chunk.row) for chunk in engine.rollout(model, samples, 4)) == 0


def test_a_rollout_reads_each_position_once():
    model, engine = model_of(tiny_lstm, 4, None), engine_of(None, max_length=6)
    samples = engine.sample(model, 7)
    shapes = []
    model.register_forward_pre_hook(
        lambda module, inputs, options: shapes.append(tuple(options["input_ids"].shape)), with_kwargs=True
    )
    list(engine.rollout(model, samples, 2))
    # 7 prefixes are read token by token; after position t, t * 7 * 2 completions go on beside them.
    assert shapes == [(7, 1)] + [(7 + 14 * t, 1) for t in range(5)]


def test_engine_errors():
    with pytest.raises(ValueError, match="max_length is 0; set it to 1 or more generated tokens"):
        RolloutEngine(0, BOS, PAD)
    with pytest.raises(ValueError, match="chunk_size is 0; set it to 1 or more"):
        RolloutEngine(3, BOS, PAD, chunk_size=0)
    engine, model = engine_of(EOS), model_of(tiny_lstm)
    with pytest.raises(ValueError, match="num_rollouts is 0; set it to 1 or more"):
        next(engine.rollout(model, engine.sample(model, 2), 0))
    with pytest.raises(ValueError, match="temperature is 0; set it above 0"):
        engine.at(0)
