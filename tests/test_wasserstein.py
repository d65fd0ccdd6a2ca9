"""
IWGAN, TextKD-GAN and ARAE: their losses against plain operations, what each turn moves, their limits, their runs.
"""

import copy
import json
import math
import re
import shutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.optimization import get_constant_schedule

from hf_textgan.losses import row_entropy, squared_error_of_symbols
from hf_textgan.models import (
    ConvCritic,
    ConvCriticConfig,
    ConvGenerator,
    ConvGeneratorConfig,
    LatentCritic,
    LatentCriticConfig,
    LatentGenerator,
    LatentGeneratorConfig,
)
from hf_textgan.models.modeling_outputs import AutoencoderOutput, OneShotGeneratorOutput
from hf_textgan.objectives import ARAEObjective, IWGANObjective, StepContext, TextKDObjective
from hf_textgan.objectives.iwgan import best_threshold_accuracy
from hf_textgan.regularization import gradient_penalty, input_gradient, interpolate
from hf_textgan.sampling import RolloutEngine
from hf_textgan.trainer.players import PlayerOptimizer, Players, take_step
from hf_textgan.trainer.timetable import Turn

from .helpers import BOS, EOS, PAD, randomize, tiny_discriminator, tiny_lstm
from .test_policy_gradient import agrees
from .toys import (
    LINES,
    checkpoint_state,
    differences,
    length_metric,
    text_data,
    wasserstein_players,
    wasserstein_trainer,
)


pytestmark = pytest.mark.usefixtures("one_thread")

V, L = 5, 4
ENGINE = RolloutEngine(L, BOS, PAD, EOS)
CONTEXT = StepContext(tick=3, step=2, seed=5)
SYSTEMS = {"iwgan": IWGANObjective, "textkd_gan": TextKDObjective, "arae": ARAEObjective}


def build(objective, **options) -> Players:
    return Players({name: model.eval() for name, model in wasserstein_players(objective, V, L, **options).items()})


