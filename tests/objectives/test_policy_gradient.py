"""
The policy gradient of real updates against the exact gradient, by enumeration of all sequences; and the same
comparison on estimators with a fault, which it must refuse.
"""

import copy
import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel, TrainerCallback
from transformers.optimization import get_constant_schedule

from hf_textgan import (
    AdversarialConfig,
    AdversarialTrainer,
    RolloutEngine,
    Samples,
    SeqGANObjective,
    StepContext,
    Update,
)
from hf_textgan.core.context import ObjectiveOutput
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.losses.adversarial import policy_gradient_loss, real_fake_cross_entropy
from hf_textgan.losses.likelihood import token_nll
from hf_textgan.losses.regularization import output_layer_l2
from hf_textgan.models import RecurrentDiscriminator, RecurrentDiscriminatorConfig
from hf_textgan.objectives import rewards as rewards_module
from hf_textgan.objectives.rewards import probability_of_real, rollout_rewards, score_distinct
from tests.helpers import (
    BOS,
    EOS,
    PAD,
    all_sequences,
    exact_logps,
    randomize,
    tiny_discriminator,
    tiny_gpt2,
    tiny_lstm,
)
from tests.labelled import LABELLED, joint, labelled


pytestmark = pytest.mark.usefixtures("one_thread")

V, T = 3, 3
BUILDERS = {"lstm": tiny_lstm, "gpt2": tiny_gpt2}
every_model = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
# ... where the others say the same in less time.
every_model_in_time = pytest.mark.parametrize(
    "build",
    [pytest.param(build, id=name, marks=[pytest.mark.slow] * (name == "gpt2")) for name, build in BUILDERS.items()],
)
every_labelled = pytest.mark.parametrize("kind", LABELLED.values(), ids=LABELLED)
with_and_without_eos = pytest.mark.parametrize("eos", (EOS, None), ids=("eos", "fixed"))

TICKS, BATCH = 40, 400  # sampled gradients, and sequences in each
STEP = 1e-9  # of plain SGD: far too small to change the policy within a run, and exact in double precision


def generator(build, eos: int | None = EOS) -> PreTrainedModel:
    return randomize(build(V, eos=eos is not None), seed=1, std=0.5).eval()


def discriminator() -> PreTrainedModel:
    """
    Opinions far apart, at every position, so that the gradient stands out of the noise; and dropout, which must not
    act on rewards.
    """
    return randomize(tiny_discriminator(V, T, dropout=0.5, num_filters=[6, 8, 6]), seed=41, std=0.7).eval()


def real_probability(model: nn.Module, sequences: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=sequences).logits
    return 1 / (1 + (logits[:, 0] - logits[:, 1]).exp())


# ---- The exact values -----------------------------------------------------------------------------------------------


def exact_gradient(model: nn.Module, judge: nn.Module, eos: int | None) -> torch.Tensor:
    """Minus the gradient of ``sum_y G(y) D(y)``, the expected reward of one sequence."""
    known = all_sequences(V, T, eos)
    with torch.no_grad():
        scores = real_probability(judge.eval(), known.sequences)
    expected_reward = (exact_logps(model, known).sum(1).exp() * scores).sum()
    gradients = torch.autograd.grad(-expected_reward, list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients]).double()


def exact_values(model: nn.Module, judge: nn.Module, samples: Samples, eos: int | None) -> tuple:
    """``E[D | y_1..y_t]`` and the variance of D around it, of shape (sequences, T); 0 at padding."""
    known = all_sequences(V, T, eos)
    with torch.no_grad():
        probabilities = exact_logps(model, known).sum(1).exp().double()
        scores = real_probability(judge, known.sequences).double()
    mean = torch.zeros(samples.sequences.shape, dtype=torch.float64)
    variance = mean.clone()
    for row, length in enumerate(samples.attention_mask.sum(1).tolist()):
        for kept in range(1, length + 1):
            agree = (known.sequences[:, :kept] == samples.sequences[row, :kept]).all(1)
            agree &= known.attention_mask.sum(1) >= length if kept == length else known.attention_mask.sum(1) > kept
            weights = probabilities[agree] / probabilities[agree].sum()
            mean[row, kept - 1] = (weights * scores[agree]).sum()
            variance[row, kept - 1] = (weights * (scores[agree] - mean[row, kept - 1]) ** 2).sum()
    return mean, variance


