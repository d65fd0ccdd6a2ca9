"""
SentiGAN against enumeration: three tokens, three positions and two classes. The gradients are those of real updates.
"""

import copy

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers.optimization import get_constant_schedule

from hf_textgan import AdversarialConfig, AdversarialTrainer, RolloutEngine, Samples, StepContext, Update
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.losses.adversarial import class_cross_entropy, penalty_loss, real_fake_cross_entropy
from hf_textgan.models import MixtureGeneratorConfig, MixtureGeneratorForCausalLM
from hf_textgan.objectives.rewards import class_probabilities
from hf_textgan.objectives.sentigan import SentiGANObjective, class_weights, number_of_classes, penalty, shifted_logps
from tests.helpers import BOS, EOS, PAD, all_sequences, randomize, tiny_discriminator, tiny_gpt2, tiny_lstm
from tests.objectives.test_policy_gradient import (
    BATCH,
    STEP,
    TICKS,
    Differences,
    T,
    V,
    agreement,
    agrees,
    flat,
    gradients_of_steps,
    players_of,
)


pytestmark = pytest.mark.usefixtures("one_thread")

K = 2
ENGINE = RolloutEngine(T, BOS, PAD, EOS)
ROWS = [{"input_ids": [BOS, 0, 1, EOS], "labels": 0}, {"input_ids": [BOS, 1, EOS], "labels": 1}]


def generator(num_classes: int = K, **options) -> MixtureGeneratorForCausalLM:
    config = MixtureGeneratorConfig(vocab_size=V, embedding_size=4, hidden_size=6, num_classes=num_classes, **options)
    return randomize(MixtureGeneratorForCausalLM(config), seed=1, std=0.6).eval()


def discriminator(num_classes: int = K):
    judge = tiny_discriminator(V, T, dropout=0.5, num_filters=[6, 8, 6], num_real_classes=num_classes)
    return randomize(judge, seed=41, std=0.7).eval()


def quick(**options) -> SentiGANObjective:
    return SentiGANObjective(num_rollouts=3, **options)


# ---- The exact values, by recursion over prefixes, one at a time ----------------------------------------------------


def next_token(model: nn.Module, label: int, prefix: list[int]) -> torch.Tensor:
    part = model.parts[label] if isinstance(model, MixtureGeneratorForCausalLM) else model
    return part(input_ids=torch.tensor([[BOS, *prefix]])).logits[0, -1].softmax(-1)


def exact_penalty(model: nn.Module, judge: nn.Module, label: int, prefix: list[int]) -> torch.Tensor:
    """``E[1 - D_i]`` of the completions of a prefix by the generator of class ``i``."""
    if len(prefix) == T or prefix[-1] == EOS:
        ids = torch.tensor([[*prefix, *[PAD] * (T - len(prefix))]])
        return 1 - judge(input_ids=ids).logits[0].softmax(-1)[label + 1].detach()
    probabilities = next_token(model, label, prefix).detach()
    values = torch.stack([exact_penalty(model, judge, label, [*prefix, token]) for token in range(V)])
    return (probabilities * values).sum()


def exact_loss(model: nn.Module, judge: nn.Module, label: int, prefix: tuple[int, ...] = ()) -> torch.Tensor:
    """``sum over prefixes of Pr(prefix) * 1/2 sum_v G(v | prefix)^2 V(prefix, v)``; the squares alone vary."""
    probabilities = next_token(model, label, list(prefix))
    values = torch.stack([exact_penalty(model, judge, label, [*prefix, token]) for token in range(V)])
    loss = 0.5 * (probabilities.square() * values).sum()
    for token in range(V):
        if token != EOS and len(prefix) + 1 < T:
            loss = loss + probabilities[token].detach() * exact_loss(model, judge, label, (*prefix, token))
    return loss


def exact_gradient(model: nn.Module, judge: nn.Module, num_classes: int = K) -> torch.Tensor:
    """The expected gradient per sequence, of a class drawn with equal probabilities."""
    loss = sum(exact_loss(model, judge, label) for label in range(num_classes)) / num_classes
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).double()


# ---- Updates --------------------------------------------------------------------------------------------------------


