"""Samples and the scores of the discriminators in experiment trackers."""

import importlib.util

import pytest
import torch

from hf_textgan.data.tokenizers import discriminator_tokenizer
from hf_textgan.evaluation.discriminators import score_name, score_texts
from hf_textgan.objectives.iwgan import IWGANObjective
from hf_textgan.trainer.trackers import TrackerCallback, sample_table
from tests.helpers import randomize, tiny_discriminator, tiny_lstm
from tests.toys import length_metric, text_data, toy_trainer, wasserstein_players


TEXTS = ["a dog runs", "the cat sits here", "a bird"]


def test_a_score_is_that_of_the_sequence_of_the_text():
    tokenizer, _ = text_data()
    model = randomize(tiny_discriminator(len(tokenizer), 8, dropout=0.5)).train()
    own = discriminator_tokenizer(tokenizer, 8)
    scores = score_texts(model, own, TEXTS)
    assert model.training and score_name(model) == "probability of real"
    model.eval()
    for text, score in zip(TEXTS, scores, strict=True):
        ids = [tokenizer.convert_tokens_to_ids(word) for word in text.split()] + [tokenizer.eos_token_id]
        ids += [tokenizer.pad_token_id] * (8 - len(ids))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        assert score == pytest.approx(float(logits[1].exp() / logits.exp().sum()), abs=1e-6)
    assert len(set(scores)) == 3
    long = " ".join(["a"] * 20)
    assert 0 < score_texts(model, own, [long])[0] < 1


def test_a_critic_gives_a_score_and_a_generator_none():
    tokenizer, _ = text_data()
    critic = wasserstein_players(IWGANObjective(), len(tokenizer), 6)["discriminator"]
    scores = score_texts(critic, discriminator_tokenizer(tokenizer, 6), TEXTS)
    assert score_name(critic) == "score" and len(scores) == 3
    ids = [*(tokenizer.convert_tokens_to_ids(word) for word in ("a", "bird")), tokenizer.eos_token_id]
    with torch.no_grad():
        own = critic.eval()(input_ids=torch.tensor([ids + [tokenizer.pad_token_id] * 3])).logits
    assert scores[2] == pytest.approx(float(own), abs=1e-5)
    assert score_name(tiny_lstm()) is None
    with pytest.raises(ValueError, match="RecurrentGeneratorForCausalLM gives no score to a text"):
        score_texts(tiny_lstm(), tokenizer, TEXTS)


def test_the_table_has_a_column_for_each_discriminator():
    tokenizer, _ = text_data()
    players = {"discriminator": randomize(tiny_discriminator(len(tokenizer), 8)), "other": tiny_lstm(len(tokenizer))}
    columns, rows = sample_table(TEXTS, players, tokenizer)
    assert columns == ["text", "discriminator: probability of real"]
    assert [row[0] for row in rows] == TEXTS
    own = discriminator_tokenizer(tokenizer, 8)
    assert [row[1] for row in rows] == score_texts(players["discriminator"], own, TEXTS)
    assert sample_table(TEXTS, players, None) == (["text"], [[text] for text in TEXTS])


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_the_samples_of_each_evaluation(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = tmp_path / "logs"
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(logs))
    options = {
        "eval_dataset": text_data()[1],
        "text_metrics": length_metric,
        "eval_strategy": "steps",
        "eval_steps": 4,
        "save_strategy": "no",
    }
    trainer = toy_trainer(tmp_path / "run", report_to="tensorboard", **options)
    trainer.train()
    events = EventAccumulator(str(logs))
    events.Reload()
    entries = events.Tensors("samples/text_summary")
    evaluated = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert [entry.step for entry in entries] == evaluated and len(evaluated) >= 2
    table = entries[-1].tensor_proto.string_val[0].decode().splitlines()
    assert table[0] == "| text | discriminator: probability of real |"
    assert len(table) == 2 + 20 and trainer.last_samples[0] in table[2]

    without = toy_trainer(tmp_path / "other", callbacks=[], **options)
    without.remove_callback(TrackerCallback)
    without.train()
    own, plain = trainer.model.state_dict(), without.model.state_dict()
    assert all(torch.equal(own[name], plain[name]) for name in plain), "the scores change nothing of the training"


def _rows_of_tracker(tmp_path, name):
    trainer = toy_trainer(
        tmp_path / "run",
        report_to=name,
        eval_dataset=text_data()[1],
        text_metrics=length_metric,
        eval_strategy="steps",
        eval_steps=4,
        save_strategy="no",
        run_name="run",
        project="samples",
    )
    trainer.train()
    return trainer


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")
def test_trackio_gets_the_samples(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    import trackio

    tables = []
    log = trackio.log
    monkeypatch.setattr(trackio, "log", lambda metrics, **options: (tables.append(metrics), log(metrics, **options)))
    trainer = _rows_of_tracker(tmp_path, "trackio")
    found = [entry["samples"] for entry in tables if "samples" in entry]
    assert found and trainer.last_samples[0] in found[-1].data[0]["text"]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_gets_the_samples(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    import wandb

    tables = []
    log = wandb.log
    monkeypatch.setattr(wandb, "log", lambda metrics, **options: (tables.append(metrics), log(metrics, **options)))
    trainer = _rows_of_tracker(tmp_path, "wandb")
    found = [entry["samples"] for entry in tables if "samples" in entry]
    assert found and found[-1].data[0][0] == trainer.last_samples[0]