def agreement(gradients: torch.Tensor, exact: torch.Tensor) -> dict[str, float]:
    """
    How sampled gradients, of shape (iterations, parameters), lie to the exact one: the relative error of their mean,
    the error that chance alone would give, and the largest z-score along fixed random directions and the exact
    gradient.
    """
    mean, count = gradients.mean(0), len(gradients)
    noise = math.sqrt(float(gradients.var(0).sum()) / count)
    directions = torch.randn(8, len(exact), dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    directions = torch.cat([directions, exact[None]])
    projections = gradients @ directions.T  # (iterations, directions)
    spread = projections.std(0) / math.sqrt(count)
    z = (projections.mean(0) - directions @ exact) / spread
    return {
        "error": float((mean - exact).norm() / exact.norm()),
        "noise": noise / float(exact.norm()),
        "z": float(z.abs().max()),
    }


def agrees(gradients: torch.Tensor, exact: torch.Tensor) -> bool:
    found = agreement(gradients, exact)
    assert found["noise"] < max(0.04, found["error"] / 10), f"too few samples to tell: {found}"
    return found["error"] < min(4 * found["noise"], 0.1) and found["z"] < 4


# ---- Sampled gradients ----------------------------------------------------------------------------------------------


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


class Differences(TrainerCallback):
    """The change of the generator in every iteration."""

    def __init__(self):
        self.changes: list[torch.Tensor] = []

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.before = flat(model)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.changes.append(flat(model) - self.before)


def gradients_of_the_trainer(
    model: PreTrainedModel,
    judge: PreTrainedModel,
    objective: SeqGANObjective,
    folder,
    eos: int | None = EOS,
    others: dict[str, PreTrainedModel] | None = None,
    **options,
) -> torch.Tensor:
    """The gradients, per sequence, of the generator's updates in a real run: plain SGD moves by minus the gradient."""
    model = copy.deepcopy(model).double()
    options = {"per_device_train_batch_size": BATCH, "max_steps": TICKS, **options}
    arguments = AdversarialConfig(
        output_dir=str(folder),
        optim="sgd",
        learning_rate=STEP,
        max_grad_norm=0.0,
        player_optimizers={"discriminator": {"learning_rate": 0.0}},
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        max_length=T,
        **options,
    )
    second = [BOS, 1, EOS] if eos is not None else [BOS, 1, EOS, 0]
    rows = [{"input_ids": [BOS, 0, 1, EOS]}, {"input_ids": second}] * BATCH
    recorder = Differences()
    trainer = AdversarialTrainer(
        model=model,
        args=arguments,
        objective=objective,
        train_dataset=rows,
        players={"discriminator": copy.deepcopy(judge), **(others or {})},
        callbacks=[recorder],
    )
    trainer.train()
    sequences = options["per_device_train_batch_size"] * options.get("gradient_accumulation_steps", 1)
    return -torch.stack(recorder.changes) / (STEP * sequences)


def players_of(model: PreTrainedModel, judge: PreTrainedModel) -> Players:
    return Players({"generator": model, "discriminator": judge})


def step(players: Players, objective: SeqGANObjective, player: str, lr: float, eos: int | None, batch: int):
    sgd = torch.optim.SGD(players.wrapped(player).parameters(), lr=lr)
    optimizer = PlayerOptimizer(sgd, get_constant_schedule(sgd))
    update = Update(player, f"{player}_loss")
    real = {"input_ids": torch.tensor([[BOS, 0, 1, EOS]] * batch), "attention_mask": torch.ones(batch, T + 1).long()}
    engine = RolloutEngine(T, BOS, PAD, eos)
    accelerator = Accelerator(cpu=True)
    return take_step(accelerator, players, optimizer, update, [real], objective, engine, StepContext())


def gradients_of_steps(
    model: PreTrainedModel, judge: PreTrainedModel, objective: SeqGANObjective, eos: int | None, batch: int = BATCH
) -> torch.Tensor:
    """The same without the Trainer, which knows no texts of fixed length."""
    model = copy.deepcopy(model).double()
    players = players_of(model, copy.deepcopy(judge))
    changes = []
    for _ in range(TICKS):
        before = flat(model)
        step(players, objective, "generator", STEP, eos, batch)
        changes.append(flat(model) - before)
    return -torch.stack(changes) / (STEP * batch)


def quick(**hyperparameters) -> SeqGANObjective:
    return SeqGANObjective(num_rollouts=4, discriminator_steps=1, **hyperparameters)


@with_and_without_eos
@every_model
def test_updates_of_the_trainer_follow_the_exact_gradient(build, eos, tmp_path):
    model, judge = generator(build, eos), discriminator()
    gradients = gradients_of_the_trainer(model, judge, quick(), tmp_path, eos)
    exact = exact_gradient(model, judge, eos)
    assert gradients.shape == (TICKS, len(exact))
    assert agrees(gradients, exact), agreement(gradients, exact)


def test_accumulated_updates_follow_the_exact_gradient(tmp_path):
    model, judge = generator(tiny_lstm), discriminator()
    options = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": BATCH // 2}
    gradients = gradients_of_the_trainer(model, judge, quick(), tmp_path, **options)
    exact = exact_gradient(model, judge, EOS)
    assert agrees(gradients, exact), agreement(gradients, exact)


@with_and_without_eos
@every_model_in_time
def test_steps_without_the_trainer_follow_the_exact_gradient(build, eos):
    model, judge = generator(build, eos), discriminator()
    gradients, exact = gradients_of_steps(model, judge, quick(), eos), exact_gradient(model, judge, eos)
    assert agrees(gradients, exact), agreement(gradients, exact)


def test_one_rollout_is_unbiased_too():
    model, judge = generator(tiny_lstm), discriminator()
    objective = SeqGANObjective(num_rollouts=1)
    gradients, exact = gradients_of_steps(model, judge, objective, EOS), exact_gradient(model, judge, EOS)
    assert agrees(gradients, exact), agreement(gradients, exact)


def test_a_constant_judge_gives_no_gradient_on_average():
    model, judge = generator(tiny_lstm), discriminator()
    with torch.no_grad():
        judge.classifier.weight.zero_()
    exact = exact_gradient(model, judge, EOS)
    assert exact.norm() < 1e-6
    gradients = gradients_of_steps(model, judge, quick(), EOS)
    # With nothing but noise, the squared norm of the mean is that of chance: a sum of many directions, so within 3.
    chance = gradients.var(0).sum() / len(gradients)
    assert gradients.mean(0).square().sum() < 3 * chance
    assert gradients.norm(dim=1).min() > 0.01, "single updates do have a gradient: the reward is positive"


# ---- Faulty estimators ----------------------------------------------------------------------------------------------


class Faulty(SeqGANObjective):
    """The generator's loss spelled out once more, with a place for each fault."""

    def generator_loss(self, players, engine, batch, context):
        policy, judge = players.unwrap("generator"), players["discriminator"]
        samples = self.change_samples(engine.sample(policy, len(batch["input_ids"])))
        rewards = rollout_rewards(
            engine, policy, samples, lambda drawn: real_probability(judge, drawn.sequences), self.num_rollouts
        )
        logps = engine.per_token_logps(players["generator"], samples)
        rewards = self.change_rewards(rewards, logps, samples)
        return ObjectiveOutput(-(logps * rewards).sum(), reduction="sum")

    def change_samples(self, samples):
        return samples

    def change_rewards(self, rewards, logps, samples):
        return rewards


class ShiftedRewards(Faulty):
    """Each token earns the reward of the next one."""

    def change_rewards(self, rewards, logps, samples):
        return rewards.roll(-1, dims=1)


class ReversedRewards(Faulty):
    def change_rewards(self, rewards, logps, samples):
        return rewards.flip(1)


class MixedRewards(Faulty):
    """Rewards kept as (T, B) and read as (B, T), as a known implementation did."""

    def change_rewards(self, rewards, logps, samples):
        return rewards.T.reshape(rewards.shape)


class NoMask(Faulty):
    """Padding counts as text: it has rewards and a loss."""

    def change_samples(self, samples):
        return Samples(samples.sequences, torch.ones_like(samples.attention_mask))


class NoDetach(Faulty):
    """Rewards that depend on the policy, with the gradient that flows through them."""

    def change_rewards(self, rewards, logps, samples):
        return rewards * (logps - logps.detach()).exp()  # the value of the rewards is unchanged


class FinalRewardAsEveryReward(Faulty):
    """Unbiased as well (the Monte-Carlo return): the comparison must not refuse it."""

    def change_rewards(self, rewards, logps, samples):
        lengths = samples.attention_mask.sum(1, keepdim=True)
        return rewards.gather(1, lengths - 1).expand_as(rewards)


def faulty_gradients(build, kind: type[Faulty], batch: int = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
    model, judge = generator(build), discriminator()
    return gradients_of_steps(model, judge, kind(num_rollouts=4), EOS, batch), exact_gradient(model, judge, EOS)


@every_model_in_time
@pytest.mark.parametrize("kind", (ShiftedRewards, ReversedRewards, MixedRewards, NoMask, NoDetach))
def test_the_comparison_refuses_faulty_estimators(build, kind):
    gradients, exact = faulty_gradients(build, kind, BATCH // 2)  # the errors are large
    assert not agrees(gradients, exact), agreement(gradients, exact)


@pytest.mark.parametrize("kind", (Faulty, FinalRewardAsEveryReward))
def test_the_comparison_accepts_other_right_estimators(kind):
    gradients, exact = faulty_gradients(tiny_lstm, kind)
    assert agrees(gradients, exact), agreement(gradients, exact)


# ---- Rewards --------------------------------------------------------------------------------------------------------


def drawn(build, eos: int | None, number: int) -> tuple[PreTrainedModel, RolloutEngine, Samples]:
    model, engine = generator(build, eos), RolloutEngine(T, BOS, PAD, eos)
    return model, engine, engine.sample(model, number)


@with_and_without_eos
@every_model
def test_rewards_are_conditional_expectations(build, eos):
    model, engine, _ = drawn(build, eos, 1)
    judge, known = discriminator(), all_sequences(V, T, eos)
    mean, variance = exact_values(model, judge, known, eos)

    def score(samples):
        return real_probability(judge, samples.sequences)

    for num_rollouts in (16, 256, 4096):  # the error falls as 1 / sqrt(N): the z-scores stay the same
        rewards = rollout_rewards(engine, model, known, score, num_rollouts)
        random = variance > 1e-6  # prefixes that leave something open
        z = (rewards - mean)[random] / (variance[random] / num_rollouts).sqrt()
        assert z.abs().max() < 4.5
        # Prefixes are shared by sequences of the enumeration, but each has draws of its own.
        assert float(z.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / len(z)))
    assert random.sum() == (26 if eos is not None else 54)  # 12 * 2 + 2 * 1, and 27 * 2
    assert (rewards - mean).abs().max() < 0.05

    last = known.attention_mask.sum(1) - 1
    with torch.no_grad():
        assert torch.equal(rewards[torch.arange(len(last)), last], score(known))
    assert (rewards[known.attention_mask == 0] == 0).all()


@every_model
def test_a_constant_score_gives_constant_rewards(build):
    model, engine, samples = drawn(build, EOS, 40)
    rewards = rollout_rewards(engine, model, samples, lambda drawn: torch.full((len(drawn),), 0.3), 7)
    torch.testing.assert_close(rewards, 0.3 * samples.attention_mask, atol=1e-6, rtol=0)


def test_rewards_do_not_depend_on_chunks_or_score_batches():
    # A score that is a function of the prefix alone makes every completion right, so rewards are exact.
    model, _, samples = drawn(tiny_lstm, EOS, 600)
    seen = []

    def first_token(drawn):
        seen.append(len(drawn))
        return drawn.sequences[:, 0].double() + 0.25

    for chunk_size in (50, 16384):
        seen.clear()
        engine = RolloutEngine(T, BOS, PAD, EOS, chunk_size)
        rewards = rollout_rewards(engine, model, samples, first_token, 3, batch_size=4)
        expected = (samples.sequences[:, :1] + 0.25) * samples.attention_mask
        torch.testing.assert_close(rewards, expected, atol=1e-6, rtol=0)
        assert max(seen) <= 4
    assert sum(seen) <= 2 * 15  # the samples and their completions are among 15 sequences, each scored once


def test_rewards_carry_no_gradient():
    model, engine, samples = drawn(tiny_lstm, EOS, 5)
    judge = discriminator()
    rewards = rollout_rewards(engine, model, samples, lambda drawn: real_probability(judge, drawn.sequences), 2)
    assert not rewards.requires_grad


@pytest.mark.parametrize("batch_size", (1, 2, 3, None))
def test_score_distinct(batch_size):
    sequences = torch.tensor([[4, 5], [0, 1], [4, 5], [2, 3], [0, 1], [5, 4]])
    seen = []

    def score(part):
        seen.append(part.sequences)
        return part.sequences[:, 0].half() + part.sequences[:, 1].half() / 10

    scores = score_distinct(score, Samples(sequences, torch.ones_like(sequences)), batch_size)
    torch.testing.assert_close(scores, torch.tensor([4.5, 0.1, 4.5, 2.3, 0.1, 5.4]), atol=2e-3, rtol=0)
    assert scores.dtype == torch.float32
    assert torch.cat(seen).tolist() == [[4, 5], [0, 1], [2, 3], [5, 4]]  # each once
    assert {len(part) for part in seen} <= {1, 2, 3} if batch_size else len(seen) == 1
    transposed = Samples(sequences.T.contiguous().T, torch.ones_like(sequences))
    assert score_distinct(score, transposed, batch_size).tolist() == scores.tolist()


def test_score_distinct_tells_equal_sequences_by_their_inputs():
    sequences = torch.tensor([[4, 5], [4, 5], [4, 5], [0, 1]])
    labels = {"class_labels": torch.tensor([0, 1, 0, 0])}
    seen = []

    def score(part):
        seen.append(len(part))
        return part.sequences[:, 0] + 10 * part.inputs["class_labels"]

    scores = score_distinct(score, Samples(sequences, torch.ones_like(sequences), labels))
    assert scores.tolist() == [4, 14, 4, 0] and seen == [3]
    half = {"latents": torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0], [1.0, 2.0]], dtype=torch.bfloat16)}
    samples = Samples(sequences, torch.ones_like(sequences), half)
    scores = score_distinct(lambda part: part.inputs["latents"][:, 1], samples)
    assert scores.tolist() == [2, 3, 2, 2]