def texts(number: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch of texts of 1 to 3 symbols, with BOS, EOS and padding."""
    source = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, L, (number, 1), generator=source)
    places = torch.arange(L + 1)
    ids = torch.randint(EOS + 1, V, (number, L + 1), generator=source)
    ids = torch.where(places <= lengths, ids, torch.where(places == lengths + 1, EOS, PAD))
    ids[:, 0] = BOS
    return {"input_ids": ids, "attention_mask": (places <= lengths + 1).long()}


def one_hot(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.eye(V)[batch["input_ids"][:, 1:]]


def recorded(module: nn.Module) -> list[dict[str, Any]]:
    """What every later call of a module is given and returns."""
    calls: list[dict[str, Any]] = []

    def hook(module, args, kwargs, output):
        calls.append(
            {**kwargs, "output": output, "training": module.training, "gradient": torch.is_grad_enabled()},
        )

    module.register_forward_hook(hook, with_kwargs=True)
    return calls


def recorded_function(owner: Any, name: str) -> list[tuple]:
    """The arguments of every later call of a function of an object, which is still called."""
    calls: list[tuple] = []
    function = getattr(owner, name)

    def record(*args):
        calls.append(args)
        return function(*args)

    setattr(owner, name, record)
    return calls


def optimizer_of(module: nn.Module, kind=torch.optim.Adam, lr: float = 0.05) -> PlayerOptimizer:
    optimizer = kind([p for p in module.parameters() if p.requires_grad], lr=lr)
    return PlayerOptimizer(optimizer, get_constant_schedule(optimizer))


def gradients(loss: torch.Tensor, module: nn.Module) -> list[torch.Tensor]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def compare(output, expected: torch.Tensor, module: nn.Module) -> None:
    """The same value, and the same gradient of the player that moves."""
    torch.testing.assert_close(output.loss, expected, rtol=1e-4, atol=1e-5)
    pairs = zip(gradients(output.loss, module), gradients(expected, module), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


# ---- Plain operations -----------------------------------------------------------------------------------------------


def plain_convolution(module: nn.Module, channels: torch.Tensor) -> torch.Tensor:
    return F.conv1d(channels, module.weight.permute(2, 1, 0), module.bias, padding=len(module.weight) // 2)


def plain_critic(critic: ConvCritic, rows: torch.Tensor) -> torch.Tensor:
    """The scores of rows (B, L, V)."""
    hidden = F.linear(rows, critic.embed_symbols.weight, critic.embed_symbols.bias).transpose(1, 2)  # (B, C, L)
    for block in critic.blocks:
        inner = plain_convolution(block.convolution1, F.relu(hidden))
        hidden = hidden + block.scale * plain_convolution(block.convolution2, F.relu(inner))
    return F.linear(hidden.flatten(1), critic.classifier.weight, critic.classifier.bias)[:, 0]


def plain_code_critic(critic: LatentCritic, codes: torch.Tensor) -> torch.Tensor:
    for layer, norm in zip(critic.layers, critic.norms, strict=True):
        codes = layer(codes)
        if isinstance(norm, nn.LayerNorm):
            codes = F.layer_norm(codes, norm.normalized_shape, norm.weight, norm.bias)
        codes = F.leaky_relu(codes, 0.2)
    return F.linear(codes, critic.classifier.weight, critic.classifier.bias)[:, 0]


def plain_penalty(score, points: torch.Tensor, divisor: int = 1) -> torch.Tensor:
    points = points.detach().clone().requires_grad_()
    penalties = []
    for row in points:  # one at a time: each has a gradient of its own
        (gradient,) = torch.autograd.grad(score(row[None]).sum(), row, create_graph=True)
        penalties.append(((gradient**2).sum().sqrt() / divisor - 1) ** 2)
    return torch.stack(penalties).mean()


# ---- The penalty and the lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [1.0, 3.0, 0.25, 0.0])
def test_penalty_of_a_linear_critic(norm):
    """Of norm c over all entries it is (c - 1)^2; 0 at norm 1 and 1 for a constant; with a batch mean (c/B - 1)^2."""
    weights = torch.randn(L, V)
    weights = norm * weights / weights.norm()
    critic = ConvCritic(ConvCriticConfig(vocab_size=V, sequence_length=L, hidden_size=V, num_blocks=0))
    with torch.no_grad():  # the identity, then the weights: the channel is the slow index
        critic.embed_symbols.weight.copy_(torch.eye(V))
        critic.classifier.weight.copy_(weights.T.reshape(1, -1))
    points = torch.randn(3, L, V)
    for found in (input_gradient(lambda x: (x * weights).sum((1, 2)), points), critic.input_gradient(points)):
        torch.testing.assert_close(found, weights.expand(3, L, V), atol=1e-6, rtol=1e-5)
        penalty, norms = gradient_penalty(found)
        torch.testing.assert_close(norms, torch.full((3,), norm), atol=1e-6, rtol=1e-5)
        assert float(penalty.detach()) == pytest.approx((norm - 1) ** 2, abs=1e-6)
        assert float(gradient_penalty(found.detach(), 3)[0]) == pytest.approx((norm / 3 - 1) ** 2, abs=1e-6)


def small_critic(kind: str) -> tuple[nn.Module, Any, torch.Tensor]:
    """A critic in float64, its scores by plain operations, and points."""
    source = torch.Generator().manual_seed(3)
    if kind == "rows":
        config = ConvCriticConfig(vocab_size=3, sequence_length=4, hidden_size=2, num_blocks=1, kernel_size=3)
        critic, shape, plain = ConvCritic(config), (5, 4, 3), plain_critic
    else:
        normalization = kind.removeprefix("codes, ")
        critic = LatentCritic(LatentCriticConfig(code_size=3, layer_sizes=[4, 3], normalization=normalization))
        shape, plain = (5, 3), plain_code_critic
    critic = randomize(critic, seed=2, std=1.0).double()
    return critic, lambda x: plain(critic, x), torch.randn(shape, dtype=torch.float64, generator=source)


@pytest.mark.parametrize("kind", ["rows", "codes, none", "codes, layer"])
def test_gradient_of_the_penalty_by_finite_differences(kind):
    critic, plain, points = small_critic(kind)
    if kind == "rows":
        penalty, _ = gradient_penalty(critic.input_gradient(points))
    else:
        penalty, _ = gradient_penalty(input_gradient(lambda codes: critic(codes=codes).logits.squeeze(1), points))
    assert float(penalty.detach()) == pytest.approx(float(plain_penalty(plain, points).detach()), rel=1e-5)
    found = dict(
        zip((n for n, _ in critic.named_parameters()), gradients(penalty, critic), strict=True),
    )
    step, largest = 1e-5, 0.0
    for name, parameter in critic.named_parameters():
        numbers, expected = parameter.data.view(-1), []
        for i in range(len(numbers)):
            values = []
            for sign in (1, -1):
                numbers[i] += sign * step
                values.append(float(plain_penalty(plain, points).detach()))
                numbers[i] -= sign * step
            expected.append((values[0] - values[1]) / (2 * step))
        expected = torch.tensor(expected).double().view_as(parameter)
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: n + m)
        largest = max(largest, float(expected.abs().max()))
    assert largest > 0.1, "the penalty moves the critic"


def test_points_on_lines():
    first, second = torch.randn(4, L, V), torch.randn(4, L, V)
    assert torch.equal(interpolate(first, second, torch.zeros(4)), first)
    assert torch.equal(interpolate(first, second, torch.ones(4)), second)
    shares = torch.tensor([0.1, 0.4, 0.7, 0.95])
    between = interpolate(first, second, shares)
    for i in range(4):
        share = (between[i] - first[i]) / (second[i] - first[i])
        torch.testing.assert_close(share, shares[i].expand(L, V), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(interpolate(first[:, 0], second[:, 0], shares), between[:, 0])


def shares_on_the_lines(between: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The share of each row, after a check that it is the same at all entries."""
    ways, parts = (second - first).flatten(1), (between - first).flatten(1)
    shares = (ways * parts).sum(1) / (ways * ways).sum(1)
    torch.testing.assert_close(parts, shares[:, None] * ways, rtol=0, atol=1e-5)
    assert ((shares > -1e-6) & (shares < 1)).all()
    assert len(shares.round(decimals=5).unique()) == len(shares), "one for each row"
    assert shares.std() > 0.15
    return shares


@pytest.mark.parametrize(
    ("objective", "ends"),
    [
        (IWGANObjective(), "data"),
        (TextKDObjective(), "teacher"),
        (TextKDObjective(teacher_temperature=2.5), "teacher"),
        (TextKDObjective(interpolate_from="data"), "data"),
    ],
    ids=["iwgan", "textkd", "textkd, soft", "textkd, data"],
)
def test_where_the_gradient_of_rows_is_penalized(objective, ends):
    """On the lines between what the critic compares: ``real + a (fake - real)`` with one a for each pair."""
    players, batch = build(objective), texts(12)
    critic, generator = players["discriminator"], players["generator"]
    seen, made, penalized = recorded(critic), recorded(generator), recorded_function(critic, "input_gradient")
    taught = recorded(players["autoencoder"]) if "autoencoder" in players else []
    output = objective.discriminator_loss(players, ENGINE, batch, CONTEXT)
    real, fake = seen[0]["inputs_onehot"].chunk(2)
    assert torch.equal(fake, made[0]["output"].logits.softmax(-1))
    rows = one_hot(batch)
    if isinstance(objective, TextKDObjective):
        assert len(taught) == 1 and torch.equal(taught[0]["input_ids"], batch["input_ids"][:, 1:])
        rows = (taught[0]["output"].logits / objective.teacher_temperature).softmax(-1)
    assert torch.equal(real, rows)
    torch.testing.assert_close(real.sum(-1), torch.ones(12, L))
    torch.testing.assert_close(fake.sum(-1), torch.ones(12, L))

    ((between,),) = penalized
    line_from = real if ends == "teacher" else one_hot(batch)
    shares = shares_on_the_lines(between, line_from, fake)
    torch.testing.assert_close(shares, CONTEXT.rand("shares", 12), rtol=0, atol=1e-5)
    assert not between.requires_grad and not real.requires_grad and not fake.requires_grad
    assert output.weight == 12

    def score(inputs):
        return plain_critic(critic, inputs)

    gap = score(real).mean() - score(fake).mean()
    penalty = plain_penalty(score, between)
    compare(output, -gap + 10 * penalty, critic)
    entropies = [-(p * p.clamp(min=1e-30).log()).sum(-1).mean() for p in (real, fake)]
    expected = {
        "discriminator/gap": gap,
        "discriminator/penalty": penalty,
        "discriminator/input_gradient_norm": plain_norms(score, between).mean(),
        "real/row_entropy": entropies[0],
        "real/max_probability": real.max(-1).values.mean(),
        "generator/row_entropy": entropies[1],
        "generator/max_probability": fake.max(-1).values.mean(),
    }
    assert {k: float(v) for k, v in output.metrics.items()} == pytest.approx(
        {k: float(v.detach()) for k, v in expected.items()}, rel=1e-4, abs=1e-6
    )
    assert not any(v.requires_grad for v in output.metrics.values())
    weighted = replace(objective, gradient_penalty=0.0)
    torch.testing.assert_close(weighted.discriminator_loss(players, ENGINE, batch, CONTEXT).loss, -gap)


def plain_norms(score, points: torch.Tensor) -> torch.Tensor:
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(score(points).sum(), points)[0].flatten(1).norm(dim=1)


@pytest.mark.parametrize("objective", [IWGANObjective(), TextKDObjective()], ids=["iwgan", "textkd"])
def test_generator_loss_of_rows(objective):
    players, batch = build(objective), texts(6)
    generator = players["generator"]
    made = recorded(generator)
    output = objective.generator_loss(players, ENGINE, batch, CONTEXT)
    latents = made[0]["latents"]
    assert latents.shape == (6, 3) and output.weight == 6 and output.metrics == {}
    rows = generator(latents=latents).logits.softmax(-1)
    compare(output, -plain_critic(players["discriminator"], rows).mean(), generator)
    critic_latents = []
    generator.register_forward_hook(lambda m, a, k, o: critic_latents.append(k["latents"]), with_kwargs=True)
    objective.discriminator_loss(players, ENGINE, batch, CONTEXT)
    assert not torch.equal(critic_latents[0], latents), "each turn draws noise of its own"


def test_autoencoder_loss_of_textkd():
    objective = TextKDObjective(teacher_temperature=2.0)  # the critic's business, not the autoencoder's
    players, batch = build(objective), texts(6)
    autoencoder = players["autoencoder"]
    output = objective.autoencoder_loss(players, ENGINE, batch, CONTEXT)
    rows = autoencoder(input_ids=batch["input_ids"][:, 1:]).logits.softmax(-1)
    compare(output, ((one_hot(batch) - rows) ** 2).sum((1, 2)).mean(), autoencoder)
    assert output.weight == 6
    right = (rows.argmax(-1) == batch["input_ids"][:, 1:]).float().mean()
    assert float(output.metrics["autoencoder/accuracy"]) == pytest.approx(float(right))


def test_squared_error_and_entropy_by_hand():
    sequences = texts(3)["input_ids"][:, 1:]
    rows = torch.eye(V)[sequences]
    assert float(squared_error_of_symbols((1000 * rows).softmax(-1), sequences)) == 0.0
    for size in (2, V, 100):
        uniform = torch.full((3, L, size), 1 / size)
        known = sequences.clamp(max=size - 1)
        assert float(squared_error_of_symbols(uniform, known)) == pytest.approx(L * (1 - 1 / size), rel=1e-5)
        torch.testing.assert_close(row_entropy(uniform), torch.full((3, L), math.log(size)))
    by_hand = torch.tensor([[[0.7, 0.2, 0.1]], [[0.0, 0.5, 0.5]]])  # .09 + .04 + .01 and 1 + .25 + .25
    assert float(squared_error_of_symbols(by_hand, torch.zeros(2, 1, dtype=torch.long))) == pytest.approx(0.82)
    assert torch.equal(row_entropy(rows), torch.zeros(3, L))
    assert float(row_entropy(torch.tensor([0.5, 0.25, 0.25]))) == pytest.approx(1.5 * math.log(2))


# ---- ARAE -----------------------------------------------------------------------------------------------------------


def codes_of(autoencoder: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last state over BOS and the symbols before EOS, over its norm; sentence by sentence."""
    codes = []
    for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        read = row[: int(mask.sum()) - 1][None]
        _, (hidden, _) = autoencoder.encoder(autoencoder.embed_tokens(read))
        codes.append(hidden[-1, 0] / (hidden[-1, 0] ** 2).sum().sqrt())
    return torch.stack(codes)


def test_reconstruction_loss_of_arae():
    objective = ARAEObjective(code_noise=0.5)
    players, batch = build(objective), texts(200)
    autoencoder = players["autoencoder"]
    decoded = recorded_function(autoencoder.decoder, "teacher_forced")
    output = objective.reconstruction_loss(players, ENGINE, batch, CONTEXT)
    codes = codes_of(autoencoder, batch)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(200))
    noise = (decoded[0][0] - codes).detach()
    assert float(noise.std()) == pytest.approx(0.5, rel=0.1) and abs(float(noise.mean())) < 0.1

    # Each sentence through a decoder of plain operations: the mean over all symbols and EOS.
    nlls = []
    decoder = autoencoder.decoder
    for row, mask, code in zip(batch["input_ids"], batch["attention_mask"], codes + noise, strict=True):
        count = int(mask.sum()) - 1
        inputs = torch.cat([decoder.embed_tokens(row[:count]), code.expand(count, -1)], dim=1)
        logps = decoder.lm_head(decoder.rnn(inputs[None])[0][0]).log_softmax(-1)
        nlls.append(-logps.gather(1, row[1 : count + 1, None])[:, 0])
    assert output.weight == sum(map(len, nlls))
    compare(output, torch.cat(nlls).mean(), autoencoder)
    assert output.metrics["autoencoder/code_noise"] == 0.5


def test_noise_of_arae_fades():
    objective = ARAEObjective()
    assert [objective.noise(tick) for tick in (0, 99, 100, 199)] == [0.05, 0.05, 0.05 * 0.9995, 0.05 * 0.9995]
    assert objective.noise(12_345) == pytest.approx(0.05 * 0.9995**123)
    halved = ARAEObjective(code_noise=1.0, noise_decay=0.5, noise_decay_every=3)
    players = build(halved)
    decoded = recorded_function(players["autoencoder"].decoder, "teacher_forced")
    spreads = []
    for tick in (2, 3, 8):
        halved.reconstruction_loss(players, ENGINE, texts(300), replace(CONTEXT, tick=tick))
        spreads.append(float((decoded[-1][0] - codes_of(players["autoencoder"], texts(300))).detach().std()))
    assert spreads == pytest.approx([1.0, 0.5, 0.25], rel=0.1)


@pytest.mark.parametrize(("batch_mean", "num_shards"), [(False, 1), (False, 2), (True, 1), (True, 2)])
def test_critic_loss_of_arae(batch_mean, num_shards):
    objective = ARAEObjective(gradient_penalty=3.0, penalize_batch_mean=batch_mean)
    players, batch = build(objective), texts(10)
    critic, generator = players["discriminator"], players["generator"]
    seen, made = recorded(critic), recorded(generator)
    context = replace(CONTEXT, num_shards=num_shards, shard=num_shards - 1)
    output = objective.discriminator_loss(players, ENGINE, batch, context)
    real, fake = seen[0]["codes"].chunk(2)
    torch.testing.assert_close(real, codes_of(players["autoencoder"], batch).detach())
    assert torch.equal(fake, made[0]["output"].codes) and not made[0]["decode"] and made[0]["batch_statistics"]
    between = seen[1]["codes"].detach()
    shares_on_the_lines(between, fake, real)
    assert not real.requires_grad and not fake.requires_grad

    def score(codes):
        return plain_code_critic(critic, codes)

    divisor = 10 * num_shards if batch_mean else 1
    gap = score(real).mean() - score(fake).mean()
    compare(output, -gap + 3 * plain_penalty(score, between, divisor), critic)
    assert float(output.metrics["discriminator/gap"]) == pytest.approx(float(gap.detach()), rel=1e-4)
    assert float(output.metrics["generator/code_norm"]) == pytest.approx(float(fake.norm(dim=1).mean()))


def test_adversarial_losses_of_arae():
    """The critic scores real codes high: the encoder lowers these scores, the generator raises those of its codes."""
    objective = ARAEObjective(encoder_weight=0.3)
    players, batch = build(objective), texts(10)
    autoencoder, generator, critic = (players[n] for n in ("autoencoder", "generator", "discriminator"))
    output = objective.encoder_loss(players, ENGINE, batch, CONTEXT)
    compare(output, 0.3 * plain_code_critic(critic, codes_of(autoencoder, batch)).mean(), autoencoder)
    score = objective.encoder_loss(players, ENGINE, batch, CONTEXT).loss
    named = dict(autoencoder.named_parameters())
    found = torch.autograd.grad(score, list(named.values()), allow_unused=True)
    moved = {name for name, gradient in zip(named, found, strict=True) if gradient is not None}
    assert moved == {name for name in named if not name.startswith("decoder.")}

    made = recorded(generator)
    generator.train()
    output = objective.generator_loss(players, ENGINE, batch, CONTEXT)
    hidden = made[0]["latents"]
    for layer, norm in zip(generator.layers, generator.norms, strict=True):
        hidden = layer(hidden)
        mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
        hidden = F.relu((hidden - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias)
    compare(output, -plain_code_critic(critic, generator.to_code(hidden)).mean(), generator)


def test_the_encoders_turn_without_weight_does_nothing():
    for weight, moves in ((0.0, False), (0.1, True)):
        objective = ARAEObjective(encoder_weight=weight)
        players = build(objective)
        before = copy.deepcopy(players["autoencoder"].state_dict())
        optimizer = optimizer_of(players["autoencoder"], torch.optim.SGD)
        turn = Turn("autoencoder", "encoder_loss")
        # Optimizers with momentum would move all the same, so there is no such turn.
        assert (turn in objective.turns()["adversarial"]) == moves
        take_step(Accelerator(cpu=True), players, optimizer, turn, [texts(6)], objective, ENGINE, CONTEXT)
        after = players["autoencoder"].state_dict()
        assert any(not torch.equal(before[name], after[name]) for name in before) == moves


# ---- Draws that processes and micro-batches share -------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["randn", "rand"])
def test_draws_of_a_step(draw):
    def numbers(name: str = "latents", rows: int = 6, **changes) -> torch.Tensor:
        return getattr(replace(CONTEXT, **changes), draw)(name, rows, 3)

    whole = numbers(rows=12)
    for parts in (2, 3, 4):
        shards = [numbers(rows=12 // parts, shard=shard, num_shards=parts) for shard in range(parts)]
        assert torch.equal(torch.cat(shards), whole)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(numbers(rows=12), whole), "whatever was drawn before"
    torch.set_rng_state(state)
    numbers()
    assert torch.equal(torch.get_rng_state(), state), "and nothing else is disturbed"
    others = [numbers(), numbers("shares"), numbers(tick=4), numbers(step=3), numbers(seed=6)]
    others += [numbers(tick=2, step=3), numbers(shard=1, num_shards=2)]
    for i, first in enumerate(others):
        assert not any(torch.equal(first, second) for second in others[:i])
    large = getattr(CONTEXT, draw)("many", 20_000)
    mean, spread = (0, 1) if draw == "randn" else (0.5, 12**-0.5)
    assert large.shape == (20_000,) and abs(float(large.mean()) - mean) < 0.03
    assert float(large.std()) == pytest.approx(spread, rel=0.03)


# ---- Turns ----------------------------------------------------------------------------------------------------------


def state_of(players: Players) -> dict[str, torch.Tensor]:
    """All tensors of all players, buffers included."""
    return {
        f"{name}/{key}": value.clone() for name in players for key, value in players.unwrap(name).state_dict().items()
    }


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.invariant
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_turn_moves_its_player_and_no_other(system):
    objective = SYSTEMS[system]()
    players = build(objective)
    for number, turn in enumerate(objective.turns()["adversarial"]):
        optimizer = optimizer_of(players[turn.player])
        before, modes = state_of(players), {name: players[name].training for name in players}
        context = replace(CONTEXT, step=number)
        result = take_step(Accelerator(cpu=True), players, optimizer, turn, [texts(8)], objective, ENGINE, context)
        assert not result.skipped
        moved = changed(before, state_of(players))
        own = {name for name in before if name.startswith(f"{turn.player}/")}
        # The critic's output bias cancels in the gap. Batch normalization undoes a bias before it.
        idle = {"discriminator/classifier.bias"} if turn.player == "discriminator" else set()
        doubtful = set()
        if system == "arae" and turn.player == "generator":
            doubtful = {"generator/layers.0.bias", "generator/layers.1.bias"}
        if turn.loss == "encoder_loss":
            idle = {name for name in own if "/decoder." in name}
            assert idle
        assert moved | doubtful == own - idle | doubtful, turn
        assert modes == {name: players[name].training for name in players}
        assert all(p.grad is None for name in players for p in players[name].parameters())


def test_the_generator_of_arae_carries_the_decoder():
    objective = ARAEObjective()
    players = build(objective)
    turn = objective.turns()["adversarial"][3]
    ours, theirs = players["generator"].decoder, players["autoencoder"].decoder
    for step in range(2):
        randomize(theirs, seed=step + 50)
        assert not torch.equal(ours.lm_head.weight, theirs.lm_head.weight)
        optimizer = optimizer_of(players["generator"])
        context = replace(CONTEXT, step=step)
        take_step(Accelerator(cpu=True), players, optimizer, turn, [texts(8)], objective, ENGINE, context)
        for (name, mine), its in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, its) and mine.data_ptr() != its.data_ptr(), name


def test_the_critic_of_arae_leaves_the_statistics_of_the_generator():
    """It compares codes as the generator's turn makes them, by the statistics of the batch, and records nothing."""
    objective = ARAEObjective()
    players = build(objective)
    generator = players["generator"]
    made = recorded(generator)
    objective.discriminator_loss(players, ENGINE, texts(8), CONTEXT)
    evaluated = made[0]["output"].codes
    generator.train()
    torch.testing.assert_close(evaluated, generator(latents=made[0]["latents"], decode=False).codes)
    generator.eval()
    other = generator(latents=made[0]["latents"], decode=False).codes
    assert (evaluated - other).abs().max() > 0.1, "the running statistics are others"


ORDERS = {
    "iwgan": ["discriminator_loss"] * 10 + ["generator_loss"],
    "textkd_gan": ["autoencoder_loss"] + ["discriminator_loss"] * 5 + ["generator_loss"],
    "arae": ["reconstruction_loss"] + ["discriminator_loss"] * 5 + ["encoder_loss", "generator_loss"],
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_order_of_the_turns_and_the_teacher_in_them(system, tmp_path):
    """The rounds of the papers; and the teacher reads the very batch of each critic step, in evaluation mode."""
    objective = SYSTEMS[system]()
    trainer = wasserstein_trainer(tmp_path, objective, max_steps=2, save_strategy="no")
    calls: list[tuple] = []

    def record(name: str, function) -> None:
        def loss(players, engine, batch, context):
            calls.append((name, context.tick, context.step, engine.real_sequences(batch), len(taught)))
            return function(players, engine, batch, context)

        setattr(objective, name, loss)

    for name in set(ORDERS[system]):
        record(name, getattr(objective, name))
    taught = recorded(trainer.other_players["autoencoder"]) if "autoencoder" in trainer.other_players else []
    trainer.train()
    assert [call[:2] for call in calls] == [(name, tick) for tick in (0, 1) for name in ORDERS[system]]
    steps = {"autoencoder": [], "discriminator": [], "generator": []}
    for name, _, step, _, _ in calls:
        first = name.split("_")[0]
        steps[{"reconstruction": "autoencoder", "encoder": "autoencoder"}.get(first, first)].append(step)
    assert all(counts == list(range(len(counts))) for counts in steps.values())
    if system != "textkd_gan":
        return
    reading = [call for call in calls if call[0] != "generator_loss"]
    assert len(taught) == len(reading) == 12
    for number, (call, (name, _, _, sequences, before)) in enumerate(zip(taught, reading, strict=True)):
        learns = name == "autoencoder_loss"
        assert before == number, "once in each step, and not earlier"
        assert call["training"] == call["gradient"] == learns
        assert call["output"].logits.requires_grad == learns
        assert torch.equal(call["input_ids"], sequences)
    batches = [call["input_ids"] for call in taught]
    assert not any(torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])


def test_phases():
    objective = TextKDObjective(autoencoder_steps=2, pretrain_autoencoder_steps=7, discriminator_steps=3)
    first, *others = objective.phases(0, 0, 11)
    assert (first.name, first.ticks) == ("pretrain_autoencoder", 7)
    assert [(t.player, t.loss, t.repeat) for t in first.turns] == [("autoencoder", "autoencoder_loss", 1)]
    assert {p.name: p.ticks for p in others} == {
        "pretrain_generator": 0,
        "pretrain_discriminator": 0,
        "adversarial": 11,
    }
    turns = [(t.player, t.loss, t.repeat) for t in others[-1].turns]
    assert turns == [
        ("autoencoder", "autoencoder_loss", 2),
        ("discriminator", "discriminator_loss", 3),
        ("generator", "generator_loss", 1),
    ]
    assert first.optimizer_of(first.turns[0]) == others[-1].optimizer_of(others[-1].turns[0])
    defaults = [SYSTEMS[name]().discriminator_steps for name in ("iwgan", "textkd_gan", "arae")]
    assert defaults == [10, 5, 5]
    with pytest.raises(
        ValueError, match="pretrain_generator_steps is 4, but IWGANObjective has no pretrain_generator"
    ):
        IWGANObjective().phases(4, 0, 1)


# ---- The one-hot limit ----------------------------------------------------------------------------------------------


class FixedTeacherConfig(PreTrainedConfig):
    model_type = "textgan_test_fixed_teacher"

    def __init__(self, vocab_size: int = 5, rows: list | None = None, **kwargs):
        self.vocab_size, self.rows, self.padding = vocab_size, rows, "symbol"
        super().__init__(**kwargs)


class FixedTeacher(PreTrainedModel):
    """Reconstructions that do not change: exact one-hot rows, or given rows for each symbol."""

    config_class = FixedTeacherConfig

    def __init__(self, config: FixedTeacherConfig):
        super().__init__(config)
        self.idle = nn.Parameter(torch.zeros(()))
        self.post_init()

    def forward(self, input_ids: torch.Tensor, **kwargs) -> AutoencoderOutput:
        rows = self.config.rows
        scores = 1e5 * torch.eye(self.config.vocab_size) if rows is None else torch.tensor(rows).log()
        return AutoencoderOutput(logits=scores[input_ids] + 0 * self.idle)


@pytest.mark.invariant
@pytest.mark.parametrize("interpolate_from", ["teacher", pytest.param("data", marks=pytest.mark.slow)])
def test_one_hot_reconstructions_make_it_iwgan(interpolate_from, tmp_path):
    """The same runs bit for bit, over 20 rounds."""
    ends = {}
    for name in ("iwgan", "textkd_gan"):
        if name == "iwgan":
            objective, options = IWGANObjective(discriminator_steps=2), {}
        else:
            objective = TextKDObjective(discriminator_steps=2, interpolate_from=interpolate_from)
            players = wasserstein_players(IWGANObjective(), len(text_data()[0]), 6)
            teacher = FixedTeacher(FixedTeacherConfig(vocab_size=len(text_data()[0])))
            options = {"players": {"discriminator": players["discriminator"], "autoencoder": teacher}}
        trainer = wasserstein_trainer(
            tmp_path / name, objective, trainer_options=options, max_steps=20, save_strategy="no", logging_steps=20
        )
        start = copy.deepcopy(trainer.model.state_dict())
        trainer.train()
        ends[name] = state_of(Players({"generator": trainer.model, **trainer.other_players}))
        assert not torch.equal(start["lm_head.weight"], trainer.model.state_dict()["lm_head.weight"])
    shared = ends["iwgan"].keys()
    assert len(shared) > 10 and changed(ends["iwgan"], {name: ends["textkd_gan"][name] for name in shared}) == set()


# ---- Accumulation ---------------------------------------------------------------------------------------------------


@pytest.mark.invariant
@pytest.mark.parametrize(("system", "options"), [("iwgan", {}), ("textkd_gan", {"policy_gradient": 0.3})])
def test_micro_batches_equal_one_batch(system, options, tmp_path):
    ends, logs = [], []
    for size, parts in ((8, 1), (4, 2)):
        trainer = wasserstein_trainer(
            tmp_path,
            SYSTEMS[system](discriminator_steps=3, **options),
            max_steps=3,
            save_strategy="no",
            per_device_train_batch_size=size,
            gradient_accumulation_steps=parts,
            optim="sgd",
            learning_rate=0.1,
        )
        trainer.train()
        ends.append(state_of(Players({"generator": trainer.model, **trainer.other_players})))
        logs.append([{k: e[k] for k in e if "/" in k} for e in trainer.state.log_history if "generator/loss" in e])
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-6, atol=1e-6, msg=lambda m, n=name: n + m)
    for first, second in zip(*logs, strict=True):
        assert second == pytest.approx(first, rel=1e-4, abs=1e-5)


def test_arae_refuses_micro_batches(tmp_path):
    message = (
        "gradient_accumulation_steps is 2, but ARAEObjective compares the examples of a batch with each other; "
        "set it to 1 and raise the batch size."
    )
    with pytest.raises(ValueError, match=message):
        wasserstein_trainer(tmp_path, ARAEObjective(), gradient_accumulation_steps=2)


# ---- The policy gradient of TextKD-GAN ------------------------------------------------------------------------------


def test_policy_gradient_against_enumeration():
    """The expected score of drawn symbols, over all 9 sequences of 2 symbols out of 3, for the noise of each draw."""
    blocks = {"vocab_size": 3, "sequence_length": 2, "hidden_size": 3, "num_blocks": 1, "kernel_size": 3}
    generator = randomize(ConvGenerator(ConvGeneratorConfig(**blocks, latent_size=2)), 1, 0.8).eval()
    critic = randomize(ConvCritic(ConvCriticConfig(**blocks)), 2, 1.0).eval()
    players, engine = Players({"generator": generator, "discriminator": critic}), RolloutEngine(2, BOS, PAD, None)
    plain, drawing = TextKDObjective(), TextKDObjective(policy_gradient=0.7)
    everything = torch.cartesian_prod(torch.arange(3), torch.arange(3))  # (9, 2)
    with torch.no_grad():
        scores = plain_critic(critic, torch.eye(3)[everything])  # (9,)
    batch = {"input_ids": torch.zeros(600, 3, dtype=torch.long)}
    made = recorded(generator)

    def flat(loss: torch.Tensor) -> torch.Tensor:
        return torch.cat([g.flatten() for g in gradients(loss, generator)]).double()

    sampled, exact = [], []
    with players.turn_of("generator"):
        for tick in range(60):
            context = StepContext(tick=tick)
            both = drawing.generator_loss(players, engine, batch, context)
            alone = plain.generator_loss(players, engine, batch, context)
            sampled.append(flat(both.loss) - flat(alone.loss))
            assert set(both.metrics) == {"reward/mean"}
            logps = generator(latents=made[0]["latents"]).logits.log_softmax(-1)  # (B, 2, 3)
            made.clear()
            of_sequence = logps[:, 0, everything[:, 0]] + logps[:, 1, everything[:, 1]]  # (B, 9)
            exact.append(flat(-0.7 * (of_sequence.exp() * scores).sum(1).mean()))
    exact, sampled = torch.stack(exact), torch.stack(sampled)
    assert agrees(sampled - exact + exact.mean(0), exact.mean(0))
    assert not agrees(-(sampled - exact) + 2 * exact.mean(0), exact.mean(0))


def test_policy_gradient_without_weight_is_the_plain_loss():
    objective = TextKDObjective()
    players = build(objective)
    found = objective.generator_loss(players, ENGINE, texts(6), CONTEXT)
    plain = IWGANObjective().generator_loss(players, ENGINE, texts(6), CONTEXT)
    assert torch.equal(found.loss, plain.loss) and found.metrics == plain.metrics == {}
    with_draws = TextKDObjective(policy_gradient=1e-3).generator_loss(players, ENGINE, texts(6), CONTEXT)
    assert not torch.equal(with_draws.loss, plain.loss)
    with torch.no_grad():
        players["generator"].lm_head.bias[0] = math.nan
    with_draws = TextKDObjective(policy_gradient=1e-3).generator_loss(players, ENGINE, texts(6), CONTEXT)
    assert with_draws.loss.isnan(), "a step to skip, not an error"


# ---- Toys -----------------------------------------------------------------------------------------------------------


def rounds(objective, players: Players, engine: RolloutEngine, batches, ticks: int, lr: float) -> dict[str, list]:
    """Rounds of an objective with Adam as in IWGAN's paper; the metrics of each step."""
    accelerator = Accelerator(cpu=True)
    turns = objective.turns()["adversarial"]
    optimizers = {}
    for turn in turns:
        trainable = [p for p in players[turn.player].parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=lr, betas=(0.5, 0.9))
        optimizers[turn.player] = PlayerOptimizer(optimizer, get_constant_schedule(optimizer))
    metrics: dict[str, list] = {}
    for tick in range(ticks):
        for turn in turns:
            for step in range(turn.repeat):
                context = StepContext(tick=tick, step=step)
                result = take_step(
                    accelerator, players, optimizers[turn.player], turn, [next(batches)], objective, engine, context
                )
                for key, value in result.metrics.items():
                    metrics.setdefault(key, []).append(value)
    return metrics


def draws(rows: torch.Tensor, size: int):
    """Batches of rows without padding, drawn with replacement."""
    source = torch.Generator().manual_seed(8)
    while True:
        ids = rows[torch.randint(len(rows), (size,), generator=source)]
        yield {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.slow
def test_two_symbols_the_students_rows_cover_both_clusters_of_the_teacher():
    """
    Figure 4 of the paper: texts of one symbol out of two, which an imperfect teacher writes as (.9, .1) and (.2, .8).
    The student learns these two points of the segment, where IWGAN learns its ends.
    """
    sizes = {"vocab_size": 2, "sequence_length": 1, "hidden_size": 16, "num_blocks": 1, "kernel_size": 1}
    sizes["eos_token_id"] = None
    engine, texts = RolloutEngine(1, 1, 0, None), torch.tensor([[1, 0], [1, 1]])

    def near(objective, centres: tuple[float, float], ticks: int) -> list[float]:
        torch.manual_seed(3)
        generator = ConvGenerator(ConvGeneratorConfig(**sizes, latent_size=1))
        teacher = FixedTeacher(FixedTeacherConfig(vocab_size=2, rows=[[0.9, 0.1], [0.2, 0.8]]))
        players = {"generator": generator, "discriminator": ConvCritic(ConvCriticConfig(**sizes))}
        rounds(objective, Players({**players, "autoencoder": teacher}), engine, draws(texts, 64), ticks, 4e-3)
        with torch.no_grad():
            firsts = generator(latents=torch.randn(2000, 1)).logits.softmax(-1)[:, 0, 0]
        return [float(((firsts - centre).abs() < 0.1).float().mean()) for centre in centres]

    shares = near(TextKDObjective(), (0.9, 0.2), 350)
    assert min(shares) > 0.3 and sum(shares) > 0.8, shares
    shares = near(IWGANObjective(discriminator_steps=5), (1.0, 0.0), 200)
    assert min(shares) > 0.3 and sum(shares) > 0.8, shares


@pytest.mark.slow
def test_the_generator_finds_the_only_line_there_is():
    torch.manual_seed(3)
    sizes = {"vocab_size": 10, "sequence_length": 8, "hidden_size": 16, "num_blocks": 1, "kernel_size": 3}
    generator = ConvGenerator(ConvGeneratorConfig(**sizes, latent_size=8))
    players = Players({"generator": generator, "discriminator": ConvCritic(ConvCriticConfig(**sizes))})
    line = torch.tensor([BOS, 4, 9, 3, 3, 7, 5, EOS, PAD])
    assert not (generator.generate(200) == line[1:]).all(1).any()
    engine = RolloutEngine(8, BOS, PAD, EOS)
    rounds(IWGANObjective(discriminator_steps=3), players, engine, draws(line[None], 32), 225, 2e-3)
    with torch.no_grad():
        rows = generator(latents=torch.randn(200, 8)).logits.softmax(-1)
    assert (rows.argmax(-1) == line[1:]).all() and (generator.generate(200) == line[1:]).all()
    assert float(row_entropy(rows).mean()) < 0.1 and float(rows.amax(-1).mean()) > 0.95


class Encoded(PreTrainedModel):
    """In the generator's seat of ARAE: the codes of real sentences, one for each row of noise."""

    config_class = FixedTeacherConfig

    def __init__(self, codes: torch.Tensor):
        super().__init__(FixedTeacherConfig(latent_size=1))
        self.known, self.idle = codes, nn.Parameter(torch.zeros(()))

    def forward(self, latents: torch.Tensor, **kwargs) -> OneShotGeneratorOutput:
        ranks = (latents[:, 0].double() * 1e6).long() % len(self.known)
        return OneShotGeneratorOutput(codes=self.known[ranks] + 0 * self.idle)


def test_codes_of_real_sentences_leave_the_critic_of_arae_no_gap():
    objective = ARAEObjective()
    everything = texts(400)
    gaps = {}
    for name in ("encoded", "noise"):
        players = build(objective)
        codes = codes_of(players["autoencoder"], everything).detach()
        others = {**players, "generator": Encoded(codes)} if name == "encoded" else dict(players)
        players = Players(others)
        accelerator, optimizer = Accelerator(cpu=True), optimizer_of(players["discriminator"], lr=5e-3)
        source, found = torch.Generator().manual_seed(8), []
        for step in range(120):
            chosen = torch.randint(400, (64,), generator=source)
            batch = {key: value[chosen] for key, value in everything.items()}
            turn = objective.turns()["adversarial"][1]
            context = StepContext(step=step)
            result = take_step(accelerator, players, optimizer, turn, [batch], objective, ENGINE, context)
            found.append(result.metrics["discriminator/gap"])
        gaps[name] = sum(found[-40:]) / 40
    assert gaps["noise"] > 0.5, gaps
    assert abs(gaps["encoded"]) < 0.05 * gaps["noise"], gaps


# ---- Steps that are not finite --------------------------------------------------------------------------------------


def spoil(objective, name: str, when) -> None:
    """Makes a loss NaN in the steps that `when(context)` tells."""
    function = getattr(objective, name)

    def loss(players, engine, batch, context):
        output = function(players, engine, batch, context)
        return replace(output, loss=output.loss * float("nan")) if when(context) else output

    setattr(objective, name, loss)


@pytest.mark.parametrize("system", ["textkd_gan", "arae"])
def test_a_step_that_is_not_finite_changes_nothing(system):
    objective = SYSTEMS[system]()
    players = build(objective)
    spoilt = [False]
    for turn in objective.turns()["adversarial"]:
        spoil(objective, turn.loss, lambda context: spoilt[0])
    for turn in objective.turns()["adversarial"]:
        optimizer = optimizer_of(players[turn.player])

        def step(optimizer=optimizer, turn=turn):
            return take_step(Accelerator(cpu=True), players, optimizer, turn, [texts(8)], objective, ENGINE, CONTEXT)

        spoilt[0] = False
        assert not step().skipped
        before = state_of(players)
        moments = copy.deepcopy(optimizer.optimizer.state_dict()["state"])
        spoilt[0] = True
        for count in (1, 2):
            result = step()
            assert result.skipped and math.isnan(result.loss)
            assert (optimizer.skipped, optimizer.skipped_in_a_row) == (count, count)
        statistics = {name for name in before if "running_" in name or "num_batches" in name}
        assert changed(before, state_of(players)) <= (statistics if turn.player == "generator" else set())
        after = optimizer.optimizer.state_dict()["state"]
        assert moments.keys() == after.keys()
        for key, values in moments.items():
            assert all(torch.equal(values[name], after[key][name]) for name in values)
        spoilt[0] = False
        assert not step().skipped and optimizer.skipped_in_a_row == 0 and optimizer.skipped == 2
        assert changed(before, state_of(players))


def test_single_steps_of_three_players_are_skipped_in_a_run(tmp_path, caplog):
    """One of each: the autoencoder in round 1, the critic's third step in round 1, the generator in round 2."""
    objective = TextKDObjective()
    spoil(objective, "autoencoder_loss", lambda context: context.tick == 1)
    spoil(objective, "discriminator_loss", lambda context: context.step == 7)
    spoil(objective, "generator_loss", lambda context: context.tick == 2)
    trainer = wasserstein_trainer(tmp_path, objective, max_steps=4, save_strategy="no")
    trainer.train()
    taken = {}
    for (player, _), optimizer in trainer.player_optimizers.items():
        taken[player] = {int(state["step"]) for state in optimizer.optimizer.state.values()}
        assert optimizer.skipped == 1
    assert taken == {"autoencoder": {3}, "discriminator": {19}, "generator": {3}}
    models = {"generator": trainer.model, **trainer.other_players}
    assert all(p.isfinite().all() for model in models.values() for p in model.parameters())
    where = [m.split(" at ")[1].split(":")[0] for m in caplog.messages if "not finite" in m]
    assert where == [
        "step 1, autoencoder/autoencoder_loss",
        "step 1, discriminator/discriminator_loss",
        "step 2, generator/generator_loss",
    ]
    last = [entry for entry in trainer.state.log_history if "generator/skipped_steps" in entry][-1]
    assert [last[f"{player}/skipped_steps"] for player in taken] == [1, 1, 1]


@pytest.mark.parametrize(
    ("objective", "loss", "where"),
    [
        (TextKDObjective(), "discriminator_loss", "step 1, discriminator/discriminator_loss"),
        (TextKDObjective(), "autoencoder_loss", "step 3, autoencoder/autoencoder_loss"),
        (ARAEObjective(), "generator_loss", "step 3, generator/generator_loss"),
    ],
    ids=["critic", "autoencoder", "generator"],
)
def test_too_many_of_them_stop_a_run(objective, loss, where, tmp_path):
    objective = replace(objective)
    spoil(objective, loss, lambda context: context.tick > 0)
    trainer = wasserstein_trainer(tmp_path, objective, max_steps=6, max_skipped_steps=3)
    message = (
        rf"Training stopped at {where}: 3 steps in a row were not finite \(loss nan, gradient norm nan\); the last"
    )
    with pytest.raises(FloatingPointError, match=message):
        trainer.train()
    models = {"generator": trainer.model, **trainer.other_players}
    assert all(p.isfinite().all() for model in models.values() for p in model.parameters())


# ---- Resuming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        (TextKDObjective(discriminator_steps=2, pretrain_autoencoder_steps=2, policy_gradient=0.1), {}),
        (ARAEObjective(discriminator_steps=2), {"player_optimizers": {"autoencoder": {"optim": "sgd"}}}),
    ],
    ids=["textkd", "arae"],
)
@pytest.mark.parametrize("steps", [(3,), pytest.param((1, 2, 4), marks=pytest.mark.slow)], ids=["fast", "slow"])
def test_a_resumed_run_takes_the_same_steps(objective, options, steps, tmp_path):
    options = {"max_steps": 3 if isinstance(objective, TextKDObjective) else 5, **options}
    wasserstein_trainer(tmp_path / "whole", replace(objective), **options).train()
    whole = checkpoint_state(tmp_path / "whole" / "checkpoint-5")
    assert {name.split("/")[0] for name in whole} >= {"model.safetensors", "autoencoder", "discriminator", "players"}
    assert any(name.startswith("players/optimizers/autoencoder") for name in whole)
    for step in steps:
        output_dir = tmp_path / f"from-{step}"
        shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", output_dir / f"checkpoint-{step}")
        assert len(differences(checkpoint_state(output_dir / f"checkpoint-{step}"), whole)) > 20
        wasserstein_trainer(output_dir, replace(objective), **options).train(resume_from_checkpoint=True)
        assert differences(checkpoint_state(output_dir / "checkpoint-5"), whole) == []