def test_updates_of_the_trainer_follow_the_exact_gradient(tmp_path):
    model, judge = generator(), discriminator()
    recorder = Differences()
    arguments = AdversarialConfig(
        output_dir=str(tmp_path),
        optim="sgd",
        learning_rate=STEP,
        max_grad_norm=0.0,
        player_optimizers={"discriminator": {"learning_rate": 0.0}},
        per_device_train_batch_size=BATCH,
        max_steps=TICKS,
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        max_length=T,
    )
    trainer = AdversarialTrainer(
        model=copy.deepcopy(model).double(),
        args=arguments,
        objective=quick(generator_steps=1),
        train_dataset=ROWS * BATCH,
        players={"discriminator": copy.deepcopy(judge)},
        callbacks=[recorder],
    )
    trainer.train()
    sampled = -torch.stack(recorder.changes) / (STEP * BATCH)
    exact = exact_gradient(model, judge)
    assert agrees(sampled, exact), agreement(sampled, exact)
    assert not agrees(sampled, exact_gradient(model, constant(judge))), "the discriminator matters"
    swapped = copy.deepcopy(judge)
    with torch.no_grad():
        swapped.classifier.weight[[1, 2]], swapped.classifier.bias[[1, 2]] = (
            judge.classifier.weight[[2, 1]],
            judge.classifier.bias[[2, 1]],
        )
    assert not agrees(sampled, exact_gradient(model, swapped)), "each class has a penalty of its own"


def constant(judge: nn.Module) -> nn.Module:
    judge = copy.deepcopy(judge)
    with torch.no_grad():
        judge.classifier.weight.zero_()
    return judge


@pytest.mark.parametrize("build", (tiny_lstm, pytest.param(tiny_gpt2, marks=pytest.mark.slow)), ids=("lstm", "gpt2"))
def test_any_language_model_is_a_generator_of_one_class(build):
    model, judge = randomize(build(V), seed=1, std=0.5).eval(), discriminator(1)
    assert number_of_classes(model) == 1
    sampled, exact = gradients_of_steps(model, judge, quick(), EOS, 2 * BATCH), exact_gradient(model, judge, 1)
    assert agrees(sampled, exact), agreement(sampled, exact)


def test_the_loss_of_the_published_code_is_another_one():
    model, judge = generator(), discriminator()
    sampled, exact = gradients_of_steps(model, judge, quick(shifted=True), EOS), exact_gradient(model, judge)
    assert not agrees(sampled, exact), agreement(sampled, exact)


def test_the_probability_is_that_of_the_token_given_those_before_it():
    model, known = generator(1), all_sequences(V, T, EOS)
    logps, shifted = ENGINE.per_token_logps(model, known), shifted_logps(ENGINE, model, known)
    for row, (sequence, mask) in enumerate(zip(known.sequences.tolist(), known.attention_mask.tolist(), strict=True)):
        for t in range(sum(mask)):
            probabilities = next_token(model, 0, sequence[:t])
            torch.testing.assert_close(logps[row, t].exp(), probabilities[sequence[t]])
            torch.testing.assert_close(shifted[row, t].exp(), probabilities[([BOS, *sequence])[t]])
        assert not logps[row, sum(mask) :].any() and not shifted[row, sum(mask) :].any()


@pytest.mark.parametrize(
    ("penalties", "expected"),
    [((0.2, 0.4, 0.8), (4 / 7, 2 / 7, 1 / 7)), ((1.0, 1.0, 1.0), (1 / 3, 1 / 3, 1 / 3))],
)
def test_probabilities_become_proportional_to_one_over_the_penalty(penalties, expected):
    """With penalties of 1 the gradient is that of ``1/2 sum_v g_v^2``, which the uniform distribution minimizes."""
    scores = torch.tensor([0.5, -1.0, 1.5], dtype=torch.float64, requires_grad=True)
    values = torch.tensor(penalties, dtype=torch.float64)
    mask = torch.ones(3, 1)
    for iteration in range(500):
        logps = scores.log_softmax(0)
        # Each token is a sequence that is drawn with its probability, here in expectation.
        loss = penalty_loss(logps[:, None], (logps.exp().detach() * values)[:, None], mask)
        (gradient,) = torch.autograd.grad(loss, scores)
        if iteration == 0:
            (by_squares,) = torch.autograd.grad(0.5 * (scores.softmax(0).square() * values).sum(), scores)
            torch.testing.assert_close(gradient, by_squares)
        scores = (scores - 10 * gradient).detach().requires_grad_()
    torch.testing.assert_close(
        scores.softmax(0).detach(), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.slow
def test_a_constant_penalty_has_the_gradient_of_the_squared_probabilities():
    model, judge = generator(), constant(discriminator())
    values = 1 - judge.classifier.bias.softmax(0)[1:].detach()

    def squares(label: int, prefix: tuple[int, ...] = ()) -> torch.Tensor:
        probabilities = next_token(model, label, list(prefix))
        total = 0.5 * probabilities.square().sum()
        for token in (0, 1):  # 2 is EOS
            if len(prefix) + 1 < T:
                total = total + probabilities[token].detach() * squares(label, (*prefix, token))
        return total

    loss = sum(values[label] * squares(label) for label in range(K)) / K
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).double()
    sampled = gradients_of_steps(model, judge, quick(), EOS, 2 * BATCH)
    assert agrees(sampled, exact), agreement(sampled, exact)


