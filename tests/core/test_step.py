"""Updates of three players with a bare Accelerator: changed and unchanged parameters, and the loss of a step."""

import math
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from hf_textgan.core.context import ObjectiveOutput, StepContext
from hf_textgan.core.objective import Objective
from hf_textgan.core.players import Players
from hf_textgan.core.schedule import Phase, PhaseSchedule, Update
from hf_textgan.core.step import PlayerOptimizer, largest_parameter, take_step
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.utils.random import fork_rng, seed_iteration
from tests.helpers import BOS, EOS, PAD, randomize, tiny_lstm


torch.set_num_threads(1)

CONTEXT = StepContext()
ENGINE = RolloutEngine(4, BOS, PAD, EOS)
TEXTKD = (
    Update("autoencoder", "autoencoder_loss"),
    Update("discriminator", "discriminator_loss", repeat=5),
    Update("generator", "generator_loss"),
)
VGAN = (Update("generator", "generator_loss", repeat=5), Update("discriminator", "discriminator_loss", repeat=3))


@dataclass
class Toy(Objective):
    """Each loss reaches every player, so that only freezing keeps the others as they are."""

    seen: list = field(default_factory=list)
    reduction: str = "mean"

    def _loss(self, players: Players, batch: dict, name: str) -> ObjectiveOutput:
        self.seen.append(
            (
                name,
                {other: players[other].training for other in players},
                {other: any(p.requires_grad for p in players[other].parameters()) for other in players},
            )
        )
        outputs = sum(players[other](batch["x"]).pow(2).mean() for other in players)
        return ObjectiveOutput(
            outputs, {f"{name}/output": outputs.detach()}, weight=float(batch["weight"]), reduction=self.reduction
        )

    def autoencoder_loss(self, players, engine, batch, context):
        return self._loss(players, batch, "autoencoder")

    def discriminator_loss(self, players, engine, batch, context):
        return self._loss(players, batch, "discriminator")

    def generator_loss(self, players, engine, batch, context):
        return self._loss(players, batch, "generator")

    def linear_loss(self, players, engine, batch, context):
        """The mean of `w * x` over the batch: its gradient is the mean of x."""
        return ObjectiveOutput(
            (players["generator"].weight * batch["x"]).sum(1).mean(),
            weight=float(batch["weight"]),
            reduction=self.reduction,
        )


def three_players() -> Players:
    names = ("generator", "discriminator", "autoencoder")
    modules = {n: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.Linear(4, 2)) for n in names}
    for seed, module in enumerate(modules.values()):
        randomize(module, seed).eval()
    modules["autoencoder"][0].bias.requires_grad_(False)  # frozen by the user: stays so
    return Players(modules)


def adam(module: nn.Module, max_grad_norm: float = 0.0, lr: float = 0.1, kind=torch.optim.Adam) -> PlayerOptimizer:
    optimizer = kind([p for p in module.parameters() if p.requires_grad], lr=lr)
    return PlayerOptimizer(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0), max_grad_norm)


def batch(seed: int = 0, weight: float = 1.0) -> dict:
    return {"x": torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)), "weight": weight}


def snapshot(players: Players) -> dict[str, list[torch.Tensor]]:
    return {name: [p.detach().clone() for p in players[name].parameters()] for name in players}


def changed(before: dict, after: dict) -> set[str]:
    return {n for n in before if not all(torch.equal(a, b) for a, b in zip(before[n], after[n], strict=True))}


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.mark.parametrize("updates", [TEXTKD, VGAN], ids=["textkd", "vgan"])
def test_an_update_changes_its_player_and_no_other(accelerator, updates):
    players, toy = three_players(), Toy()
    table = PhaseSchedule([Phase("adversarial", 2, updates)])
    optimizers = {key: adam(players[key[0]]) for key in table.optimizers()}
    requires_grad = {n: [p.requires_grad for p in players[n].parameters()] for n in players}
    for iteration in range(table.total):
        for update in table.at(iteration).updates:
            for k in range(update.repeat):
                before = snapshot(players)
                optimizer = optimizers[update.player, "adversarial"]
                result = take_step(accelerator, players, optimizer, update, [batch(k)], toy, ENGINE, CONTEXT)
                assert not result.skipped
                assert changed(before, snapshot(players)) == {update.player}
                assert all(p.grad is None for n in players for p in players[n].parameters())
                assert not any(players[n].training for n in players), "the modes from before the update are back"
                assert requires_grad == {n: [p.requires_grad for p in players[n].parameters()] for n in players}

    order = [update.player for update in updates for _ in range(update.repeat)] * 2
    assert [name for name, _, _ in toy.seen] == order
    for name, training, trainable in toy.seen:
        expected = {other: other == name for other in players}
        assert training == expected and trainable == expected
    for (player, _), optimizer in optimizers.items():
        steps = {int(state["step"]) for state in optimizer.optimizer.state.values()}
        assert steps == {table.steps_before(2, player)}


