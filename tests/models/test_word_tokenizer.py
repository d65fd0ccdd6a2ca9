"""The word tokenizer: a prompt and the text generated after it join with one blank."""

import pytest
import torch
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    TextIteratorStreamer,
    pipeline,
)

from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM, WordTokenizer


LINES = ["a red dog runs home .", "a big dog runs away .", "the old dog sits ."]
GREEDY = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return word_tokenizer(LINES)


@pytest.fixture(params=["recurrent", "gpt2"])
def folder(request, tokenizer, tmp_path) -> str:
    torch.manual_seed(0)
    if request.param == "recurrent":
        model = RecurrentGeneratorForCausalLM(RecurrentGeneratorConfig(vocab_size=len(tokenizer)))
    else:
        sizes = GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=20)
        model = GPT2LMHeadModel(sizes)
        model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, 2
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def test_the_pipeline_separates_the_prompt_from_what_follows(folder):
    generate = pipeline("text-generation", model=folder)
    assert type(generate.tokenizer) is WordTokenizer
    for prompt, count in (("a red", 6), ("the old dog", 7)):
        whole = generate(prompt, **GREEDY)[0]["generated_text"]
        assert whole.startswith(prompt + " ")
        assert len(whole.split(" ")) == count  # single blanks alone, and no word is glued to another
        new = generate(prompt, return_full_text=False, **GREEDY)[0]["generated_text"]
        assert whole == prompt + new
    batch = generate(["a red", "the old dog"], batch_size=2, **GREEDY)
    assert [len(result[0]["generated_text"].split(" ")) for result in batch] == [6, 7]


def test_a_streamer_writes_the_text_of_the_prompt_and_of_what_follows(folder, tokenizer):
    model = pipeline("text-generation", model=folder).model
    inputs = tokenizer("a red", return_tensors="pt")
    expected = tokenizer.decode(model.generate(**inputs, **GREEDY)[0], skip_special_tokens=True)
    streamer = TextIteratorStreamer(tokenizer, skip_special_tokens=True)
    model.generate(**inputs, streamer=streamer, **GREEDY)
    assert "".join(streamer) == expected
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    model.generate(**inputs, streamer=streamer, **GREEDY)
    assert "a red" + "".join(streamer) == expected


def test_ids_with_bos_are_a_text_and_ids_without_continue_one(tokenizer):
    a, dog = tokenizer.convert_tokens_to_ids(["a", "dog"])
    assert tokenizer.decode([1, a, dog], skip_special_tokens=True) == "a dog"
    assert tokenizer.decode([0, 0, 1, a, dog, 2, 0], skip_special_tokens=True) == "a dog"
    assert tokenizer.decode([1, a, dog, 2]) == "<bos> a dog <eos>"
    assert tokenizer.decode([a, dog, 2, 0], skip_special_tokens=True) == " a dog"
    assert tokenizer.decode(dog) == " dog"
    assert tokenizer.batch_decode(torch.tensor([[1, a], [dog, 2]]), skip_special_tokens=True) == ["a", " dog"]
    for nothing in ([], [0], [2], [1, 2, 0]):
        assert tokenizer.decode(nothing, skip_special_tokens=True) == ""


def test_a_tokenizer_saved_as_the_general_class_keeps_its_decoding(tokenizer, tmp_path):
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, **tokenizer.special_tokens_map
    ).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is PreTrainedTokenizerFast
    ids = tokenizer("a dog")["input_ids"]
    assert loaded("a dog")["input_ids"] == ids
    assert loaded.decode(ids[1:]) == "a dog"


def test_a_tokenizer_loads_as_the_general_class_where_this_library_is_not_imported(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert loaded("a dog")["input_ids"] == tokenizer("a dog")["input_ids"]


def test_the_tokenizer_of_a_discriminator_has_whole_texts(tokenizer):
    copy = discriminator_tokenizer(tokenizer)
    assert copy.decode(copy("a dog")["input_ids"], skip_special_tokens=True) == "a dog"
