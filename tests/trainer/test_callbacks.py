"""What a run shows and records: losses, samples, short phases, and where it stopped."""

import json

import pytest
from transformers import TrainerControl, TrainerState

from hf_textgan.core.schedule import Phase, PhaseSchedule, Update
from hf_textgan.trainer.callbacks import PhaseCallback, SamplesCallback, shown_losses
from hf_textgan.trainer.wall_clock import TimeLimit
from tests.toys import arguments, length_metric, toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_loss_that_is_a_sum_is_shown_per_token():
    logs = {"loss": 496.7, "generator/loss": 496.7, "generator/loss_per_token": 0.71, "discriminator/loss": 0.68125}
    assert shown_losses(logs) == "generator loss 0.71 per token, discriminator loss 0.6813"
    assert shown_losses({"eval_loss": 1.0, "generator/entropy": 2.0}) == ""


def test_a_short_phase_is_seen_on_its_way(tmp_path):
    update = (Update("generator", "generator_loss"),)
    schedule = PhaseSchedule([Phase("long", 100, update), Phase("short", 60, update), Phase("tiny", 19, update)])
    callback, args = PhaseCallback(schedule), arguments(tmp_path, eval_strategy="steps", save_strategy="no")
    seen: dict[str, list[int]] = {"log": [], "evaluate": []}
    for step in range(1, schedule.total + 1):
        state = TrainerState(global_step=step, logging_steps=5, eval_steps=60)
        control = callback.on_step_end(args, state, TrainerControl())
        seen["log"] += [step] if control.should_log else []
        seen["evaluate"] += [step] if control.should_evaluate else []
    # A part of 20 of 100 is no shorter than the run's interval of 5, and 100 is longer than its interval of 60; parts
    # of 60 are 3 and 15.
    assert seen["log"] == [100, *range(103, 161, 3), 179]
    assert seen["evaluate"] == [100, 115, 130, 145, 160, 179]


def test_metrics_and_summary_say_where_a_run_stopped(tmp_path):
    trainer = toy_trainer(tmp_path, pretrain_discriminator_steps=0, files=True, text_metrics=length_metric)
    limit = TimeLimit(tmp_path, 2.5)
    seconds = iter(range(100))
    limit.clock = lambda: float(next(seconds))  # a second for each look at it
    trainer.add_callback(limit)
    trainer.train()
    step, reason = trainer.state.global_step, "its 2.5 seconds (max_seconds) were over"
    assert 0 < step < 3  # the clock is read at least once an iteration
    stopped = json.loads((tmp_path / "metrics.json").read_text())["stopped"]
    assert stopped == {"phase": "pretrain_generator", "iteration": step, "of": 3, "reason": reason}
    where = f"in the phase pretrain_generator, after {step} of its 3 iterations, without adversarial"
    assert trainer.summary()[-1] == f"The run ended {where}: {reason}."


def test_a_run_that_came_to_its_end_says_nothing_of_a_stop(tmp_path):
    trainer = toy_trainer(
        tmp_path, max_steps=1, pretrain_discriminator_steps=0, files=True, text_metrics=length_metric
    )
    trainer.train()
    assert "stopped" not in json.loads((tmp_path / "metrics.json").read_text())
    assert not trainer.summary()[-1].startswith("The run ended")


def test_control_characters_of_samples_reach_no_terminal(tmp_path, capsys):
    trainer = toy_trainer(tmp_path, files=True)
    callback = next(c for c in trainer.callback_handler.callbacks if isinstance(c, SamplesCallback))
    trainer.last_samples = ["a \x1b[2J dog", "two"]
    callback.on_evaluate(trainer.args, trainer.state, TrainerControl())
    assert capsys.readouterr().out == "    a \\x1b[2J dog\n    two\n"
    assert (tmp_path / "samples.txt").read_text() == "a \x1b[2J dog\ntwo\n"  # files keep what was drawn
