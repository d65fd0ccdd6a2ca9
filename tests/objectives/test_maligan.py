"""MaliGAN: real updates of the Trainer against the exact gradient, by enumeration of all sequences."""

import pytest
import torch

from hf_textgan import Samples, StepContext
from hf_textgan.core.players import Players
from hf_textgan.objectives.maligan import MaliGANObjective, density_ratio
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import BOS, EOS, PAD, all_sequences, exact_logps, randomize
from tests.objectives.test_policy_gradient import (
    BATCH,
    BUILDERS,
    T,
    V,
    agreement,
    agrees,
    discriminator,
    generator,
    gradients_of_the_trainer,
)


pytestmark = pytest.mark.usefixtures("one_thread")


def log_odds(judge: torch.nn.Module, samples: Samples) -> torch.Tensor:
    logits = judge(input_ids=samples.sequences).logits
    return (logits[:, 1] - logits[:, 0]).detach().double()


@pytest.mark.parametrize("rollouts", [0, 4])
@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_updates_of_the_trainer_follow_the_exact_gradient(build, rollouts, tmp_path):
    """The gradient of ``- E_q log G``, where q is the generator's law times D / (1 - D), normalized."""
    model, judge = generator(build), discriminator()
    delayed = randomize(build(V), seed=5, std=0.5).double()  # another model, until it is carried
    objective = MaliGANObjective(discriminator_steps=1, num_rollouts=rollouts)
    sampled = BATCH * gradients_of_the_trainer(model, judge, objective, tmp_path, others={"delayed": delayed})

    known = all_sequences(V, T, EOS)
    logps = exact_logps(model, known).sum(1)
    target = (logps.detach().double() + log_odds(judge, known)).softmax(0)
    loss = -(target * logps).sum()
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).double()
    assert agrees(sampled, exact), agreement(sampled, exact)


def test_the_optimal_judge_gives_the_gradient_of_likelihood():
    """With D = p_data / (p_data + p') the normalizer is 1, and MaliGAN is maximum likelihood on the data."""
    model = generator(BUILDERS["lstm"])
    known = all_sequences(V, T, EOS)
    logps = exact_logps(model, known).sum(1).double()
    data = torch.randn(len(known), generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(0)
    own = logps.detach().exp()
    optimal = data / (data + own)
    odds = density_ratio(torch.stack([(1 - optimal).log(), optimal.log()], 1), 50.0)
    assert float((own * odds).sum()) == pytest.approx(1.0)
    parameters = list(model.parameters())
    weighted = torch.autograd.grad((own * odds * logps).sum(), parameters, retain_graph=True)
    likelihood = torch.autograd.grad((data * logps).sum(), parameters)
    for first, second in zip(weighted, likelihood, strict=True):
        torch.testing.assert_close(first, second)


def step(judge, beta_progress: float, **options):
    torch.manual_seed(0)
    players = Players({"generator": generator(BUILDERS["lstm"]), "discriminator": judge})
    players._modules["delayed"] = generator(BUILDERS["lstm"])
    objective = MaliGANObjective(**options)
    engine = RolloutEngine(T, BOS, PAD, EOS)
    with players.updating("generator"):
        output = objective.generator_loss(
            players, engine, {"input_ids": torch.zeros(16, 4)}, StepContext(progress=beta_progress)
        )
        output.loss.backward()
    assert all(p.grad is None for name in ("discriminator", "delayed") for p in players.unwrap(name).parameters())
    return torch.cat([p.grad.flatten() for p in players.unwrap("generator").parameters()]), output.metrics


@pytest.mark.parametrize("rollouts", [0, 2])
def test_an_undecided_judge_and_the_full_baseline_give_no_gradient(rollouts):
    judge = discriminator()
    with torch.no_grad():
        judge.classifier.weight.zero_()
        judge.classifier.bias.zero_()
    gradient, metrics = step(judge, 1.0, num_rollouts=rollouts)
    assert gradient.abs().max() < 1e-6
    assert metrics["generator/effective_sample_size"] == pytest.approx(16)


def test_scaling_the_odds_changes_nothing():
    first, _ = step(discriminator(), 0.5)
    judge = discriminator()
    with torch.no_grad():
        judge.classifier.bias[1] += 0.7
    second, metrics = step(judge, 0.5)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)
    assert 1 <= metrics["generator/effective_sample_size"] < 16


def test_density_ratio_is_that_of_the_probabilities():
    logits = torch.tensor([[0.0, 0.0], [1.0, 3.0], [5.0, -2.0], [0.0, 90.0]], dtype=torch.float64)
    probabilities = logits[:3].softmax(1)
    expected = probabilities[:, 1] / probabilities[:, 0]
    torch.testing.assert_close(density_ratio(logits, 10.0)[:3], expected)
    torch.testing.assert_close(density_ratio(logits + 4, 10.0), density_ratio(logits, 10.0))
    assert float(density_ratio(logits, 10.0)[3].log()) == pytest.approx(10.0)
