"""Real runs of the AdversarialTrainer: what is updated, what is logged, evaluated, saved and refused."""

import json
import math
import re

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
)
from transformers.utils import logging as hf_logging

from hf_textgan.core.schedule import Update
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.objectives.seqgan import SeqGANObjective
from tests.helpers import randomize, tiny_lstm
from tests.toys import ThreePlayers, length_metric, text_data, toy_players, toy_trainer


torch.set_num_threads(1)

VGAN = (Update("generator", "generator_loss", repeat=5), Update("discriminator", "discriminator_loss", repeat=3))


def weights(trainer) -> dict[str, torch.Tensor]:
    models = {"generator": trainer.model, **trainer.other_players}
    return {f"{n}/{k}": v.detach().clone() for n, model in models.items() for k, v in model.named_parameters()}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def logged(trainer, key: str) -> dict[int, float]:
    return {entry["step"]: entry[key] for entry in trainer.state.log_history if key in entry}


# ---- What is updated, and what is logged ----------------------------------------------------------------------------


def test_a_seqgan_run_updates_every_parameter_and_logs_every_phase(tmp_path):
    trainer = toy_trainer(tmp_path, save_strategy="no")
    before = weights(trainer)
    output = trainer.train()
    assert output.global_step == trainer.state.max_steps == 3 + 2 + 3
    after = weights(trainer)
    assert [name for name in before if torch.equal(before[name], after[name])] == []

    assert sorted(logged(trainer, "generator/loss")) == [1, 2, 3, 6, 7, 8]
    assert sorted(logged(trainer, "discriminator/loss")) == [4, 5, 6, 7, 8]
    assert sorted(logged(trainer, "reward/mean")) == [6, 7, 8]
    assert all(0 < value < 1 for value in logged(trainer, "reward/mean").values())
    nll = logged(trainer, "generator/nll_per_token")
    assert sorted(nll) == [1, 2, 3] and nll[3] < nll[1]
    for key in ("generator/grad_norm", "generator/learning_rate", "discriminator/accuracy_fake"):
        assert logged(trainer, key)
    # The Trainer's own columns are those of the player that is updated.
    for key in ("loss", "grad_norm"):
        shown = logged(trainer, key)
        for player, steps in (("discriminator", (4, 5)), ("generator", (1, 8))):
            own = logged(trainer, f"{player}/{key}")
            assert [shown[i] for i in steps] == pytest.approx([own[i] for i in steps])


@pytest.mark.parametrize("updates", [None, VGAN], ids=["textkd", "vgan"])
def test_three_players_are_updated_in_order_in_a_real_run(tmp_path, updates):
    objective = ThreePlayers() if updates is None else ThreePlayers(updates_=updates)
    steps = {"max_steps": 2, "pretrain_generator_steps": 1, "pretrain_discriminator_steps": 1}
    trainer = toy_trainer(tmp_path, objective, save_strategy="no", **steps)
    before = weights(trainer)
    trainer.train()
    one_round = ["autoencoder", *["discriminator"] * 5, "generator"]
    if updates is not None:
        one_round = [*["generator"] * 5, *["discriminator"] * 3]
    assert objective.calls == ["generator", "discriminator", *one_round * 2]
    assert trainer.state.global_step == 4, "max_steps counts iterations, of five generator steps each in VGAN"
    after = weights(trainer)
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == ({n for n in before if n.startswith("autoencoder/")} if updates is not None else set())
    for (player, name), optimizer in trainer.player_optimizers.items():
        steps = {int(state["step"]) for state in optimizer.optimizer.state.values()}
        assert steps == {trainer.schedule.steps_before(4, player, name)}
    assert logged(trainer, "generator/noise")


def test_a_run_is_a_function_of_its_seed(tmp_path):
    def run(name: str, **changes) -> dict:
        trainer = toy_trainer(tmp_path / name, save_strategy="no", **changes)
        trainer.train()
        return weights(trainer)

    torch.manual_seed(1)
    first = run("a")
    torch.manual_seed(2)  # what the surrounding program drew does not matter
    assert same(first, run("b"))
    assert not same(first, run("c", seed=43))
    assert same(first, run("d", dataloader_num_workers=2))