# ---- Penalties ------------------------------------------------------------------------------------------------------


def test_penalties_are_the_probability_of_all_other_classes():
    model, judge = generator(), discriminator()
    torch.manual_seed(0)
    samples = ENGINE.sample(model, 400)
    penalties = quick().penalties(players_of(model, judge), ENGINE, samples)
    probabilities = class_probabilities(judge, samples)
    assert probabilities.shape == (400, K + 1)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(400))
    labels = samples.inputs["class_labels"]
    assert labels.unique().tolist() == [0, 1]
    mask, last = samples.attention_mask, samples.attention_mask.sum(1) - 1
    final = penalties[torch.arange(400), last]
    torch.testing.assert_close(final, 1 - probabilities[torch.arange(400), labels + 1], atol=1e-6, rtol=0)
    assert (penalties[mask == 1] > 0).all() and penalties.max() < 1 + 1e-6 and not penalties[mask == 0].any()


def test_penalties_are_conditional_expectations_under_the_own_class():
    model, judge = generator(), discriminator()
    known = all_sequences(V, T, EOS)
    rows = torch.arange(len(known)).repeat(K)
    samples = Samples(
        known.sequences[rows],
        known.attention_mask[rows],
        {"class_labels": rows.new_tensor([0, 1]).repeat_interleave(len(known))},
    )
    torch.manual_seed(0)
    found = SentiGANObjective(num_rollouts=2000).penalties(players_of(model, judge), ENGINE, samples)
    spread = []
    for row, label in enumerate(samples.inputs["class_labels"].tolist()):
        for kept in range(1, int(samples.attention_mask[row].sum()) + 1):
            exact = exact_penalty(model, judge, label, samples.sequences[row, :kept].tolist())
            assert float(found[row, kept - 1]) == pytest.approx(float(exact), abs=0.04)  # 4 / sqrt(2000) * 0.4
            spread.append(float(exact))
    assert max(spread) - min(spread) > 0.4


def test_a_penalty_is_exact_where_the_discriminator_is_sure():
    logits = torch.tensor([[0.0, 30.0, -5.0], [0.0, 30.0, -5.0]])
    found = penalty(logits.softmax(-1), torch.tensor([0, 1]))
    assert float(found[0]) == pytest.approx(9.42e-14, rel=1e-2) and float(found[1]) == pytest.approx(1.0)
    torch.testing.assert_close(penalty(logits.softmax(-1), None), found[[0, 0]])


# ---- The discriminator ----------------------------------------------------------------------------------------------


def test_the_loss_of_the_discriminator_counts_each_class_once():
    real = torch.randn(12, K + 1, generator=torch.Generator().manual_seed(0))
    fake = torch.randn(12, K + 1, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0] * 9 + [1] * 3)
    weights = class_weights([{"labels": int(label)} for label in labels], K)
    assert weights.tolist() == pytest.approx([12 / 9, 4.0])
    real_p, fake_p = real.softmax(1).log(), fake.softmax(1).log()
    expected = -(real_p[:9, 1].mean() + real_p[9:, 2].mean() + fake_p[:, 0].mean()) / 3
    torch.testing.assert_close(class_cross_entropy(real, fake, labels, weights), expected)


def test_one_class_is_the_binary_discriminator():
    real, fake = torch.randn(7, 2), torch.randn(7, 2)
    loss = class_cross_entropy(real, fake, torch.zeros(7, dtype=torch.long), torch.ones(1))
    torch.testing.assert_close(loss, real_fake_cross_entropy(real, fake))
    model, judge = generator(1), discriminator(1)
    assert judge.config.id2label == {0: "fake", 1: "real"}
    samples = ENGINE.sample(model, 50)
    assert samples.inputs == {}
    penalties = quick().penalties(players_of(model, judge), ENGINE, samples)
    fake_probability = judge(input_ids=samples.sequences).logits.softmax(-1)[:, 0]
    final = penalties[torch.arange(50), samples.attention_mask.sum(1) - 1]
    torch.testing.assert_close(final, fake_probability.detach(), atol=1e-6, rtol=0)


