"""
IWGAN, TextKD-GAN and ARAE: their losses against plain operations, what each update changes, their limits, their runs.
"""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.optimization import get_constant_schedule

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.core.schedule import Update
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.losses.likelihood import squared_error, token_entropy
from hf_textgan.losses.regularization import gradient_penalty, input_gradient, interpolate
from hf_textgan.models import ConvCritic, ConvCriticConfig, LatentCritic, LatentCriticConfig
from hf_textgan.models.modeling_outputs import AutoencoderOutput
from hf_textgan.objectives.arae import ARAEObjective
from hf_textgan.objectives.iwgan import IWGANObjective
from hf_textgan.objectives.textkd_gan import TextKDObjective
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import BOS, EOS, PAD, randomize
from tests.toys import text_data, wasserstein_players, wasserstein_trainer


pytestmark = pytest.mark.usefixtures("one_thread")

V, L = 5, 4
ENGINE = RolloutEngine(L, BOS, PAD, EOS)
CONTEXT = StepContext(iteration=3, step=2, seed=5)
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
    """The same value, and the same gradient of the player that is updated."""
    torch.testing.assert_close(output.loss, expected, rtol=1e-4, atol=1e-5)
    pairs = zip(gradients(output.loss, module), gradients(expected, module), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


# ---- Plain operations -----------------------------------------------------------------------------------------------


def plain_convolution(module: nn.Module, channels: torch.Tensor) -> torch.Tensor:
    return F.conv1d(channels, module.weight.permute(2, 1, 0), module.bias, padding=len(module.weight) // 2)


def plain_critic(critic: ConvCritic, rows: torch.Tensor) -> torch.Tensor:
    """The scores of rows (B, L, V)."""
    hidden = F.linear(rows, critic.input_projection.weight, critic.input_projection.bias).transpose(1, 2)  # (B, C, L)
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
        critic.input_projection.weight.copy_(torch.eye(V))
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
    output = objective.discriminator_loss(players, ENGINE, batch, replace(CONTEXT))
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
    torch.testing.assert_close(shares, replace(CONTEXT).rand("alpha", 12), rtol=0, atol=1e-5)
    assert not between.requires_grad and not real.requires_grad and not fake.requires_grad
    assert output.weight == 12

    def score(inputs):
        return plain_critic(critic, inputs)

    gap = score(real).mean() - score(fake).mean()
    penalty = plain_penalty(score, between)
    compare(output, -gap + 10 * penalty, critic)
    entropies = [-(p * p.clamp(min=1e-30).log()).sum(-1).mean() for p in (real, fake)]
    expected = {
        "discriminator/score_gap": gap,
        "discriminator/penalty": penalty,
        "discriminator/input_gradient_norm": plain_norms(score, between).mean(),
        "real/token_entropy": entropies[0],
        "real/max_probability": real.max(-1).values.mean(),
        "generator/token_entropy": entropies[1],
        "generator/max_probability": fake.max(-1).values.mean(),
    }
    assert {k: float(v) for k, v in output.metrics.items()} == pytest.approx(
        {k: float(v.detach()) for k, v in expected.items()}, rel=1e-4, abs=1e-6
    )
    assert not any(v.requires_grad for v in output.metrics.values())
    weighted = replace(objective, gradient_penalty=0.0)
    torch.testing.assert_close(weighted.discriminator_loss(players, ENGINE, batch, replace(CONTEXT)).loss, -gap)


def plain_norms(score, points: torch.Tensor) -> torch.Tensor:
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(score(points).sum(), points)[0].flatten(1).norm(dim=1)


@pytest.mark.parametrize("objective", [IWGANObjective(), TextKDObjective()], ids=["iwgan", "textkd"])
def test_generator_loss_of_rows(objective):
    players, batch = build(objective), texts(6)
    generator = players["generator"]
    made = recorded(generator)
    output = objective.generator_loss(players, ENGINE, batch, replace(CONTEXT))
    latents = made[0]["latents"]
    assert latents.shape == (6, 3) and output.weight == 6 and output.metrics == {}
    rows = generator(latents=latents).logits.softmax(-1)
    compare(output, -plain_critic(players["discriminator"], rows).mean(), generator)
    critic_latents = []
    generator.register_forward_hook(lambda m, a, k, o: critic_latents.append(k["latents"]), with_kwargs=True)
    objective.discriminator_loss(players, ENGINE, batch, replace(CONTEXT))
    assert not torch.equal(critic_latents[0], latents), "each update draws noise of its own"


def test_autoencoder_loss_of_textkd():
    objective = TextKDObjective(teacher_temperature=2.0)  # the critic's business, not the autoencoder's
    players, batch = build(objective), texts(6)
    autoencoder = players["autoencoder"]
    output = objective.autoencoder_loss(players, ENGINE, batch, replace(CONTEXT))
    rows = autoencoder(input_ids=batch["input_ids"][:, 1:]).logits.softmax(-1)
    compare(output, ((one_hot(batch) - rows) ** 2).sum((1, 2)).mean(), autoencoder)
    assert output.weight == 6
    right = (rows.argmax(-1) == batch["input_ids"][:, 1:]).float().mean()
    assert float(output.metrics["autoencoder/accuracy"]) == pytest.approx(float(right))


def test_squared_error_and_entropy_by_hand():
    sequences = texts(3)["input_ids"][:, 1:]
    rows = torch.eye(V)[sequences]
    assert float(squared_error((1000 * rows).softmax(-1), sequences)) == 0.0
    for size in (2, V, 100):
        uniform = torch.full((3, L, size), 1 / size)
        known = sequences.clamp(max=size - 1)
        assert float(squared_error(uniform, known)) == pytest.approx(L * (1 - 1 / size), rel=1e-5)
        torch.testing.assert_close(token_entropy(uniform), torch.full((3, L), math.log(size)))
    by_hand = torch.tensor([[[0.7, 0.2, 0.1]], [[0.0, 0.5, 0.5]]])  # .09 + .04 + .01 and 1 + .25 + .25
    assert float(squared_error(by_hand, torch.zeros(2, 1, dtype=torch.long))) == pytest.approx(0.82)
    assert torch.equal(token_entropy(rows), torch.zeros(3, L))
    assert float(token_entropy(torch.tensor([0.5, 0.25, 0.25]))) == pytest.approx(1.5 * math.log(2))


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
    output = objective.reconstruction_loss(players, ENGINE, batch, replace(CONTEXT))
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
    assert [objective.noise_std(iteration) for iteration in (0, 99, 100, 199)] == [
        0.05,
        0.05,
        0.05 * 0.9995,
        0.05 * 0.9995,
    ]
    assert objective.noise_std(12_345) == pytest.approx(0.05 * 0.9995**123)
    halved = ARAEObjective(code_noise=1.0, noise_decay=0.5, noise_decay_every=3)
    players = build(halved)
    decoded = recorded_function(players["autoencoder"].decoder, "teacher_forced")
    spreads = []
    for iteration in (2, 3, 8):
        halved.reconstruction_loss(players, ENGINE, texts(300), replace(CONTEXT, iteration=iteration))
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
    assert float(output.metrics["discriminator/score_gap"]) == pytest.approx(float(gap.detach()), rel=1e-4)
    assert float(output.metrics["generator/code_norm"]) == pytest.approx(float(fake.norm(dim=1).mean()))


def test_adversarial_losses_of_arae():
    """The critic scores real codes high: the encoder lowers these scores, the generator raises those of its codes."""
    objective = ARAEObjective(encoder_weight=0.3)
    players, batch = build(objective), texts(10)
    autoencoder, generator, critic = (players[n] for n in ("autoencoder", "generator", "discriminator"))
    output = objective.encoder_loss(players, ENGINE, batch, replace(CONTEXT))
    compare(output, 0.3 * plain_code_critic(critic, codes_of(autoencoder, batch)).mean(), autoencoder)
    score = objective.encoder_loss(players, ENGINE, batch, replace(CONTEXT)).loss
    named = dict(autoencoder.named_parameters())
    found = torch.autograd.grad(score, list(named.values()), allow_unused=True)
    moved = {name for name, gradient in zip(named, found, strict=True) if gradient is not None}
    assert moved == {name for name in named if not name.startswith("decoder.")}

    made = recorded(generator)
    generator.train()
    output = objective.generator_loss(players, ENGINE, batch, replace(CONTEXT))
    hidden = made[0]["latents"]
    for layer, norm in zip(generator.layers, generator.norms, strict=True):
        hidden = layer(hidden)
        mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
        hidden = F.relu((hidden - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias)
    compare(output, -plain_code_critic(critic, generator.to_code(hidden)).mean(), generator)


def test_the_encoders_update_without_weight_does_nothing():
    for weight, moves in ((0.0, False), (0.1, True)):
        objective = ARAEObjective(encoder_weight=weight)
        players = build(objective)
        before = copy.deepcopy(players["autoencoder"].state_dict())
        optimizer = optimizer_of(players["autoencoder"], torch.optim.SGD)
        update = Update("autoencoder", "encoder_loss")
        # Optimizers with momentum would move all the same, so there is no such update.
        assert (update in objective.updates()["adversarial"]) == moves
        take_step(Accelerator(cpu=True), players, optimizer, update, [texts(6)], objective, ENGINE, replace(CONTEXT))
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
    others = [numbers(), numbers("alpha"), numbers(iteration=4), numbers(step=3), numbers(seed=6)]
    others += [numbers(iteration=2, step=3), numbers(shard=1, num_shards=2)]
    for i, first in enumerate(others):
        assert not any(torch.equal(first, second) for second in others[:i])
    large = getattr(replace(CONTEXT), draw)("many", 20_000)
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
def test_an_update_changes_its_player_and_no_other(system):
    objective = SYSTEMS[system]()
    players = build(objective)
    for number, update in enumerate(objective.updates()["adversarial"]):
        optimizer = optimizer_of(players[update.player])
        before, modes = state_of(players), {name: players[name].training for name in players}
        context = replace(CONTEXT, step=number)
        result = take_step(Accelerator(cpu=True), players, optimizer, update, [texts(8)], objective, ENGINE, context)
        assert not result.skipped
        moved = changed(before, state_of(players))
        own = {name for name in before if name.startswith(f"{update.player}/")}
        # The critic's output bias cancels in the gap. Batch normalization undoes a bias before it.
        idle = {"discriminator/classifier.bias"} if update.player == "discriminator" else set()
        doubtful = set()
        if system == "arae" and update.player == "generator":
            doubtful = {"generator/layers.0.bias", "generator/layers.1.bias"}
        if update.loss == "encoder_loss":
            idle = {name for name in own if "/decoder." in name}
            assert idle
        assert moved | doubtful == own - idle | doubtful, update
        assert modes == {name: players[name].training for name in players}
        assert all(p.grad is None for name in players for p in players[name].parameters())


def test_the_generator_of_arae_carries_the_decoder():
    objective = ARAEObjective()
    players = build(objective)
    update = objective.updates()["adversarial"][3]
    ours, theirs = players["generator"].decoder, players["autoencoder"].decoder
    for step in range(2):
        randomize(theirs, seed=step + 50)
        assert not torch.equal(ours.lm_head.weight, theirs.lm_head.weight)
        optimizer = optimizer_of(players["generator"])
        context = replace(CONTEXT, step=step)
        take_step(Accelerator(cpu=True), players, optimizer, update, [texts(8)], objective, ENGINE, context)
        for (name, mine), its in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, its) and mine.data_ptr() != its.data_ptr(), name


def test_the_critic_of_arae_leaves_the_statistics_of_the_generator():
    """It compares codes as the generator's update makes them, by the statistics of the batch, and records nothing."""
    objective = ARAEObjective()
    players = build(objective)
    generator = players["generator"]
    made = recorded(generator)
    objective.discriminator_loss(players, ENGINE, texts(8), replace(CONTEXT))
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
def test_order_of_the_updates_and_the_teacher_in_them(system, tmp_path):
    """The rounds of the papers; and the teacher reads the very batch of each critic step, in evaluation mode."""
    objective = SYSTEMS[system]()
    trainer = wasserstein_trainer(tmp_path, objective, max_steps=2, save_strategy="no")
    calls: list[tuple] = []

    def record(name: str, function) -> None:
        def loss(players, engine, batch, context):
            calls.append((name, context.iteration, context.step, engine.real_sequences(batch), len(taught)))
            return function(players, engine, batch, context)

        setattr(objective, name, loss)

    for name in set(ORDERS[system]):
        record(name, getattr(objective, name))
    taught = recorded(trainer.other_players["autoencoder"]) if "autoencoder" in trainer.other_players else []
    trainer.train()
    assert [call[:2] for call in calls] == [(name, iteration) for iteration in (0, 1) for name in ORDERS[system]]
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
    assert (first.name, first.iterations) == ("pretrain_autoencoder", 7)
    assert [(t.player, t.loss, t.repeat) for t in first.updates] == [("autoencoder", "autoencoder_loss", 1)]
    assert {p.name: p.iterations for p in others} == {
        "pretrain_generator": 0,
        "pretrain_discriminator": 0,
        "adversarial": 11,
    }
    updates = [(t.player, t.loss, t.repeat) for t in others[-1].updates]
    assert updates == [
        ("autoencoder", "autoencoder_loss", 2),
        ("discriminator", "discriminator_loss", 3),
        ("generator", "generator_loss", 1),
    ]
    assert first.optimizer_of(first.updates[0]) == others[-1].optimizer_of(others[-1].updates[0])
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
        self.vocab_size, self.rows, self.padding = vocab_size, rows, "token"
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
