"""The rewards that need no discriminator: BLEU against NLTK and against enumeration, and a constant."""

import random
import re

import datasets
import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_textgan import RolloutEngine, SeqGANObjective, StepContext
from hf_textgan.core.players import Players
from hf_textgan.objectives.rewards import BleuScore
from tests.helpers import BOS, EOS, PAD, all_sequences, exact_logps, tiny_gpt2, tiny_lstm
from tests.objectives.test_policy_gradient import (
    agreement,
    agrees,
    discriminator,
    exact_gradient,
    generator,
    gradients_of_steps,
)
from tests.toys import toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")


def nltk_bleu(hypothesis: list[int], references: list[list[int]], order: int) -> float:
    smoothing = SmoothingFunction(epsilon=0.1).method1
    return float(sentence_bleu(references, hypothesis, (1 / order,) * order, smoothing))


def row(tokens: list[int], eos: bool = True) -> dict[str, list[int]]:
    """As in a data set: from BOS to EOS."""
    return {"input_ids": [BOS, *tokens, *([EOS] if eos else [])]}


# ---- BLEU -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", (2, 3, 4))
@pytest.mark.parametrize("eos", (EOS, None), ids=("eos", "fixed"))
def test_bleu_scores_equal_nltk(order, eos):
    rng, length = random.Random(order), 9
    symbols = [0, 1, 3, 4, 5, 6]  # PAD and BOS are symbols too; 6 is in no reference
    references = [rng.choices(symbols[:-1], k=rng.randint(2, 8) if eos else length) for _ in range(12)]
    texts = [rng.choices(symbols, k=rng.randint(0, 9) if eos else length) for _ in range(80)]
    texts += [*references, [6] * length, [4] * length]
    if eos is not None:
        texts += [[], [4], [6]]
    engine = RolloutEngine(length, BOS, PAD, eos)
    score = BleuScore([row(tokens, eos is not None) for tokens in references], engine, order)

    def padded(tokens: list[int]) -> list[int]:
        ended = [*tokens, EOS] if eos is not None and len(tokens) < length else tokens
        # What follows EOS is no text, even where it is not the padding.
        return (ended + rng.choices(symbols, k=length))[:length]

    scores = score(torch.tensor([padded(tokens) for tokens in texts]))
    assert scores.shape == (len(texts),)
    expected = [nltk_bleu(tokens, references, order) for tokens in texts]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)
    assert len({round(value, 3) for value in expected}) > 10 and 1.0 in expected and 0.0 in expected
    # One by one: no sentence changes the score of another.
    assert [float(score(torch.tensor([padded(tokens)]))[0]) for tokens in texts[:9]] == scores[:9].tolist()


@pytest.mark.parametrize("number", (1, 2, 5, 11, 12, 50))
def test_references_are_evenly_spaced(number):
    rows = [row([10 + place] * 2) for place in range(12)]
    score = BleuScore(rows, RolloutEngine(3, BOS, PAD, EOS), 2, num_references=number)
    taken = score(torch.tensor([[10 + place, 10 + place, EOS] for place in range(12)])).nonzero().squeeze(1).tolist()
    assert len(taken) == min(number, 12) and taken[0] == 0
    if number > 1:
        gaps = np.diff(taken)
        assert taken[-1] == 11 and gaps.max() - gaps.min() <= 1


def test_the_number_of_references_is_bounded():
    rows = [row([5 + place, 5 + place]) for place in range(10_100)]
    engine = RolloutEngine(3, BOS, PAD, EOS)
    hypotheses = torch.tensor([[5 + place, 5 + place, EOS] for place in range(10_100)])
    assert int((BleuScore(rows, engine, 2)(hypotheses) > 0).sum()) == 10_000


def test_rows_may_be_lists_arrays_or_tensors():
    texts = [[3, 4, 5, 3], [4, 4, 6], [7, 3, 4]]
    rows = [row(tokens) for tokens in texts]
    dataset = datasets.Dataset.from_list(rows)
    hypotheses = torch.tensor([[3, 4, 5, EOS, PAD], [4, 6, 7, 3, EOS], [7, 7, 7, 7, 7]])
    expected = [nltk_bleu(tokens, texts, 2) for tokens in ([3, 4, 5], [4, 6, 7, 3], [7] * 5)]
    forms = {
        "lists": rows,
        "arrays": [{"input_ids": np.array(r["input_ids"])} for r in rows],
        "tensors": [{"input_ids": torch.tensor(r["input_ids"])} for r in rows],
        "dataset": dataset,
        "torch dataset": dataset.with_format("torch"),
    }
    engine = RolloutEngine(5, BOS, PAD, EOS)
    for name, form in forms.items():
        assert BleuScore(form, engine, 2)(hypotheses).tolist() == pytest.approx(expected, abs=1e-6), name


REFERENCES = [[0, 1], [1, 0], [0]]


class NltkJudge(nn.Module):
    """The BLEU of NLTK in the place of a discriminator's probability, for the exact gradient."""

    def __init__(self, order: int, eos: int | None):
        super().__init__()
        self.order, self.eos = order, eos

    def forward(self, input_ids):
        texts = [list(ids[: ids.index(self.eos)] if self.eos in ids else ids) for ids in input_ids.tolist()]
        scores = torch.tensor([nltk_bleu(text, REFERENCES, self.order) for text in texts])
        return SequenceClassifierOutput(logits=torch.stack([torch.zeros_like(scores), scores.logit()], dim=1))