def step(players: Players, objective: SentiGANObjective, player: str, optimizer, rows=None) -> float:
    rows = ROWS * 8 if rows is None else rows
    ids = torch.tensor([[*row["input_ids"], *[PAD] * (T + 1 - len(row["input_ids"]))] for row in rows])
    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (T + 1 - len(row["input_ids"])) for row in rows])
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}
    update = Update(player, {"generator": "generator_loss", "discriminator": "discriminator_loss"}.get(player, player))
    if player == "mle":
        update = Update("generator", "mle_loss")
    stepper = PlayerOptimizer(optimizer, get_constant_schedule(optimizer))
    return take_step(Accelerator(cpu=True), players, stepper, update, [batch], objective, ENGINE, StepContext()).loss


def test_the_discriminator_learns_the_classes():
    """Texts of the classes and of the generator differ, so the penalty of a real text becomes small for its class."""
    model, judge = generator(), discriminator()
    with torch.no_grad():
        for part in model.parts:
            part.lm_head.bias += torch.tensor([0.0, 0.0, 5.0])  # it ends at once
    players, objective = players_of(model, judge), quick(l2_weight=0.0)
    objective.prepare(ROWS, ENGINE, dict(players))
    optimizer = torch.optim.Adam(judge.parameters(), lr=0.02)
    losses = [step(players, objective, "discriminator", optimizer) for _ in range(60)]
    assert losses[-1] < 0.25 * losses[0]
    judge.eval()
    probabilities = class_probabilities(
        judge, ENGINE.as_samples(torch.tensor([[0, 1, EOS], [1, EOS, PAD], [EOS, PAD, PAD]]))
    )
    assert probabilities.argmax(1).tolist() == [1, 2, 0]


# ---- Independence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("player", ("generator", "mle"))
@pytest.mark.parametrize("kind", (torch.optim.AdamW, torch.optim.RMSprop))
def test_generators_whose_class_does_not_occur_stay_as_they_are(kind, player):
    """Also with the moments of earlier steps, and with weight decay."""
    model, judge = generator(), discriminator()
    players, objective = players_of(model, judge), quick()
    optimizer = kind(model.parameters(), lr=0.01, weight_decay=0.1)
    parts = [flat(part) for part in model.parts]
    step(players, objective, player, optimizer)
    assert all(not torch.equal(flat(part), before) for part, before in zip(model.parts, parts, strict=True))
    parts = [flat(part) for part in model.parts]
    model.config.class_probabilities = [1.0, 0.0]
    for _ in range(3):
        step(players, objective, player, optimizer, ROWS[:1] * 16)
    assert not torch.equal(flat(model.parts[0]), parts[0])
    assert torch.equal(flat(model.parts[1]), parts[1])
    assert all(parameter.grad is None for parameter in judge.parameters())


# ---- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"input_ids": [1, 2]}], "have no labels, and the generator has 2 classes; add a column of labels, or build"),
        (
            [{"labels": 0}, {"labels": 2}],
            "have the label 2, and the generator has 2 classes; number the classes from 0",
        ),
        ([{"labels": 0}, {"labels": -1}], "have the label -1, and"),
        ([{"labels": 1}], "No training text has the label 0, and the generator has 2 classes; add text of it"),
    ],
)
def test_labels_that_do_not_fit_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        quick().prepare(rows, ENGINE, {"generator": generator()})


def test_a_discriminator_that_does_not_fit_is_refused():
    message = r"discriminator has 2 labels, and the generator has 2 classes; .* for fake text \(num_real_classes=2\)"
    with pytest.raises(ValueError, match=message):
        quick().check_players({"generator": generator(), "discriminator": discriminator(1)}, ENGINE)
    with pytest.raises(ValueError, match="discriminator has 3 labels, and the generator has 1 class; build"):
        quick().check_players({"generator": tiny_lstm(V), "discriminator": discriminator()}, ENGINE)
    quick().check_players({"generator": generator(), "discriminator": discriminator()}, ENGINE)
