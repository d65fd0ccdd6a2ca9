"""Arguments, data and models that a run refuses before its first step."""

import json
import logging
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, BertLMHeadModel

from hf_textgan import AdversarialConfig, AdversarialTrainer, RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM
from hf_textgan.data.encoding import encode_lines
from hf_textgan.data.errors import DataError
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.trainer.validation import check_accelerator, check_data
from tests.helpers import tiny_discriminator, tiny_gpt2, tiny_lstm
from tests.toys import LINES, ThreePlayers, arguments, text_data, toy_trainer


BERT = {"vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def broken(model):
    """A model of which one parameter is NaN."""
    with torch.no_grad():
        model.embed_tokens.weight[0, 0] = math.nan
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_train_epochs": 5.0},
            "num_train_epochs is 5.0, but adversarial training counts iterations; set max_steps",
        ),
        (
            {"eval_strategy": "epoch"},
            'eval_strategy is "epoch", but a run has no epochs and keeps its best models by itself',
        ),
        ({"save_strategy": "epoch"}, 'save_strategy is "epoch", but a run has no epochs'),
        ({"logging_strategy": "epoch"}, 'logging_strategy is "epoch", but a run has no epochs'),
        ({"fp16": True}, "fp16 is True, but its loss scaling is shared by all optimizers .* use bf16"),
        (
            {"auto_find_batch_size": True},
            "auto_find_batch_size is True, but a run cannot start again with other batches",
        ),
        ({"ignore_data_skip": True}, "ignore_data_skip is True, but a resumed run reads the data of its iter"),
        (
            {"push_to_hub": True, "hub_strategy": "checkpoint"},
            "hub_strategy is 'checkpoint', but a push never has",
        ),
        ({"temperature": 0.0}, "temperature is 0.0; set it above 0"),
        ({"rollout_chunk_size": 0}, "rollout_chunk_size is 0; set it to 1 or more"),
        ({"eval_num_samples": 0}, "eval_num_samples is 0; set it to 1 or more"),
        ({"max_skipped_steps": 0}, "max_skipped_steps is 0; set it to 1 or more"),
        (
            {"player_optimizers": {"discriminator": {"lr": 0.1}}},
            r"player_optimizers\['discriminator'\] has the unknown argument 'lr'; use one of learning_rate, ",
        ),
    ],
)
def test_arguments_that_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        arguments(tmp_path, **changes)


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (
            {},
            {"max_steps": 0, "pretrain_generator_steps": 0, "pretrain_discriminator_steps": 0},
            "No phase has any iterations",
        ),
        ({}, {"max_steps": -1}, "max_steps is -1; set it to 0 or more"),
        (
            {"objective": MLEObjective()},
            {"max_steps": 3, "pretrain_discriminator_steps": 0},
            "max_steps is 3, but MLEObjective has no adversarial phase; set it to 0",
        ),
        (
            {"players": {}},
            {},
            "SeqGANObjective updates the player 'discriminator', but this run has generator",
        ),
        ({"players": {"generator": tiny_lstm()}}, {}, "leave it out of players"),
        (
            {"players": {"discriminator": tiny_discriminator(100, 4)}},
            {},
            "The discriminator reads 4 tokens and max_length is 6; build it with sequence_length=6",
        ),
        (
            {"model": tiny_gpt2(23, n_positions=5)},
            {},
            "The generator reads 5 tokens and max_length is 6; build it with max_position_embeddings=6, or lower",
        ),
        (
            {"model": tiny_lstm(7)},
            {},
            r"The generator has vocab_size 7 and the tokenizer 23 tokens; build the generator with vocab_size=23",
        ),
        (
            {},
            {"player_optimizers": {"critic": {}}},
            "player_optimizers names 'critic'; this run has generator, discriminator",
        ),
        (
            {},
            {"max_length": 3},
            "max_length is 3, but the longest training text has 6 tokens with EOS; leave the longer",
        ),
        (
            {"model": tiny_gpt2(23, n_positions=6), "eval_dataset": [{"input_ids": [1, *[5] * 7]}]},
            {},
            "A held-out text has 8 tokens with BOS and EOS, and the generator reads 6; cut .* more than 7.",
        ),
        ({}, {"optim": "lomo"}, "optim is 'lomo', which cannot be used here .*lomo_optim"),
        ({}, {"gradient_accumulation_steps": 10**12}, r"An iteration of \d steps of 4000000000000 texts each"),
        (
            {"objective": SeqGANObjective(num_rollouts=2, discriminator_steps=10**12)},
            {},
            r"An iteration of 1\d+ steps of 4 texts each \(.*\) would take about .* GiB",
        ),
        ({}, {"max_length": 10**11}, r"eval_num_samples=\d+ with max_length=100000000000 would take about"),
        (
            {"model": broken(tiny_lstm(23))},
            {},
            "The parameter embed_tokens.weight of the generator is not finite; load weights from before the training",
        ),
        (
            {"players": {"discriminator": broken(tiny_discriminator(100, 6))}},
            {},
            "The parameter embed_tokens.weight of the discriminator is not finite; load weights from before",
        ),
        (
            {"model": BertLMHeadModel(BertConfig(**BERT))},
            {},
            "The generator is a BertLMHeadModel whose scores of a token depend on the tokens after it",
        ),
        ({"eval_dataset": []}, {}, "eval_dataset has 0 rows; give held-out text, or leave eval_dataset out"),
    ],
)
def test_runs_that_are_refused(tmp_path, options, changes, message):
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path, trainer_options=options, **changes)


