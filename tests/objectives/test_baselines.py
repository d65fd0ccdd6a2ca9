"""Baselines of rewards: values by hand, and unbiased gradients of real updates by enumeration."""

from statistics import mean, stdev

import pytest
import torch

from hf_textgan import RolloutEngine, Samples, SeqGANObjective, StepContext
from hf_textgan.core.players import Players
from hf_textgan.objectives.baselines import RewardBaseline
from hf_textgan.objectives.policy_gradient import PolicyGradientObjective, gradient_variance
from tests.helpers import BOS, PAD, all_sequences, exact_logps
from tests.objectives.test_policy_gradient import (
    BUILDERS,
    EOS,
    T,
    V,
    agreement,
    agrees,
    discriminator,
    exact_gradient,
    generator,
    gradients_of_the_trainer,
)
from tests.toys import checkpoint_state, differences, toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")

REWARDS = torch.tensor([[0.2, 0.4, 0.6], [0.8, 0.0, 0.0]])
MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", [[0.2, 0.4, 0.6], [0.8, 0.0, 0.0]]),
        ("mean", [[-0.3, -0.1, 0.1], [0.3, 0.0, 0.0]]),  # 2.0 over 4 tokens
        ("leave_one_out", [[-0.6, -0.4, -0.2], [0.4, 0.0, 0.0]]),  # 0.8, and 1.2 over 3 tokens
        ("position_mean", [[-0.3, 0.0, 0.0], [0.3, 0.0, 0.0]]),  # 0.5, 0.4, 0.6
        ("ema", [[0.2, 0.4, 0.6], [0.8, 0.0, 0.0]]),  # of no earlier step
    ],
)
def test_advantages_by_hand(kind, expected):
    torch.testing.assert_close(RewardBaseline(kind).advantages(REWARDS, MASK), torch.tensor(expected))


def test_the_moving_average_is_corrected_for_its_start():
    baseline = RewardBaseline("ema", decay=0.5)
    baseline.update(0.4)
    torch.testing.assert_close(baseline.advantages(REWARDS, MASK), (REWARDS - 0.4) * MASK)
    baseline.update(1.0)  # weights 1/4 and 1/2: (0.4 / 4 + 1 / 2) / (3 / 4)
    torch.testing.assert_close(baseline.advantages(REWARDS, MASK), (REWARDS - 0.8) * MASK)


def test_what_is_refused():
    with pytest.raises(ValueError, match="baseline is 'median'; set it to one of none, mean, ema, leave_one_out, pos"):
        SeqGANObjective(baseline="median")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="the batch has 1 sequence; raise per_device_train_batch_size to 2"):
        RewardBaseline("leave_one_out").advantages(REWARDS[:1], MASK[:1])
    assert SeqGANObjective(baseline="mean").couples_batch and not SeqGANObjective(baseline="ema").couples_batch


slow = pytest.mark.slow


@pytest.mark.parametrize("kind", ["ema", "leave_one_out"])
@pytest.mark.parametrize("build", ["lstm", pytest.param("gpt2", marks=slow)])
def test_unbiased_baselines_follow_the_exact_gradient(build, kind, tmp_path):
    model, judge = generator(BUILDERS[build]), discriminator()
    objective = SeqGANObjective(num_rollouts=2, discriminator_steps=1, baseline=kind)
    gradients = gradients_of_the_trainer(model, judge, objective, tmp_path)
    exact = exact_gradient(model, judge, EOS)
    assert agrees(gradients, exact), agreement(gradients, exact)
    plain = gradients_of_the_trainer(model, judge, SeqGANObjective(num_rollouts=2, discriminator_steps=1), tmp_path)
    assert gradients.var(0).sum() < 0.7 * plain.var(0).sum(), "a baseline lowers the variance"


def test_a_baseline_of_the_own_reward_is_found(tmp_path, monkeypatch):
    """A baseline that depends on the sequence's own reward is refused by the comparison."""
    monkeypatch.setattr(RewardBaseline, "advantages", lambda self, rewards, mask: (rewards - 0.5 * rewards) * mask)
    model, judge = generator(BUILDERS["lstm"]), discriminator()
    gradients = gradients_of_the_trainer(
        model, judge, SeqGANObjective(num_rollouts=2, discriminator_steps=1), tmp_path
    )
    assert not agrees(gradients, exact_gradient(model, judge, EOS))