def test_an_update_of_a_part_changes_that_part_alone(accelerator):
    """Its gradient is that of the whole player, and the norm that clipping uses is that of the part."""
    players, toy = three_players(), Toy()
    module = players.unwrap("generator")
    toy._loss(players, batch(), "generator").loss.backward()
    expected = [p.grad.clone() for p in module[2].parameters()]
    for name in players:
        players.unwrap(name).zero_grad()
    before, update = snapshot(players), Update("generator", "generator_loss", part="2")
    module[1].p = 0.0  # no dropout
    result = take_step(
        accelerator, players, adam(module[2], kind=torch.optim.SGD), update, [batch()], toy, ENGINE, CONTEXT
    )
    assert changed(before, snapshot(players)) == {"generator"}
    assert all(torch.equal(old, new) for old, new in zip(before["generator"][:2], module[0].parameters(), strict=True))
    for old, new, gradient in zip(before["generator"][2:], module[2].parameters(), expected, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.1 * gradient)
    assert result.grad_norm == pytest.approx(float(torch.cat([g.flatten() for g in expected]).norm()))
    assert all(p.requires_grad for p in module.parameters()) and all(p.grad is None for p in module.parameters())


def test_every_trainable_parameter_is_updated(accelerator):
    players, toy = three_players(), Toy()
    before = snapshot(players)
    for update in TEXTKD:
        take_step(accelerator, players, adam(players[update.player]), update, [batch()], toy, ENGINE, CONTEXT)
    after = snapshot(players)
    for name in players:
        for number, parameter in enumerate(players[name].parameters()):
            same = torch.equal(before[name][number], after[name][number])
            assert same == (not parameter.requires_grad), f"{name}, parameter {number}"


def test_an_error_in_a_loss_leaves_the_players_as_they_were(accelerator):
    players = three_players()
    with pytest.raises(RuntimeError, match="no such loss"):
        with players.updating("generator"):
            raise RuntimeError("no such loss")
    assert not any(players[n].training for n in players)
    assert all(p.requires_grad for p in players["discriminator"].parameters())
    with pytest.raises(KeyError, match="There is no player 'judge'; this run has generator, discriminator, autoenc"):
        players["judge"]


# ---- What a step minimises ------------------------------------------------------------------------------------------


def one_weight() -> Players:
    module = nn.Linear(3, 1, bias=False)
    nn.init.ones_(module.weight)
    return Players({"generator": module})


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_weighted_step_by_hand(accelerator, reduction):
    """Gradient of the mean: (1 * a + 3 * b) / 4, and of the sum: 1 * a + 3 * b, with a and b the means of x."""
    players = one_weight()
    first = {"x": torch.tensor([[1.0, 0.0, 0.0], [3.0, 0.0, 2.0]]), "weight": 1.0}  # mean (2, 0, 1)
    second = {"x": torch.tensor([[0.0, 4.0, 1.0]]), "weight": 3.0}  # mean (0, 4, 1)
    update = Update("generator", "linear_loss")
    optimizer = adam(players["generator"], lr=1.0, kind=torch.optim.SGD)
    result = take_step(
        accelerator, players, optimizer, update, [first, second], Toy(reduction=reduction), ENGINE, CONTEXT
    )
    gradient = torch.tensor([[2.0, 12.0, 4.0]]) / (4 if reduction == "mean" else 1)
    torch.testing.assert_close(players["generator"].weight, 1.0 - gradient)
    # The losses at weight 1 are the sums of the means, 3 and 5.
    assert result.loss == pytest.approx((3 + 15) / (4 if reduction == "mean" else 1))
    assert result.grad_norm == pytest.approx(float(gradient.norm()))


