"""The inputs of a step: negatives from a pool, its number in the phase, the inputs of scheduled sampling."""

import copy
import io
import math
import random
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from hf_textgan import MLEObjective, RolloutEngine, Samples, SeqGANObjective, StepContext, Update
from hf_textgan.core.players import Players
from hf_textgan.objectives.negative_pool import NegativePool
from tests.helpers import (
    BOS,
    EOS,
    PAD,
    all_sequences,
    chi_square_p,
    exact_logps,
    randomize,
    tiny_discriminator,
    tiny_gpt2,
    tiny_lstm,
    tiny_stateless,
)
from tests.labelled import LabelledRecurrentLM, labelled
from tests.toys import ThreePlayers, checkpoint_state, differences, toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")

BUILDERS = {"lstm": tiny_lstm, "gpt2": tiny_gpt2, "stateless": tiny_stateless}
every_model = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
ALPHA = 1e-3  # the seeds are fixed: what is right passes always, a fault fails at these numbers of draws


# ---- The pool of negatives ------------------------------------------------------------------------------------------


LENGTH = 6


def pool_engine(eos: int | None = None) -> RolloutEngine:
    return RolloutEngine(LENGTH, BOS, PAD, eos)


def pool_model(eos: int | None = None, vocab_size: int = 200) -> nn.Module:
    """Nearly uniform over many symbols: without EOS no two sequences of a small pool are alike."""
    return randomize(tiny_lstm(vocab_size, eos=eos is not None), seed=1, std=0.1).eval()


