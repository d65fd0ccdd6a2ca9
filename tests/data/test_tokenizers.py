"""Word and character tokenizers: ids, round trips, templates, saving, and the discriminator's copy."""

import json
import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, GPT2Config, GPT2Tokenizer, PreTrainedTokenizerFast

from hf_textgan.data.errors import DataError
from hf_textgan.data.loading import load_tokenizer
from hf_textgan.data.tokenizers import character_tokenizer, discriminator_tokenizer, word_tokenizer
from tests.data.files import write


LINES = ["a dog sits .", "a dog runs .", "a cat sits , not the dog ."]
BUILDERS = [word_tokenizer, character_tokenizer]


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>"
    )


def reload(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_word_ids_follow_count_then_text():
    # dog 3, "." 3, a 3, then sits 2, then the words that occur once.
    expected = ["<pad>", "<bos>", "<eos>", "<unk>", ".", "a", "dog", "sits", ",", "cat", "not", "runs", "the"]
    tokenizer = word_tokenizer(LINES)
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == expected
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id) == (0, 1)
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id) == (2, 3)


def test_character_ids_follow_count_then_text():
    tokenizer = character_tokenizer(["ba b", "cb"])  # b 3, then blank, a and c once each
    assert tokenizer.get_vocab() == {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3, "b": 4, " ": 5, "a": 6, "c": 7}


@pytest.mark.parametrize("build", BUILDERS)
def test_ids_do_not_depend_on_the_order_of_the_lines(build):
    words = [f"w{index}" for index in range(50)]
    shuffled = random.Random(0).sample(words, len(words))
    assert build(words).get_vocab() == build(shuffled).get_vocab()


def test_vocab_size_counts_the_special_tokens():
    tokenizer = word_tokenizer(LINES, vocab_size=6)
    assert len(tokenizer) == 6
    assert tokenizer.encode("a dog .", add_special_tokens=False) == [5, 3, 4]
    assert len(word_tokenizer(LINES, vocab_size=1000)) == 13


def test_min_count_drops_rare_words():
    assert set(word_tokenizer(LINES, min_count=2).get_vocab()) == {
        "<pad>",
        "<bos>",
        "<eos>",
        "<unk>",
        *"a dog sits .".split(),
    }
    assert len(character_tokenizer(["aab"], min_count=2)) == 4 + 1


def test_lines_may_be_a_generator():
    assert word_tokenizer(line for line in LINES).get_vocab() == word_tokenizer(LINES).get_vocab()


@pytest.mark.parametrize("text", LINES + ["not a dog , the cat .", ". . ,"])
def test_words_survive_the_round_trip(text):
    tokenizer = word_tokenizer(LINES)
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


def test_words_split_at_white_space_only():
    tokenizer = word_tokenizer(["Don't stop-it !", "tab\there"])
    assert tokenizer.tokenize("  Don't   stop-it ! ") == ["Don't", "stop-it", "!"]
    assert tokenizer.tokenize("tab\there") == ["tab", "here"]
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize("don't stop")) == [3, 3]


@pytest.mark.parametrize(
    "text", ["a  dog .", " outer ", "白日依山尽，黄河入海流。", "tab\tand\nnewline\r\n", "e\u0301 \U0001f436", "  "]
)
def test_characters_restore_the_exact_string(text):
    tokenizer = character_tokenizer([text])
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert len(ids) == len(text)
    assert 3 not in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


