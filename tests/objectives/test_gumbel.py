"""The objective of GANs on relaxed samples."""

import math

import pytest
import torch
from torch.nn import functional as F

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.losses.adversarial import ADVERSARIAL_LOSSES
from hf_textgan.losses.regularization import gradient_penalty
from hf_textgan.models import (
    ConvCritic,
    ConvCriticConfig,
    MultiRepresentationDiscriminator,
    MultiRepresentationDiscriminatorConfig,
    RecurrentDiscriminator,
    RecurrentDiscriminatorConfig,
    RelationalMemoryGeneratorConfig,
    RelationalMemoryGeneratorForCausalLM,
    StateNoiseGeneratorConfig,
    StateNoiseGeneratorForCausalLM,
)
from hf_textgan.objectives.gumbel import GumbelObjective, score_gradient, scores_of
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import BOS, EOS, PAD, randomize, tiny_discriminator, tiny_gpt2, tiny_lstm, tiny_stateless


pytestmark = pytest.mark.usefixtures("one_thread")

VOCAB, LENGTH = 6, 4
SIZES = {"vocab_size": VOCAB, "sequence_length": LENGTH}
DISCRIMINATORS = {
    "cnn": lambda: tiny_discriminator(VOCAB, LENGTH, dropout=0.0),
    "critic": lambda: ConvCritic(ConvCriticConfig(**SIZES, hidden_size=4, num_blocks=1, kernel_size=3)),
    "recurrent": lambda: RecurrentDiscriminator(
        RecurrentDiscriminatorConfig(**SIZES, embedding_size=3, hidden_size=4, dropout=0.0)
    ),
    "bidirectional": lambda: RecurrentDiscriminator(
        RecurrentDiscriminatorConfig(**SIZES, embedding_size=3, hidden_size=4, dropout=0.0, bidirectional=True)
    ),
    "representations": lambda: MultiRepresentationDiscriminator(
        MultiRepresentationDiscriminatorConfig(
            **SIZES, embedding_size=4, num_representations=2, window_sizes=[1, 2], num_filters=[3, 3], dropout=0.0
        )
    ),
}
every_discriminator = pytest.mark.parametrize("kind", DISCRIMINATORS)


def engine() -> RolloutEngine:
    return RolloutEngine(LENGTH, BOS, PAD, EOS)


def players(kind: str = "cnn", build=tiny_lstm) -> Players:
    return Players({"generator": randomize(build(VOCAB), 1), "discriminator": randomize(DISCRIMINATORS[kind](), 2)})