@pytest.mark.parametrize(("build", "eos"), ((tiny_lstm, EOS), (tiny_gpt2, None)), ids=("lstm-eos", "gpt2-fixed"))
def test_the_bleu_gradient_is_that_of_the_expected_bleu(build, eos):
    model, judge = generator(build, eos), NltkJudge(2, eos)
    objective = SeqGANObjective(reward="bleu", bleu_order=2, num_rollouts=1)
    objective.prepare([row(tokens, eos is not None) for tokens in REFERENCES], RolloutEngine(3, BOS, PAD, eos), {})
    gradients, exact = gradients_of_steps(model, judge, objective, eos), exact_gradient(model, judge, eos)
    assert exact.norm() > 0.05
    assert agrees(gradients, exact), agreement(gradients, exact)


def generator_output(objective: SeqGANObjective, model: nn.Module, number: int = 50, **context):
    engine = RolloutEngine(3, BOS, PAD, EOS)
    batch = {"input_ids": torch.zeros(number, 4, dtype=torch.long)}
    players = Players({"generator": model})
    with players.updating("generator"):
        return objective.generator_loss(players, engine, batch, StepContext(**context))


def test_bleu_needs_the_training_data():
    message = "reward is 'bleu', but prepare was not called; call it first."
    with pytest.raises(ValueError, match=re.escape(message)):
        generator_output(SeqGANObjective(reward="bleu"), generator(tiny_lstm))


# ---- A constant -----------------------------------------------------------------------------------------------------


def test_constant_rewards_by_hand():
    model = generator(tiny_lstm)
    calls = []
    model.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    for constant in (1.0, 0.3, -2.0):
        torch.manual_seed(4)
        samples = RolloutEngine(3, BOS, PAD, EOS).sample(model, 50)
        torch.manual_seed(4)
        calls.clear()
        output = generator_output(SeqGANObjective(reward="constant", constant_reward=constant), model)
        assert len(calls) == 3 + 1, "three tokens are drawn and then scored; there are no rollouts"
        assert 0 < samples.attention_mask.sum() < 150
        expected = -constant * exact_logps(model, samples).sum()
        assert float(output.loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        # Anything at padding would show in the mean, which is one over tokens.
        assert output.metrics["reward/mean"] == pytest.approx(constant)
        assert output.metrics["reward/std"] == pytest.approx(0, abs=1e-6)
        assert output.reduction == "sum"


def test_a_constant_reward_gives_noise_around_zero():
    model = generator(tiny_lstm)
    objective = SeqGANObjective(reward="constant", constant_reward=0.7)
    gradients = gradients_of_steps(model, discriminator(), objective, EOS)
    deviation = gradients.std(0) / len(gradients) ** 0.5
    random_directions = torch.randn(8, gradients.shape[1], dtype=torch.float64)
    projections = gradients @ random_directions.T
    z = projections.mean(0) / projections.std(0) * len(projections) ** 0.5
    assert z.abs().max() < 4
    assert gradients.mean(0).square().sum() < 3 * deviation.square().sum()
    assert gradients.norm(dim=1).min() > 0.01, "each step has a gradient: it is noise, not nothing"
    # By enumeration: sum_y G(y) grad log G(y) = grad sum_y G(y) = 0.
    total = exact_logps(model, all_sequences(3, 3, EOS)).sum(1).exp().sum()
    assert max(float(g.abs().max()) for g in torch.autograd.grad(total, list(model.parameters()))) < 1e-6


# ---- Runs without a discriminator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ("constant", "bleu"))
def test_a_run_without_a_discriminator(tmp_path, reward):
    objective = SeqGANObjective(reward=reward, constant_reward=0.5, bleu_order=2, num_rollouts=2, generator_steps=2)
    assert objective.unused_players == {"discriminator"}
    trainer = toy_trainer(
        tmp_path, objective, save_strategy="no", max_steps=2, learning_rate=1e-3, trainer_options={"players": {}}
    )
    described = [
        (phase.name, phase.iterations, [(update.player, update.repeat) for update in phase.updates])
        for phase in trainer.schedule.phases
    ]
    assert described == [
        ("pretrain_generator", 3, [("generator", 1)]),
        ("adversarial", 2, [("generator", 2)]),
    ], "the steps of the discriminator, which the arguments ask for, are left out"
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert trainer.train().global_step == 5
    assert not any(torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())
    assert list(trainer.players) == ["generator"]
    rewards = [entry["reward/mean"] for entry in trainer.state.log_history if "reward/mean" in entry]
    assert len(rewards) == 2
    if reward == "constant":
        assert rewards == [0.5, 0.5]
    else:
        assert all(0 < value < 1 for value in rewards)
    assert not any(key.startswith("discriminator") for entry in trainer.state.log_history for key in entry)


def test_only_the_discriminator_reward_has_use_for_one():
    assert SeqGANObjective().unused_players == frozenset()
    assert "pretrain_discriminator" in SeqGANObjective().updates()
    for reward in ("bleu", "constant"):
        assert list(SeqGANObjective(reward=reward).updates()) == ["pretrain_generator", "adversarial"]
        phases = SeqGANObjective(reward=reward).phases(2, 7, 3)
        assert {phase.name: phase.iterations for phase in phases if phase.iterations} == {
            "pretrain_generator": 2,
            "adversarial": 3,
        }


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"reward": "rouge"}, "reward is 'rouge'; set it to 'discriminator', 'bleu' or 'constant'."),
        ({"bleu_order": 1}, "bleu_order is 1; set it to 2 or more."),
        ({"num_rollouts": 0}, "num_rollouts is 0; set it to 1 or more."),
        ({"num_negatives": -1}, "num_negatives is -1; set it to 0 or more."),
        ({"negative_epochs": 0}, "negative_epochs is 0; set it to 1 or more."),
    ],
)
def test_hyperparameters_that_make_no_sense(hyperparameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SeqGANObjective(**hyperparameters)