@pytest.mark.invariant
def test_accumulation_changes_memory_only(tmp_path):
    def run(name: str, **changes) -> dict:
        trainer = toy_trainer(
            tmp_path / name,
            MLEObjective(),
            save_strategy="no",
            pretrain_generator_steps=4,
            optim="sgd",
            learning_rate=1.0,
            max_grad_norm=0.1,
            trainer_options={"model": randomize(tiny_lstm(len(text_data()[0])))},
            **changes,
        )
        trainer.train()
        return weights(trainer), list(logged(trainer, "generator/loss").values())

    whole, losses = run("whole", per_device_train_batch_size=8)
    for accumulation in (2, 4):
        split, split_losses = run(
            f"{accumulation}", per_device_train_batch_size=8 // accumulation, gradient_accumulation_steps=accumulation
        )
        assert split_losses == pytest.approx(losses, rel=1e-6)
        for name in whole:
            torch.testing.assert_close(split[name], whole[name], rtol=0, atol=1e-6)


def test_training_again_starts_afresh(tmp_path):
    # Once for the names; then of the steps 3 and 8, twice: at step 5 the generator has not moved since.
    values = iter([0.0, 5.0, 6.0, 8.0, 9.0])
    trainer = toy_trainer(
        tmp_path,
        save_strategy="no",
        eval_strategy="steps",
        eval_steps=100,
        eval_dataset=text_data()[1],
        text_metrics=lambda texts: {"score": next(values)},
        metric_for_best_model="score",
        greater_is_better=False,
    )
    trainer.train()
    first = weights(trainer)
    assert {phase: best["value"] for phase, best in trainer.best.items()} == {
        "pretrain_generator": 5,
        "adversarial": 6,
    }
    assert trainer.train().global_step == 8
    assert {phase: best["value"] for phase, best in trainer.best.items()} == {
        "pretrain_generator": 8,
        "adversarial": 9,
    }
    assert not same(first, weights(trainer)), "it goes on from the weights that are there"
    for (player, name), optimizer in trainer.player_optimizers.items():
        steps = {int(state["step"]) for state in optimizer.optimizer.state.values()}
        assert steps == {trainer.schedule.steps_before(8, player, name)}, "with fresh moments"


def test_bf16_runs_on_cpu(tmp_path):
    trainer = toy_trainer(tmp_path, save_strategy="no", bf16=True, eval_dataset=text_data()[1])
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    assert all(value.dtype == torch.float32 for value in after.values())
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert math.isfinite(trainer.evaluate()["eval_nll_per_token"])


# ---- Evaluation -----------------------------------------------------------------------------------------------------


def test_evaluation_does_not_disturb_training(tmp_path):
    plain = toy_trainer(tmp_path / "plain", save_strategy="no")
    plain.train()
    evaluated = toy_trainer(
        tmp_path / "evaluated",
        save_strategy="no",
        eval_strategy="steps",
        eval_steps=1,
        eval_on_start=True,
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
    )
    evaluated.train()
    # In the steps 4 and 5 only the discriminator is updated, which changes nothing that is measured.
    assert sorted(logged(evaluated, "eval_mean_words")) == [0, 1, 2, 3, 6, 7, 8]
    assert same(weights(plain), weights(evaluated))


def test_likelihood_by_hand_of_texts_longer_than_those_of_training(tmp_path):
    tokenizer, dataset = text_data()
    long = [{"input_ids": [1, *range(4, 10), *range(4, 10), 2]}, {"input_ids": [1, 5, 2]}]
    trainer = toy_trainer(tmp_path, eval_dataset=long, per_device_eval_batch_size=1)
    randomize(trainer.model)
    assert trainer.engine.max_length < 13
    metrics = trainer.evaluate()
    nll = 0.0
    trainer.model.eval()
    for row in long:
        ids = row["input_ids"]
        for t in range(1, len(ids)):
            with torch.no_grad():
                nll -= float(
                    trainer.model(input_ids=torch.tensor([ids[:t]])).logits[0, -1].double().log_softmax(-1)[ids[t]]
                )
    assert metrics["eval_nll_per_token"] == metrics["eval_loss"] == pytest.approx(nll / 15, rel=1e-6)
    assert metrics["eval_nll_per_sequence"] == pytest.approx(nll / 2, rel=1e-6)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(nll / 15), rel=1e-6)
    assert not trainer.model.training


def test_samples_depend_on_the_evaluation_seed_alone(tmp_path):
    trainer = toy_trainer(tmp_path, text_metrics=length_metric, eval_num_samples=300)
    trainer.evaluate()
    first = trainer.last_samples
    torch.manual_seed(7)
    trainer.evaluate()
    assert trainer.last_samples == first and len(first) == 300
    trainer.args.eval_seed = 1
    trainer.evaluate()
    assert trainer.last_samples != first