def test_fewer_lines_than_a_batch_are_refused(tmp_path):
    with pytest.raises(DataError, match="The 17 training lines do not fill one batch of batch_size=18"):
        toy_trainer(tmp_path, per_device_train_batch_size=len(LINES) + 1)


def test_a_phase_of_an_optimizer_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="player_optimizers names 'generator/pretrain'; .* generator/pretrain_generator"
    ):
        toy_trainer(tmp_path, player_optimizers={"generator/pretrain": {"learning_rate": 1.0}})


def test_accumulation_of_a_coupled_batch_is_refused(tmp_path):
    class Coupled(ThreePlayers):
        couples_batch = True

    with pytest.raises(
        ValueError, match="gradient_accumulation_steps is 2, but Coupled compares the examples of a batc"
    ):
        toy_trainer(tmp_path, Coupled(), gradient_accumulation_steps=2)


@pytest.mark.parametrize("several", [False, True])
def test_several_processes_of_a_coupled_batch_are_refused(tmp_path, monkeypatch, several):
    class Coupled(MLEObjective):
        couples_batch = True
        several_processes = several

    monkeypatch.setattr(AdversarialConfig, "world_size", 2)
    message = "This run has 2 processes, but Coupled compares the examples of a batch with each other; start 1 process"
    data = [{"input_ids": [0, 3, 1]}] * 8
    args = arguments(tmp_path)
    engine = RolloutEngine(4, 0, 2, 1)
    with nullcontext() if several else pytest.raises(ValueError, match=message):
        check_data(args, Coupled(), [], data, None, engine)


def test_a_metric_that_is_not_measured_is_refused(tmp_path):
    options = {"eval_strategy": "steps", "metric_for_best_model": "bleu", "save_strategy": "no"}
    with pytest.raises(
        ValueError,
        match="metric_for_best_model is 'bleu', but the evaluations of this run have loss, nll_per_sequence, nll_p",
    ):
        toy_trainer(tmp_path, eval_dataset=text_data()[1], **options)
    with pytest.raises(ValueError, match="is 'bleu', but .* this run have characters, nll_div; choose"):
        toy_trainer(tmp_path, text_metrics=lambda texts: {"characters": len("".join(texts))}, **options)


def test_samples_are_measured_without_held_out_text(tmp_path):
    trainer = toy_trainer(
        tmp_path,
        files=True,
        text_metrics=lambda texts: {"texts": len(texts)},
        eval_strategy="steps",
        eval_steps=4,
        eval_num_samples=7,
    )
    trainer.train()
    evaluations = json.loads((trainer_dir(trainer) / "metrics.json").read_text())["evaluations"]
    assert len(evaluations) >= 2 and all(entry["eval_texts"] == 7 for entry in evaluations)
    measured = {key for entry in evaluations for key in entry if "nll" in key}
    assert measured == {"eval_nll_div"}  # of the samples themselves
    assert not (trainer_dir(trainer) / "best").exists()


def trainer_dir(trainer):
    return Path(trainer.args.output_dir)


