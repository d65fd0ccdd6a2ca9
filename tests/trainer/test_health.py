"""The guard of a run's health: divergence, collapse, and the summary in words."""

import json

import pytest
from safetensors.torch import load_file

from hf_textgan.core.schedule import Phase, PhaseSchedule, Update
from hf_textgan.core.step import StepResult
from hf_textgan.trainer.health import DivergenceGuard
from hf_textgan.trainer.summary import describe_stop, stop_position, summarize
from tests.toys import ThreePlayers, text_data, toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")


def result(loss: float = 1.0, largest: float = 0.5) -> StepResult:
    return StepResult(loss, 1.0, False, largest)


def test_a_loss_far_outside_of_the_losses_before_it_is_told_once():
    guard = DivergenceGuard({"generator": 0.5})
    assert guard.observe("generator", "mle_loss", result(1e9)) is None, "the first losses have no scale"
    guard = DivergenceGuard({"generator": 0.5})
    for _ in range(20):
        assert guard.observe("generator", "mle_loss", result(4.0)) is None
    assert guard.observe("generator", "other_loss", result(5000.0)) is None, "each loss has its own scale"
    assert guard.observe("generator", "mle_loss", result(3999.0)) is None
    warning = guard.observe("generator", "mle_loss", result(-4e6))
    assert warning == (
        "The training diverges: the loss of generator/mle_loss is -4e+06, in the 21 steps before at most 4e+03; lower "
        "the learning rate of the generator."
    )
    assert guard.observe("generator", "mle_loss", result(-4e12)) is None


def test_a_parameter_that_has_grown_out_of_scale_is_told():
    guard = DivergenceGuard({"generator": 0.5, "discriminator": 50.0})
    assert guard.observe("generator", "mle_loss", result(largest=1000.0)) is None
    assert guard.observe("discriminator", "d_loss", result(largest=4999.0)) is None
    warning = guard.observe("generator", "mle_loss", result(largest=1e5))
    assert "a parameter of the generator is 1e+05, at first 1;" in warning
    assert guard.observe("discriminator", "d_loss", result(largest=5001.0)) is not None


class Falling:
    """Texts that get fewer at each evaluation."""

    def __init__(self, *values: float):
        self.values = list(values)

    def __call__(self, texts: list[str]) -> dict[str, float]:
        return {"distinct_texts": self.values.pop(0) if len(self.values) > 1 else self.values[0]}


def collapsing(tmp_path, **changes):
    options = {"eval_strategy": "steps", "eval_steps": 1, "pretrain_generator_steps": 2, "max_steps": 6, **changes}
    checked = [1.0] if "metric_for_best_model" in changes else []  # the check of its name asks once
    metrics = Falling(*checked, 1.0, 1.0, 0.9, 0.3, 0.2)
    return toy_trainer(
        tmp_path, ThreePlayers(), eval_dataset=text_data()[1], text_metrics=metrics, files=True, save_strategy="steps",
        save_steps=1, pretrain_discriminator_steps=0, **options,
    )  # fmt: skip


def test_a_collapse_is_warned_of_and_written_down(tmp_path, caplog):
    trainer = collapsing(tmp_path)
    assert trainer.train().global_step == 8
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert [entry["step"] for entry in content["warnings"]] == [4, 5, 6, 7, 8]
    first = "The generator collapses in the adversarial phase: 30% of the samples are different texts, at the sta"
    assert content["warnings"][0]["warning"].startswith(first)
    assert any(first in record.message for record in caplog.records)
    assert any(line.startswith("warning at step 4: The generator collapses") for line in trainer.summary())


def test_a_collapse_ends_the_run_on_request(tmp_path):
    trainer = collapsing(tmp_path, on_collapse="stop")
    assert trainer.train().global_step == 4
    assert trainer.summary()[-1].startswith(
        "The run ended in the phase adversarial, after 2 of its 6 iterations: it collapsed at step 4 (30% of"
    )


def test_a_collapse_rolls_back_to_the_best_models_of_the_phase(tmp_path):
    trainer = collapsing(tmp_path, on_collapse="rollback", metric_for_best_model="distinct_texts")
    trainer.train()
    assert trainer.best["adversarial"] == {"step": 3, "value": 0.9, "metric": "eval_distinct_texts"}
    best = load_file(tmp_path / "best" / "adversarial" / "model.safetensors")
    assert all((best[name] == value).all() for name, value in trainer.model.state_dict().items() if name in best)
    later = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    assert any((best[name] != later[name]).any() for name in best)


def test_an_action_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="on_collapse is 'panic'; set it to 'warn', 'stop' or 'rollback'."):
        collapsing(tmp_path, on_collapse="panic")


def test_the_summary_tells_each_phase_against_its_start():
    schedule = PhaseSchedule(
        [
            Phase("pretrain_generator", 10, (Update("generator", "mle_loss"),)),
            Phase("adversarial", 5, (Update("generator", "generator_loss"),)),
        ]
    )
    log = [
        {"step": 10, "eval_nll_per_token": 2.0, "eval_bleu_4": 0.5, "eval_self_bleu_4": 0.4},
        {"step": 13, "eval_nll_per_token": 2.5, "eval_bleu_4": 0.6, "eval_self_bleu_4": 0.4001},
    ]
    lines = summarize(log, schedule, "its 9 seconds were over")
    assert [" ".join(line.split()) for line in lines] == [
        "pretrain_generator, 10 iterations, at its end:",
        "nll_per_token 2 NLL of held-out text, nats per token (lower is better)",
        "bleu_4 0.5 BLEU-4 of the samples against held-out text (higher is better)",
        "self_bleu_4 0.4 BLEU-4 of each sample against the others; high means little diversity (lower is better)",
        "adversarial, 3 of 5 iterations, at its start -> end:",
        "nll_per_token 2 -> 2.5 worse NLL of held-out text, nats per token (lower is better)",
        "bleu_4 0.5 -> 0.6 better BLEU-4 of the samples against held-out text (higher is better)",
        "self_bleu_4 0.4 -> 0.4001 the same BLEU-4 of each sample against the others; high means little diversity "
        "(lower is better)",
        "The run ended in the phase adversarial, after 3 of its 5 iterations: its 9 seconds were over.",
    ]


def test_the_summary_of_phases_without_an_evaluation():
    phases = [Phase("first", 2, (Update("discriminator", "d_loss"),)), Phase("second", 2, (Update("generator", "g"),))]
    assert summarize([{"step": 4}], PhaseSchedule(phases)) == [
        "first, 2 iterations: the generator stays as it was",
        "second, 2 iterations: no evaluation",
    ]


def test_where_a_run_ended():
    update = (Update("generator", "mle_loss"),)
    schedule = PhaseSchedule([Phase("first", 3, update), Phase("second", 2, update), Phase("third", 1, update)])
    assert stop_position(schedule, 0) == {"phase": "first", "iteration": 0, "of": 3}
    assert stop_position(schedule, 3) == {"phase": "first", "iteration": 3, "of": 3}
    assert stop_position(schedule, 4) == {"phase": "second", "iteration": 1, "of": 2}
    assert stop_position(schedule, 6) is None
    assert describe_stop(schedule, 1) == (
        "The run ended in the phase first, after 1 of its 3 iterations, without second and third"
    )
    assert describe_stop(schedule, 6) == "The run ended at its last iteration"