def test_metrics_that_draw_random_numbers_have_the_evaluation_seed(tmp_path):
    trainer = toy_trainer(tmp_path, text_metrics=lambda texts: {"drawn": float(torch.rand(()))})
    state = torch.get_rng_state()
    first = trainer.evaluate()["eval_drawn"]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(())
    assert trainer.evaluate()["eval_drawn"] == first
    trainer.args.eval_seed = 1
    assert trainer.evaluate()["eval_drawn"] != first


def test_phase_borders_are_evaluated_saved_and_logged(tmp_path):
    trainer = toy_trainer(
        tmp_path,
        save_steps=100,
        logging_steps=100,
        eval_steps=100,
        eval_strategy="steps",
        eval_dataset=text_data()[1],
    )
    trainer.train()
    assert sorted(logged(trainer, "eval_nll_per_token")) == [3, 8]  # the generator is the same at 3 and 5
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-3",
        "checkpoint-5",
        "checkpoint-8",
    ]
    assert sorted(logged(trainer, "loss")) == [3, 5, 8]


def test_a_generator_that_is_given_is_evaluated_once_before_it_is_updated(tmp_path):
    trainer = toy_trainer(
        tmp_path, save_strategy="no", pretrain_generator_steps=0, eval_strategy="steps", eval_steps=1,
        eval_dataset=text_data()[1],
    )  # fmt: skip
    trainer.train()
    assert sorted(logged(trainer, "eval_nll_per_token")) == [1, 3, 4, 5]


def test_the_best_models_of_each_phase_are_kept_and_loaded(tmp_path):
    kept = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            kept[state.global_step] = weights(trainer)

    evaluations = iter([0.0, 3.0, 1.0, 2.0, 7.0, 5.0, 6.0])  # once for the names, then of the steps 1 to 3, 6 to 8
    trainer = toy_trainer(
        tmp_path,
        callbacks=[Keep()],
        eval_strategy="steps",
        eval_steps=1,
        eval_dataset=text_data()[1],
        text_metrics=lambda texts: {"score": next(evaluations)},
        metric_for_best_model="score",
        greater_is_better=False,
        load_best_model_at_end=True,
    )
    trainer.train()
    # The discriminator's phase has no best models, because the generator does not move in it.
    assert {phase: (best["step"], best["value"]) for phase, best in trainer.best.items()} == {
        "pretrain_generator": (2, 1.0),
        "adversarial": (7, 5.0),
    }
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == ["adversarial", "pretrain_generator"]
    assert same(weights(trainer), kept[7]) and not same(kept[7], kept[8])
    for phase, step in (("pretrain_generator", 2), ("adversarial", 7)):
        folder = tmp_path / "best" / phase
        best = {"generator": AutoModel.from_pretrained(folder)}
        best["discriminator"] = AutoModel.from_pretrained(folder, subfolder="discriminator")
        loaded = {f"{name}/{k}": v for name, model in best.items() for k, v in model.named_parameters()}
        assert same(loaded, kept[step])
        assert json.loads((folder / "metrics.json").read_text())["eval_score"] == (1.0 if step == 2 else 5.0)


def test_stock_early_stopping_sees_the_best_metric(tmp_path):
    values = iter([0.0, 3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])  # the first is asked for the names
    trainer = toy_trainer(
        tmp_path,
        MLEObjective(),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
        pretrain_generator_steps=8,
        eval_strategy="steps",
        eval_steps=1,
        eval_dataset=text_data()[1],
        text_metrics=lambda texts: {"score": next(values)},
        metric_for_best_model="score",
        greater_is_better=False,
    )
    assert trainer.train().global_step == 4
    assert trainer.state.best_metric == 1.0


# ---- Steps that are not finite --------------------------------------------------------------------------------------


def test_steps_that_are_not_finite_are_reported_and_skipped(tmp_path, caplog):
    trainer = toy_trainer(
        tmp_path, ThreePlayers(nan_iterations=(1, 2)), save_strategy="no", pretrain_discriminator_steps=0, max_steps=1
    )
    after = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            after[state.global_step] = weights(trainer)

    trainer.add_callback(Keep())
    trainer.train()
    assert same(after[1], after[2]) and same(after[1], after[3]) and not same(after[3], after[4])
    assert all(math.isfinite(value) for value in logged(trainer, "loss").values())
    assert logged(trainer, "generator/skipped_steps") == {2: 1, 3: 2, 4: 2}
    reports = [message for message in caplog.messages if "not finite" in message]
    assert len(reports) == 2
    assert reports[0].startswith("Skipped a step that is not finite at step 1, generator/generator_loss: loss nan")