@every_labelled
def test_rewards_of_a_labelled_generator_are_conditional_expectations(kind):
    """Given the label and the noise of the prefix; the score depends on the label as well."""
    model, engine = labelled(kind), RolloutEngine(T, BOS, PAD, EOS)
    known, probabilities = joint(model, T, EOS)
    values = torch.rand(2, 27, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    codes = torch.tensor([9, 3, 1])

    def score(drawn):
        return values[drawn.inputs["class_labels"], drawn.sequences @ codes]

    samples = engine.sample(model, 30)
    rewards = rollout_rewards(engine, model, samples, score, 4_000, inputs=("class_labels",))
    lengths, checked = samples.attention_mask.sum(1).tolist(), 0
    for row, length in enumerate(lengths):
        label, noise = samples.inputs["class_labels"][row], samples.inputs["noise"][row]
        for kept in range(1, length):
            same = known.inputs["class_labels"] == label
            same &= (known.inputs["noise"][:, :kept] == noise[:kept]).all(1)
            agree = (known.sequences[:, :kept] == samples.sequences[row, :kept]).all(1)
            agree &= known.attention_mask.sum(1) > kept
            weights = probabilities[same].sum(0) * agree
            exact = (weights * values[label, known.sequences @ codes]).sum() / weights.sum()
            assert float(rewards[row, kept - 1]) == pytest.approx(float(exact), abs=0.03)  # 4 deviations at most
            checked += 1
        assert float(rewards[row, length - 1]) == pytest.approx(float(score(samples[row : row + 1])))
    assert checked > 20


def test_bfloat16_only_where_the_processor_computes_it(monkeypatch):
    for amx, avx, expected in ((True, False, True), (False, True, True), (False, False, False)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx, raising=False)
        assert rewards_module._computes_bf16(torch.device("cpu")) is expected
        assert rewards_module._computes_bf16(torch.device("cuda"))
    judge, sequences = discriminator().eval(), torch.randint(3, (20, 3))
    assert torch.equal(probability_of_real(judge, sequences, bf16=True), probability_of_real(judge, sequences))
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert rewards_module._computes_bf16(torch.device("cpu"))


@pytest.fixture
def bf16_everywhere(monkeypatch):
    monkeypatch.setattr(rewards_module, "_computes_bf16", lambda device: True)


@pytest.mark.usefixtures("bf16_everywhere")
def test_rewards_in_bfloat16_on_request():
    model, engine, samples = drawn(tiny_lstm, EOS, 30)
    players = Players({"generator": model, "discriminator": discriminator().eval()})
    values = []
    for bf16 in (False, False, True):
        torch.manual_seed(0)
        values.append(SeqGANObjective(num_rollouts=4, bf16_rewards=bf16).rewards(players, engine, samples))
    assert torch.equal(values[0], values[1])
    assert 1e-5 < (values[2] - values[0]).abs().max() < 0.02


@pytest.mark.usefixtures("bf16_everywhere")
@pytest.mark.parametrize("kind", ("convolutions", "recurrence"))
def test_probability_of_real(kind):
    if kind == "convolutions":
        judge = randomize(tiny_discriminator(9, 4), std=0.7).eval()
    else:
        config = RecurrentDiscriminatorConfig(vocab_size=9, embedding_size=4, hidden_size=5, pad_token_id=PAD)
        judge = randomize(RecurrentDiscriminator(config), std=0.7).eval()
    sequences = torch.randint(3, 9, (1100, 4))
    expected = judge(input_ids=sequences).logits.detach()
    expected = expected[:, 1].exp() / expected.exp().sum(1)
    scores = probability_of_real(judge, sequences)
    assert not scores.requires_grad and expected.std() > 0.03
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)
    rounded = probability_of_real(judge, sequences, bf16=True)
    assert rounded.dtype == torch.float32 and 0 < (rounded - expected).abs().max() < 0.05