def test_an_accelerator_that_divides_by_its_own_accumulation_changes_nothing():
    players = one_weight()
    update = Update("generator", "linear_loss")
    optimizer = adam(players["generator"], lr=1.0, kind=torch.optim.SGD)
    data = {"x": torch.tensor([[1.0, 2.0, 3.0]]), "weight": 1.0}
    own = Accelerator(cpu=True, gradient_accumulation_steps=4)
    take_step(own, players, optimizer, update, [data, data], Toy(), ENGINE, CONTEXT)
    torch.testing.assert_close(players["generator"].weight, torch.tensor([[0.0, -1.0, -2.0]]))


@pytest.mark.invariant
def test_eight_micro_batches_of_one_equal_one_of_eight(accelerator):
    """Maximum likelihood on sentences of different lengths: the step divides by all tokens, however they come."""
    lengths = [2, 3, 5, 2, 4, 3, 5, 2]
    rows = [[BOS, *([3, 4, 5, 3][: n - 1]), EOS] for n in lengths]

    def text(chosen: list[list[int]]) -> dict:
        width = max(map(len, chosen))
        ids = torch.tensor([row + [PAD] * (width - len(row)) for row in chosen])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in chosen])
        return {"input_ids": ids, "attention_mask": mask}

    def step(batches: list[dict]):
        players = Players({"generator": randomize(tiny_lstm(6)).double()})
        optimizer = adam(players["generator"], max_grad_norm=0.01, lr=1.0, kind=torch.optim.SGD)
        result = take_step(
            accelerator, players, optimizer, Update("generator", "mle_loss"), batches, MLEObjective(), ENGINE, CONTEXT
        )
        return result, torch.cat([p.detach().flatten() for p in players["generator"].parameters()])

    whole, parameters = step([text(rows)])
    for size in (1, 2, 4):
        parts, moved = step([text(rows[i : i + size]) for i in range(0, 8, size)])
        assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
        assert parts.grad_norm == pytest.approx(whole.grad_norm, rel=1e-6)
        torch.testing.assert_close(moved, parameters, rtol=0, atol=1e-8)
    wrong = [text([row]) for row in rows[:4]]
    assert step(wrong)[0].loss != pytest.approx(whole.loss, rel=1e-3)


# ---- Clipping, moments, steps that are not finite ---------------------------------------------------------------


def test_clipping_uses_each_players_own_norm(accelerator):
    players = Players({"generator": one_weight()["generator"], "discriminator": one_weight()["generator"]})
    toy = Toy()
    toy.other_loss = lambda players, engine, batch, context: ObjectiveOutput(
        (players["discriminator"].weight * batch["x"]).sum()
    )
    data = {"x": torch.tensor([[3.0, 4.0, 0.0]]), "weight": 1.0}  # norm 5
    first = adam(players["generator"], 1.0, 1.0, torch.optim.SGD)
    second = adam(players["discriminator"], 0.0, 1.0, torch.optim.SGD)
    result = take_step(accelerator, players, first, Update("generator", "linear_loss"), [data], toy, ENGINE, CONTEXT)
    take_step(accelerator, players, second, Update("discriminator", "other_loss"), [data], toy, ENGINE, CONTEXT)
    assert result.grad_norm == pytest.approx(5.0), "the norm before clipping"
    clipped = torch.tensor([[0.4, 0.2, 1.0]])
    torch.testing.assert_close(players["generator"].weight, clipped, rtol=0, atol=1e-5)
    torch.testing.assert_close(players["discriminator"].weight, torch.tensor([[-2.0, -3.0, 1.0]]))