def test_too_many_of_them_stop_the_run_and_name_the_last_good_checkpoint(tmp_path):
    from hf_textgan.trainer import checkpoints

    objective = ThreePlayers(nan_iterations=tuple(range(3, 100)))
    options = {"pretrain_discriminator_steps": 0, "pretrain_generator_steps": 2, "max_skipped_steps": 3}
    trainer = toy_trainer(tmp_path, objective, max_steps=10, save_steps=2, **options)
    message = (
        rf"Training stopped at step 5, generator/generator_loss: 3 steps in a row were not finite \(loss nan, .*\); "
        rf"the last good checkpoint is {re.escape(str(tmp_path / 'checkpoint-4'))}; lower the learning rate"
    )
    with pytest.raises(FloatingPointError, match=message):
        trainer.train()
    assert checkpoints.checkpoint_problem(tmp_path / "checkpoint-4") is None
    assert all(torch.isfinite(value).all() for value in weights(trainer).values())

    # As the message says: with a lower learning rate the run goes on from there.
    again = toy_trainer(tmp_path, ThreePlayers(), max_steps=10, save_steps=2, learning_rate=1e-3, **options)
    assert again.train(resume_from_checkpoint=True).global_step == 12
    assert set(logged(again, "generator/learning_rate").values()) == {1e-2, 1e-3}
    assert logged(again, "generator/learning_rate")[5] == 1e-3

    fresh = toy_trainer(tmp_path / "fresh", ThreePlayers(nan_iterations=(0,)), max_skipped_steps=1, save_strategy="no")
    with pytest.raises(
        FloatingPointError, match="1 steps in a row were not finite .*; no checkpoint was written yet;"
    ):
        fresh.train()


# ---- Learning rates -------------------------------------------------------------------------------------------------


def test_each_player_and_phase_has_its_own_schedule(tmp_path):
    trainer = toy_trainer(
        tmp_path,
        SeqGANObjective(num_rollouts=1, discriminator_steps=2),
        save_strategy="no",
        pretrain_generator_steps=4,
        max_steps=4,
        lr_scheduler_type="linear",
        learning_rate=0.8,
        player_optimizers={
            "discriminator": {"learning_rate": "1e-1", "weight_decay": 0.5, "max_grad_norm": 0.0},
            "generator/pretrain_generator": {"lr_scheduler_type": "constant", "learning_rate": 0.3, "optim": "sgd"},
        },
    )
    trainer.train()
    # Linear to 0: after k of n steps (n - k) / n is left. The generator has 4 adversarial steps, the discriminator 2
    # of its own phase and 8 adversarial ones, two per iteration, of which the mean is logged.
    rates = logged(trainer, "generator/learning_rate")
    assert [rates[i] for i in (1, 4)] == [0.3, 0.3]
    assert [rates[i] for i in (7, 8, 9, 10)] == pytest.approx([0.6, 0.4, 0.2, 0.0])
    rates = logged(trainer, "discriminator/learning_rate")
    assert [rates[i] for i in (5, 6)] == pytest.approx([0.05, 0.0])
    assert [rates[i] for i in (7, 8, 9, 10)] == pytest.approx([0.1 * (8 - k) / 8 for k in (1.5, 3.5, 5.5, 7.5)])
    assert logged(trainer, "learning_rate")[7] == pytest.approx(0.6)

    optimizers = trainer.player_optimizers
    assert type(optimizers["generator", "pretrain_generator"].optimizer) is torch.optim.SGD
    assert isinstance(optimizers["generator", "adversarial"].optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizers["discriminator", "adversarial"].optimizer.param_groups] == [
        0.5,
        0.0,
    ]
    assert optimizers["discriminator", "adversarial"].max_grad_norm == 0.0
    assert optimizers["generator", "adversarial"].max_grad_norm == 5.0


# ---- What is on disk and on screen ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run with reports, saved."""
    output_dir = tmp_path_factory.mktemp("run")
    trainer = toy_trainer(
        output_dir,
        files=True,
        eval_dataset=text_data()[1],
        eval_strategy="steps",
        eval_steps=4,
        text_metrics=length_metric,
        report_to="tensorboard",
    )
    trainer.train()
    trainer.save_model()
    return trainer, output_dir


def test_samples_metrics_and_curves_are_written(finished):
    trainer, output_dir = finished
    steps = [3, 8]
    files = sorted((output_dir / "samples").iterdir())
    assert [path.name for path in files] == [f"step-{step:07d}.txt" for step in steps]
    assert (output_dir / "samples.txt").read_text() == files[-1].read_text()
    texts = files[-1].read_text().split("\n")[:-1]
    assert texts == trainer.last_samples and len(texts) == 20
    content = json.loads((output_dir / "metrics.json").read_text())
    assert content["steps"] == 8
    assert [(e["step"], e["phase"]) for e in content["evaluations"]] == [
        (3, "pretrain_generator"),
        (8, "adversarial"),
    ]
    assert all(e["eval_mean_words"] > 0 for e in content["evaluations"])
    from matplotlib.image import imread

    picture = imread(output_dir / "curves.png")
    assert min(picture.shape[:2]) > 300 and picture[..., :3].std() > 0.01
    assert not list(output_dir.rglob("_partial-*"))


