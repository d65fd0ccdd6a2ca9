"""Stop strings with a tokenizer of words, which cannot write any text as tokens."""

import pytest
import torch

from hf_textgan.data.tokenizers import word_tokenizer
from tests.helpers import tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tokenizer():
    return word_tokenizer(["a b c d"])


@pytest.fixture
def model(tokenizer):
    """A generator that writes `a b c d a b c d ...` whatever it has read: the next token follows from the last."""
    model = tiny_lstm(len(tokenizer), embedding_size=8, hidden_size=8).eval()
    ids = tokenizer.convert_tokens_to_ids(["a", "b", "c", "d"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embed_tokens.weight.copy_(torch.eye(8) * 5)  # one unit for each token
        # Gates in the order input, forget, cell, output: the state is the last token alone.
        model.rnn.weight_ih_l0[16:24].copy_(torch.eye(8))
        model.rnn.bias_ih_l0[:8], model.rnn.bias_ih_l0[8:16], model.rnn.bias_ih_l0[24:] = 9.0, -9.0, 9.0
        for last, following in zip(ids, ids[1:] + ids[:1], strict=True):
            model.lm_head.weight[following, last] = 9.0
    return model


def written(model, words, prompts: list[str], **options) -> list[str]:
    inputs = words(prompts, return_tensors="pt", padding=True)
    ids = model.generate(**inputs, max_new_tokens=6, do_sample=False, **options)
    return words.batch_decode(ids, skip_special_tokens=True)


def test_a_text_ends_where_the_string_is_complete(model, tokenizer):
    assert written(model, tokenizer, ["a b"]) == ["a b c d a b c d"]
    stop = {"tokenizer": tokenizer}
    assert written(model, tokenizer, ["a b"], stop_strings="d", **stop) == ["a b c d"]
    assert written(model, tokenizer, ["a b"], stop_strings=["x", "d a"], **stop) == ["a b c d a"], "over two tokens"
    assert written(model, tokenizer, ["a b"], stop_strings="b", **stop) == ["a b c d a b"], "not in the prompt"
    # Each row ends on its own.
    assert written(model, tokenizer, ["a", "a b c"], stop_strings="d", **stop) == ["a b c d", "a b c d"]
    assert written(model, tokenizer, ["a b"], stop_strings="d", num_beams=2, **stop)[0].startswith("a b c d")


def test_stop_strings_need_a_tokenizer(model, tokenizer):
    with pytest.raises(ValueError, match=r"stop_strings is \['d'\], but no tokenizer is given; add tokenizer=.$"):
        written(model, tokenizer, ["a b"], stop_strings=["d"])
