"""The contract of every objective: its updates, its noise, its panels and its help."""

from dataclasses import fields

import pytest

from hf_textgan.core.context import StepContext
from hf_textgan.core.schedule import PhaseSchedule
from hf_textgan.objectives import OBJECTIVES
from hf_textgan.systems import SYSTEMS
from hf_textgan.utils.docstrings import argument_descriptions


every_objective = pytest.mark.parametrize("name", OBJECTIVES)


@every_objective
def test_updates_name_losses_that_exist(name):
    objective = OBJECTIVES[name]()
    for updates in objective.updates().values():
        for update in updates:
            assert callable(objective.loss_of(update))
    phases = {"pretrain_generator": 0, "pretrain_discriminator": 0, "adversarial": 0}
    phases.update(dict.fromkeys(objective.updates(), 2))
    schedule = PhaseSchedule(objective.phases(*phases.values()))
    assert schedule.total == 2 * len(objective.updates())


@every_objective
def test_every_hyperparameter_is_described(name):
    objective = OBJECTIVES[name]
    described = argument_descriptions(objective)
    assert [f.name for f in fields(objective) if not described.get(f.name)] == []


@every_objective
def test_noise_keys_are_distinct_and_give_distinct_numbers(name):
    keys = OBJECTIVES[name].noise_keys
    assert len(set(keys)) == len(keys)
    context = StepContext(noise_keys=keys)
    drawn = [tuple(context.randn(key, 4).tolist()) for key in keys]
    assert len(set(drawn)) == len(keys)


@every_objective
def test_panels_hold_patterns_of_logged_keys(name):
    for title, patterns in OBJECTIVES[name].panels.items():
        assert title and patterns and all("/" in pattern or pattern.startswith("eval_") for pattern in patterns)


def test_systems_name_objectives_by_their_file():
    assert {spec.objective[0] for spec in SYSTEMS.values()} <= set(OBJECTIVES)
