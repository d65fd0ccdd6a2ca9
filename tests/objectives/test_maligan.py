"""MaliGAN: real updates of the Trainer against the exact gradient, by enumeration of all sequences."""

from itertools import product

import pytest
import torch

from hf_textgan import Samples, StepContext
from hf_textgan.core.players import Players
from hf_textgan.objectives.maligan import MaliGANObjective, density_ratio, prefix_length
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


# ---- The mixed variant ----------------------------------------------------------------------------------------------

REAL = ((0, 1, EOS), (1, EOS))  # the rows of `gradients_of_the_trainer`


def exact_mixed_gradient(model, judge, longest: int, num_completions: int) -> torch.Tensor:
    """
    The expected gradient of a real sequence, over all tuples of completions: the self-normalized weights are biased,
    and so is this.
    """
    known = all_sequences(V, T, EOS)
    logps, odds = exact_logps(model, known).double(), log_odds(judge, known).exp()
    loss = torch.zeros((), dtype=torch.float64)
    for row in REAL:
        kept = min(longest, len(row))
        agree = (known.sequences[:, :kept] == torch.tensor(row[:kept])).all(1)
        agree &= known.attention_mask.sum(1) >= kept
        if EOS in row[:kept]:
            agree &= known.attention_mask.sum(1) == kept
        tails, prefix = logps[agree][:, kept:].sum(1), logps[agree][0, :kept].sum()
        own = tails.detach().exp()
        assert float(own.sum()) == pytest.approx(1)
        loss = loss - prefix
        for drawn in product(range(len(own)), repeat=num_completions):
            weights = odds[agree][list(drawn)] / odds[agree][list(drawn)].sum()
            loss = loss - own[list(drawn)].prod() * (weights * tails[list(drawn)]).sum()
    gradients = torch.autograd.grad(loss / len(REAL), list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("build", [BUILDERS["lstm"], pytest.param(BUILDERS["gpt2"], marks=pytest.mark.slow)])
def test_mixed_updates_of_the_trainer_follow_the_exact_gradient(build, tmp_path):
    """N is 3, then 1, then 0: the likelihood of real text, its continuations, and samples."""
    model, judge = generator(build), discriminator()
    objective = MaliGANObjective(discriminator_steps=1, num_completions=2, prefix_decrease=2)
    delayed = generator(build).double()
    sampled = BATCH * gradients_of_the_trainer(model, judge, objective, tmp_path, others={"delayed": delayed})
    lengths = [prefix_length(step / len(sampled), T, 2) for step in range(len(sampled))]
    assert sorted(set(lengths)) == [0, 1, 3]
    for length in (3, 1, 0):
        exact = exact_mixed_gradient(model, judge, length, 2).double()
        own = sampled[torch.tensor(lengths) == length]
        error = float((own.mean(0) - exact).norm() / exact.norm())
        noise = float((own.var(0).sum() / len(own)).sqrt() / exact.norm())
        assert error < min(4 * noise, 0.2), (length, error, noise)


def test_the_mixed_variant_begins_with_likelihood():
    """With N = T the gradient is that of the likelihood of the real sequences, to rounding."""
    model, judge = generator(BUILDERS["lstm"]), discriminator()
    players = Players({"generator": model, "discriminator": judge, "delayed": generator(BUILDERS["lstm"])})
    batch = {"input_ids": torch.tensor([[BOS, 0, 1, EOS], [BOS, 1, EOS, PAD], [BOS, 1, 0, 1]])}
    batch["attention_mask"] = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    objective = MaliGANObjective(num_completions=3)
    with players.updating("generator"):
        output = objective.generator_loss(players, RolloutEngine(T, BOS, PAD, EOS), batch, StepContext())
        found = torch.autograd.grad(output.loss, list(model.parameters()))
    assert output.metrics["generator/prefix_length"] == T
    real = Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:])
    likelihood = exact_logps(model, real).sum() / 3
    for first, second in zip(found, torch.autograd.grad(-likelihood, list(model.parameters())), strict=True):
        torch.testing.assert_close(first, second)


def test_an_undecided_judge_and_the_full_baseline_leave_only_likelihood():
    judge = discriminator()
    with torch.no_grad():
        judge.classifier.weight.zero_()
    model = generator(BUILDERS["lstm"])
    players = Players({"generator": model, "discriminator": judge, "delayed": generator(BUILDERS["lstm"])})
    batch = {"input_ids": torch.tensor([[BOS, 0, 1, EOS]] * 4), "attention_mask": torch.ones(4, 4).long()}
    objective, engine = MaliGANObjective(num_completions=3, prefix_decrease=2), RolloutEngine(T, BOS, PAD, EOS)
    gradients = []
    with players.updating("generator"):
        for progress in (0.5, 1 - 1e-9):
            context = StepContext(progress=progress)
            objective.weight_baseline = 1 / progress
            output = objective.generator_loss(players, engine, batch, context)
            gradients.append(torch.autograd.grad(output.loss, list(model.parameters())))
            assert output.metrics["generator/effective_sample_size"] == pytest.approx(3)
    first = exact_logps(model, Samples(torch.tensor([[0, 1, EOS]]), torch.ones(1, 3).long()))[0, 0]
    for found, expected in zip(gradients[0], torch.autograd.grad(-first, list(model.parameters())), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert all(gradient.abs().max() < 1e-6 for gradient in gradients[1])


def test_prefixes_become_shorter():
    """Of 12 tokens, 5 fewer in each quarter of the training."""
    lengths = [prefix_length(progress, 12, 5) for progress in (0.0, 0.24, 0.25, 0.49, 0.5, 0.74, 0.75, 0.99)]
    assert lengths == [12, 12, 7, 7, 2, 2, 0, 0]
    assert prefix_length(0.0, 20, 5) == 20 and prefix_length(0.8, 20, 5) == 0


def test_what_is_refused():
    with pytest.raises(ValueError, match="num_completions is 1, whose only weight is always 1; set it to 2"):
        MaliGANObjective(num_completions=1)
    with pytest.raises(ValueError, match="num_completions is 4 and num_rollouts 2, but the mixed variant weighs"):
        MaliGANObjective(num_completions=4, num_rollouts=2)
    assert MaliGANObjective().couples_batch and not MaliGANObjective(num_completions=2).couples_batch