@pytest.mark.parametrize("bad", ["nan", "inf", "nan in one micro-batch", "no weight"])
def test_a_step_that_is_not_finite_changes_nothing(accelerator, bad):
    players, toy = three_players(), Toy()
    update, optimizer = Update("generator", "generator_loss"), adam(players["generator"], max_grad_norm=1.0)
    take_step(accelerator, players, optimizer, update, [batch()], toy, ENGINE, CONTEXT)
    before = (
        snapshot(players),
        [{key: value.clone() for key, value in state.items()} for state in optimizer.optimizer.state.values()],
    )
    spoilt = batch()
    if bad == "no weight":
        spoilt["weight"] = 0.0
    else:
        spoilt["x"][0, 0] = float(bad.split()[0])
    batches = [batch(), spoilt] if "micro" in bad else [spoilt]
    for skipped in (1, 2):
        result = take_step(accelerator, players, optimizer, update, batches, toy, ENGINE, CONTEXT)
        assert result.skipped
        assert (optimizer.skipped, optimizer.skipped_in_a_row) == (skipped, {update.loss: skipped})
    assert changed(before[0], snapshot(players)) == set()
    for old, new in zip(before[1], optimizer.optimizer.state.values(), strict=True):
        assert all(torch.equal(old[key], new[key]) for key in old)
    assert all(p.grad is None for p in players["generator"].parameters())

    assert not take_step(accelerator, players, optimizer, update, [batch()], toy, ENGINE, CONTEXT).skipped
    assert (optimizer.skipped, optimizer.skipped_in_a_row) == (2, {update.loss: 0})
    assert changed(before[0], snapshot(players)) == {"generator"}


def test_a_finite_loss_with_an_infinite_gradient_is_skipped(accelerator):
    players, toy = one_weight(), Toy()
    toy.root_loss = lambda players, engine, batch, context: ObjectiveOutput(
        (players["generator"].weight - 1.0).abs().sqrt().sum()
    )
    optimizer = adam(players["generator"])
    result = take_step(
        accelerator, players, optimizer, Update("generator", "root_loss"), [batch()], toy, ENGINE, CONTEXT
    )
    assert result.loss == 0.0 and not np.isfinite(result.grad_norm) and result.skipped
    assert torch.equal(players["generator"].weight, torch.ones(1, 3))


def test_a_step_that_makes_parameters_infinite_ends_the_training(accelerator):
    players = three_players()
    # The loss and the gradient are finite, the step is not.
    optimizer = adam(players["generator"], lr=math.inf, kind=torch.optim.SGD)
    message = (
        "step of generator/generator_loss in iteration 0 made parameters that are not finite .*; lower the learning"
    )
    with pytest.raises(FloatingPointError, match=message):
        take_step(
            accelerator, players, optimizer, Update("generator", "generator_loss"), [batch()], Toy(), ENGINE, CONTEXT
        )


def test_the_largest_parameter_of_a_step_is_told(accelerator):
    players = three_players()
    update = Update("generator", "generator_loss")
    result = take_step(accelerator, players, adam(players["generator"]), update, [batch()], Toy(), ENGINE, CONTEXT)
    assert result.largest_parameter == max(float(p.detach().abs().max()) for p in players["generator"].parameters())
    module = nn.Linear(2, 2)
    for value in (math.nan, math.inf, -math.inf):
        with torch.no_grad():
            module.bias[1] = value
        assert not math.isfinite(largest_parameter(module))


def test_updates_that_share_an_optimizer_are_skipped_on_their_own(accelerator):
    players, toy = three_players(), Toy()
    toy.bad_loss = lambda players, engine, batch, context: ObjectiveOutput(
        sum(p.sum() for p in players["generator"].parameters()) * float("nan")
    )
    optimizer = adam(players["generator"])
    for count in (1, 2, 3):
        for loss in ("bad_loss", "generator_loss"):
            take_step(accelerator, players, optimizer, Update("generator", loss), [batch()], toy, ENGINE, CONTEXT)
        assert optimizer.skipped_in_a_row == {"bad_loss": count, "generator_loss": 0}


def test_each_phase_has_its_own_moments(accelerator):
    players, toy = three_players(), Toy()
    update = Update("generator", "generator_loss")
    first, second = adam(players["generator"]), adam(players["generator"])
    for _ in range(3):
        take_step(accelerator, players, first, update, [batch()], toy, ENGINE, CONTEXT)
    take_step(accelerator, players, second, update, [batch()], toy, ENGINE, CONTEXT)
    assert {int(s["step"]) for s in first.optimizer.state.values()} == {3}
    assert {int(s["step"]) for s in second.optimizer.state.values()} == {1}


