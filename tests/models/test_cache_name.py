"""The state of the recurrent generator under the name that transformers gives to caches, which 5.24 renamed."""

import json

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from hf_textgan.models import CACHE_NAME, RecurrentGeneratorForCausalLM

from ..helpers import randomize, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(cell_type: str = "lstm", **options) -> RecurrentGeneratorForCausalLM:
    return randomize(tiny_lstm(11, cell_type=cell_type, **options), seed=1, std=1.5).eval()


@pytest.mark.parametrize("cell_type", ("lstm", "gru"))
def test_generate_continues_from_a_state(cell_type):
    model = generator(cell_type, eos=False)
    prompts = torch.tensor([[1, 4, 5], [1, 7, 3]])
    options = {"do_sample": False, "pad_token_id": 0, "return_dict_in_generate": True}
    whole = model.generate(prompts, max_new_tokens=6, **options).sequences
    first = model.generate(prompts, max_new_tokens=3, **options)
    state = first[CACHE_NAME]
    assert state.get_seq_length() == 5  # the token drawn last is not read yet
    read: list[int] = []
    model.embed_tokens.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].shape[1]))
    continued = model.generate(first.sequences, max_new_tokens=3, **{CACHE_NAME: state}, **options).sequences
    assert continued.tolist() == whole.tolist()
    assert read == [1, 1, 1]


def test_the_state_is_accepted_under_both_names():
    model = generator()
    ids, step = torch.tensor([[1, 4, 5]]), torch.tensor([[6]])
    with torch.no_grad():
        state = model(input_ids=ids, use_cache=True)[CACHE_NAME]
        logits = [model(input_ids=step, **{name: state}).logits for name in ("cache", "past_key_values")]
        assert torch.equal(*logits) and not torch.equal(logits[0], model(input_ids=step).logits)
    with pytest.raises(ValueError, match="two names of the state; give at most one of them"):
        model(input_ids=step, cache=state, past_key_values=state)


def test_the_state_is_no_prediction_of_the_stock_trainer(tmp_path):
    model = generator()
    rows = [{"input_ids": ids, "labels": ids} for ids in ([1, 4, 5], [1, 7, 3])]
    arguments = TrainingArguments(str(tmp_path), use_cache=True, use_cpu=True, report_to="none")
    predictions = Trainer(model, arguments).predict(rows).predictions
    with torch.no_grad():
        output = model(input_ids=torch.tensor([row["input_ids"] for row in rows]))
    assert CACHE_NAME in output, "without a state there is nothing to leave out"
    np.testing.assert_allclose(predictions, output.logits.numpy(), atol=1e-6)


def test_custom_code_of_a_pushed_generator(tmp_path, monkeypatch):
    model = generator()
    monkeypatch.setattr(type(model), "_auto_class", "AutoModelForCausalLM")
    monkeypatch.setattr(type(model.config), "_auto_class", "AutoConfig")
    model.save_pretrained(tmp_path)
    reference = json.loads((tmp_path / "config.json").read_text())["auto_map"]["AutoModelForCausalLM"]
    remote_class = get_class_from_dynamic_module(reference, tmp_path)
    assert remote_class.__module__.startswith("transformers_modules.")
    remote = remote_class.from_pretrained(tmp_path)
    prompts = torch.tensor([[1, 4, 5], [1, 7, 3]])
    for use_cache in (True, False):
        options = {"max_new_tokens": 6, "num_beams": 3, "use_cache": use_cache}
        assert remote.generate(prompts, **options).tolist() == model.generate(prompts, **options).tolist()