def test_a_tokenizer_without_an_end_is_refused(tmp_path):
    tokenizer, _ = text_data()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="The tokenizer has no EOS token, so no text would end"):
        toy_trainer(tmp_path, trainer_options={"processing_class": tokenizer})


@pytest.mark.parametrize(
    ("rows", "config", "options", "message"),
    [
        ([[1, 0, 2], [1, 0, 2, 0]], {}, {}, "The training sequences have 2 to 3 tokens, but without an EOS token all"),
        (
            [[1, 0, 2]] * 2,
            {},
            {"max_length": 5},
            "max_length is 5, but the training sequences have 2 tokens and no EOS",
        ),
        ([[1, 0, 2]] * 2, {"bos_token_id": None}, {}, "The generator has no bos_token_id, so nothing begins a seq"),
    ],
)
def test_sequences_without_an_end_have_one_length(tmp_path, rows, config, options, message):
    config = {"vocab_size": 3, "hidden_size": 4, "embedding_size": 4, "eos_token_id": None, **config}
    steps = {"max_steps": 0, "pretrain_discriminator_steps": 0}
    with pytest.raises(ValueError, match=message):
        AdversarialTrainer(
            model=RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(**config)),
            args=arguments(tmp_path, per_device_train_batch_size=2, **steps, **options),
            objective=MLEObjective(),
            train_dataset=[{"input_ids": ids} for ids in rows],
        )


@pytest.mark.parametrize("max_length", [None, 5])
def test_rows_without_ends_are_refused(tmp_path, max_length):
    lines = ["a dog .", "a cat sits ."] * 4
    tokenizer = word_tokenizer(lines)
    rows = Dataset.from_dict({"text": lines}).map(lambda row: tokenizer(row["text"]))  # BOS and tokens

    def build(train_dataset):
        args = arguments(tmp_path, max_steps=0, pretrain_discriminator_steps=0, max_length=max_length)
        return AdversarialTrainer(tiny_lstm(len(tokenizer)), args, MLEObjective(), train_dataset, None, tokenizer)

    message = (
        r"^None of 8 training rows end with the end-of-sequence token \(id 2\), so the generator would not learn to "
        r"end a text; make the rows with encode_lines\(texts, tokenizer\), or set max_length"
    )
    with pytest.raises(ValueError, match=message):
        build(rows)
    build(encode_lines(lines, tokenizer))


def test_windows_of_text_need_no_ends(tmp_path):
    lines = ["a dog sits .", "a cat sits ."] * 4
    tokenizer = word_tokenizer(lines)
    rows = encode_lines(lines, tokenizer, max_length=3, truncate=True).dataset
    assert not any(2 in row for row in rows["input_ids"])
    args = arguments(tmp_path, max_steps=0, pretrain_discriminator_steps=0, max_length=3)
    AdversarialTrainer(tiny_lstm(len(tokenizer)), args, MLEObjective(), rows, None, tokenizer)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "ACCELERATE_MIXED_PRECISION",
            "fp16",
            "mixed_precision is 'fp16' in the launch of accelerate, but its loss scaling is shared by .*; use bf16",
        ),
        (
            "ACCELERATE_DYNAMO_BACKEND",
            "INDUCTOR",
            "dynamo_backend is 'inductor' in the launch of accelerate, but sampling calls the models with a new",
        ),
    ],
)
def test_what_the_launcher_asks_for_is_refused_as_the_argument_is(tmp_path, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path)


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_a_launch_with_sharded_models_is_refused(kind):
    # They need an accelerator, so this is the state that they would leave.
    state = SimpleNamespace(fsdp_plugin=None, dynamo_plugin=None)
    accelerator = SimpleNamespace(state=state, mixed_precision="no", distributed_type=kind, num_processes=2)
    message = f"The launch of accelerate asks for {kind}, but training with several players supports data parallelism"
    with pytest.raises(ValueError, match=message):
        check_accelerator(cast(Any, accelerator))


def test_a_launch_that_starts_one_process_for_several_is_a_warning(tmp_path, monkeypatch, caplog):
    logger = logging.getLogger("hf_textgan.trainer.validation")
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    toy_trainer(tmp_path / "one")
    assert "several processes" not in caplog.text
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    toy_trainer(tmp_path / "two")
    assert "asks for several processes, but this is the only one; on CPU start them with ACCELERATE_USE_CPU" in (
        caplog.text
    )