# ---- Reports --------------------------------------------------------------------------------------------------------


def test_accuracy_of_the_best_threshold_by_hand():
    numbers = torch.tensor([0.1, 0.4, 0.4, 0.9])
    assert best_threshold_accuracy(torch.zeros(7), numbers) == 1.0
    assert best_threshold_accuracy(numbers, numbers - 2) == 1.0
    assert best_threshold_accuracy(numbers, numbers.flip(0)) == 0.5
    assert best_threshold_accuracy(torch.zeros(3), torch.zeros(5)) == 0.5
    # Below 0.4 (included) lie all of the first and half of the second.
    assert best_threshold_accuracy(torch.tensor([0.0, 0.4]), torch.tensor([0.2, 0.3, 0.5, 0.6])) == 0.75
    assert best_threshold_accuracy(torch.tensor([0.0, 1.0]), torch.tensor([0.4, 0.6])) == 0.75


def test_report_of_rows_by_hand():
    """A teacher that is right but for symbol 3, which it takes for 4, with rows of known entropy."""
    rows = torch.full((V, V), 0.1)
    rows[torch.arange(V), [0, 1, 2, 4, 4]] = 0.6
    objective = TextKDObjective(teacher_temperature=1.0)
    players = Players(
        {**build(objective), "autoencoder": FixedTeacher(FixedTeacherConfig(vocab_size=V, rows=rows.tolist()))}
    )
    with torch.no_grad():  # uniform rows
        players["generator"].lm_head.weight.zero_()
        players["generator"].lm_head.bias.zero_()
    ids = torch.tensor([[BOS, 3, 4, EOS, PAD], [BOS, 4, 4, 4, EOS]])
    batch = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    with torch.no_grad():
        report = objective.report(players, ENGINE, batch)
        one_hot_report = IWGANObjective().report(players, ENGINE, batch)
    entropy = -0.6 * math.log(0.6) - 0.4 * math.log(0.1)
    right, wrong = 0.4**2 + 4 * 0.01, 0.6**2 + 0.9**2 + 3 * 0.01
    assert report.metrics == pytest.approx(
        {
            "real_row_entropy": entropy,
            "generator_row_entropy": math.log(V),
            "real_max_probability": 0.6,
            "generator_max_probability": 1 / V,
            "told_apart_by_entropy": 1.0,
            "reconstruction_accuracy": 7 / 8,
            "reconstruction_error": (7 * right + wrong) / 2,
        },
        rel=1e-5,
    )
    pairs = report.sequences["reconstructions"].tolist()
    assert pairs == [[3, 4, EOS, PAD], [4, 4, EOS, PAD], [4, 4, 4, EOS], [4, 4, 4, EOS]]
    assert one_hot_report.metrics["real_row_entropy"] == 0.0 and one_hot_report.metrics["real_max_probability"] == 1.0
    assert one_hot_report.sequences == {}