def batch(number: int = 4) -> dict[str, torch.Tensor]:
    rows = torch.tensor([[BOS, 3, 4, 5, EOS], [BOS, 4, EOS, PAD, PAD], [BOS, 5, 3, EOS, PAD], [BOS, 3, 3, 3, 4]])
    ids = rows.repeat(-(-number // 4), 1)[:number]
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


@every_discriminator
def test_tokens_and_their_one_hot_vectors_have_equal_scores(kind):
    """Sequences with EOS and padding as well."""
    model = randomize(DISCRIMINATORS[kind](), 2).eval()
    real = engine().real_sequences(batch())
    by_ids, by_onehots = (model(input_ids=real), model(inputs_onehot=F.one_hot(real, VOCAB).float()))
    torch.testing.assert_close(by_ids.logits, by_onehots.logits)
    torch.testing.assert_close(scores_of(by_ids), scores_of(by_onehots))
    if by_ids.logits.shape[1] == 2:
        odds = by_ids.logits.softmax(-1)
        torch.testing.assert_close(scores_of(by_ids)[:, 0].exp(), odds[:, 1] / odds[:, 0])


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
@every_discriminator
def test_losses_are_those_of_the_scores_and_update_one_player(kind, loss):
    """Real tokens and the same relaxed samples have scores, and the loss is the pure function of the scores."""
    models, objective, context = players(kind), GumbelObjective(loss=loss, start_relaxation=0.7), StepContext()
    real, functions = engine().real_sequences(batch()), ADVERSARIAL_LOSSES[loss]
    for name, function in (("generator", functions.generator), ("discriminator", functions.discriminator)):
        with models.updating(name):
            fake = objective.fake_samples(models, engine(), 4, context.for_shard(0, 1), name)
            discriminator = models["discriminator"]
            a = scores_of(discriminator(input_ids=real))
            b = scores_of(
                discriminator(inputs_onehot=fake.onehots.detach() if name == "discriminator" else fake.onehots)
            )
            parameters = list(models[name].parameters())
            expected = torch.autograd.grad(function(a, b), parameters, allow_unused=True)
            output = getattr(objective, f"{name}_loss")(models, engine(), batch(), context.for_shard(0, 1))
            torch.testing.assert_close(output.loss, function(a, b))
            found = torch.autograd.grad(output.loss, parameters, allow_unused=True)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
        assert max(float(gradient.abs().max()) for gradient in found if gradient is not None) > 1e-5
        other = models["discriminator" if name == "generator" else "generator"]
        assert all(parameter.grad is None for parameter in other.parameters())


@pytest.mark.parametrize("feed", ["soft", "hard", "straight-through"])
@pytest.mark.parametrize("build", [tiny_lstm, tiny_gpt2])
def test_parts_of_a_step_have_the_samples_and_gradients_of_the_whole(build, feed):
    models, objective, whole = players(build=build), GumbelObjective(feed=feed), StepContext(iteration=3, seed=5)
    with models.updating("generator"):
        parameters = list(models["generator"].parameters())

        def gradients(context: StepContext, part: dict) -> list[torch.Tensor]:
            loss = objective.generator_loss(models, engine(), part, context).loss
            return torch.autograd.grad(loss, parameters)

        expected = gradients(whole.for_shard(0, 1), batch(4))
        halves = [
            gradients(whole.for_shard(i, 2), {k: v[2 * i : 2 * i + 2] for k, v in batch(4).items()}) for i in (0, 1)
        ]
    for one, other, both in zip(*halves, expected, strict=True):
        torch.testing.assert_close((one + other) / 2, both, atol=1e-6, rtol=1e-4)


@every_discriminator
def test_a_frozen_discriminator_in_evaluation_mode_passes_a_gradient(kind):
    models = players(kind)
    with models.updating("generator"):
        assert not models["discriminator"].training
        output = GumbelObjective().generator_loss(models, engine(), batch(), StepContext())
        output.loss.backward()
    assert all(float(p.grad.abs().max()) > 0 for p in models["generator"].lm_head.parameters())


@pytest.mark.parametrize("feed", ["soft", "hard"])
@pytest.mark.parametrize("build", [tiny_lstm, tiny_gpt2, "memory"])
@pytest.mark.parametrize("kind", ["cnn", "recurrent", "representations"])
def test_steps_in_bfloat16_and_at_a_low_temperature_are_safe(kind, build, feed):
    """The noise is the same, so the loss is that of single precision but for rounding."""
    if build == "memory":
        sizes = {"embedding_size": 3, "num_heads": 2, "head_size": 4}
        models = players(
            kind,
            lambda size: RelationalMemoryGeneratorForCausalLM(
                RelationalMemoryGeneratorConfig(vocab_size=size, **sizes)
            ),
        )
    else:
        models = players(kind, build)
    for relaxation, tolerance in ((1.0, 0.05), (1e-3, None)):
        objective = GumbelObjective(feed=feed, start_relaxation=relaxation, end_relaxation=relaxation)
        for name in ("generator", "discriminator"):
            losses = []
            for enabled in (False, True):
                with models.updating(name), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                    loss = getattr(objective, f"{name}_loss")(models, engine(), batch(), StepContext()).loss
                gradients = torch.autograd.grad(loss, list(models.unwrap(name).parameters()), allow_unused=True)
                assert all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
                losses.append(float(loss.detach()))
            if tolerance is not None:  # nearer to one-hot vectors, rounding changes tokens
                assert losses[1] == pytest.approx(losses[0], rel=tolerance, abs=0.02)


@pytest.mark.parametrize("kind", ["cnn", "critic", "recurrent", "bidirectional"])
def test_the_penalty_is_that_of_an_explicit_gradient(kind):
    """The gradient of the score by finite differences in double precision."""
    model = randomize(DISCRIMINATORS[kind](), 2).double().eval()
    onehots = torch.rand(2, LENGTH, VOCAB, dtype=torch.double, generator=torch.Generator().manual_seed(0)).softmax(-1)
    found, step = score_gradient(model, onehots), 1e-6
    expected = torch.zeros_like(onehots)
    with torch.no_grad():
        for position in range(LENGTH):
            for token in range(VOCAB):
                moved = [onehots.clone(), onehots.clone()]
                moved[0][:, position, token] += step
                moved[1][:, position, token] -= step
                up, down = (scores_of(model(inputs_onehot=m)).mean(1) for m in moved)
                expected[:, position, token] = (up - down) / (2 * step)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    gradient_penalty(found)[0].backward()
    assert any(parameter.grad is not None and bool(parameter.grad.abs().max() > 0) for parameter in model.parameters())


def test_the_penalty_is_part_of_the_loss():
    models, context = players("critic"), StepContext()
    values = []
    for weight in (0.0, 3.0):
        objective = GumbelObjective(loss="wasserstein", gradient_penalty=weight)
        with models.updating("discriminator"):
            output = objective.discriminator_loss(models, engine(), batch(), context.for_shard(0, 1))
        values.append(float(output.loss))
    real = F.one_hot(engine().real_sequences(batch()), VOCAB).float()
    fake = objective.fake_samples(models, engine(), 4, context.for_shard(0, 1), "discriminator").onehots.detach()
    alpha = context.for_shard(0, 1).rand("alpha", 4)[:, None, None]
    gradient = score_gradient(models["discriminator"], real + alpha * (fake - real))
    penalty = float((gradient.flatten(1).norm(dim=1) - 1).square().mean())
    assert values[1] - values[0] == pytest.approx(3 * penalty, rel=1e-4) and penalty > 1e-4


def test_the_temperature_follows_the_run():
    """From 5 to 1 within half of 200 iterations: 5 * 5^(-i / 100)."""
    objective = GumbelObjective(start_relaxation=5.0, end_relaxation=1.0, annealing_share=0.5)
    found = [objective.relaxation(StepContext(progress=i / 200, num_iterations=200)) for i in (0, 50, 99, 100, 199)]
    assert found == pytest.approx([5.0, 5 * 5**-0.5, 5 * 5**-0.99, 1.0, 1.0])
    fixed = GumbelObjective(start_relaxation=1.0, end_relaxation=0.01, annealing_iterations=5000)
    assert 1 / fixed.relaxation(StepContext(progress=0.999, num_iterations=2000)) == pytest.approx(
        100 ** (1998 / 5000)
    )
    assert GumbelObjective(annealing="none", end_relaxation=0.3).relaxation(StepContext()) == 0.3


def test_losses_that_compare_a_batch_say_so():
    assert GumbelObjective(loss="ragan").couples_batch and GumbelObjective.several_processes
    assert not GumbelObjective(loss="rsgan").couples_batch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hing"}, "There is no adversarial loss called 'hing'; did you mean 'hinge'"),
        ({"feed": "softly"}, "feed is 'softly'; set it to one of 'soft', 'hard', 'straight-through'."),
        ({"annealing": "exp"}, "annealing is 'exp'; set it to one of 'none', 'exponential'"),
        ({"end_relaxation": 0.0}, "end_relaxation is 0.0; set it above 0."),
    ],
)
def test_hyperparameters_without_a_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GumbelObjective(**options)


