"""Runs with a T5 or BART in the generator's seat and a classifier of transformers in the discriminator's."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    pipeline,
)

from hf_textgan import build_run
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.runs.folder import load_run
from tests.helpers import randomize, tiny_bart, tiny_gpt2, tiny_t5
from tests.objectives.test_judging import bert_tokenizer, tiny_bert


pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = [("one dog", "a dog runs"), ("two cats", "the cats sit here"), ("a bird", "it sings"), ("rain", "we see rain")]
GENERATORS = {"t5": tiny_t5, "bart": tiny_bart}


@pytest.fixture
def files(tmp_path) -> Path:
    """A file of pairs, and the folders `t5`, `bart`, `gpt2` and `bert`, of which the last has another tokenizer."""
    rows = [{"source": source, "target": target} for source, target in PAIRS * 8]
    for name in ("train", "eval"):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    texts = [text for pair in PAIRS for text in pair]
    tokenizer = word_tokenizer(texts)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    torch.manual_seed(0)
    for name, build in {**GENERATORS, "gpt2": tiny_gpt2}.items():
        randomize(build(len(tokenizer), **special), std=0.3).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    own = bert_tokenizer(texts)
    tiny_bert(len(own), max_position_embeddings=64).save_pretrained(tmp_path / "bert")
    own.save_pretrained(tmp_path / "bert")
    return tmp_path


def options(files: Path, system: str, generator: str = "t5", **changes):
    steps = {"pretrain_generator_steps": 2}
    if system != "rnnlm":
        steps |= {"pretrain_discriminator_steps": 1, "max_steps": 2, "discriminator_steps": 1, "num_rollouts": 1}
    return {
        "train_file": str(files / "train.jsonl"),
        "eval_file": str(files / "eval.jsonl"),
        "source_column": "source",
        "target_column": "target",
        "generator_name_or_path": str(files / generator),
        "per_device_train_batch_size": 4,
        "eval_num_samples": 8,
        "eval_steps": 1,
        "load_best_model_at_end": False,
        "save_steps": 1,
        "save_total_limit": 10,
        "use_cpu": True,
        "disable_tqdm": True,
        **steps,
        **changes,
    }


def build(files: Path, system: str, name: str = "run", generator: str = "t5", **changes):
    return build_run(system, output_dir=files / name, **options(files, system, generator, **changes))


def trained(files: Path, system: str, name: str = "run", generator: str = "t5", **changes):
    trainer = build(files, system, name, generator, **changes)
    trainer.train()
    trainer.save_model()
    return trainer


@pytest.mark.parametrize("generator", GENERATORS)
def test_likelihood_training_of_an_encoder_decoder(files, generator):
    trainer = trained(files, "rnnlm", generator=generator)
    logged = [entry for entry in trainer.state.log_history if "eval_nll_per_token" in entry][-1]
    model = AutoModelForSeq2SeqLM.from_pretrained(files / "run")
    assert type(model) is type(GENERATORS[generator]())
    before, after = (load_file(files / name / "model.safetensors") for name in (generator, "run"))
    changed = [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert any("encoder" in name for name in changed) and any("decoder" in name for name in changed)

    run = load_run(str(files / "run"))
    assert type(run.model) is type(model) and run.engine.max_length == trainer.engine.max_length
    # The likelihood of the held-out text by the library of the model: labels, which it shifts itself.
    tokenizer, nll, number = run.tokenizer, 0.0, 0
    for source, target in PAIRS:
        ids, labels = (
            torch.tensor([[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]])
            for text in (source, target)
        )
        nll += float(model(input_ids=ids, labels=labels).loss) * labels.shape[1]
        number += labels.shape[1]
    assert logged["eval_nll_per_token"] == pytest.approx(nll / number, abs=1e-4)
    config = model.generation_config
    assert (config.do_sample, config.top_k, config.num_beams, config.forced_eos_token_id) == (True, 0, None, None)
    assert config.decoder_start_token_id == trainer.model.config.decoder_start_token_id
    assert model.generate(ids).shape[1] <= 1 + trainer.engine.max_length


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("system", ("seqgan", "maligan"))
def test_adversarial_training_of_an_encoder_decoder(files, system, generator):
    trainer = trained(files, system, generator=generator)
    discriminator = trainer.other_players["discriminator"]
    assert discriminator.config.sequence_length == trainer.engine.max_length + 3  # two words of a source, and its end
    assert type(load_run(str(files / "run")).model) is type(GENERATORS[generator]())
    logged = [entry for entry in trainer.state.log_history if "generator/entropy_estimate" in entry]
    assert len(logged) >= 1 and all(entry["generator/loss"] == entry["generator/loss"] for entry in logged)


@pytest.mark.slow
def test_a_classifier_in_the_discriminators_seat(files):
    trainer = trained(files, "seqgan", generator="gpt2", discriminator_name_or_path=str(files / "bert"))
    discriminator = trainer.other_players["discriminator"]
    assert isinstance(discriminator, BertForSequenceClassification) and discriminator.retokenizer is not None
    loaded = AutoModelForSequenceClassification.from_pretrained(files / "run", subfolder="discriminator")
    assert type(loaded) is BertForSequenceClassification and loaded.config.id2label == {0: "fake", 1: "real"}
    before, after = (load_file(files / name / "model.safetensors") for name in ("bert", "run/discriminator"))
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
    assert not torch.equal(
        before["bert.embeddings.word_embeddings.weight"], after["bert.embeddings.word_embeddings.weight"]
    )
    tokenizer = AutoTokenizer.from_pretrained(files / "run" / "discriminator")
    assert tokenizer("a dog")["input_ids"] == AutoTokenizer.from_pretrained(files / "bert")("a dog")["input_ids"]
    [label] = pipeline("text-classification", model=str(files / "run" / "discriminator"))("a dog runs")
    assert label["label"] in ("fake", "real")


@pytest.mark.slow
def test_a_resumed_run_of_two_pretrained_players_is_exact(files):
    """Its last checkpoints are those of the uninterrupted run, resumed in each phase."""
    choice = {"discriminator_name_or_path": str(files / "bert")}
    straight = trained(files, "seqgan", **choice)
    expected = {
        player: {name: value.clone() for name, value in model.state_dict().items()}
        for player, model in {"generator": straight.model, **straight.other_players}.items()
    }
    for step in (1, 3, 4):
        resumed = build(files, "seqgan", **choice, resume=True)
        resumed.train(resume_from_checkpoint=str(files / "run" / f"checkpoint-{step}"))
        for player, model in {"generator": resumed.model, **resumed.other_players}.items():
            for name, value in model.state_dict().items():
                assert torch.equal(value, expected[player][name]), (step, player, name)


def test_a_discriminator_may_answer_with_one_score(files):
    pair = {"generator": "gpt2", "discriminator_name_or_path": str(files / "bert")}
    trainer = build(files, "seqgan", **pair, **{"discriminator.num_labels": 1}, preset="laptop")
    assert trainer.other_players["discriminator"].classifier.out_features == 1
    trainer = build(files, "seqgan", "cnn", generator="gpt2", **{"discriminator.num_labels": 1})
    assert trainer.other_players["discriminator"].classifier.out_features == 1


def test_a_classifier_of_other_labels_is_refused_unless_its_output_layer_is_replaced(files):
    own = AutoTokenizer.from_pretrained(files / "bert")
    tiny_bert(len(own), num_labels=5).save_pretrained(files / "five")
    own.save_pretrained(files / "five")
    pair = {"generator": "gpt2", "discriminator_name_or_path": str(files / "five")}
    with pytest.raises(
        ValueError, match="is a BertForSequenceClassification of 5 labels, but it tells real from fake"
    ):
        build(files, "seqgan", **pair)
    trainer = build(files, "seqgan", "two", **pair, **{"discriminator.num_labels": 2})
    model = trainer.other_players["discriminator"]
    assert model.config.num_labels == model.classifier.out_features == 2
    kept = load_file(files / "five" / "model.safetensors")["bert.pooler.dense.weight"]
    assert torch.equal(model.bert.pooler.dense.weight, kept)


@pytest.mark.parametrize(
    ("system", "changes", "message"),
    [
        ("seqgan", {"discriminator": "cnn"}, "discriminator is 'cnn', but the discriminator comes from .*bert; leave"),
        ("seqgan", {"discriminator.dropout": 0.1}, "discriminator.dropout is set, but the discriminator comes from"),
        ("seqgan", {"reward": "bleu"}, "discriminator_name_or_path is .*bert', but the objective trains no discr"),
        ("seqgan", {"discriminator_name_or_path": "nowhere"}, "There is no folder nowhere; --discriminator_name_or_p"),
        ("seqgan", {"discriminator_name_or_path": "{files}"}, "The discriminator .* cannot be loaded .ValueError"),
        ("rnnlm", {}, "rnnlm has no discriminator of sequences to replace; leave discriminator_name_or_path out"),
    ],
)
def test_options_that_contradict_a_pretrained_discriminator(files, system, changes, message):
    changes = {"discriminator_name_or_path": str(files / "bert"), **changes}
    changes["discriminator_name_or_path"] = changes["discriminator_name_or_path"].replace("{files}", str(files))
    with pytest.raises(ValueError, match=message):
        build(files, system, generator="gpt2", **changes)


def test_data_without_sources_are_refused(files):
    (files / "plain.txt").write_text("".join(f"{target}\n" for _, target in PAIRS * 8))
    columns = dict.fromkeys(("source_column", "target_column", "eval_file"))
    plain = {"train_file": str(files / "plain.txt"), **columns}
    message = "A T5ForConditionalGeneration writes a text given its source, but the training data have no cond"
    with pytest.raises(ValueError, match=message):
        build(files, "rnnlm", **plain)


def test_sources_that_are_too_long_are_refused(files):
    tiny_bart(40, max_position_embeddings=5).save_pretrained(files / "short")
    AutoTokenizer.from_pretrained(files / "bart").save_pretrained(files / "short")
    rows = [{"source": "one dog " * 4, "target": "a dog"}] * 8
    (files / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(ValueError, match="The generator reads 5 tokens and a training source has up to 9; leave"):
        build(files, "rnnlm", generator="short", eval_file=None)
