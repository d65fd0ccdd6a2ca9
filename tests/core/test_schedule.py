"""Phases, updates and their closed forms."""

import random
from collections import Counter

import pytest

from hf_textgan.core.schedule import Phase, PhaseSchedule, Update


GENERATOR = Update("generator", "generator_loss")
DISCRIMINATOR = Update("discriminator", "discriminator_loss", repeat=3, every=2)


def hand_made() -> PhaseSchedule:
    return PhaseSchedule(
        [
            Phase("pretrain_generator", 4, (GENERATOR,)),
            Phase("pretrain_discriminator", 0, (DISCRIMINATOR,)),
            Phase("adversarial", 5, (GENERATOR, DISCRIMINATOR)),
        ]
    )


def test_positions_by_hand():
    table = hand_made()
    assert table.total == 9
    assert [phase.name for phase in table.phases] == ["pretrain_generator", "adversarial"]
    seen = [(table.at(i).phase.name, table.at(i).iteration_in_phase, len(table.at(i).updates)) for i in range(9)]
    # The discriminator is updated in every second iteration of its phase: the second and the fourth.
    adversarial = [("adversarial", i, updates) for i, updates in enumerate([1, 2, 1, 2, 1])]
    assert seen == [("pretrain_generator", i, 1) for i in range(4)] + adversarial
    assert [table.at(i).progress for i in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_steps_before_an_iteration_by_hand():
    table = hand_made()
    assert [table.steps_before(i, "generator") for i in range(10)] == list(range(10))
    assert [table.steps_before(i, "discriminator") for i in range(10)] == [0, 0, 0, 0, 0, 0, 3, 3, 6, 6]
    assert [table.steps_before(i) for i in range(10)] == [0, 1, 2, 3, 4, 5, 9, 10, 14, 15]
    assert table.steps_before(9, "generator", "pretrain_generator") == 4
    assert table.steps_before(9, "generator", "adversarial") == 5
    assert table.steps_before(9, "autoencoder") == 0
    assert table.steps_before(1000) == table.steps_before(9), "nothing is updated after the end"


def test_updates_share_an_optimizer_that_they_name():
    table = PhaseSchedule(
        [
            Phase("first", 2, (Update("a", "x", repeat=2, optimizer="shared"), Update("b", "y"))),
            Phase("second", 3, (Update("a", "z", optimizer="shared"), Update("a", "w"))),
        ]
    )
    assert table.optimizers() == [("a", "shared"), ("b", "first"), ("a", "second")]
    assert table.steps_before(5, "a", "shared") == 2 * 2 + 3
    assert table.steps_before(5, "a", "second") == 3
    assert table.steps_before(5, "a") == 10


def test_parts_have_optimizers_of_their_own():
    parts = (Update("a", "x", part="manager"), Update("a", "y", part="worker.cell"), Update("a", "z", repeat=3))
    table = PhaseSchedule([Phase("first", 2, parts), Phase("second", 1, (Update("a", "x", part="manager"),))])
    names = ["first/manager", "first/worker/cell", "first", "second/manager"]
    assert table.optimizers() == [("a", name) for name in names]
    assert [table.part_of("a", name) for name in names] == ["manager", "worker.cell", None, "manager"]
    assert [table.steps_before(3, "a", name) for name in names] == [2, 2, 6, 1]

    shared = (Update("a", "x", optimizer="o", part="manager"), Update("a", "y", optimizer="o"))
    with pytest.raises(
        ValueError, match="The optimizer 'o' of 'a' is named for the part None and for 'manager'; give"
    ):
        PhaseSchedule([Phase("first", 1, shared)])


@pytest.mark.parametrize("seed", range(20))
def test_closed_forms_equal_a_simulation(seed):
    draw = random.Random(seed)

    def update() -> Update:
        optimizer = draw.choice([None, None, "shared"])
        return Update(draw.choice("abc"), "loss", draw.randint(1, 4), draw.randint(1, 5), optimizer)

    names = [draw.choice(["warmup", "main", "end"]) for _ in range(draw.randint(1, 5))]  # names may come again
    phases = [Phase(n, draw.randint(0, 9), tuple(update() for _ in range(draw.randint(1, 4)))) for n in names]
    phases.append(Phase("last", 1, (GENERATOR,)))
    table = PhaseSchedule(phases)

    counts: Counter = Counter()
    iteration = 0
    for phase in phases:
        for iteration_in_phase in range(phase.iterations):
            for player in (None, "a", "b", "c", "generator"):
                for optimizer in (None, "warmup", "main", "end", "last", "shared"):
                    expected = sum(n for (p, o), n in counts.items() if player in (None, p) and optimizer in (None, o))
                    assert table.steps_before(iteration, player, optimizer) == expected
            position = table.at(iteration)
            assert (position.phase, position.iteration_in_phase) == (phase, iteration_in_phase)
            assert position.progress == iteration_in_phase / phase.iterations
            assert position.updates == tuple(t for t in phase.updates if iteration_in_phase % t.every == t.every - 1)
            for t in position.updates:
                counts[t.player, t.optimizer or phase.name] += t.repeat
            iteration += 1
    assert table.total == iteration
    assert set(counts) <= set(table.optimizers())


def test_description_is_json_and_complete():
    import json

    description = json.loads(json.dumps(hand_made().describe()))
    assert description[1]["updates"][1] == {
        "player": "discriminator",
        "loss": "discriminator_loss",
        "repeat": 3,
        "every": 2,
        "optimizer": None,
        "part": None,
    }
    assert [phase["iterations"] for phase in description] == [4, 5]


@pytest.mark.parametrize("iteration", [-1, 9])
def test_iterations_outside_the_run_are_errors(iteration):
    with pytest.raises(IndexError, match=rf"iteration is {iteration}; this run has the iterations 0 to 8\."):
        hand_made().at(iteration)


def test_errors_say_what_to_set():
    with pytest.raises(ValueError, match="The update of 'generator' has repeat=0; set it to 1 or more, or leave"):
        Update("generator", "loss", repeat=0)
    with pytest.raises(ValueError, match="The update of 'generator' has every=-2; set it to 1 or more"):
        Update("generator", "loss", every=-2)
    with pytest.raises(ValueError, match="The phase 'main' has -1 iterations; set 0 or more"):
        Phase("main", -1, (GENERATOR,))
    with pytest.raises(ValueError, match="The phase 'main' has 2 iterations but no updates; give it one"):
        Phase("main", 2, ())
    with pytest.raises(ValueError, match="No phase has any iterations; set max_steps"):
        PhaseSchedule([Phase("main", 0, (GENERATOR,))])
