"""Reading, encoding, batching and describing text."""

import json
import logging
import statistics
from collections import Counter

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from hf_textgan.data import lines as lines_module
from hf_textgan.data.collator import collate
from hf_textgan.data.encoding import (
    encode_lines,
    encode_text,
    encode_training_text,
    length_without_outliers,
    truncate_texts,
)
from hf_textgan.data.errors import DataError
from hf_textgan.data.lines import check_batch, iterate_texts, read_lines
from hf_textgan.data.loading import load_text
from hf_textgan.data.report import _median, data_report, format_report
from hf_textgan.data.tokenizers import character_tokenizer, word_tokenizer
from tests.data import files


# Ids: "." 4, a 5, dog 6, then cat 7, runs 8, sits 9, very 10.
LINES = ["a dog sits .", "a dog runs .", "a very very dog .", "cat ."]


@pytest.fixture
def tokenizer():
    return word_tokenizer(["a dog .", "a dog .", "a . cat", "runs sits very"])


def byte_level_tokenizer():
    """As GPT-2 has it: `<|endoftext|>` is 0, and there is no BOS."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=260,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


def write(tmp_path, data: bytes):
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    return path


def test_read_lines_keeps_sentences_as_they_are(tmp_path, caplog):
    data = "\ufeff a  dog .\r\n白日 依山\r\tCafe\u0301 \u200d \n".encode()
    assert read_lines(write(tmp_path, data)) == ["a  dog .", "白日 依山", "Cafe\u0301 \u200d"]
    assert caplog.records == []


def test_read_lines_works_without_a_final_newline(tmp_path):
    assert read_lines(str(write(tmp_path, b"a\nb"))) == ["a", "b"]


def test_read_lines_counts_the_blank_lines_it_skips(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert read_lines(write(tmp_path, b"\na\n \r\nb\n\n")) == ["a", "b"]
    assert caplog.messages == [f"Skipped 3 blank lines of {str(tmp_path / 'text.txt')!r}."]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no line with text; give a file with at least 2 sentences, one a line.$"),
        (b"\n \r\n\t\n", "has no line with text; give"),
        (b"\xef\xbb\xbf", "has no line with text; give"),
        (b"a dog .\n\n", "has only 1 line with text; give a file with at least 2 sentences, one a line.$"),
        (b"a dog\nb\xff\n", r"is not valid UTF-8 at byte offset 7 \(line 2\); convert the file to UTF-8.$"),
        ("größe\n".encode("latin-1"), r"is not valid UTF-8 at byte offset 2 \(line 1\)"),
        (b"\xef\xbb\xbfa\nb\n\xe7\x99", r"is not valid UTF-8 at byte offset 7 \(line 3\)"),  # the mark counts
        (b"a\nb\nc\0d\n", r"contains a NUL byte at byte offset 5 \(line 3\); give a plain text file in UTF-8.$"),
        ("a\nb\n".encode("utf-16-le"), r"contains a NUL byte at byte offset 1 \(line 1\)"),
    ],
)
def test_read_lines_refuses_unusable_files(tmp_path, data, message):
    with pytest.raises(DataError, match="text.txt' " + message):
        read_lines(write(tmp_path, data))


def test_read_lines_refuses_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="^There is no file '.*nothing.txt'; give the path of a text file"):
        read_lines(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="^'.*' is a folder; give the path of a text file with one sentence a line.$"):
        read_lines(tmp_path)
    assert issubclass(DataError, ValueError)


def test_encode_lines_adds_bos_and_eos(tokenizer):
    encoded = encode_lines(LINES, tokenizer)
    assert encoded.dataset.column_names == ["input_ids"]
    assert encoded.dataset["input_ids"][:] == [
        [1, 5, 6, 9, 4, 2],
        [1, 5, 6, 8, 4, 2],
        [1, 5, 10, 10, 6, 4, 2],
        [1, 7, 4, 2],
    ]
    assert (encoded.max_length, encoded.num_dropped, encoded.num_lines) == (6, 0, 4)
    assert (encoded.num_tokens, encoded.num_unknown) == (15, 0)


def test_encode_lines_drops_and_counts(tokenizer):
    # 4 tokens and the end fit into 5; the third line has 5 tokens. The dropped line's unknown word does not count.
    encoded = encode_lines([*LINES[:2], "a very red dog .", "red cat"], tokenizer, max_length=5)
    assert encoded.dataset["input_ids"][:] == [[1, 5, 6, 9, 4, 2], [1, 5, 6, 8, 4, 2], [1, 3, 7, 2]]
    assert (encoded.max_length, encoded.num_dropped, encoded.num_lines) == (5, 1, 4)
    assert (encoded.num_tokens, encoded.num_unknown) == (10, 1)
    assert max(map(len, encoded.dataset["input_ids"])) == encoded.max_length + 1


def test_encode_lines_stays_in_memory(tokenizer):
    assert encode_lines(LINES, tokenizer).dataset.cache_files == []


def test_encode_lines_keeps_the_order_over_many_batches(tokenizer, monkeypatch):
    monkeypatch.setattr(lines_module, "LINES_PER_BATCH", 100)
    words = ["a", "dog", "cat", "runs"]
    lines = [words[index % 4] for index in range(203)]
    ids = [5, 6, 7, 8]
    encoded = encode_lines(lines, tokenizer)
    assert encoded.dataset["input_ids"][:] == [[1, ids[index % 4], 2] for index in range(203)]


def test_encode_lines_begins_with_eos_where_there_is_no_bos():
    backend = Tokenizer(models.WordLevel({"a": 0, "<end>": 1}))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    encoded = encode_lines(["a a", "a"], tokenizer)
    assert encoded.dataset["input_ids"][:] == [[1, 0, 0, 1], [1, 0, 1]]
    assert encoded.num_unknown == 0
    with pytest.raises(DataError, match="^Line 2 contains the tokenizer's end-of-sequence token '<end>'; remove or"):
        encode_lines(["a", "a <end> a"], tokenizer)


def test_encode_lines_reads_special_tokens_as_text(tokenizer):
    assert encode_lines(["a <eos> dog"], tokenizer).dataset["input_ids"][:] == [[1, 5, 3, 6, 2]]
    row = encode_lines(["a <|endoftext|> dog"], byte_level_tokenizer()).dataset["input_ids"][0]
    assert row[0] == row[-1] == 0
    assert 0 not in row[1:-1]


def test_encode_lines_refuses_unusable_lines(tokenizer):
    with pytest.raises(
        DataError,
        match="^All 2 lines are longer than max_length=2; the shortest has 3 tokens with the end of the line, so use "
        "a max_length of at least 3.$",
    ):
        encode_lines(["cat .", "a dog ."], tokenizer, max_length=2)
    with pytest.raises(DataError, match="^max_length=1 leaves no room for a token and the end .*; use 2 or more.$"):
        encode_lines(LINES, tokenizer, max_length=1)
    with pytest.raises(DataError, match="^There are 0 lines; pass at least 1 sentence.$"):
        encode_lines([], tokenizer)
    with pytest.raises(DataError, match=r"^Line 2 \('  '\) has no token; remove blank lines from the text.$"):
        encode_lines(["a", "  "], tokenizer)
    with pytest.raises(DataError, match="^The lines are one string .*; pass a list of sentences instead.$"):
        encode_lines("a dog", tokenizer)
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="^The tokenizer has no eos_token, .*; set tokenizer.eos_token"):
        encode_lines(LINES, tokenizer)


def test_encode_lines_cuts_instead_of_dropping(tokenizer):
    # 3, 4, 5 and 6 tokens: with the end of the line, without it, and cut. What is cut off does not count.
    lines = ["a red .", "a dog sits .", "a very very dog .", "a dog a dog red ."]
    encoded = encode_lines(lines, tokenizer, max_length=4, truncate=True)
    assert encoded.dataset["input_ids"][:] == [[1, 5, 3, 4, 2], [1, 5, 6, 9, 4], [1, 5, 10, 10, 6], [1, 5, 6, 5, 6]]
    assert (encoded.max_length, encoded.num_cut, encoded.num_dropped, encoded.num_lines) == (4, 2, 0, 4)
    assert (encoded.num_tokens, encoded.num_unknown) == (15, 1)
    longer = encode_lines(lines, tokenizer, max_length=7, truncate=True)
    assert longer.dataset["input_ids"][:] == encode_lines(lines, tokenizer, max_length=7).dataset["input_ids"][:]
    assert (longer.max_length, longer.num_cut) == (7, 0)
    every = encode_lines(lines, tokenizer, max_length=2, truncate=True)
    assert every.dataset["input_ids"][:] == [[1, 5, 3], [1, 5, 6], [1, 5, 10], [1, 5, 6]]
    assert every.num_cut == 4
    with pytest.raises(
        DataError,
        match="^truncate is set and max_length is not; set max_length to the tokens to keep, or leave truncate out.$",
    ):
        encode_lines(lines, tokenizer, truncate=True)


def test_encode_text_cuts_instead_of_dropping(tokenizer, tmp_path):
    rows = {
        "text": ["a dog sits .", "a very very dog .", "a dog .", "cat", "a very dog runs ."],
        "label": [0, 1, 2, 3, 4],
        "condition": ["a", "dog", "a dog sits", "cat", "cat ."],
    }
    dataset = Dataset.from_dict(rows)
    options = {"max_length": 4, "min_length": 3, "max_condition_length": 3, "cache_dir": tmp_path}
    cut = encode_text(dataset, tokenizer, **options, truncate=True)
    assert cut.dataset[:] == {
        "input_ids": [[1, 5, 6, 9, 4], [1, 5, 10, 10, 6], [1, 5, 10, 6, 8]],
        "labels": [0, 1, 4],
        "condition_ids": [[5, 2], [6, 2], [7, 4, 2]],
    }
    assert (cut.num_cut, cut.num_dropped, cut.num_short, cut.num_lines, cut.num_tokens) == (2, 1, 1, 5, 12)
    again = encode_text(dataset, tokenizer, **options, truncate=True)
    assert (again.dataset._fingerprint, again.num_cut) == (cut.dataset._fingerprint, 2)
    with pytest.raises(DataError, match="^None of the 5 lines, which have 1 to 5 tokens, is kept with max_length=4 "):
        encode_text(dataset, tokenizer, **options)
    whole = encode_text(dataset, tokenizer, 4, cache_dir=tmp_path)
    assert (whole.num_cut, whole.num_dropped, whole.dataset["labels"][:]) == (0, 3, [2, 3])
    assert encode_text(dataset, tokenizer, 4, 4, cache_dir=tmp_path, truncate=True).dataset["labels"][:] == [0, 1, 4]
    with pytest.raises(
        DataError,
        match="^min_length=5 is more than max_length=4, at which lines are cut; use a min_length of at most 4.$",
    ):
        encode_text(dataset, tokenizer, 4, 5, cache_dir=tmp_path, truncate=True)
    with pytest.raises(
        DataError, match="^None of the 1 lines, which have 3 to 3 tokens, is kept with max_length=3 and"
    ):
        encode_text(dataset.select([2]), tokenizer, 3, None, 2, tmp_path, truncate=True)


def test_truncate_texts_by_words_and_characters(tokenizer):
    texts = ["a  red   dog sits", "a dog", "a dog  cat ", "<eos> a dog"]
    assert truncate_texts(texts, tokenizer, 2) == ["a  red", "a dog", "a dog", "<eos> a"]
    assert truncate_texts(Dataset.from_dict({"text": texts}), tokenizer, 3) == ["a  red   dog", *texts[1:]]
    characters = character_tokenizer(["abc 春眠"])
    texts = ["abc ab", "abcde", "春眠不觉晓", "ab  c", "ab c", "cab\u0301 "]
    assert truncate_texts(texts, characters, 4) == ["abc", "abcd", "春眠不觉", "ab", "ab c", "cab\u0301"]
    lines = [f"a dog {index}" for index in range(10_003)]
    assert truncate_texts(lines, tokenizer, 2) == ["a dog"] * 10_003


def test_truncate_texts_by_parts_of_words():
    tokenizer = byte_level_tokenizer()
    texts = [*LINES, "a dog  <|endoftext|> runs", "very very very"]
    for max_length in range(1, 12):
        ids = [
            row[1:] for row in encode_lines(texts, tokenizer, max(2, max_length), truncate=True).dataset["input_ids"]
        ]
        decoded = [tokenizer.decode(row[:max_length], skip_special_tokens=True).rstrip() for row in ids]
        assert truncate_texts(texts, tokenizer, max_length) == decoded
    assert truncate_texts(["é é"], tokenizer, 1) == ["é"], "the first of its two bytes"


def test_truncate_texts_refuses_what_it_cannot_cut(tokenizer):
    with pytest.raises(
        DataError,
        match="^A ByT5Tokenizer is not a fast tokenizer and does not say where its tokens end in a text; load it as a "
        "PreTrainedTokenizerFast instead.$",
    ):
        truncate_texts(LINES, ByT5Tokenizer(), 3)
    with pytest.raises(DataError, match="^max_length=0 leaves no token of a text; use 1 or more.$"):
        truncate_texts(LINES, tokenizer, 0)
    with pytest.raises(DataError, match="^The lines are one string .*; pass a list of sentences instead.$"):
        truncate_texts("a dog", tokenizer, 3)


def test_collate_pads_on_the_right():
    batch = collate([{"input_ids": [1, 5, 2]}, {"input_ids": [1, 5, 6, 4, 2]}], pad_token_id=0)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["input_ids"].tolist() == [[1, 5, 2, 0, 0], [1, 5, 6, 4, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert {value.dtype for value in batch.values()} == {torch.int64}


def test_collate_masks_by_length_when_padding_is_eos():
    batch = collate([{"input_ids": [2, 5, 2]}, {"input_ids": [2, 5, 6, 2]}], pad_token_id=2)
    assert batch["input_ids"].tolist() == [[2, 5, 2, 2], [2, 5, 6, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_collate_stacks_labels():
    rows = Dataset.from_dict({"input_ids": [[1, 2], [1, 5, 2]], "labels": [3, 0]})
    batch = collate([rows[0], rows[1]], pad_token_id=0)
    assert batch["labels"].tolist() == [3, 0]
    assert batch["labels"].dtype == torch.int64
    tensors = rows.with_format("torch")
    again = collate([tensors[0], tensors[1]], pad_token_id=0)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_collate_pads_conditions_on_their_own():
    rows = Dataset.from_dict({"input_ids": [[1, 2], [1, 5, 2]], "condition_ids": [[7, 8, 9, 2], [7, 2]]})
    for examples in (rows, rows.with_format("torch")):
        batch = collate([examples[0], examples[1]], pad_token_id=0)
        assert set(batch) == {"input_ids", "attention_mask", "condition_ids", "condition_mask"}
        assert batch["input_ids"].tolist() == [[1, 2, 0], [1, 5, 2]]
        assert batch["condition_ids"].tolist() == [[7, 8, 9, 2], [7, 2, 0, 0]]
        assert batch["condition_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
        assert {value.dtype for value in batch.values()} == {torch.int64}


def test_collate_refuses_mixed_rows():
    with pytest.raises(ValueError, match="^Only 1 of 2 rows have 'labels'; give them to all or to none.$"):
        collate([{"input_ids": [1], "labels": 1}, {"input_ids": [1]}], pad_token_id=0)
    with pytest.raises(ValueError, match="^Only 1 of 2 rows have 'condition_ids'; give them to all or to none.$"):
        collate([{"input_ids": [1]}, {"input_ids": [1], "condition_ids": [2]}], pad_token_id=0)
    with pytest.raises(ValueError, match="^There are 0 rows to make a batch of; pass at least 1.$"):
        collate([], pad_token_id=0)


def test_data_report_counts(tokenizer):
    train = ["a dog .", "a dog .", "a dog sits .", "a very very red dog ."]
    evaluation = ["a dog .", "red cat"]
    report = data_report(train, evaluation, tokenizer, max_length=5)
    warnings = report.pop("warnings")
    assert report == {
        "max_length": 5,
        "vocab_size": 11,
        "train": {
            "lines": 4,
            "tokens": 16,
            "mean_length": 5.0,  # 4, 4, 5 and 7 with the end
            "median_length": 4.5,
            "longest": 7,
            "dropped": 1,
            "unknown_rate": 1 / 16,
        },
        "eval": {
            "lines": 2,
            "tokens": 5,
            "mean_length": 3.5,
            "median_length": 3.5,
            "longest": 4,
            "dropped": 0,
            "unknown_rate": 1 / 5,
        },
        "duplicate_rate": 0.25,
        "overlap_rate": 0.5,
    }
    assert warnings == [
        "6.2% of the training tokens are unknown to the tokenizer; build it from more text or with a larger "
        "vocabulary.",
        "25.0% of the training lines are longer than max_length=5 and are dropped; a max_length of 7 keeps them all.",
        "20.0% of the evaluation tokens are unknown to the tokenizer; build it from more text or with a larger "
        "vocabulary.",
        "25.0% of the training lines repeat an earlier one; remove duplicates, or the generator will favour them.",
        "50.0% of the evaluation lines are also training lines; remove them from one side, or copying the training "
        "text will look like quality.",
    ]


def test_text_without_blanks_is_pointed_to_characters():
    lines = ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少"]
    (warning,) = data_report(lines, None, word_tokenizer(lines))["warnings"]
    assert warning.startswith("At least half of the training lines are a single token") and "--level char" in warning
    assert data_report(lines, None, character_tokenizer(lines))["warnings"] == []


def test_data_report_of_good_data_has_no_warnings(tokenizer):
    report = data_report(LINES, ["a cat sits ."], tokenizer)
    assert report["warnings"] == []
    assert report["max_length"] == 6
    assert json.loads(json.dumps(report)) == report


def test_data_report_warns_above_the_limits_only():
    # Exactly at every limit: 1 of 20 tokens unknown, 2 of 10 lines repeated, 1 of 10 too long, 1 of 20 also in train.
    train = ["aa", "aa", "aa", "ab", "ba", "bb", "a", "b", "bbbb", "b?"]
    evaluation = ["ab"] + ["cc"] * 19
    tokenizer = character_tokenizer(["abc"])
    report = data_report(train, evaluation, tokenizer, max_length=3)
    assert (report["train"]["unknown_rate"], report["train"]["dropped"]) == (0.05, 1)
    assert (report["duplicate_rate"], report["overlap_rate"]) == (0.2, 0.05)
    assert report["warnings"] == []
    (warning,) = data_report([*train, "aa"], evaluation, tokenizer, max_length=3)["warnings"]
    assert warning.startswith("27.3% of the training lines repeat an earlier one;")


def test_data_report_survives_a_max_length_below_every_line(tokenizer):
    report = data_report(LINES, None, tokenizer, max_length=2)
    assert report["train"]["dropped"] == 4
    assert report["warnings"][0].startswith("100.0% of the training lines are longer than max_length=2")


def test_data_report_counts_cut_lines(tokenizer):
    # 4, 4, 5 and 1 tokens: only the third one loses a token.
    report = data_report(LINES[:3] + ["cat"], ["a very very dog ."] * 2, tokenizer, max_length=4, truncate=True)
    dropping = data_report(LINES[:3] + ["cat"], ["a very very dog ."] * 2, tokenizer, max_length=4)
    assert (report["train"].pop("cut"), report["eval"].pop("cut")) == (1, 2)
    assert (dropping["train"].pop("dropped"), dropping["eval"].pop("dropped")) == (3, 2)
    assert (report["train"], report["eval"]) == (dropping["train"], dropping["eval"])
    assert not any("longer than max_length" in warning for warning in report["warnings"])
    report["train"]["cut"], report["eval"]["cut"] = 1, 2
    lines = format_report(report).split("\n")
    assert lines[6].split() == ["cut", "lines", "1", "2"]
    assert not any(line.startswith("dropped") for line in lines)
    with pytest.raises(DataError, match="^truncate is set and max_length is not; set max_length to"):
        data_report(LINES, None, tokenizer, truncate=True)


def test_data_report_of_data_sets_with_labels_and_conditions(tokenizer):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["x", "y"]), "condition": Value("string")})
    train = {"text": ["a dog .", "a dog .", "cat"], "label": [1, 1, 0], "condition": ["a", "a dog", "a cat ."]}
    evaluation = {"text": ["cat", "dog"], "label": [1, 1], "condition": ["a", "a"]}
    report = data_report(
        Dataset.from_dict(train, features), Dataset.from_dict(evaluation, features), tokenizer, min_length=2
    )
    plain = data_report(train["text"], evaluation["text"], tokenizer)
    assert {key: value for key, value in report.items() if key not in ("train", "eval")} == {
        key: value for key, value in plain.items() if key not in ("train", "eval")
    }
    assert report["train"] == {
        **plain["train"],
        "short": 1,
        "labels": {"x": 1, "y": 2},
        "condition_mean_length": 3.0,  # 2, 3 and 4 with the end
        "condition_longest": 4,
    }
    assert report["eval"]["labels"] == {"x": 0, "y": 2}
    assert (report["duplicate_rate"], report["overlap_rate"]) == (1 / 3, 1 / 2)
    assert json.loads(json.dumps(report)) == report
    assert format_report(report).split("\n")[7:16] == [
        "unknown tokens      0.00%   0.00%",
        "short lines             1       2",
        "mean condition        3.0     2.0",
        "longest condition       4       2",
        "label x                 1       0",
        "label y                 2       2",
        "duplicate lines    33.33%",
        "also in train              50.00%",
        "vocabulary             11",
    ]
    numbers = Dataset.from_dict({"text": ["a", "dog"], "label": [7, 0]})
    report = data_report(numbers, ["a"], tokenizer)
    assert report["train"]["labels"] == {"0": 1, "7": 1}
    assert any(line.split() == ["label", "7", "1", "-"] for line in format_report(report).split("\n"))


def test_data_report_over_many_batches(tokenizer, monkeypatch):
    monkeypatch.setattr(lines_module, "LINES_PER_BATCH", 100)
    words = ["a", "dog", "cat", "runs"]
    lines = [" ".join(words[: 1 + index % 4]) for index in range(203)]
    report = data_report(lines, [*lines[:101], "sits"], tokenizer)
    assert report["duplicate_rate"] == (203 - 4) / 203
    assert report["overlap_rate"] == 101 / 102
    assert report["train"]["tokens"] == sum(1 + index % 4 for index in range(203))
    assert data_report(Dataset.from_dict({"text": lines}), None, tokenizer)["train"] == report["train"]


@pytest.mark.parametrize("numbers", [[3], [1, 2], [5, 1, 1], [2, 2, 9, 9], [4, 4, 4, 7, 1, 1], [1, 1, 1, 3, 4, 5, 6]])
def test_the_median_of_counts(numbers):
    assert _median(Counter(numbers)) == statistics.median(numbers)


def test_data_report_refuses_empty_text(tokenizer):
    with pytest.raises(DataError, match="^There are 0 lines; pass at least 1 sentence.$"):
        data_report([], None, tokenizer)
    with pytest.raises(DataError, match="^There are 0 lines; pass at least 1 sentence.$"):
        data_report(LINES, [], tokenizer)


def test_format_report_aligns_the_columns(tokenizer):
    text = format_report(data_report(["a dog ."] * 1200 + ["red cat"], ["cat ."], tokenizer, max_length=5))
    assert text.split("\n") == [
        "                  train    eval",
        "lines             1,201       1",
        "tokens            3,602       2",
        "mean length         4.0     3.0",
        "median length         4       3",
        "longest line          4       3",
        "dropped lines         0       0",
        "unknown tokens    0.03%   0.00%",
        "duplicate lines  99.83%",
        "also in train             0.00%",
        "vocabulary           11",
        "max_length            5",
        "(lengths count the end-of-sequence token)",
        "Warning: 99.8% of the training lines repeat an earlier one; remove duplicates, or the generator will favour "
        "them.",
    ]


def test_format_report_without_evaluation_text(tokenizer):
    text = format_report(data_report(LINES, None, tokenizer))
    assert text.startswith("                 train\nlines                4\n")
    assert "also in train" not in text
    assert "Warning" not in text


def test_check_batch():
    check_batch(8, 8)
    with pytest.raises(
        DataError,
        match="^The 7 training lines do not fill one batch of batch_size=8; use a batch_size of at most 7, or give",
    ):
        check_batch(7, 8)
    with pytest.raises(DataError, match="^batch_size=0 is not a number of lines; use 1 or more.$"):
        check_batch(7, 0)


# ---- From disk to disk --------------------------------------------------------------------------------------------


def test_encode_text_from_disk_to_disk(tmp_path, cache):
    rows = [
        {"text": "a dog", "label": "y", "of": "dog"},
        {"text": "a", "label": "x", "of": "a a"},
        {"text": "dog dog a dog", "label": "x", "of": "a"},
        {"text": "dog cat", "label": "x", "of": "dog dog dog"},
    ]
    dataset = load_text(files.write(tmp_path / "a.jsonl", rows), text_column="text", source_column="of")
    tokenizer = word_tokenizer(["dog dog a"])  # dog 4, a 5
    encoded = encode_text(dataset, tokenizer)
    assert encoded.dataset[:] == {
        "input_ids": [[1, 5, 4, 2], [1, 5, 2], [1, 4, 4, 5, 4, 2], [1, 4, 3, 2]],
        "labels": [1, 0, 0, 0],
        "condition_ids": [[4, 2], [5, 5, 2], [5, 2], [4, 4, 4, 2]],
    }
    assert encoded.dataset.features["labels"].names == ["x", "y"]
    assert encoded.dataset.features["input_ids"] == List(Value("int32"))
    assert (encoded.max_length, encoded.max_condition_length, encoded.num_lines) == (5, 4, 4)
    assert (encoded.num_tokens, encoded.num_unknown, encoded.num_dropped, encoded.num_short) == (9, 1, 0, 0)
    cut = encode_text(dataset, tokenizer, max_length=4, min_length=2, max_condition_length=3)
    assert cut.dataset[:] == {"input_ids": [[1, 5, 4, 2]], "labels": [1], "condition_ids": [[4, 2]]}
    assert (cut.max_length, cut.max_condition_length, cut.num_dropped, cut.num_short) == (4, 2, 2, 1)
    tokenizer("a dog", padding="max_length", truncation=True, max_length=9)  # leaves settings behind
    assert encode_text(dataset, tokenizer).dataset._fingerprint == encoded.dataset._fingerprint
    assert encode_text(dataset, word_tokenizer(["a a dog"])).dataset._fingerprint != encoded.dataset._fingerprint
    assert len(list(cache.iterdir())) == 1 + 3


def test_encode_text_refuses_contradictions():
    tokenizer = word_tokenizer(["a dog"])
    dataset = Dataset.from_dict({"text": ["a dog", "dog"]})
    for options, message in [
        ({"min_length": 0}, "^min_length=0 is not a number of tokens; use 1 or more.$"),
        (
            {"min_length": 4, "max_length": 4},
            "^min_length=4 and the end .*; use a min_length of at most 3.$",
        ),
        (
            {"min_length": 3},
            "^None of the 2 lines, which have 1 to 2 tokens, is kept with min_length=3; widen",
        ),
        ({"max_condition_length": 1}, "^max_condition_length=1 leaves no room .*; use 2 or more.$"),
    ]:
        with pytest.raises(DataError, match=message):
            encode_text(dataset, tokenizer, **options)
    with pytest.raises(DataError, match="^All 2 lines are longer than max_length=2; the shortest has 3 tokens"):
        encode_text(Dataset.from_dict({"text": ["a dog"] * 2}), tokenizer, max_length=2)
    with pytest.raises(DataError, match="^The data set has the columns a and no 'text'; make it with load_text"):
        encode_text(Dataset.from_dict({"a": ["a dog"]}), tokenizer)


def test_text_without_blanks_at_character_level(tmp_path):
    dataset = load_text(files.write(tmp_path / "a.txt", "白日依山尽\n黄河入海流\n"))
    tokenizer = character_tokenizer(iterate_texts(dataset))
    encoded = encode_text(dataset, tokenizer)
    assert encoded.max_length == 6
    assert [tokenizer.decode(row[1:-1]) for row in encoded.dataset["input_ids"]] == ["白日依山尽", "黄河入海流"]


@pytest.mark.parametrize(
    ("counts", "longest"),
    [
        ({5: 90, 12: 8, 3000: 1}, 3000),  # of 99 lines none is an outlier
        ({5: 90, 12: 9, 3000: 1}, 12),  # of 100 lines one may be, and 12 is the longest of the others
        ({5: 90, 12: 8, 3000: 2}, 3000),  # two of 100 are not
        ({5: 397, 12: 1, 900: 1, 3000: 1}, 12),  # two of 400 are: the third longest has 12
        ({5: 398, 20: 1, 100: 1}, 100),  # not above 100
        ({5: 398, 20: 1, 101: 1}, 20),  # above 100 and 3 * 5
        ({5: 380, 40: 18, 120: 1, 121: 1}, 120),  # up to 3 * 40
    ],
)
def test_lengths_without_outliers(counts, longest):
    assert length_without_outliers(counts) == longest


def outlier_lines() -> list[str]:
    return [*(["a dog .", "a red dog sits ."] * 100), " ".join(["very"] * 300)]


def test_an_outlier_does_not_decide_the_length_of_a_training(tokenizer, tmp_path, caplog):
    data = Dataset.from_dict({"text": outlier_lines()})
    encoded = encode_training_text(data, tokenizer, cache_dir=tmp_path)
    assert (encoded.max_length, encoded.num_dropped, encoded.num_lines, len(encoded.dataset)) == (6, 1, 201, 200)
    sentence = (
        "1 of 201 training lines are left out, because they are far longer than the others (up to 301 tokens, the "
        "others at most 6); set --max_length 301 to keep them."
    )
    assert caplog.messages == [sentence]
    assert encode_training_text(data, tokenizer, 301, cache_dir=tmp_path).num_dropped == 0
    assert encode_text(data, tokenizer, cache_dir=tmp_path).max_length == 301, "held-out text is kept whole"
    assert caplog.messages == [sentence]
    report = data_report(data, data, tokenizer)
    assert (report["max_length"], report["train"]["dropped"], report["eval"]["dropped"]) == (6, 1, 1)
    assert report["warnings"][0] == sentence
    assert sentence not in data_report(data, None, tokenizer, max_length=6)["warnings"]


def test_an_outlier_of_a_list_is_said(tokenizer, caplog):
    assert encode_lines(outlier_lines(), tokenizer).max_length == 301
    assert caplog.messages == [
        "1 of 201 lines are far longer than the others: they have up to 301 tokens, the others at most 6, and the "
        "longest decides the cost of all; pass max_length=6 to leave them out."
    ]
    assert encode_lines(outlier_lines(), tokenizer, max_length=301).num_dropped == 0
    assert len(caplog.messages) == 1
