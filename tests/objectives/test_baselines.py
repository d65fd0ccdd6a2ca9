"""Baselines of rewards: values by hand, and unbiased gradients of real updates by enumeration."""

import pytest
import torch

from hf_textgan import SeqGANObjective
from hf_textgan.objectives.baselines import RewardBaseline
from tests.objectives.test_policy_gradient import (
    BUILDERS,
    EOS,
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
