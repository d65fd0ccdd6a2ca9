"""The Auto classes, saved models and the errors of configurations."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from hf_textgan.models import (
    MODELS,
    CNNDiscriminator,
    CNNDiscriminatorConfig,
    RecurrentGeneratorConfig,
    RecurrentGeneratorForCausalLM,
)
from tests.helpers import randomize, tiny_discriminator, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(
    cell_type: str, vocab_size: int = 11, seed: int = 3, std: float = 0.8, **options
) -> RecurrentGeneratorForCausalLM:
    return randomize(tiny_lstm(vocab_size, cell_type=cell_type, **options), seed, std).eval()


def discriminator(**options) -> CNNDiscriminator:
    return randomize(tiny_discriminator(9, 6, **options), seed=4, std=0.7).eval()


def models() -> list:
    return [generator("lstm"), generator("gru", num_hidden_layers=2), discriminator()]


def test_importing_registers_the_auto_classes():
    for model_class, auto_classes in MODELS.items():
        config_class = model_class.config_class
        assert type(AutoConfig.for_model(config_class.model_type)) is config_class
        for auto_class in (AutoModel, *auto_classes):
            assert auto_class._model_mapping[config_class] is model_class
    assert AutoModelForCausalLM in MODELS[RecurrentGeneratorForCausalLM]
    assert AutoModelForSequenceClassification in MODELS[CNNDiscriminator]


@pytest.mark.slow  # a fresh interpreter
def test_a_saved_model_loads_after_importing_the_package(tmp_path):
    model = generator("lstm")
    model.save_pretrained(tmp_path)
    code = (
        "import sys, hf_textgan\nfrom transformers import AutoModelForCausalLM\n"
        "print(type(AutoModelForCausalLM.from_pretrained(sys.argv[1])).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.strip() == "RecurrentGeneratorForCausalLM", done.stderr


@pytest.mark.parametrize("index", range(3))
def test_save_and_load(index, tmp_path):
    model = models()[index]
    model.save_pretrained(tmp_path)
    auto_classes = [AutoModel, *MODELS[type(model)], type(model)]
    for auto_class in auto_classes:
        loaded, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert type(loaded) is type(model) and not loaded.training
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        for (name, old), (same, new) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
            assert name == same and torch.equal(old, new)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is type(model.config)
    before, after = model.config.to_dict(), config.to_dict()
    for key in ("architectures", "transformers_version", "_name_or_path"):
        before.pop(key, None), after.pop(key, None)
    before["dtype"] = after["dtype"] = None  # unknown until the weights are saved
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in before.items()} == after


def test_discriminator_in_a_subfolder(tmp_path):
    generator("lstm").save_pretrained(tmp_path)
    model = discriminator()
    model.save_pretrained(tmp_path / "discriminator")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, subfolder="discriminator")
    ids = torch.tensor([[3, 4, 2]])
    # Where a file puts an array in memory may change the last bit of a product.
    torch.testing.assert_close(loaded(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-6, rtol=0)
    assert loaded.config.id2label == {0: "fake", 1: "real"} and loaded.config.num_labels == 2
    assert loaded.config.label2id == {"fake": 0, "real": 1}


SIZE_ERRORS = [
    (RecurrentGeneratorConfig, {"vocab_size": 0}, "vocab_size is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"embedding_size": 0}, "embedding_size is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"hidden_size": -1}, "hidden_size is -1; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"num_hidden_layers": 0}, "num_hidden_layers is 0; set it to 1 or more"),
    (RecurrentGeneratorConfig, {"dropout": 1.0}, "dropout is 1.0; set it to at least 0 and less than 1"),
    (CNNDiscriminatorConfig, {"vocab_size": 0}, "vocab_size is 0; set it to 1 or more"),
    (CNNDiscriminatorConfig, {"sequence_length": 0}, "sequence_length is 0; set it to 1 or more"),
    (CNNDiscriminatorConfig, {"dropout": -0.1}, "dropout is -0.1; set it to at least 0 and less than 1"),
    (CNNDiscriminatorConfig, {"window_sizes": [], "num_filters": []}, "give at least one window, and only values"),
    (CNNDiscriminatorConfig, {"window_sizes": [1, 0], "num_filters": [2, 2]}, r"window_sizes is \[1, 0\]"),
    (CNNDiscriminatorConfig, {"window_sizes": [1], "num_filters": [0]}, r"num_filters \[0\]; give at least one"),
    (CNNDiscriminatorConfig, {"window_sizes": [1, 2], "num_filters": [3]}, "2 entries and num_filters 1; give one"),
]


@pytest.mark.parametrize(("config_class", "options", "message"), SIZE_ERRORS)
def test_configuration_sizes(config_class, options, message):
    with pytest.raises(Exception, match=message):
        config_class(**options)


TYPE_ERRORS = [
    (RecurrentGeneratorConfig, {"cell_type": "rnn"}, "cell_type.*expected one of.*lstm"),
    (RecurrentGeneratorConfig, {"hidden_size": "32"}, "hidden_size.*expected int"),
    (RecurrentGeneratorConfig, {"dropout": "none"}, "dropout.*expected float"),
    (CNNDiscriminatorConfig, {"window_sizes": 3}, "window_sizes"),
    (CNNDiscriminatorConfig, {"num_filters": ["a"]}, "num_filters"),
    (CNNDiscriminatorConfig, {"sequence_length": 2.5}, "sequence_length.*expected int"),
]


@pytest.mark.parametrize(("config_class", "options", "message"), TYPE_ERRORS)
def test_configuration_types(config_class, options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        config_class(**options)