def test_report_of_codes():
    objective = ARAEObjective()
    players, batch = build(objective), texts(40)
    autoencoder, generator = players["autoencoder"], players["generator"]
    torch.manual_seed(4)
    with torch.no_grad():
        report = objective.report(players, ENGINE, batch)
        torch.manual_seed(4)
        made = generator(latents=torch.randn(40, 3)).codes
        codes = codes_of(autoencoder, batch)
    written = autoencoder.decode(codes)
    exact = (written == batch["input_ids"][:, 1:]).all(1).float().mean()
    clean = replace(objective, code_noise=0.0).reconstruction_loss(players, ENGINE, batch, CONTEXT)
    assert report.metrics == pytest.approx(
        {
            "reconstruction_nll_per_token": float(clean.loss.detach()),
            "reconstruction_accuracy": float(clean.metrics["autoencoder/accuracy"]),
            "reconstructed_exactly": float(exact),
            "generator_code_norm": float(made.norm(dim=1).mean()),
            "generator_code_variance": float(((made - made.mean(0)) ** 2).sum(1).mean()),
            "real_code_variance": float(((codes - codes.mean(0)) ** 2).sum(1).mean()),
        },
        rel=1e-4,
    )
    between = report.sequences["interpolations"]
    assert between.shape == (3 * 7, L)
    assert torch.equal(between[[0, 6, 7, 13, 14, 20]], written[:6]), "each line ends at two reconstructions"


