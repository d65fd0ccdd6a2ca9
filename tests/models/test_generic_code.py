"""What code written for any model of transformers asks of these models: pipelines, a plain Trainer, options."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments, pipeline

from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import (
    MODELS,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    ConvCritic,
    ConvCriticConfig,
    LatentCriticConfig,
    RecurrentDiscriminator,
    RecurrentDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
)
from hf_textgan.systems.spec import config_fields
from tests.helpers import tiny_gpt2, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")
TIED = [model for model in MODELS if "tie_word_embeddings" in config_fields(model.config_class)]
IDS = [[5, 6, 2, 0], [5, 7, 8, 2]] * 4


def arguments(folder) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        report_to="none",
        per_device_train_batch_size=4,
        per_device_eval_batch_size=3,
        max_steps=1,
        use_cpu=True,
        disable_tqdm=True,
        use_cache=True,
    )


# ---- Tied embeddings ----------------------------------------------------------------------------------------------


def tied(**options) -> RecurrentGeneratorForCausalLM:
    return tiny_lstm(9, embedding_size=6, hidden_size=6, tie_word_embeddings=True, **options)


def test_tied_embeddings_are_one_parameter_that_is_saved_and_trained(tmp_path):
    model = tied()
    assert model.lm_head.weight is model.embed_tokens.weight
    # One matrix of 9 x 6 fewer than without.
    untied = tiny_lstm(9, embedding_size=6, hidden_size=6)
    assert untied.num_parameters() - model.num_parameters() == 54
    assert untied.lm_head.weight is not untied.embed_tokens.weight
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.config.tie_word_embeddings and loaded.lm_head.weight is loaded.embed_tokens.weight
    ids = torch.tensor([[1, 5, 6]])
    assert torch.equal(loaded.eval()(ids).logits, model.eval()(ids).logits)
    model(ids, labels=ids).loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert model.lm_head.weight is model.embed_tokens.weight
    assert not torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_tied_embeddings_need_one_size():
    message = (
        "tie_word_embeddings is True, but embedding_size is 8 and hidden_size 6; set both to the same size, or "
        "tie_word_embeddings to False."
    )
    with pytest.raises(Exception, match=message):
        RecurrentGeneratorConfig(embedding_size=8, hidden_size=6, tie_word_embeddings=True)


@pytest.mark.parametrize("model_class", TIED)
def test_models_with_tied_embeddings_have_one_matrix_for_both(model_class, tmp_path):
    sizes = {"hidden_size": 6, "num_slots": 1, "num_heads": 1, "head_size": 6}
    known = config_fields(model_class.config_class)
    config = model_class.config_class(
        vocab_size=11,
        embedding_size=6,
        tie_word_embeddings=True,
        **{name: size for name, size in sizes.items() if name in known},
    )
    model = model_class(config)
    model.save_pretrained(tmp_path)
    tables = [
        (module.embed_tokens.weight, module.lm_head.weight)
        for m in (model, model_class.from_pretrained(tmp_path))
        for module in m.modules()
        if isinstance(getattr(module, "lm_head", None), torch.nn.Linear)
    ]
    assert len(tables) >= 2 and all(table is layer for table, layer in tables)


@pytest.mark.parametrize("model_class", [m for m in MODELS if m not in TIED])
def test_models_that_cannot_tie_embeddings_refuse_to(model_class):
    config_class = model_class.config_class
    message = f"tie_word_embeddings is True, but the model {config_class.model_type} does not share its input embeddi"
    with pytest.raises(Exception, match=message):
        config_class(tie_word_embeddings=True)
    assert not getattr(config_class(tie_word_embeddings=False), "tie_word_embeddings", False)


# ---- A plain Trainer ----------------------------------------------------------------------------------------------


def test_a_plain_trainer_trains_evaluates_and_predicts_with_a_generator(tmp_path):
    rows = Dataset.from_dict({"input_ids": IDS, "labels": IDS})
    model = tiny_lstm(9)
    trainer = Trainer(model, arguments(tmp_path), train_dataset=rows, eval_dataset=rows)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] > 0
    model.eval()
    assert trainer.predict(rows).predictions.shape == (8, 4, 9)
    model.config.output_hidden_states = True
    logits, (embeds, hidden) = trainer.predict(rows).predictions
    assert logits.shape == (8, 4, 9)
    assert embeds.shape == (8, 4, model.config.embedding_size) and hidden.shape == (8, 4, model.config.hidden_size)


@pytest.mark.parametrize(
    "model",
    [
        CNNDiscriminator(CNNDiscriminatorConfig(vocab_size=9, sequence_length=4, window_sizes=[1], num_filters=[4])),
        RecurrentDiscriminator(RecurrentDiscriminatorConfig(vocab_size=9, sequence_length=4)),
    ],
    ids=["cnn", "recurrent"],
)
def test_a_plain_trainer_predicts_the_scores_of_a_discriminator(model, tmp_path):
    def accuracy(prediction):
        return {"accuracy": float((np.argmax(prediction.predictions, axis=1) == prediction.label_ids).mean())}

    rows = Dataset.from_dict({"input_ids": IDS, "labels": [0, 1] * 4})
    trainer = Trainer(model, arguments(tmp_path), train_dataset=rows, eval_dataset=rows, compute_metrics=accuracy)
    trainer.train()
    assert 0 <= trainer.evaluate()["eval_accuracy"] <= 1
    assert trainer.predict(rows).predictions.shape == (8, 2)


# ---- Labels and the pipeline for classification -------------------------------------------------------------------


def test_labels_are_those_given_or_fake_and_real_or_a_score(tmp_path):
    for config_class in (CNNDiscriminatorConfig, RecurrentDiscriminatorConfig):
        assert config_class().id2label == config_class(num_labels=2).id2label == {0: "fake", 1: "real"}
        assert config_class().label2id == {"fake": 0, "real": 1} and config_class().problem_type is None
        assert config_class(num_labels=1).id2label == {0: "score"}
        assert config_class(num_labels=3).num_labels == 3
        given = config_class(id2label={0: "old", 1: "new", 2: "other"}, label2id={"old": 0, "new": 1, "other": 2})
        given.save_pretrained(tmp_path)
        loaded = config_class.from_pretrained(tmp_path)
        assert loaded.num_labels == 3 and loaded.id2label == {0: "old", 1: "new", 2: "other"}
    for config in (ConvCriticConfig(), LatentCriticConfig()):
        assert config.id2label == {0: "score"} and config.problem_type == "regression"


@pytest.mark.parametrize(
    ("model_class", "options"),
    [
        (CNNDiscriminator, {"window_sizes": [1, 2], "num_filters": [4, 4]}),
        (RecurrentDiscriminator, {}),
        (RecurrentDiscriminator, {"num_labels": 1}),
        (ConvCritic, {"hidden_size": 4, "num_blocks": 1}),
    ],
)
def test_the_pipeline_classifies_long_texts_cut_before_their_end(model_class, options, tmp_path):
    words = word_tokenizer(["a red dog runs home ."])
    config = model_class.config_class(vocab_size=len(words), sequence_length=8, **options)
    model = model_class(config).eval()
    tokenizer = discriminator_tokenizer(words, max_length=8)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path))
    [result] = classify("a red dog " * 9, truncation=True)
    dog, red, a = (words.convert_tokens_to_ids(word) for word in ("dog", "red", "a"))
    logits = model(torch.tensor([[a, red, dog, a, red, dog, a, 2]])).logits[0]  # 7 words and EOS
    if config.num_labels == 1:
        assert result["label"] == "score" and result["score"] == pytest.approx(logits.item(), abs=1e-6)
    else:
        expected = logits.softmax(0).max().item()
        assert result["label"] in ("fake", "real") and result["score"] == pytest.approx(expected, abs=1e-6)


# ---- Options of generate ------------------------------------------------------------------------------------------


def test_generate_without_attentions_has_none():
    model = tiny_lstm(9).eval()
    output = model.generate(
        torch.tensor([[1, 5]]), max_new_tokens=3, return_dict_in_generate=True, output_attentions=True
    )
    assert all(attention is None for attention in output.attentions)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cache_implementation", "static"), ("prompt_lookup_num_tokens", 2), ("prefill_chunk_size", 2)],
)
def test_generate_refuses_options_of_key_value_caches(name, value):
    model, ids = tiny_lstm(9).eval(), torch.tensor([[1, 5]])
    message = f"{name} is given to `generate`, but a recurrent generator has a state instead .*; leave it out"
    with pytest.raises(ValueError, match=message):
        model.generate(ids, max_new_tokens=3, **{name: value})
    setattr(model.generation_config, name, value)
    with pytest.raises(ValueError, match=message):
        model.generate(ids, max_new_tokens=3)


def test_recurrent_generators_take_no_part_in_assisted_generation():
    model, ids = tiny_lstm(9).eval(), torch.tensor([[1, 5]])
    other = tiny_gpt2(9).eval()
    with pytest.raises(ValueError, match="assistant_model is given to `generate`, but a recurrent generator has a st"):
        model.generate(ids, max_new_tokens=3, assistant_model=other)
    with pytest.raises(ValueError, match="A recurrent state cannot go back to an earlier token.*; use an assistant_m"):
        other.generate(ids, max_new_tokens=3, assistant_model=model)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 2},
        {"num_beams": 2, "num_return_sequences": 2},
        {"do_sample": True, "num_return_sequences": 2},
        {"cache_implementation": "dynamic"},
        {"use_cache": False},
    ],
)
def test_generate_takes_the_other_options(options):
    model = tiny_lstm(9).eval()
    sequences = model.generate(torch.tensor([[1, 5]]), max_new_tokens=3, **options)
    assert len(sequences) == options.get("num_return_sequences", 1)