# ---- Losses and penalties by hand -----------------------------------------------------------------------------------


def test_policy_gradient_loss_by_hand():
    logps = torch.tensor([[-1.0, -2.0, -4.0], [-3.0, -5.0, -7.0]], requires_grad=True)
    rewards = torch.tensor([[0.5, 0.25, 1.0], [0.1, 100.0, 100.0]], requires_grad=True)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    loss = policy_gradient_loss(logps, rewards, mask)
    assert float(loss.detach()) == pytest.approx(0.5 + 0.5 + 4.0 + 0.3)
    loss.backward()
    assert torch.equal(logps.grad, torch.tensor([[-0.5, -0.25, -1.0], [-0.1, 0.0, 0.0]]))
    assert rewards.grad is None


def test_token_nll_by_hand():
    logps = torch.tensor([[-1.0, -2.0], [-6.0, -50.0]])
    loss, number = token_nll(logps, torch.tensor([[1, 1], [1, 0]]))
    assert (float(loss), int(number)) == (3.0, 3)
    loss, number = token_nll(logps, torch.zeros(2, 2))
    assert (float(loss), int(number)) == (0.0, 0)


def test_real_fake_cross_entropy_by_hand():
    real, fake = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[math.log(4.0), 0.0]])
    # D(real) = 3/4 and D(fake) = 1/5.
    expected = -(math.log(3 / 4) + math.log(4 / 5)) / 2
    assert float(real_fake_cross_entropy(real, fake)) == pytest.approx(expected, abs=1e-6)
    uneven = float(real_fake_cross_entropy(real.repeat(3, 1), fake))
    assert uneven == pytest.approx(-(3 * math.log(3 / 4) + math.log(4 / 5)) / 4, abs=1e-6)


