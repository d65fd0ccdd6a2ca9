"""Runs of IWGAN, TextKD-GAN and ARAE: toys that they must learn, steps that fail, resuming, reports, bad input."""

import copy
import json
import math
import re
import shutil
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel
from transformers.optimization import get_constant_schedule

from hf_textgan.core.context import StepContext
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.losses.likelihood import token_entropy
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
from hf_textgan.models.modeling_outputs import LatentGenerationOutput
from hf_textgan.objectives.arae import ARAEObjective
from hf_textgan.objectives.iwgan import IWGANObjective, best_threshold_accuracy
from hf_textgan.objectives.textkd_gan import TextKDObjective
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import BOS, EOS, PAD, randomize, tiny_discriminator, tiny_lstm
from tests.objectives.test_policy_gradient import agrees
from tests.objectives.test_wgan_gp import (
    CONTEXT,
    ENGINE,
    SYSTEMS,
    FixedTeacher,
    FixedTeacherConfig,
    L,
    V,
    build,
    changed,
    codes_of,
    gradients,
    optimizer_of,
    plain_critic,
    recorded,
    state_of,
    texts,
)
from tests.toys import (
    LINES,
    checkpoint_state,
    differences,
    length_metric,
    text_data,
    wasserstein_players,
    wasserstein_trainer,
)


pytestmark = pytest.mark.usefixtures("one_thread")


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
    with players.updating("generator"):
        for iteration in range(60):
            context = StepContext(iteration=iteration)
            both = drawing.generator_loss(players, engine, batch, context)
            alone = plain.generator_loss(players, engine, batch, replace(context))
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
    found = objective.generator_loss(players, ENGINE, texts(6), replace(CONTEXT))
    plain = IWGANObjective().generator_loss(players, ENGINE, texts(6), replace(CONTEXT))
    assert torch.equal(found.loss, plain.loss) and found.metrics == plain.metrics == {}
    with_draws = TextKDObjective(policy_gradient=1e-3).generator_loss(players, ENGINE, texts(6), replace(CONTEXT))
    assert not torch.equal(with_draws.loss, plain.loss)
    with torch.no_grad():
        players["generator"].lm_head.bias[0] = math.nan
    with_draws = TextKDObjective(policy_gradient=1e-3).generator_loss(players, ENGINE, texts(6), replace(CONTEXT))
    assert with_draws.loss.isnan(), "a step to skip, not an error"


# ---- Toys -----------------------------------------------------------------------------------------------------------