@pytest.mark.parametrize(
    ("objective", "name", "lines"),
    [(TextKDObjective(discriminator_steps=1), "reconstructions", 20), (ARAEObjective(), "interpolations", 21)],
    ids=["textkd", "arae"],
)
def test_evaluations_write_what_the_objective_shows(objective, name, lines, tmp_path):
    trainer = wasserstein_trainer(
        tmp_path,
        objective,
        eval_strategy="steps",
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
        files=True,
    )
    models = (trainer.model, *trainer.other_players.values())
    for model in models:
        model.train()
    before = [copy.deepcopy(model.state_dict()) for model in models]
    trainer.evaluate()
    for model, state in zip(models, before, strict=True):  # the statistics of batch normalization among them
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    shown = (tmp_path / "samples" / f"step-0000000-{name}.txt").read_text().splitlines()
    assert len(shown) == lines
    assert (tmp_path / f"{name}.txt").read_text().splitlines() == shown
    assert len((tmp_path / "samples" / "step-0000000.txt").read_text().splitlines()) == 20
    if name == "reconstructions":
        assert shown[::2] == LINES[:10]
    (evaluation,) = json.loads((tmp_path / "metrics.json").read_text())["evaluations"]
    assert math.isfinite(evaluation["eval_reconstruction_accuracy"])
    assert all(model.training for model in (trainer.model, *trainer.other_players.values()))