def test_output_layer_l2_by_hand():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0]]))
        layer.bias.copy_(torch.tensor([3.0]))
    assert float(output_layer_l2(layer).detach()) == 0.5 * (1 + 4 + 9)


# ---- Isolation of the players ---------------------------------------------------------------------------------------


def isolated(objective: SeqGANObjective, player: str) -> bool:
    """Whether a update of `player` changes it, leaves the other bit-identical, and gives the other no gradient."""
    models = {"generator": generator(tiny_lstm), "discriminator": discriminator()}
    before = {name: copy.deepcopy(model.state_dict()) for name, model in models.items()}
    players = players_of(models["generator"], models["discriminator"])
    result = step(players, objective, player, lr=0.1, eos=EOS, batch=20)
    assert not result.skipped and result.grad_norm > 0
    (other,) = set(models) - {player}
    moved = any(not torch.equal(value, before[player][name]) for name, value in models[player].state_dict().items())
    kept = all(torch.equal(value, before[other][name]) for name, value in models[other].state_dict().items())
    clean = all(p.grad is None and p.requires_grad for p in models[other].parameters())
    return moved and kept and clean


@pytest.mark.parametrize("player", ("generator", "discriminator"))
def test_an_update_touches_its_player_only(player):
    assert isolated(quick(), player)