def rounds(objective, players: Players, engine: RolloutEngine, batches, iterations: int, lr: float) -> dict[str, list]:
    """AlternatingBatches of an objective with Adam as in IWGAN's paper; the metrics of each step."""
    accelerator = Accelerator(cpu=True)
    updates = objective.updates()["adversarial"]
    optimizers = {}
    for update in updates:
        trainable = [p for p in players[update.player].parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=lr, betas=(0.5, 0.9))
        optimizers[update.player] = PlayerOptimizer(optimizer, get_constant_schedule(optimizer))
    metrics: dict[str, list] = {}
    for iteration in range(iterations):
        for update in updates:
            for step in range(update.repeat):
                context = StepContext(iteration=iteration, step=step)
                result = take_step(
                    accelerator,
                    players,
                    optimizers[update.player],
                    update,
                    [next(batches)],
                    objective,
                    engine,
                    context,
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
def test_two_tokens_the_students_probabilities_cover_both_clusters_of_the_teacher():
    """
    Figure 4 of the paper: texts of one symbol out of two, which an imperfect teacher writes as (.9, .1) and (.2, .8).
    The student learns these two points of the segment, where IWGAN learns its ends.
    """
    sizes = {"vocab_size": 2, "sequence_length": 1, "hidden_size": 16, "num_blocks": 1, "kernel_size": 1}
    sizes["eos_token_id"] = None
    engine, texts = RolloutEngine(1, 1, 0, None), torch.tensor([[1, 0], [1, 1]])

    def near(objective, centres: tuple[float, float], iterations: int) -> list[float]:
        torch.manual_seed(3)
        generator = ConvGenerator(ConvGeneratorConfig(**sizes, latent_size=1))
        teacher = FixedTeacher(FixedTeacherConfig(vocab_size=2, rows=[[0.9, 0.1], [0.2, 0.8]]))
        players = {"generator": generator, "discriminator": ConvCritic(ConvCriticConfig(**sizes))}
        rounds(objective, Players({**players, "autoencoder": teacher}), engine, draws(texts, 64), iterations, 4e-3)
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
    assert float(token_entropy(rows).mean()) < 0.1 and float(rows.amax(-1).mean()) > 0.95


class Encoded(PreTrainedModel):
    """In the generator's seat of ARAE: the codes of real sentences, one for each row of noise."""

    config_class = FixedTeacherConfig

    def __init__(self, codes: torch.Tensor):
        super().__init__(FixedTeacherConfig(latent_size=1))
        self.known, self.idle = codes, nn.Parameter(torch.zeros(()))

    def forward(self, latents: torch.Tensor, **kwargs) -> LatentGenerationOutput:
        ranks = (latents[:, 0].double() * 1e6).long() % len(self.known)
        return LatentGenerationOutput(codes=self.known[ranks] + 0 * self.idle)


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
            update = objective.updates()["adversarial"][1]
            context = StepContext(step=step)
            result = take_step(accelerator, players, optimizer, update, [batch], objective, ENGINE, context)
            found.append(result.metrics["discriminator/score_gap"])
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
    for update in objective.updates()["adversarial"]:
        spoil(objective, update.loss, lambda context: spoilt[0])
    for update in objective.updates()["adversarial"]:
        optimizer = optimizer_of(players[update.player])

        def step(optimizer=optimizer, update=update):
            return take_step(
                Accelerator(cpu=True), players, optimizer, update, [texts(8)], objective, ENGINE, replace(CONTEXT)
            )

        spoilt[0] = False
        assert not step().skipped
        before = state_of(players)
        moments = copy.deepcopy(optimizer.optimizer.state_dict()["state"])
        spoilt[0] = True
        for count in (1, 2):
            result = step()
            assert result.skipped and math.isnan(result.loss)
            assert (optimizer.skipped, optimizer.skipped_in_a_row[update.loss]) == (count, count)
        statistics = {name for name in before if "running_" in name or "num_batches" in name}
        assert changed(before, state_of(players)) <= (statistics if update.player == "generator" else set())
        after = optimizer.optimizer.state_dict()["state"]
        assert moments.keys() == after.keys()
        for key, values in moments.items():
            assert all(torch.equal(values[name], after[key][name]) for name in values)
        spoilt[0] = False
        assert not step().skipped and optimizer.skipped_in_a_row[update.loss] == 0 and optimizer.skipped == 2
        assert changed(before, state_of(players))


def test_single_steps_of_three_players_are_skipped_in_a_run(tmp_path, caplog):
    """One of each: the autoencoder in round 1, the critic's third step in round 1, the generator in round 2."""
    objective = TextKDObjective()
    spoil(objective, "autoencoder_loss", lambda context: context.iteration == 1)
    spoil(objective, "discriminator_loss", lambda context: context.step == 7)
    spoil(objective, "generator_loss", lambda context: context.iteration == 2)
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
    spoil(objective, loss, lambda context: context.iteration > 0)
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
            "real_token_entropy": entropy,
            "generator_token_entropy": math.log(V),
            "real_max_probability": 0.6,
            "generator_max_probability": 1 / V,
            "entropy_separability": 1.0,
            "reconstruction_accuracy": 7 / 8,
            "reconstruction_error": (7 * right + wrong) / 2,
        },
        rel=1e-5,
    )
    pairs = report.sequences["reconstructions"].tolist()
    assert pairs == [[3, 4, EOS, PAD], [4, 4, EOS, PAD], [4, 4, 4, EOS], [4, 4, 4, EOS]]
    assert (
        one_hot_report.metrics["real_token_entropy"] == 0.0 and one_hot_report.metrics["real_max_probability"] == 1.0
    )
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
    clean = replace(objective, code_noise=0.0).reconstruction_loss(players, ENGINE, batch, replace(CONTEXT))
    assert report.metrics == pytest.approx(
        {
            "reconstruction_nll_per_token": float(clean.loss.detach()),
            "reconstruction_accuracy": float(clean.metrics["autoencoder/accuracy"]),
            "exact_match": float(exact),
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
        "A RecurrentGeneratorForCausalLM cannot be trained by IWGANObjective, which needs a "
        "latent-variable generator, such as ConvGenerator."
    )
    refuse(IWGANObjective(), message, generator=tiny_lstm(size))
    message = (
        "A CNNDiscriminator cannot be trained by IWGANObjective, which needs a critic of token "
        "probabilities, such as ConvCritic."
    )
    refuse(IWGANObjective(), message, discriminator=tiny_discriminator(size, length))
    more = wasserstein_players(TextKDObjective(), size + 1, length)
    for name in ("generator", "autoencoder"):
        message = (
            f"The {name} has vocab_size {size + 1} and the discriminator {size}; build both with the same vocabulary."
        )
        refuse(TextKDObjective(), message, **{name: more[name]})
    message = "A ConvCritic cannot be trained by ARAEObjective, which needs a critic of codes, such as LatentCritic."
    refuse(ARAEObjective(), message, discriminator=more["discriminator"])
    masked = wasserstein_players(ARAEObjective(), size, length)["autoencoder"]
    message = (
        "The autoencoder has padding 'masked', but the critic reads all positions; build it with padding='token'."
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
        (TextKDObjective, {"teacher_temperature": math.nan}, "teacher_temperature is nan; set it to a finite number."),
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
    with pytest.raises(ValueError, match="discriminator_steps is 0; set it to 1 or more"):
        kind(discriminator_steps=0).phases(0, 0, 1)