@pytest.mark.parametrize(
    ("generator", "discriminator", "options", "message"),
    [
        (tiny_stateless(VOCAB), None, {}, "A StatelessLM reads no inputs_embeds, .*; set feed to 'hard'"),
        (
            tiny_lstm(VOCAB),
            tiny_lstm(VOCAB),
            {},
            "A RecurrentGeneratorForCausalLM reads no inputs_onehot, so no gradi",
        ),
        (tiny_lstm(VOCAB + 1), None, {}, "The generator has vocab_size 7 and the discriminator 6; build both with"),
        (
            tiny_lstm(VOCAB),
            DISCRIMINATORS["representations"](),
            {"gradient_penalty": 1.0},
            "gradient_penalty is 1.0, but a MultiRepresentationDiscriminator cannot be differentiated twice",
        ),
    ],
)
def test_players_that_do_not_fit_are_refused(generator, discriminator, options, message):
    models = {"generator": generator, "discriminator": discriminator or DISCRIMINATORS["cnn"]()}
    with pytest.raises(ValueError, match=message):
        GumbelObjective(**options).check_players(models, engine())


def test_hard_feeding_takes_any_causal_language_model():
    models = {"generator": tiny_stateless(VOCAB), "discriminator": DISCRIMINATORS["cnn"]()}
    GumbelObjective(feed="hard").check_players(models, engine())


