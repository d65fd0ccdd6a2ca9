"""The checks of a generator before it is used."""

import math
import random

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_textgan import ConvGenerator, ConvGeneratorConfig
from hf_textgan.runs.folder import load_run
from hf_textgan.sampling.checks import check_causal, check_finite, check_generator
from tests.helpers import tiny_gpt2, tiny_lstm, tiny_stateless


pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def bert(**options) -> PreTrainedModel:
    torch.manual_seed(0)
    return BertLMHeadModel(BertConfig(**SIZES, **IDS, **options))


CAUSAL = {
    "gpt2": lambda: tiny_gpt2(9),
    "short gpt2": lambda: tiny_gpt2(9, n_positions=2),
    "one position": lambda: tiny_gpt2(9, n_positions=1),
    "few tokens": lambda: tiny_gpt2(3),
    "lstm": lambda: tiny_lstm(9),
    "stateless": lambda: tiny_stateless(9),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **IDS)),
    "llama in bfloat16": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **IDS)).bfloat16(),
    "mamba": lambda: MambaForCausalLM(MambaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, state_size=4)),
    "decoder": lambda: bert(is_decoder=True),
    "encoder and decoder": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    ),
    "one shot": lambda: ConvGenerator(ConvGeneratorConfig(vocab_size=9, sequence_length=4, hidden_size=4)),
}


@pytest.mark.parametrize("name", CAUSAL)
def test_generators_pass(name):
    check_generator(CAUSAL[name]())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_reads_later_tokens_is_refused(dtype):
    message = (
        "^The generator is a BertLMHeadModel whose scores of a token depend on the tokens after it, so it cannot "
        "write one token after the other; use a causal language model, or set is_decoder=True"
    )
    with pytest.raises(ValueError, match=message):
        check_causal(bert().to(dtype))


def test_the_check_leaves_no_trace():
    model = bert(is_decoder=True)  # has dropout
    model.train()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    parameters = {name: parameter.clone() for name, parameter in model.named_parameters()}
    check_generator(model)
    assert model.training and random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1] and torch.equal(torch.get_rng_state(), states[2])
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, parameters[name]) and parameter.grad is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_parameter_that_is_not_finite_is_named(value):
    model = tiny_lstm(9)
    check_finite("generator", model)
    with torch.no_grad():
        model.rnn.bias_ih_l0[3] = value
    with pytest.raises(ValueError, match="^The parameter rnn.bias_ih_l0 of the critic is not finite; load weights fr"):
        check_finite("critic", model)


def test_a_folder_of_such_weights_is_refused(tmp_path):
    model = tiny_lstm(9, eos=False)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="^The parameter lm_head.weight of the generator is not finite"):
        load_run(str(tmp_path), max_length=3)


def test_a_folder_of_an_encoder_is_refused(tmp_path):
    model = bert(is_decoder=False)
    model.config.eos_token_id = None  # writes ids, so that no tokenizer is loaded
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="^The generator is a BertLMHeadModel whose scores of a token depend on"):
        load_run(str(tmp_path), max_length=3)
