"""Log-probabilities of given sequences against exact ones."""

import pytest
import torch
from torch import nn

from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.likelihood import linear_logps
from hf_textgan.sampling.output_layer import OutputLayer
from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, all_sequences, exact_logps, randomize, tiny_gpt2, tiny_lstm
from tests.sampling.tools import TemperedModel, engine_of, every_model, model_of, with_and_without_eos


pytestmark = pytest.mark.usefixtures("one_thread")


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
    for actual, expected in zip(*results, strict=True):
        # Scores of 300 are only known to 3e-5.
        torch.testing.assert_close(actual, expected, atol=5e-3 if scale == 100.0 else 3e-5, rtol=1e-5)
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
def test_logps_with_a_large_vocabulary_have_the_gradient_of_autograd(build):
    """600 tokens take the path without scores; GPT-2 shares its output layer with its embedding."""
    engine = RolloutEngine(4, BOS, PAD, EOS)
    model = randomize(build(vocab_size=600), std=0.3).eval()
    samples = engine.as_samples(torch.tensor([[5, 599, 2, 0], [7, 8, 9, 10], [2, 0, 0, 0]]))
    assert engine._head_to_skip(model, samples) is model.get_output_embeddings()
    actual = engine.per_token_logps(model, samples)
    expected = exact_logps(model, samples)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    slope = torch.randn(3, 4)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad((logps * slope).sum(), parameters) for logps in (actual, expected)]
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(engine.score(model, samples), expected.detach(), atol=1e-5, rtol=0)
    assert engine._head_to_skip(nn.ModuleDict({"wrapped": model}), samples) is None  # as data parallelism wraps it
    # Where rounding is asked for, and in double precision, the model computes its scores itself.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert engine._head_to_skip(model, samples) is None
    assert engine._head_to_skip(model.double(), samples) is None


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
    for actual, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, exact, atol=2e-4, rtol=1e-4)
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
    tempered = exact_logps(TemperedModel(model, 0.5), known)
    torch.testing.assert_close(engine_of(EOS).at(0.5).per_token_logps(model, known), tempered, atol=1e-5, rtol=0)