def test_the_gradient_of_the_generator_is_that_of_the_expected_loss():
    """
    For one position and two tokens the relaxed vector is the binary Concrete, y = s((l + Lambda) / tau) with standard
    logistic Lambda, and the expectation of a loss and its derivative are integrals over Lambda.
    """
    model = randomize(tiny_lstm(2), std=0.0)
    gap, tau = 0.4, 0.7
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.tensor([0.0, gap]))
    torch.manual_seed(0)
    drawn = RolloutEngine(1, 0, 0, None).relaxed_sample(model, 200_000, tau)
    value = drawn.onehots[:, 0, 1].square().mean()
    (gradient,) = torch.autograd.grad(value, model.lm_head.bias)
    u = (torch.arange(1_000_000, dtype=torch.double) + 0.5) / 1_000_000
    y = torch.sigmoid((gap + torch.logit(u)) / tau)
    assert float(value.detach()) == pytest.approx(float(y.square().mean()), abs=0.003)
    slope = float((2 * y * y * (1 - y) / tau).mean())
    assert gradient.tolist() == pytest.approx([-slope, slope], abs=0.003)
    assert not math.isclose(slope, 0.0, abs_tol=0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gsgan_learns_a_fixed_sequence():
    """
    The sequence 0, 1, ..., 19, which users report that other implementations do not learn, from scratch and without
    likelihood: GSGAN's generator and relaxation, and a critic with a gradient penalty.
    """
    vocab_size, length, number = 23, 21, 16  # three special tokens; EOS ends the sequence
    torch.manual_seed(0)
    sizes = {"vocab_size": vocab_size, "hidden_size": 32}
    models = {
        "generator": StateNoiseGeneratorForCausalLM(StateNoiseGeneratorConfig(**sizes)),
        "discriminator": ConvCritic(ConvCriticConfig(**sizes, sequence_length=length, num_blocks=0)),
    }
    optimizers = {name: torch.optim.Adam(m.parameters(), lr=5e-3, betas=(0.5, 0.999)) for name, m in models.items()}
    both, objective = Players(models), GumbelObjective(loss="wasserstein", gradient_penalty=10.0)
    ids = torch.tensor([[BOS, *range(3, 23), EOS]]).expand(number, -1)
    real = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    drawer, share = RolloutEngine(length, BOS, PAD, EOS), 0.0
    for iteration in range(600):
        for name, optimizer in optimizers.items():
            with both.updating(name):
                loss = getattr(objective, f"{name}_loss")(both, drawer, real, StepContext(iteration=iteration)).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        if iteration % 50 == 49:
            samples = drawer.sample(models["generator"], 100).sequences
            share = float((samples == ids[:1, 1:]).all(1).float().mean())
            if share > 0.9:
                break
    assert share > 0.9, f"{share:.0%} of the samples are the sequence"