def test_stock_reporters_get_the_players_losses(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer, output_dir = finished
    events = EventAccumulator(str(next(output_dir.rglob("events.out.tfevents*")).parent))
    events.Reload()
    recorded = {event.step: event.value for event in events.Scalars("train/generator/loss")}
    assert recorded == pytest.approx(logged(trainer, "generator/loss"))
    assert {event.step for event in events.Scalars("eval/nll_per_token")} == {3, 8}


def test_saved_models_load_through_the_auto_classes(finished):
    trainer, output_dir = finished
    generator = AutoModelForCausalLM.from_pretrained(output_dir)
    discriminator = AutoModelForSequenceClassification.from_pretrained(output_dir, subfolder="discriminator")
    loaded = {f"generator/{k}": v for k, v in generator.named_parameters()}
    loaded |= {f"discriminator/{k}": v for k, v in discriminator.named_parameters()}
    assert same(loaded, weights(trainer))
    assert type(AutoModel.from_pretrained(output_dir)) is type(trainer.model)

    config = generator.generation_config
    assert (config.do_sample, config.top_k, config.top_p, config.temperature) == (True, 0, 1.0, 1.0)
    assert config.max_new_tokens == trainer.engine.max_length
    tokenizer = AutoTokenizer.from_pretrained(output_dir)
    assert tokenizer.get_vocab() == trainer.processing_class.get_vocab()
    # The discriminator's tokenizer ends a text with EOS instead of beginning it with BOS.
    judge = AutoTokenizer.from_pretrained(output_dir, subfolder="discriminator")
    assert judge("a dog")["input_ids"] == [*tokenizer("a dog")["input_ids"][1:], tokenizer.eos_token_id]


def test_nothing_is_pickled_outside_of_checkpoints(finished):
    _, output_dir = finished
    allowed = {".safetensors", ".json", ".txt", ".png", ".md"}
    files = [path for path in output_dir.rglob("*") if path.is_file()]
    outside = [path for path in files if not any(part.startswith("checkpoint-") for part in path.parts)]
    assert {p.suffix for p in outside if "tfevents" not in p.name} <= allowed
    assert not [path for path in files if path.suffix == ".bin"]
    assert [path.name for path in files if path.suffix == ".pt"] == ["players.pt"] * 8
    assert json.loads((output_dir / "training_args.json").read_text())["pretrain_generator_steps"] == 3


def test_only_our_progress_bar_is_shown(tmp_path, capfd):
    hf_logging.enable_progress_bar()
    trainer = toy_trainer(
        tmp_path,
        files=True,
        disable_tqdm=False,
        eval_dataset=text_data()[1],
        eval_strategy="steps",
        eval_steps=1,
        text_metrics=length_metric,
        load_best_model_at_end=True,
    )
    trainer.train()
    trainer.save_model()
    assert hf_logging.is_progress_bar_enabled()
    shown = capfd.readouterr().err + capfd.readouterr().out
    assert "Writing model shards" not in shown and "Loading weights" not in shown
    for text in ("pretrain_generator 3/3", "pretrain_discriminator 1/2", "adversarial 3/3", "8/8"):
        assert text in shown, text

    hf_logging.disable_progress_bar()
    trainer.save_model()
    assert not hf_logging.is_progress_bar_enabled(), "the user's setting stays"
    hf_logging.enable_progress_bar()


def test_without_a_bar_the_log_is_printed(tmp_path, capsys):
    trainer = toy_trainer(tmp_path, save_strategy="no")
    assert any(isinstance(callback, PrinterCallback) for callback in trainer.callback_handler.callbacks)
    trainer.train()
    assert "'generator/loss': " in capsys.readouterr().out


def test_a_player_that_is_not_updated_stays_as_it_is(tmp_path):
    frozen = toy_players(23, three=True)
    trainer = toy_trainer(
        tmp_path,
        SeqGANObjective(num_rollouts=1),
        trainer_options={"players": {k: frozen[k] for k in list(frozen)[1:]}},
    )
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    assert all(torch.equal(before[n], after[n]) == n.startswith("autoencoder/") for n in before)
    assert (tmp_path / "checkpoint-8" / "autoencoder" / "model.safetensors").is_file()