@pytest.mark.parametrize("build", BUILDERS)
def test_call_starts_with_bos_and_pads_on_the_left(build):
    tokenizer = build(["a b", "b"])
    batch = tokenizer(["b", "a b"], padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    longest = len(batch["input_ids"][1])
    assert batch["input_ids"][0] == [0] * (longest - 2) + [1, 4]
    assert batch["attention_mask"][0] == [0] * (longest - 2) + [1, 1]
    assert batch["input_ids"][1][0] == 1
    assert tokenizer("b", add_special_tokens=False)["input_ids"] == [4]
    assert tokenizer("")["input_ids"] == [1]


@pytest.mark.parametrize("token", ["<pad>", "<bos>", "<eos>"])
@pytest.mark.parametrize("build", BUILDERS)
def test_a_line_with_a_special_token_is_refused(build, token):
    with pytest.raises(DataError, match=f"^Line 2 contains '{token}', which is reserved .*; remove or replace it"):
        build(["a dog .", f"a {token} ."])
    with pytest.raises(DataError, match="^Line 1 contains"):
        build([f"dog{token}cat"])


def test_special_tokens_in_text_are_not_special_to_words(tmp_path):
    tokenizer = word_tokenizer(LINES)
    for one in (tokenizer, reload(tokenizer, tmp_path)):
        assert one.encode("a <eos> dog", add_special_tokens=False) == [5, 3, 6]
        assert one.encode("<pad> <bos> dog<eos>", add_special_tokens=False) == [3, 3, 3]
        assert one("<eos>")["input_ids"] == [1, 3]


def test_special_tokens_in_text_are_characters_to_characters(tmp_path):
    tokenizer = character_tokenizer(["<soeab>"])
    for one in (tokenizer, reload(tokenizer, tmp_path)):
        assert one.tokenize("a<eos>b") == list("a<eos>b")
        assert one.convert_tokens_to_ids(one.tokenize("<pad>")) == [4, 3, 6, 3, 5]  # p and d are unknown


def test_the_word_unk_stands_for_an_unknown_word():
    tokenizer = word_tokenizer(["a <unk> dog", "<unk> <unk>"])
    assert tokenizer.get_vocab() == {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3, "a": 4, "dog": 5}
    assert tokenizer.encode("a <unk> dog", add_special_tokens=False) == [4, 3, 5]
    assert tokenizer.decode([1, 4, 3, 5]) == "<bos> a <unk> dog"


@pytest.mark.parametrize("build", BUILDERS)
def test_saved_tokenizer_is_the_same(build, tmp_path):
    tokenizer = build(LINES)
    loaded = reload(tokenizer, tmp_path)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.special_tokens_map == tokenizer.special_tokens_map
    assert (loaded.padding_side, loaded.model_input_names) == ("left", ["input_ids", "attention_mask"])
    texts = LINES + ["a zebra sits .", "<eos> a", ""]
    assert dict(loaded(texts, padding=True)) == dict(tokenizer(texts, padding=True))
    for text in LINES:
        assert loaded.decode(loaded.encode(text), skip_special_tokens=True) == text
    again = reload(loaded, tmp_path / "again")
    assert (tmp_path / "again/tokenizer.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()
    assert dict(again(texts)) == dict(tokenizer(texts))


def test_useless_settings_are_refused():
    with pytest.raises(DataError, match="^vocab_size=4 leaves no room beside the 4 special tokens; use at least 5.$"):
        word_tokenizer(LINES, vocab_size=4)
    with pytest.raises(DataError, match="^min_count=0 is not a count; use 1 or more.$"):
        word_tokenizer(LINES, min_count=0)
    with pytest.raises(
        DataError,
        match="^None of the 9 distinct tokens of the lines occurs at least min_count=4 times; use a .* at most 3.$",
    ):
        word_tokenizer(LINES, min_count=4)
    for lines in ([], ["", "  "]):
        with pytest.raises(DataError, match="^The lines hold no text to take a vocabulary from; pass at least 1 line"):
            word_tokenizer(lines)
    with pytest.raises(DataError, match="^The lines are one string .*; pass a list of sentences instead.$"):
        word_tokenizer("a dog sits .")


@pytest.mark.parametrize("build", BUILDERS)
def test_discriminator_tokenizer_ends_with_eos(build, tmp_path):
    tokenizer = build(["a b", "b"])
    copy = discriminator_tokenizer(tokenizer)
    for one in (copy, reload(copy, tmp_path)):
        batch = one(["b", "a b"], padding=True)
        assert set(batch) == {"input_ids", "attention_mask"}
        longest = len(batch["input_ids"][1])
        assert batch["input_ids"][0] == [4, 2] + [0] * (longest - 2)
        assert batch["attention_mask"][0] == [1, 1] + [0] * (longest - 2)
        assert batch["input_ids"][1][-1] == 2
        assert one("b b", truncation=True, max_length=2)["input_ids"] == [4, 2]
        assert one.get_vocab() == tokenizer.get_vocab()
        assert 2 not in one("<eos>", add_special_tokens=False)["input_ids"]
        assert one.decode(one("a b")["input_ids"], skip_special_tokens=True) == "a b"
    assert tokenizer("b")["input_ids"] == [1, 4]
    assert tokenizer.padding_side == "left"


def test_discriminator_tokenizer_of_byte_level_bpe(tmp_path):
    tokenizer = byte_level_tokenizer()
    eos = tokenizer.eos_token_id
    copy = discriminator_tokenizer(tokenizer)
    for one in (copy, reload(copy, tmp_path)):
        for text in LINES + ["unseen wörds 白"]:
            assert one(text)["input_ids"] == tokenizer(text)["input_ids"] + [eos]
            assert one.decode(one(text)["input_ids"], skip_special_tokens=True) == text
        assert set(one("a")) == {"input_ids", "attention_mask"}
        assert one.pad_token is None
        assert one.padding_side == "right"
    assert tokenizer("a dog")["input_ids"][-1] != eos


def test_discriminator_tokenizer_of_a_model_class_keeps_its_template_beside_a_model(tmp_path):
    trained = byte_level_tokenizer()
    trained.backend_tokenizer.model.save(str(tmp_path))
    tokenizer = GPT2Tokenizer(vocab=str(tmp_path / "vocab.json"), merges=str(tmp_path / "merges.txt"))
    tokenizer.pad_token = tokenizer.eos_token
    expected = tokenizer("a dog")["input_ids"] + [tokenizer.eos_token_id]
    copy = discriminator_tokenizer(tokenizer)
    GPT2Config().save_pretrained(tmp_path / "model")  # its model type would pick the class GPT2Tokenizer
    loaded = reload(copy, tmp_path / "model")
    assert copy("a dog")["input_ids"] == loaded("a dog")["input_ids"] == expected
    assert loaded.pad_token_id == tokenizer.eos_token_id
    assert loaded.padding_side == "right"


def test_discriminator_tokenizer_forgets_padding_of_the_last_call():
    tokenizer = word_tokenizer(LINES)
    tokenizer("a dog", padding="max_length", truncation=True, max_length=9)
    assert tokenizer.backend_tokenizer.padding is not None
    assert tokenizer.backend_tokenizer.truncation is not None
    copy = discriminator_tokenizer(tokenizer)
    assert copy.backend_tokenizer.padding is None
    assert copy.backend_tokenizer.truncation is None
    assert copy("a dog .")["input_ids"] == [5, 6, 4, 2]


def test_discriminator_tokenizer_takes_any_eos_text():
    backend = Tokenizer(models.WordLevel({"a": 0, "$end : 1": 1}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="$end : 1")
    assert discriminator_tokenizer(tokenizer)("a a")["input_ids"] == [0, 0, 1]


def test_discriminator_tokenizer_needs_a_fast_tokenizer_with_eos():
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(ValueError, match="^The tokenizer has no eos_token, .*; set tokenizer.eos_token"):
        discriminator_tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend))
    with pytest.raises(ValueError, match="^A Tokenizer is not a fast tokenizer; load it as a PreTrainedTokenizerFast"):
        discriminator_tokenizer(backend)


def test_load_tokenizer_by_path(tmp_path):
    tokenizer = word_tokenizer(["a dog ."])
    tokenizer.save_pretrained(tmp_path / "good")
    loaded = load_tokenizer(str(tmp_path / "good"))
    assert loaded("a dog")["input_ids"] == tokenizer("a dog")["input_ids"]
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path / "endless")
    with pytest.raises(DataError, match="^The tokenizer '.*endless' has no eos_token, which ends every line; set "):
        load_tokenizer(str(tmp_path / "endless"))
    with pytest.raises(DataError, match="^There is no folder '.*none'; name a tokenizer's folder"):
        load_tokenizer(str(tmp_path / "none"))
    with pytest.raises(DataError, match="^There is no folder 'none'; name a tokenizer's folder or a repository org"):
        load_tokenizer("none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="^The tokenizer '.*empty' cannot be loaded .*; name a tokenizer's folder or"):
        load_tokenizer(str(tmp_path / "empty"))
    write(tmp_path / "slow/tokenizer_config.json", json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    assert not isinstance(AutoTokenizer.from_pretrained(tmp_path / "slow"), PreTrainedTokenizerFast)
    with pytest.raises(DataError, match="^The tokenizer '.*slow' is a ByT5Tokenizer, which is not a fast one, and "):
        load_tokenizer(str(tmp_path / "slow"))