@pytest.mark.parametrize(
    "objective", [TextKDObjective(discriminator_steps=1), ARAEObjective()], ids=["textkd", "arae"]
)
def test_held_out_text_may_be_longer_than_what_is_written(objective, tmp_path):
    rows = [{"input_ids": [BOS, *[4] * 11, EOS]}, {"input_ids": [BOS, 4, EOS]}]
    trainer = wasserstein_trainer(
        tmp_path, objective, eval_strategy="steps", eval_dataset=rows, text_metrics=length_metric
    )
    assert trainer.engine.max_length < 12
    assert math.isfinite(trainer.evaluate()["eval_reconstruction_accuracy"])


# ---- Bad input ------------------------------------------------------------------------------------------------------


def test_players_that_do_not_fit(tmp_path):
    size, length = len(text_data()[0]), 6

    def refuse(objective, message: str, **models: PreTrainedModel) -> None:
        players = {**wasserstein_players(objective, size, length), **models}
        options = {"model": players.pop("generator"), "players": players}
        with pytest.raises(ValueError, match=re.escape(message)):
            wasserstein_trainer(tmp_path, objective, trainer_options=options)

    longer = wasserstein_players(TextKDObjective(), size, length + 2)
    for name in ("generator", "discriminator", "autoencoder"):
        message = f"The {name} has sequence_length 8 and the texts 6 positions; build it with sequence_length=6."
        refuse(TextKDObjective(), message, **{name: longer[name]})
    message = (
        "A RecurrentGeneratorForCausalLM cannot be trained by IWGANObjective, which needs a generator of whole "
        "sequences from noise, such as ConvGenerator."
    )
    refuse(IWGANObjective(), message, generator=tiny_lstm(size))
    message = (
        "A CNNDiscriminator cannot be trained by IWGANObjective, which needs a critic of rows of probabilities, such "
        "as ConvCritic."
    )
    refuse(IWGANObjective(), message, discriminator=tiny_discriminator(size, length))
    more = wasserstein_players(TextKDObjective(), size + 1, length)
    for name in ("generator", "autoencoder"):
        message = (
            f"The {name} has vocab_size {size + 1} and the discriminator {size}; build both for the same symbols."
        )
        refuse(TextKDObjective(), message, **{name: more[name]})
    message = "A ConvCritic cannot be trained by ARAEObjective, which needs a critic of codes, such as LatentCritic."
    refuse(ARAEObjective(), message, discriminator=more["discriminator"])
    masked = wasserstein_players(ARAEObjective(), size, length)["autoencoder"]
    message = (
        "The autoencoder has padding 'masked', but the critic reads all positions; build it with padding='symbol'."
    )
    refuse(TextKDObjective(), message, autoencoder=masked)
    fitting = wasserstein_players(ARAEObjective(), size, length)["generator"].config.to_dict()
    for name, value in (("code_size", 5), ("hidden_size", 6), ("embedding_size", 2), ("bos_token_id", 3)):
        theirs = "hidden_size" if name == "code_size" else name
        its = getattr(masked.config, theirs)
        message = (
            f"The generator has {name} {value} and the autoencoder {theirs} {its}, but it carries its decoder; "
            f"set --generator.{name} {its}."
        )
        other = LatentGenerator(LatentGeneratorConfig(**{**fitting, name: value}))
        refuse(ARAEObjective(), message, generator=other)
    message = "The discriminator has code_size 9 and codes have 4 numbers; set --discriminator.code_size 4."
    refuse(ARAEObjective(), message, discriminator=LatentCritic(LatentCriticConfig(code_size=9)))
    message = "The generator has code_size None and the autoencoder hidden_size 4"
    refuse(ARAEObjective(), message, generator=tiny_lstm(size))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (IWGANObjective, {"gradient_penalty": -1.0}, "gradient_penalty is -1.0; set it to 0 or more."),
        (TextKDObjective, {"gradient_penalty": -1.0}, "gradient_penalty is -1.0; set it to 0 or more."),
        (TextKDObjective, {"teacher_temperature": 0.0}, "teacher_temperature is 0.0; set it above 0."),
        (TextKDObjective, {"teacher_temperature": math.nan}, "teacher_temperature is nan; set it above 0."),
        (TextKDObjective, {"interpolate_from": "both"}, "interpolate_from is 'both'; set it to 'teacher' or 'data'."),
        (TextKDObjective, {"policy_gradient": -0.1}, "policy_gradient is -0.1; set it to 0 or more."),
        (
            TextKDObjective,
            {"pretrain_autoencoder_steps": -1},
            "pretrain_autoencoder_steps is -1; set it to 0 or more.",
        ),
        (ARAEObjective, {"gradient_penalty": -1.0}, "gradient_penalty is -1.0; set it to 0 or more."),
        (ARAEObjective, {"encoder_weight": -1.0}, "encoder_weight is -1.0; set it to 0 or more."),
        (ARAEObjective, {"code_noise": -1.0}, "code_noise is -1.0; set it to 0 or more."),
        (ARAEObjective, {"noise_decay": 0.0}, "noise_decay is 0.0; set it above 0 and to at most 1."),
        (ARAEObjective, {"noise_decay": 1.5}, "noise_decay is 1.5; set it above 0 and to at most 1."),
        (ARAEObjective, {"noise_decay_every": 0}, "noise_decay_every is 0; set it to 1 or more."),
    ],
)
def test_hyperparameters_out_of_range(kind, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**options)


@pytest.mark.parametrize("kind", [IWGANObjective, TextKDObjective, ARAEObjective])
def test_no_steps_of_the_critic_are_an_error(kind):
    with pytest.raises(ValueError, match="The turn of 'discriminator' has repeat=0; set it to 1 or more"):
        kind(discriminator_steps=0).phases(0, 0, 1)
