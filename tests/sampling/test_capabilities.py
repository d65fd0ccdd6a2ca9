"""The capabilities that generators declare, written out."""

import pytest
from transformers import GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from hf_textgan.models import (
    MODELS,
    ConvGenerator,
    ConvGeneratorConfig,
    LatentGenerator,
    LatentGeneratorConfig,
    MixtureGeneratorForCausalLM,
    RecurrentGeneratorForCausalLM,
    RelationalMemoryGeneratorForCausalLM,
    StateNoiseGeneratorForCausalLM,
    VariationalGeneratorForCausalLM,
)
from hf_textgan.sampling import Capabilities, capabilities_of
from tests.helpers import tiny_gpt2, tiny_lstm


AUTOREGRESSIVE = Capabilities(likelihood="exact", prompts=True, sampling="autoregressive", temperature=True)
ENCODER_DECODER = Capabilities(sampling="encoder-decoder", row_inputs=("condition_ids", "condition_mask"))
ONE_SHOT = Capabilities(likelihood=None, prompts=False, sampling="one-shot", temperature=True)
ONE_SHOT_ARGMAX = Capabilities(likelihood=None, prompts=False, sampling="one-shot", temperature=False)

CLASSES = {
    RecurrentGeneratorForCausalLM: AUTOREGRESSIVE,
    VariationalGeneratorForCausalLM: Capabilities(likelihood="bound", step_inputs=("noise",)),
    # Of the class; a model reads what its configuration asks for.
    MixtureGeneratorForCausalLM: Capabilities(row_inputs=("class_labels", "latents")),
    RelationalMemoryGeneratorForCausalLM: AUTOREGRESSIVE,
    StateNoiseGeneratorForCausalLM: Capabilities(likelihood="bound", row_inputs=("state_noise",)),
    ConvGenerator: ONE_SHOT,
    LatentGenerator: ONE_SHOT,
}


def test_every_registered_generator_is_tested():
    assert {model_class for model_class in MODELS if hasattr(model_class, "generate")} == set(CLASSES)


@pytest.mark.parametrize("model_class", CLASSES, ids=lambda model_class: model_class.__name__)
def test_capabilities_of_registered_classes(model_class):
    assert capabilities_of(model_class) == CLASSES[model_class]


@pytest.mark.parametrize("readout", ("argmax", "sample"))
def test_capabilities_of_one_shot_generators(readout):
    sizes = {"vocab_size": 5, "sequence_length": 3, "latent_size": 2, "hidden_size": 4, "readout": readout}
    expected = ONE_SHOT if readout == "sample" else ONE_SHOT_ARGMAX
    assert capabilities_of(ConvGenerator(ConvGeneratorConfig(**sizes, num_blocks=1, kernel_size=3))) == expected
    assert capabilities_of(LatentGenerator(LatentGeneratorConfig(**sizes, layer_sizes=[], code_size=2))) == expected


def test_one_shot_generators_do_not_generate_as_transformers_does():
    for model_class, capabilities in CLASSES.items():
        assert model_class.can_generate() == (capabilities.sampling != "one-shot")


def test_capabilities_of_causal_language_models():
    assert capabilities_of(tiny_lstm()) == capabilities_of(tiny_lstm(cell_type="gru")) == AUTOREGRESSIVE
    assert capabilities_of(tiny_gpt2()) == capabilities_of(GPT2LMHeadModel) == AUTOREGRESSIVE


def test_capabilities_of_an_encoder_decoder():
    config = T5Config(vocab_size=9, d_model=4, d_kv=2, d_ff=4, num_layers=1, num_heads=2)
    assert capabilities_of(T5ForConditionalGeneration(config)) == ENCODER_DECODER
    assert capabilities_of(T5ForConditionalGeneration) == ENCODER_DECODER