def says(model: nn.Module, symbol: int) -> nn.Module:
    """Makes the model repeat one symbol."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.lm_head.bias[symbol] = 1e3
    return model


def rows_of(pool, model, step, batch=4, shards=1, eos=None, **context) -> list[tuple[int, ...]]:
    """The negatives of a step, shard after shard."""
    rows = []
    for shard in range(shards):
        where = StepContext(step=step, shard=shard, num_shards=shards, **context)
        part = pool.batch(pool_engine(eos), model, batch, where)
        assert part.sequences.shape == (batch, LENGTH) and part.sequences.dtype == torch.long
        assert torch.equal(part.attention_mask, pool_engine(eos).as_samples(part.sequences).attention_mask)
        rows += map(tuple, part.sequences.tolist())
    return rows


@pytest.mark.parametrize("eos", (EOS, None), ids=("eos", "fixed"))
@pytest.mark.parametrize("shards", (1, 2, 3))
def test_an_epoch_uses_every_row_once_in_an_order_of_its_own(eos, shards):
    pool, model = NegativePool(24, epochs=3), pool_model(eos, 200 if eos is None else 4)
    steps = 24 // (4 * shards)
    epochs = []
    for epoch in range(3):
        of_steps = [rows_of(pool, model, epoch * steps + step, shards=shards, eos=eos) for step in range(steps)]
        epochs.append([row for rows in of_steps for row in rows])
    contents = [Counter(epoch) for epoch in epochs]
    assert contents[0] == contents[1] == contents[2]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    if eos is None:
        assert len(contents[0]) == 24, "all rows differ, so each was used once"
    else:
        lengths = {row.index(EOS) + 1 if EOS in row else LENGTH for row in contents[0]}
        assert len(lengths) > 2
        assert all(set(row[row.index(EOS) + 1 :]) <= {PAD} for row in contents[0] if EOS in row)
    following = Counter(row for step in range(steps) for row in rows_of(pool, model, 3 * steps + step, 4, shards, eos))
    assert following != contents[0], "a new pool, of the same generator"


def test_what_does_not_fill_a_step_is_left_out():
    pool, model = NegativePool(11, epochs=40), pool_model()
    epochs = [rows_of(pool, model, 2 * epoch) + rows_of(pool, model, 2 * epoch + 1) for epoch in range(40)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({row for epoch in epochs for row in epoch}) == 11, "other rows in every epoch"
    assert not set(rows_of(pool, model, 80)) & {row for epoch in epochs for row in epoch}


def test_steps_do_not_depend_on_the_number_of_shards():
    model = pool_model()
    for size, steps in ((48, 8), (53, 9)):  # beyond the two epochs; with and without rows left over
        whole, halves, micro = (NegativePool(size, 2) for _ in range(3))
        seen = []
        for step in range(steps):
            once = rows_of(whole, model, step, batch=12)
            assert rows_of(halves, model, step, batch=6, shards=2) == once
            assert rows_of(micro, model, step, batch=3, shards=4) == once
            assert len(set(once)) == 12, "shards are disjoint"
            seen.append(once)
        assert len(set(map(tuple, seen))) == steps


def test_processes_that_see_only_their_shard_draw_the_same_pool():
    model = pool_model()
    whole = NegativePool(24, 2)
    processes = [NegativePool(24, 2), NegativePool(24, 2)]
    for step in range(7):
        parts = []
        for rank, pool in enumerate(processes):
            torch.manual_seed(100 * step + rank)  # as the trainer does
            context = StepContext(step=step, shard=rank, num_shards=2)
            parts += pool.batch(pool_engine(), copy.deepcopy(model), 4, context).sequences.tolist()
        assert [tuple(row) for row in parts] == rows_of(whole, model, step, batch=8)


def test_a_pool_stays_for_its_epochs_and_is_then_drawn_from_the_current_generator():
    model, pool = pool_model(), NegativePool(12, epochs=2)  # 3 steps an epoch
    spoken = []
    for step in range(14):
        symbol = 10 + step
        spoken.append({s for row in rows_of(pool, says(model, symbol), step) for s in row})
    assert spoken == [{10}] * 6 + [{16}] * 6 + [{22}] * 2
    # Another phase has pools of its own, and its steps count from 0.
    assert set(rows_of(pool, says(model, 50), 0, phase="pretrain_discriminator")) == {(50,) * LENGTH}


def test_pools_differ_by_seed_phase_and_number():
    model = pool_model()
    contexts = [{}, {"seed": 1}, {"phase": "pretrain_discriminator"}]
    pools = [rows_of(NegativePool(8, 1), model, 0, batch=8, **context) for context in contexts]
    pools.append(rows_of(NegativePool(8, 1), model, 1, batch=8))
    assert len({row for rows in pools for row in rows}) == 4 * 8
    assert rows_of(NegativePool(8, 1), model, 0, batch=8, iteration=7, progress=0.5) == pools[0]
    orders = [rows_of(NegativePool(8, 2), model, 1, batch=8, **context) for context in contexts]
    assert [sorted(rows) for rows in orders] == [sorted(rows) for rows in pools[:3]]
    # Nor does one phase take over the pool that another has under the same number.
    shared = NegativePool(8, 2)
    for context, rows in zip(contexts, orders, strict=True):
        if "seed" not in context:
            assert rows_of(shared, model, 1, batch=8, **context) == rows
    # The order is the seed's as well: by the places of the second epoch's rows in the first.
    places = [[rows.index(row) for row in order] for rows, order in zip(pools[:3], orders, strict=True)]
    assert len(set(map(tuple, places))) == 3


def states() -> tuple:
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


def test_a_pool_neither_reads_nor_advances_the_global_random_numbers():
    model, drawn = pool_model(), []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before, pool = states(), NegativePool(8, 2)
        drawn.append([rows_of(pool, model, step) for step in range(5)])
        assert states() == before
    assert drawn[0] == drawn[1]
    model.train()
    rows_of(NegativePool(8, 2), model, 0)
    assert model.training


def test_a_pool_of_several_blocks_follows_the_distribution_at_the_temperature():
    model = randomize(tiny_lstm(3, eos=False), seed=1, std=0.5).eval()
    engine, known = RolloutEngine(3, BOS, PAD), all_sequences(3, 3, None)
    with torch.no_grad():
        plain = exact_logps(model, known).sum(1).exp()
        model.lm_head.weight.mul_(2)
        model.lm_head.bias.mul_(2)
        sharp = exact_logps(model, known).sum(1).exp()  # the logits over 0.5
        model.lm_head.weight.div_(2)
        model.lm_head.bias.div_(2)
    for temperature, probabilities, other in ((1.0, plain, sharp), (0.5, sharp, plain)):
        rows = NegativePool(5000, 1).batch(engine.at(temperature), model, 5000, StepContext()).sequences
        observed = (rows @ torch.tensor([9, 3, 1])).bincount(minlength=27)
        codes = known.sequences @ torch.tensor([9, 3, 1])
        assert chi_square_p(observed[codes], probabilities) > ALPHA
        assert chi_square_p(observed[codes], other) < 1e-9
        assert rows[:1024].tolist() != rows[1024:2048].tolist()


def test_the_state_of_a_pool_survives_in_the_middle_of_it():
    model, pool = says(pool_model(), 7), NegativePool(24, epochs=2)
    with torch.no_grad():
        model.lm_head.bias.zero_()  # random rows
    for step in range(5):
        rows_of(pool, model, step)
    file = io.BytesIO()
    torch.save({"objective": pool.state_dict()}, file)
    file.seek(0)
    says(model, 9)
    resumed, empty = NegativePool(24, epochs=2), NegativePool(24, epochs=2)
    resumed.load_state_dict(torch.load(file, weights_only=True)["objective"])
    for step in range(5, 14):
        rows = rows_of(pool, model, step)
        assert rows_of(resumed, model, step) == rows
        assert (set(rows) == {(9,) * LENGTH}) is (step >= 12)
    assert empty.state_dict() == {}
    resumed.load_state_dict({})
    assert set(rows_of(resumed, says(model, 11), 13)) == {(11,) * LENGTH}, "nothing is left of the old pool"


def test_negatives_keep_what_their_generator_read():
    model, engine, pool = labelled(LabelledRecurrentLM), RolloutEngine(4, BOS, PAD, EOS), NegativePool(24, epochs=2)
    first = pool.batch(engine, model, 8, StepContext(step=0))
    scores = engine.score(model, first)
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    resumed = NegativePool(24, epochs=2)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for step in (0, 4):  # of two epochs
        rows = pool.batch(engine, model, 8, StepContext(step=step + 1))
        again = resumed.batch(engine, model, 8, StepContext(step=step + 1))
        assert set(rows.inputs) == {"class_labels", "noise"}
        for name, value in rows.inputs.items():
            assert torch.equal(value, again.inputs[name])
    epoch = [pool.batch(engine, model, 8, StepContext(step=step)) for step in (3, 4, 5)]
    drawn = {tuple(row) for part in epoch for row in engine.score(model, part).tolist()}
    assert {tuple(row) for row in scores.tolist()} <= drawn, "each keeps its own inputs in every order"


def test_the_objective_passes_the_state_on():
    judge = randomize(tiny_discriminator(20, LENGTH, dropout=0.0), seed=2, std=0.5)
    players = Players({"generator": pool_model(None, 20), "discriminator": judge})
    batch = {"input_ids": torch.full((4, LENGTH + 1), 5), "attention_mask": torch.ones(4, LENGTH + 1).long()}

    def loss(objective: SeqGANObjective, step: int) -> float:
        with players.updating("discriminator"):
            output = objective.discriminator_loss(players, pool_engine(), batch, StepContext(step=step))
        return float(output.loss.detach())

    objective, resumed, lost = (SeqGANObjective(num_negatives=8, negative_epochs=2) for _ in range(3))
    assert objective.state_dict() == {}
    loss(objective, 0)
    state = copy.deepcopy(objective.state_dict())
    says(players["generator"], 3)
    resumed.load_state_dict(state)
    assert loss(objective, 2) == loss(resumed, 2) != loss(lost, 2)
    with pytest.raises(ValueError, match="holds the state"):
        SeqGANObjective().load_state_dict(state)


def test_a_pool_smaller_than_a_step_is_refused():
    message = re.escape(
        "num_negatives is 7, but a step takes 8; set it to a multiple of that, or to 0 for fresh negatives."
    )
    for batch, shards in ((8, 1), (4, 2)):
        with pytest.raises(ValueError, match=message):
            rows_of(NegativePool(7, 3), pool_model(), 0, batch, shards)
    assert len(rows_of(NegativePool(8, 3), pool_model(), 0, 4, 2)) == 8


# ---- Runs with a pool -----------------------------------------------------------------------------------------------


def pooled_run(output_dir, **changes):
    """The pool of 10 serves 4 steps of 4: it is drawn at the steps 0, 4, ... of a phase, also within a iteration."""
    hyperparameters = {"num_rollouts": 1, "discriminator_steps": 3, "num_negatives": 10, "negative_epochs": 2}
    steps = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 6, "max_steps": 4}
    return toy_trainer(output_dir, SeqGANObjective(**hyperparameters), **{**steps, **changes})


def test_resuming_in_the_middle_of_a_pool_equals_the_uninterrupted_run(tmp_path):
    pooled_run(tmp_path / "whole", save_steps=5).train()
    whole = checkpoint_state(tmp_path / "whole" / "checkpoint-12")
    # After 3 steps of the pre-training, and after 6 of the adversarial phase.
    for step, key in ((5, ["pretrain_discriminator", 0]), (10, ["adversarial", 1])):
        checkpoint = tmp_path / "whole" / f"checkpoint-{step}"
        state = checkpoint_state(checkpoint)
        assert [state[f"players/objective/key/{i}"] for i in (0, 1)] == key
        shutil.copytree(checkpoint, tmp_path / f"from-{step}" / checkpoint.name)
        trainer = pooled_run(tmp_path / f"from-{step}", save_steps=12)
        assert trainer.train(resume_from_checkpoint=True).global_step == 12
        assert differences(checkpoint_state(tmp_path / f"from-{step}" / "checkpoint-12"), whole) == []


def test_training_again_draws_a_new_pool(tmp_path):
    # One pool serves the whole run: the second run would find it under the same number.
    steps = {"pretrain_generator_steps": 0, "pretrain_discriminator_steps": 0, "max_steps": 1, "save_strategy": "no"}
    first = pooled_run(tmp_path / "a", **steps)
    first.train()
    second = pooled_run(tmp_path / "b", **steps)  # from the same weights, without a past
    second.model.load_state_dict(first.model.state_dict())
    judges = [trainer.other_players["discriminator"] for trainer in (first, second)]
    judges[1].load_state_dict(judges[0].state_dict())
    first.train()
    second.train()
    ours, theirs = (judge.state_dict() for judge in judges)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_pool_does_not_change_the_schedule():
    fresh, pooled = SeqGANObjective(discriminator_steps=2), SeqGANObjective(discriminator_steps=2, num_negatives=40)
    assert fresh.phases(3, 2, 4) == pooled.phases(3, 2, 4)
    updates = [
        (phase.name, phase.iterations, [(update.player, update.loss, update.repeat) for update in phase.updates])
        for phase in pooled.phases(3, 2, 4)
    ]
    assert updates == [
        ("pretrain_generator", 3, [("generator", "mle_loss", 1)]),
        ("pretrain_discriminator", 2, [("discriminator", "discriminator_loss", 1)]),
        ("adversarial", 4, [("generator", "generator_loss", 1), ("discriminator", "discriminator_loss", 2)]),
    ]
    assert pooled.unused_players == frozenset()


@dataclass
class ContextRecorder(ThreePlayers):
    contexts: list[tuple[str, StepContext]] = field(default_factory=list)

    def _loss(self, players, engine, batch, context, name):
        self.contexts.append((name, context))
        return super()._loss(players, engine, batch, context, name)


def test_steps_of_the_updated_player_are_counted_in_the_phase(tmp_path):
    updates = (
        Update("generator", "generator_loss", repeat=2),
        Update("autoencoder", "autoencoder_loss", repeat=2, every=2),
        Update("discriminator", "discriminator_loss", repeat=3),
        Update("generator", "generator_loss"),
    )

    def run(folder, resume=None):
        recorder = ContextRecorder(updates_=updates)
        steps = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 1, "max_steps": 4}
        options = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2, "seed": 5, "temperature": 0.9}
        trainer = toy_trainer(folder, recorder, save_steps=5, **steps, **options)
        trainer.train(resume_from_checkpoint=resume)
        return recorder.contexts

    taken = [("generator", 0, "pretrain_generator", 0.0, 0), ("generator", 1, "pretrain_generator", 0.5, 1)]
    taken.append(("discriminator", 2, "pretrain_discriminator", 0.0, 0))
    for iteration, generator, autoencoder, discriminator in (
        (3, (0, 1, 2), (), (0, 1, 2)),
        (4, (3, 4, 5), (0, 1), (3, 4, 5)),
        (5, (6, 7, 8), (), (6, 7, 8)),
        (6, (9, 10, 11), (2, 3), (9, 10, 11)),
    ):
        order = [("generator", generator[:2]), ("autoencoder", autoencoder), ("discriminator", discriminator)]
        for player, numbers in [*order, ("generator", generator[2:])]:
            taken += [(player, iteration, "adversarial", (iteration - 3) / 4, number) for number in numbers]
    iterations = {"pretrain_generator": 2, "pretrain_discriminator": 1, "adversarial": 4}
    expected = [
        (
            player,
            StepContext(
                iteration, phase, progress, 0.9, step, shard, num_shards=2, seed=5, num_iterations=iterations[phase]
            ),
        )
        for player, iteration, phase, progress, step in taken
        for shard in (0, 1)
    ]
    assert run(tmp_path) == expected
    assert run(tmp_path, str(tmp_path / "checkpoint-5")) == [entry for entry in expected if entry[1].iteration >= 5]


# ---- Scheduled sampling ---------------------------------------------------------------------------------------------


V, T = 3, 4  # BOS and three draws


def mixer(build) -> nn.Module:
    return randomize(build(V, eos=False), seed=1, std=0.5).eval()


def repeated(row: list[int], number: int) -> Samples:
    return Samples(torch.tensor([row] * number), torch.ones(number, len(row), dtype=torch.long))


def mle_batch(samples: Samples) -> dict[str, torch.Tensor]:
    """As the data arrives: with BOS in front."""
    bos = torch.full((len(samples.sequences), 1), BOS)
    return {
        "input_ids": torch.cat([bos, samples.sequences], 1),
        "attention_mask": torch.cat([torch.ones_like(bos), samples.attention_mask], 1),
    }


def code(inputs: torch.Tensor) -> torch.Tensor:
    """Rows of inputs after BOS as numbers to the base V."""
    return inputs[:, 1:] @ torch.tensor([V**2, V, 1])


def mixed_probabilities(model: nn.Module, true: list[int], probability: float) -> torch.Tensor:
    """
    Of each of the V**3 inputs after BOS, by enumeration: at every place the model's own draw given the inputs before
    it, or the true token.
    """
    known = all_sequences(V, T - 1, None)
    with torch.no_grad():
        own = exact_logps(model, known).double().exp()
    is_true = (known.sequences == torch.tensor(true[: T - 1])).double()
    result = torch.zeros(V ** (T - 1), dtype=torch.float64)
    result[known.sequences @ torch.tensor([V**2, V, 1])] = (probability * own + (1 - probability) * is_true).prod(1)
    return result


@every_model
def test_without_own_draws_the_inputs_are_those_of_teacher_forcing(build):
    samples = Samples(
        torch.tensor([[0, 2, 1, 2, 0, 0], [2, 0, 0, 0, 0, 0], [1, 1, 0, 1, 2, 0]]),
        torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]]),
    )
    inputs = RolloutEngine(6, BOS, PAD, EOS).mix_inputs(mixer(build), samples, 0.0)
    assert inputs.tolist() == [[BOS, 0, 2, 1, 2], [BOS, 2, 0, 0, 0], [BOS, 1, 1, 0, 1]]
    assert samples.sequences[0].tolist() == [0, 2, 1, 2, 0, 0], "the targets stay as they are"


@every_model
@pytest.mark.parametrize("probability", (1.0, 0.5, 0.2))
def test_mixed_inputs_follow_the_exact_distribution(build, probability):
    model, engine, true = mixer(build), RolloutEngine(T, BOS, PAD), [2, 0, 1, 2]
    expected = mixed_probabilities(model, true, probability)
    assert float(expected.sum()) == pytest.approx(1, abs=1e-6)
    inputs = engine.mix_inputs(model, repeated(true, 20_000), probability)
    assert (inputs[:, 0] == BOS).all()
    observed = code(inputs).bincount(minlength=V**3)
    assert chi_square_p(observed, expected) > ALPHA
    # Draws that are conditioned on the true tokens instead would be told apart.
    if probability == 1.0:
        with torch.no_grad():
            steps = model(input_ids=torch.tensor([[BOS, *true[:2]]])).logits[0].double().softmax(-1)
        marginals = torch.einsum("i,j,k->ijk", *steps).flatten()
        assert chi_square_p(observed, marginals) < 1e-9


def silent(build, vocab_size: int, symbol: int) -> nn.Module:
    """A model that draws one symbol only."""
    model = build(vocab_size)
    if build is tiny_gpt2:
        model.lm_head = nn.Linear(16, vocab_size)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.fill_(-1e3)
        model.lm_head.bias[symbol] = 1e3
    return model


def reads(model: nn.Module) -> list[tuple[torch.Tensor, bool, bool]]:
    """Fills with the input, the mode and whether gradients are kept, for every call from now on."""
    calls = []
    model.register_forward_pre_hook(
        lambda module, args, options: calls.append((options["input_ids"], module.training, torch.is_grad_enabled())),
        with_kwargs=True,
    )
    return calls


@pytest.mark.parametrize("build", (tiny_lstm, tiny_gpt2), ids=("lstm", "gpt2"))
def test_the_share_of_own_inputs_is_binomial_and_rises_with_the_phase(build):
    model, engine, number = silent(build, 6, symbol=4), RolloutEngine(5, BOS, PAD, EOS), 4000
    players = Players({"generator": model})
    calls = reads(model)
    objective = MLEObjective(scheduled_sampling=0.8)
    for progress in (0.0, 0.25, 0.625, 0.999):
        probability = 0.8 * progress
        output = objective.mle_loss(
            players, engine, mle_batch(repeated([3, 5, 3, 3, EOS], number)), StepContext(progress=progress)
        )
        assert output.metrics == {"generator/scheduled_sampling_prob": pytest.approx(probability)}
        assert output.weight == 5 * number
        read = calls[-1][0]
        assert read.shape == (number, 5) and (read[:, 0] == BOS).all()
        own = read[:, 1:] == 4
        assert torch.equal(read[:, 1:][~own], torch.tensor([[3, 5, 3, 3]]).expand(number, -1)[~own])
        deviation = math.sqrt(probability * (1 - probability) / number)
        assert ((own.double().mean(0) - probability).abs() <= 4 * deviation).all()
        if progress:  # and each place for itself
            pairs = (own.long() @ torch.tensor([8, 4, 2, 1])).bincount(minlength=16)
            ones = torch.tensor([bin(place).count("1") for place in range(16)])
            assert chi_square_p(pairs, probability**ones * (1 - probability) ** (4 - ones)) > ALPHA


@pytest.mark.parametrize("build", (tiny_lstm, tiny_gpt2), ids=("lstm", "gpt2"))
def test_the_loss_on_mixed_inputs_by_a_loop(build):
    model, engine = randomize(build(V), seed=1, std=0.5), RolloutEngine(5, BOS, PAD, EOS)
    samples = Samples(
        torch.tensor([[0, 1, 0, 1, EOS], [1, EOS, PAD, PAD, PAD], [0, 0, 1, EOS, PAD]] * 4),
        torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]] * 4),
    )
    batch = mle_batch(samples)
    kept = {name: value.clone() for name, value in batch.items()}
    calls = reads(model.train())
    output = MLEObjective(scheduled_sampling=0.8).mle_loss(
        Players({"generator": model}), engine, batch, StepContext(progress=0.5)
    )
    assert all(torch.equal(kept[name], batch[name]) for name in kept)
    *drawing, (read, training, keeps_gradient) = calls
    assert training and keeps_gradient and read.shape == (12, 5)
    assert len(drawing) == 4 and not any(mode or gradient for _, mode, gradient in drawing)
    assert model.training
    shifted = batch["input_ids"][:, :-1]
    assert (read != shifted).any() and (read == shifted)[:, 1:].any()

    total = 0.0
    for row in range(12):
        for place in range(int(samples.attention_mask[row].sum())):
            logits = model(input_ids=read[row : row + 1, : place + 1]).logits[0, -1]
            total = total - logits.log_softmax(-1)[samples.sequences[row, place]]
    loss = total / 44
    assert float(output.loss.detach()) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert output.weight == 44 and output.reduction == "mean"
    gradients = [torch.autograd.grad(value, list(model.parameters())) for value in (output.loss, loss)]
    for ours, exact in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-5, rtol=1e-4)
    assert max(float(gradient.abs().max()) for gradient in gradients[0]) > 0.01


def test_without_scheduled_sampling_the_likelihood_is_as_before():
    model, engine = randomize(tiny_lstm(V), seed=1, std=0.5), RolloutEngine(3, BOS, PAD, EOS)
    known, calls = all_sequences(V, 3, EOS), reads(model)
    players, before = Players({"generator": model}), torch.get_rng_state()
    output = MLEObjective().mle_loss(players, engine, mle_batch(known), StepContext(progress=0.5))
    assert torch.equal(torch.get_rng_state(), before) and len(calls) == 1
    exact = -exact_logps(model, known).sum() / known.attention_mask.sum()
    assert float(output.loss.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)
    assert output.metrics == {"generator/nll_per_token": float(output.loss.detach())}
    assert SeqGANObjective().mle_loss(players, engine, mle_batch(known), StepContext()).loss == output.loss
    # At the start of the phase there are no own inputs yet.
    start = MLEObjective(scheduled_sampling=1.0).mle_loss(players, engine, mle_batch(known), StepContext())
    assert float(start.loss.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)


def test_scheduled_sampling_in_a_run(tmp_path):
    steps = {"pretrain_generator_steps": 4, "save_strategy": "no"}
    trainer = toy_trainer(tmp_path, MLEObjective(scheduled_sampling=0.8), **steps)
    trainer.train()
    history = trainer.state.log_history
    shares = [
        entry["generator/scheduled_sampling_prob"] for entry in history if "generator/scheduled_sampling_prob" in entry
    ]
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert not any("generator/nll_per_token" in entry for entry in history)


@pytest.mark.parametrize("kind", (MLEObjective, SeqGANObjective))
@pytest.mark.parametrize("value", (-0.1, 1.5, math.nan))
def test_scheduled_sampling_is_a_probability(kind, value):
    fix = "a value from 0 to 1" if math.isfinite(value) else "a finite number"
    message = f"scheduled_sampling is {value}; set it to {fix}."
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(scheduled_sampling=value)