def test_the_moving_average_is_resumed(tmp_path):
    def trainer(folder):
        return toy_trainer(folder, SeqGANObjective(num_rollouts=2, discriminator_steps=2, baseline="ema"))

    whole = trainer(tmp_path / "whole")
    whole.train()
    assert whole.objective._baseline.weight > 0
    resumed = trainer(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-7"))
    last = [checkpoint_state(tmp_path / name / "checkpoint-8") for name in ("whole", "resumed")]
    assert differences(*last) == []
    assert resumed.objective._baseline.state_dict() == whole.objective._baseline.state_dict()


# ---- The variance of the gradient -----------------------------------------------------------------------------------


REWARD_TABLE = torch.rand(27, T, generator=torch.Generator().manual_seed(2))


def given_rewards(samples: Samples) -> torch.Tensor:
    return REWARD_TABLE[samples.sequences @ torch.tensor([9, 3, 1])] * samples.attention_mask


class GivenRewards(PolicyGradientObjective):
    """The rewards are a table of sequences and positions, so they have no variance of their own."""

    def rewards(self, players, engine, samples):
        return given_rewards(samples)


def exact_variance(model, baseline: float) -> float:
    """The trace of the covariance of one sequence's gradient, over all sequences."""
    known = all_sequences(V, T, EOS)
    logps = exact_logps(model, known)
    rewards = given_rewards(known) - baseline
    squares, first = torch.zeros(()).double(), 0.0
    for row, probability in enumerate(logps.detach().sum(1).exp().double()):
        loss = (logps[row] * rewards[row] * known.attention_mask[row]).sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        gradient = torch.cat([g.flatten() for g in gradients]).double()
        squares, first = squares + probability * gradient.square().sum(), first + probability * gradient
    return float(squares - first.square().sum())


def logged_variances(batch_size: int, num_shards: int, baseline: str, steps: int) -> list[float]:
    model = generator(BUILDERS["lstm"])
    players, engine = Players({"generator": model}), RolloutEngine(T, BOS, PAD, EOS)
    objective = GivenRewards(baseline=baseline, variance_steps=2)  # pyright: ignore[reportArgumentType]
    objective._baseline.average, objective._baseline.weight = 0.4, 1.0  # of `ema`
    batch, found = {"input_ids": torch.zeros(batch_size, 4)}, []
    torch.manual_seed(3)
    for step in (1, *range(0, 2 * steps, 2)):
        context = StepContext(step=step, num_shards=num_shards)
        with players.updating("generator"):
            output = objective.generator_loss(players, engine, batch, context)
            output.loss.backward()  # the graph is still there
        assert ("generator/gradient_variance" in output.metrics) == (step % 2 == 0)
        found += [output.metrics["generator/gradient_variance"]] if step % 2 == 0 else []
    return found


@pytest.mark.parametrize(
    ("batch_size", "num_shards", "baseline", "value"),
    [(5, 2, "ema", 0.4), pytest.param(8, 1, "none", 0.0, marks=slow), pytest.param(40, 1, "mean", None, marks=slow)],
)
def test_the_logged_variance_is_that_of_the_gradient(batch_size, num_shards, baseline, value):
    """Of a step of `batch_size * num_shards` independent sequences."""
    found = logged_variances(batch_size, num_shards, baseline, 150)
    model = generator(BUILDERS["lstm"])
    if value is None:  # of the batch: nearly the mean reward of a token
        known = all_sequences(V, T, EOS)
        weights = exact_logps(model, known).detach().sum(1).exp()
        rewards = (given_rewards(known).sum(1) * weights).sum()
        value = float(rewards / (known.attention_mask.sum(1) * weights).sum())
    exact = batch_size * num_shards * exact_variance(model, value)
    error = stdev(found) / len(found) ** 0.5
    assert error < 0.1 * exact
    assert abs(mean(found) - exact) < 3.5 * error, (mean(found), exact, error)


def test_the_variance_of_known_gradients():
    """The gradients 1, 2, 4 of one parameter: (1 - 2)^2 of two, times 3 / 2; the second parameter has none."""
    first, second = (torch.nn.Parameter(torch.tensor(1.0)) for _ in range(2))
    losses = first * torch.tensor([1.0, 2.0, 4.0])
    assert gradient_variance(losses, [first, second]) == pytest.approx(1.5)
    assert gradient_variance(losses[:2], [second]) == 0.0 and first.grad is None