class LeakyRewards(Faulty):
    """Lets the gradient into the judge: neither frozen nor detached."""

    def change_rewards(self, rewards, logps, samples):
        self.judge.requires_grad_(True)
        return rewards + real_probability(self.judge, samples.sequences)[:, None]

    def generator_loss(self, players, engine, batch, context):
        self.judge = players["discriminator"]
        return super().generator_loss(players, engine, batch, context)


def test_the_isolation_check_refuses_a_leak():
    assert not isolated(LeakyRewards(num_rollouts=2), "generator")


def test_the_discriminator_step_by_hand():
    # Plain SGD moves the output layer's bias by minus the gradient of cross-entropy plus penalty.
    model, judge = generator(tiny_lstm), discriminator()
    with torch.no_grad():  # a generator of one sequence, EOS at once, so that the negatives are known
        model.lm_head.weight.zero_()
        model.lm_head.bias.copy_(torch.tensor([-1e3, -1e3, 1e3]))
    judge.dropout.p = 0.0
    duplicate = copy.deepcopy(judge)
    result = step(players_of(model, judge), quick(l2_weight=0.7), "discriminator", lr=0.1, eos=EOS, batch=5)

    real, fake = real_probability(duplicate, torch.tensor([[0, 1, EOS], [EOS, PAD, PAD]]))
    penalty = (duplicate.classifier.weight**2).sum() / 2 + (duplicate.classifier.bias**2).sum() / 2
    loss = -(real.log() + (1 - fake).log()) / 2 + 0.7 * penalty
    loss.backward()
    assert result.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for value, expected in zip(judge.parameters(), duplicate.parameters(), strict=True):
        torch.testing.assert_close(value.detach(), (expected - 0.1 * expected.grad).detach(), atol=1e-5, rtol=1e-4)