def test_an_optimizer_is_restored_with_its_schedule_and_counts(accelerator):
    def scheduled(players, lr=0.1):
        optimizer = torch.optim.Adam(players["generator"].parameters(), lr=lr)
        return PlayerOptimizer(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step))

    players, toy, update = three_players(), Toy(), Update("generator", "generator_loss")
    optimizer = scheduled(players)
    for _ in range(2):
        take_step(accelerator, players, optimizer, update, [batch()], toy, ENGINE, CONTEXT)
    optimizer.skipped, optimizer.skipped_in_a_row = 7, {"generator_loss": 3}

    restored = scheduled(players)
    restored.load_state_dict(optimizer.state_dict())
    assert (restored.skipped, restored.skipped_in_a_row) == (7, {"generator_loss": 3})
    assert restored.scheduler.get_last_lr() == [0.025]
    assert restored.optimizer.param_groups[0]["lr"] == 0.025
    # A learning rate that the resumed run sets anew takes over, at the same place of the schedule.
    lower = scheduled(players, lr=0.04)
    lower.load_state_dict(optimizer.state_dict())
    assert lower.scheduler.get_last_lr() == pytest.approx([0.01])
    take_step(accelerator, players, lower, update, [batch()], toy, ENGINE, CONTEXT)
    assert lower.optimizer.param_groups[0]["lr"] == pytest.approx(0.005)


# ---- Randomness -----------------------------------------------------------------------------------------------------


def draw() -> tuple:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_an_iteration_is_seeded_by_seed_iteration_and_rank():
    draws = {}
    for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        seed_iteration(*key)
        draws[key] = draw()
    for position in range(3):
        assert len({values[position] for values in draws.values()}) == 4
    draw()
    seed_iteration(0, 1, 0)
    assert draw() == draws[0, 1, 0]


def test_own_randomness_leaves_no_trace():
    seed_iteration(0, 5, 0)
    expected = draw()
    seed_iteration(0, 5, 0)
    with fork_rng("samples", 3):
        inside = draw()
    assert draw() == expected
    with pytest.raises(ValueError), fork_rng("samples", 3):
        assert draw() == inside
        raise ValueError
    with fork_rng("samples", 4):
        assert draw() != inside
    with fork_rng("evaluation", 3):
        assert draw() != inside


class Counting(Objective):
    """Counts what a step saw, in `after_step` alone."""

    def __init__(self, factor: float):
        self.factor = factor
        self.seen: list[tuple[str, list[float]]] = []

    def generator_loss(self, players, engine, batch, context):
        loss = self.factor * players["generator"](batch["x"]).mean()
        return ObjectiveOutput(loss, statistics={"sum": batch["x"].sum(0)})

    def after_step(self, update, statistics, context):
        self.seen.append((update.player, statistics["sum"].tolist()))


@pytest.mark.parametrize(("factor", "expected"), [(1.0, [("generator", [9.0, 12.0])]), (math.nan, [])])
def test_state_changes_once_a_step_by_sums_over_micro_batches(factor, expected):
    """(1 + 3 + 5, 2 + 4 + 6) over two micro-batches of 2 rows and 1; a step that is skipped changes nothing."""
    accelerator, model, objective = Accelerator(cpu=True), nn.Linear(2, 1), Counting(factor)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = PlayerOptimizer(sgd, torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: 1.0))
    batches = [{"x": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, {"x": torch.tensor([[5.0, 6.0]])}]
    update = Update("generator", "generator_loss")
    result = take_step(
        accelerator, Players({"generator": model}), optimizer, update, batches, objective, ENGINE, CONTEXT
    )
    assert result.skipped == math.isnan(factor)
    assert objective.seen == expected


def test_one_process_gathers_its_own_rows():
    rows = torch.ones(2, 3, requires_grad=True)
    gathered = Players({}).gather(rows)
    assert torch.equal(gathered, rows) and not gathered.requires_grad
