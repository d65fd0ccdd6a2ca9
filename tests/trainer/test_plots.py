"""The figure of a run: what stands in which panel, and where."""

import math

import pytest

from hf_textgan.core.schedule import Phase, PhaseSchedule, Update
from hf_textgan.trainer.plots import _loss_panels, _metric_panels, _points, _stretches, draw_curves, merge_panels


GENERATOR, DISCRIMINATOR = Update("generator", "generator_loss"), Update("discriminator", "discriminator_loss")
SCHEDULE = PhaseSchedule(
    [
        Phase("pretrain_generator", 100, (Update("generator", "mle_loss"),)),
        Phase("pretrain_discriminator", 10, (DISCRIMINATOR,)),
        Phase("adversarial", 20, (GENERATOR, DISCRIMINATOR)),
    ]
)
LOG = [
    {"step": 50, "generator/loss": 4.0, "generator/nll": 4.0},
    {"step": 100, "generator/loss": 3.0, "generator/nll": 3.0},
    {"step": 100, "eval_nll_per_token": 2.5, "eval_grammar_nll": math.nan},
    {"step": 110, "discriminator/loss": 0.7},
    {"step": 120, "generator/loss": 500.0, "generator/loss_per_token": 2.0, "discriminator/loss": 0.6},
    {"step": 130, "generator/loss": 400.0, "generator/loss_per_token": 1.5, "discriminator/loss": 0.5},
    {"step": 130, "eval_nll_per_token": 2.6, "note": "text"},
]


def names(panel) -> list[str]:
    return [stretch.phase.name for stretch in panel.stretches]


def test_an_evaluation_is_one_curve_over_all_phases():
    stretches = _stretches(LOG, SCHEDULE)
    panels = {"held-out": ("eval_nll*",), "nothing": ("eval_bleu*",), "training": ("generator/nll",)}
    held_out, training = _metric_panels(LOG, stretches, panels)
    # The discriminator's phase leaves the generator as it is.
    assert held_out.curves == {"eval_nll_per_token": [(100, 2.5), (110, 2.5), (130, 2.6)]}
    assert names(held_out) == ["pretrain_generator", "pretrain_discriminator", "adversarial"]
    assert training.title == "training" and names(training) == ["pretrain_generator"]


def test_a_loss_has_a_panel_for_each_scale():
    pretraining, discriminator, adversarial = _loss_panels(LOG, _stretches(LOG, SCHEDULE))
    assert pretraining.curves == {"generator/loss": [(50, 4.0), (100, 3.0)]} and len(pretraining.stretches) == 1
    assert discriminator.curves == {"discriminator/loss": [(110, 0.7), (120, 0.6), (130, 0.5)]}
    assert names(discriminator) == ["pretrain_discriminator", "adversarial"]
    assert adversarial.curves == {"generator/loss_per_token": [(120, 2.0), (130, 1.5)]}
    assert adversarial.title.startswith("loss of the generator, per token (generator_loss; lower is better")


def test_a_run_that_was_stopped_has_the_phases_it_began():
    log = [{"step": 50, "x": 1.0}, {"step": 104, "x": 2.0}]
    assert [(s.phase.name, s.start, s.end) for s in _stretches(log, SCHEDULE)] == [
        ("pretrain_generator", 0, 100),
        ("pretrain_discriminator", 100, 104),
    ]
    assert _points([{"step": 1, "x": math.inf}, {"step": 2, "x": "text"}, {"step": 3, "x": 2}], "x") == [(3, 2)]


@pytest.mark.parametrize("log", [LOG, LOG[:1], [{"step": 0, "eval_nll_per_token": 1.0}, {"step": 5, "note": "text"}]])
def test_the_figure_is_drawn(log, tmp_path):
    panels = merge_panels({"a $1 title": ("eval_*",)}, {"a $1 title": ("generator/nll",), "other": ("note",)})
    assert panels["a $1 title"] == ("eval_*", "generator/nll")
    draw_curves(log, SCHEDULE, tmp_path / "curves.png", panels, title="The run ended at $5")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_logged_draws_nothing(tmp_path):
    draw_curves([{"step": 5, "note": "text"}], SCHEDULE, tmp_path / "curves.png", {"all": ("*",)})
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "curves.png"])
