"""Text from files, folders and the Hub: what is read, what is refused, and what the cache keeps."""

import hashlib
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_textgan.data.encoding import encode_text
from hf_textgan.data.errors import DataError
from hf_textgan.data.lines import BATCH, iterate_texts
from hf_textgan.data.loading import _Labels, load_text, load_tokenizer, split_names
from hf_textgan.data.tokenizers import character_tokenizer, word_tokenizer


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    return folder / "hf_textgan"


def write(path: Path, content: str | bytes | list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = [
    {"text": " A dog . ", "label": "pos"},
    {"text": "白日 依山", "label": "neg"},
    {"text": "a,cat", "label": "pos"},
]
AS_TEXT = ["A dog .", "白日 依山", "a,cat"]


def as_file(kind: str, folder: Path) -> Path:
    path = folder / f"text.{kind}"
    if kind == "txt":
        return write(path, "\ufeff A dog . \n白日 依山\r\na,cat")
    if kind == "csv":
        return write(path, '\ufefftext,label\r\n A dog . ,pos\r\n白日 依山,neg\r\n"a,cat",pos\r\n')
    if kind == "tsv":
        return write(path, "text\tlabel\n A dog . \tpos\n白日 依山\tneg\na,cat\tpos")
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    return write(path, ROWS)


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl", "json", "parquet"])
def test_every_format_gives_the_same(tmp_path, kind, caplog):
    dataset = load_text(as_file(kind, tmp_path))
    assert dataset["text"][:] == AS_TEXT
    assert dataset.features["text"] == Value("string")
    if kind == "txt":
        assert dataset.column_names == ["text"]
    else:
        assert dataset.column_names == ["text", "label"]
        assert dataset.features["label"] == ClassLabel(names=["neg", "pos"])  # sorted, not as they come
        assert dataset["label"][:] == [1, 0, 1]
    assert dataset.cache_files, "memory-mapped"
    assert caplog.messages == []


def test_saved_data_sets_and_data_sets_in_memory(tmp_path):
    features = Features({"text": Value("string"), "labels": ClassLabel(names=["pos", "neg"])})
    data = Dataset.from_dict({"text": ["b", "a", "c"], "labels": [1, 0, 1]}, features=features)
    data.select([2, 0, 1]).save_to_disk(str(tmp_path / "one"))
    DatasetDict({"train": data, "test": data.select([1, 2])}).save_to_disk(str(tmp_path / "two"))
    for source, split, texts, labels in [
        (data, None, ["b", "a", "c"], [1, 0, 1]),
        (tmp_path / "one", None, ["c", "b", "a"], [1, 1, 0]),
        (str(tmp_path / "two"), None, ["b", "a", "c"], [1, 0, 1]),
        (tmp_path / "two", "test", ["a", "c"], [0, 1]),
    ]:
        dataset = load_text(source, split=split)
        assert (dataset["text"][:], dataset["label"][:]) == (texts, labels)
        assert dataset.features["label"].names == ["pos", "neg"], "the order of a ClassLabel stays"
    assert split_names(tmp_path / "one") == ["train"]
    assert split_names(tmp_path / "two") == ["train", "test"]


def test_folders_of_files_called_after_their_splits(tmp_path):
    write(tmp_path / "train-00000-of-00002.jsonl", [{"text": "a"}, {"text": "b"}])
    write(tmp_path / "train-00001-of-00002.jsonl", [{"text": "c"}])
    write(tmp_path / "valid.csv", "text\nd\ne\n")
    write(tmp_path / "notes.md", "no data")
    assert split_names(tmp_path) == ["train", "validation"]
    assert load_text(tmp_path)["text"][:] == ["a", "b", "c"]
    assert load_text(tmp_path, split="validation")["text"][:] == ["d", "e"]
    with pytest.raises(
        DataError, match=r"^There is no split of '.*' \(it has train, validation\) called 'validaton'; "
    ):
        load_text(tmp_path, split="validaton")
    write(tmp_path / "train.csv", "text\na\nb\n")
    with pytest.raises(DataError, match=r"has several files for the split 'train' \(.*, train.csv\); leave one.$"):
        load_text(tmp_path)


def test_columns_are_found_or_named(tmp_path):
    rows = [
        {"id": 7, "sentence": "A", "labels": 1, "extra": [1]},
        {"id": 8, "sentence": "B", "labels": 0, "extra": []},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    assert load_text(path)[:] == {"text": ["A", "B"], "label": [1, 0]}
    assert load_text(path, label_column="id")[:] == {"text": ["A", "B"], "label": [7, 8]}
    assert load_text(path, label_column="", lowercase=True)[:] == {"text": ["a", "b"]}
    # In a CSV file numbers are text as well; a column of numbers only is none.
    path = write(tmp_path / "a.csv", "n,x,sentence,label\n1,0.5,A,0\n2,1e3,B,1\n")
    assert load_text(path)[:] == {"text": ["A", "B"], "label": [0, 1]}
    assert load_text(path, text_column="n", label_column="")[:] == {"text": ["1", "2"]}


def test_conditions(tmp_path, caplog):
    rows = [{"en": "A dog", "de": "Ein Hund "}, {"en": " ", "de": "Eine Kuh"}, {"en": "A cat", "de": "Eine Katze"}]
    path = write(tmp_path / "a.jsonl", rows)
    dataset = load_text(path, source_column="en", target_column="de", lowercase=True)
    assert dataset[:] == {"text": ["ein hund", "eine katze"], "condition": ["a dog", "a cat"]}
    assert caplog.messages == [f"Skipped 1 blank lines of {str(path)!r}."]
    assert load_text(path, source_column="en")["text"][:] == ["Ein Hund", "Eine Katze"], "the only other text"


def test_blank_texts_are_skipped_with_their_labels_and_counted(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "text,label\na,pos\n ,other\n\nb,neg\n")
    for _ in range(2):  # the second time from the cache
        dataset = load_text(path)
        assert (dataset["text"][:], dataset["label"][:]) == (["a", "b"], [1, 0])
        assert dataset.features["label"].names == ["neg", "pos"]
        assert caplog.messages == [f"Skipped 2 blank lines of {str(path)!r}."]
        caplog.clear()


def test_held_out_labels_get_the_numbers_of_the_training_labels(tmp_path):
    train = load_text(write(tmp_path / "a.csv", "text,label\na,x\nb,y\nc,z\n"))
    names = train.features["label"].names
    path = write(tmp_path / "b.csv", "text,label\na,z\nb,y\n")
    held_out = load_text(path, label_names=names)
    assert held_out["label"][:] == [2, 1]
    assert held_out.features["label"].names == ["x", "y", "z"]
    assert load_text(path)["label"][:] == [1, 0]
    with pytest.raises(DataError, match="^Line 2 of '.*b.csv' has the label 'z', which is not one of y, x; use the"):
        load_text(path, label_names=["y", "x"])
    # A ClassLabel with another order is translated by its names.
    features = Features({"text": Value("string"), "label": ClassLabel(names=["z", "x"])})
    data = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=features)
    assert load_text(data, label_names=names)["label"][:] == [2, 0]


def test_labels_over_many_batches(tmp_path):
    number = 2 * BATCH + 3
    path = write(tmp_path / "a.tsv", "label\ttext\n" + "".join(f"{'cab'[i % 3]}\tw{i}\n" for i in range(number)))
    dataset = load_text(path, progress=False)
    assert dataset["text"][:] == [f"w{i}" for i in range(number)]
    assert dataset["label"][:] == [[2, 0, 1][i % 3] for i in range(number)]
    assert list(iterate_texts(dataset.select([5, 2]))) == ["w5", "w2"]


def test_rows_are_numbered_across_batches(tmp_path):
    texts = ["a"] * (BATCH + 1) + [None, "a"]
    rows = [{"text": text} for text in texts]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    for source, place in [
        (write(tmp_path / "a.jsonl", rows), "Line"),
        (tmp_path / "a.parquet", "Row"),
        (Dataset.from_dict({"text": texts}), "Row"),
    ]:
        with pytest.raises(DataError, match=f"^{place} {BATCH + 2} of .* has no text in the column 'text'; "):
            load_text(source)


UTF = "convert the file to UTF-8."
PLAIN = "give a plain text file in UTF-8."
NO_CLASS = (
    "which is no class; number the classes 0, 1, 2 and so on, or leave the labels out with an empty label_column."
)
ONE = "has only 1 line with text; give a file with at least 2 sentences, one a line."
NONE = "has no line with text; give a file with at least 2 sentences, one a line."
BAD = [
    ("a.txt", b"", {}, f"'{{}}' {NONE}"),
    ("a.txt", b"a dog\n \n", {}, f"'{{}}' {ONE}"),
    ("a.txt", b"a\nb\xff", {}, "'{}' is not valid UTF-8 at byte offset 3 (line 2); " + UTF),
    ("a.txt", b"a\n\0b", {}, "'{}' contains a NUL byte at byte offset 2 (line 2); " + PLAIN),
    (
        "a.txt",
        b"a\nb\n",
        {"text_column": "x"},
        "'{}' has lines and no column 'x'; give a .csv or .jsonl file, or name no column.",
    ),
    (
        "a.md",
        b"a\nb\n",
        {},
        "'{}' ends in '.md'; give a file of the kinds .txt, .csv, .tsv, .jsonl, .json, .parquet, or rename it.",
    ),
    ("a.csv", b"", {}, f"'{{}}' {NONE}"),
    ("a.csv", b"text\n", {}, f"'{{}}' {NONE}"),
    ("a.csv", b"text\na\n", {}, f"'{{}}' {ONE}"),
    ("a.csv", b"text\na\n\xff\n", {}, "'{}' is not valid UTF-8 at byte offset 7 (line 3); " + UTF),
    (
        "a.csv",
        b"te\0xt\na\n",
        {},
        "'{}' contains a NUL byte at byte offset 2 (line 1); " + PLAIN,
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,1,2\n",
        {},
        "Line 3 of '{}' has 3 fields, but the first line names 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.tsv",
        b"text\tlabel\na\n",
        {},
        "Line 2 of '{}' has 1 fields, but the first line names 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.csv",
        b'text\na\n"b\nc"\n',
        {},
        "Line 3 of '{}' has a line break within the text of the column 'text', but a sentence is one line of plain "
        "text; replace it by a blank.",
    ),
    (
        "a.csv",
        b'text\na\n"b\n',
        {},
        "Line 3 of '{}' is not CSV (unexpected end of data); check its quotes and delimiters.",
    ),
    ("a.csv", b"text,text\na,b\n", {}, "'{}' has two columns called 'text'; rename one in its first line."),
    (
        "a.csv",
        b"text,score\na,1\nb,2\n",
        {"label_column": "scor"},
        "There is no column of '{}' (it has text, score) called 'scor'; did you mean 'score'?",
    ),
    (
        "a.csv",
        b"one,two\na,x\nb,y\n",
        {},
        "'{}' has several columns of text (one, two); name the one to use with text_column.",
    ),
    (
        "a.csv",
        b"n,m\n1,2\n3,4\n",
        {},
        "'{}' has no column of text left among n, m; name it with text_column.",
    ),
    (
        "a.csv",
        b"text,label\na,pos\nb,\n",
        {},
        "Line 3 of '{}' has no label in the column 'label'; fill it in, or remove the row.",
    ),
    (
        "a.csv",
        b"text,label\na,pos\nb,1\n",
        {},
        "Line 3 of '{}' has the label 1, but an earlier row has 'pos'; use only names or only integers.",
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,-1\n",
        {},
        "Line 3 of '{}' has the label -1, " + NO_CLASS,
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,1.5\n",
        {},
        "Line 3 of '{}' has the label 1.5, " + NO_CLASS,
    ),
    ("a.jsonl", b"\n", {}, f"'{{}}' {NONE}"),
    ("a.jsonl", b'{"text": "a"}\n', {}, f"'{{}}' {ONE}"),
    (
        "a.jsonl",
        b'{"text": "\xff"}',
        {},
        "'{}' is not valid UTF-8 at byte offset 10 (line 1); " + UTF,
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": }\n',
        {},
        "Line 2 of '{}' is not JSON (Expecting value at character 10); write one JSON object a line.",
    ),
    (
        "a.json",
        b'[{"text": "a"}]\n',
        {},
        "Line 1 of '{}' holds a JSON array and no object; write one JSON object a line, such as "
        '{{"text": "a dog ."}}.',
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": null}\n',
        {},
        "Line 2 of '{}' has no text in the column 'text'; fill it in, or remove the row.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n\n{"other": "b"}\n',
        {},
        "Line 3 of '{}' has no text in the column 'text'; fill it in, or remove the row.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": 5}\n',
        {},
        "Line 2 of '{}' has the int 5 in the column 'text' and no text; name another column, or make it text.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "b\\u0000"}\n',
        {},
        "Line 2 of '{}' has a NUL byte within the text of the column 'text', but a sentence is one line of plain "
        "text; remove it.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "b\\ud800"}\n',
        {},
        "Line 2 of '{}' has half of a surrogate pair ('\\ud800') in the column 'text'; repair the escapes "
        "of the text.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b", "label": "0"}\n',
        {},
        "Line 2 of '{}' has the label '0', but an earlier row has 0; use only names or only integers.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b", "label": true}\n',
        {},
        "Line 2 of '{}' has the label True, which is neither an integer nor a name; change it, or leave the labels "
        "out with an empty label_column.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b"}\n',
        {},
        "Line 2 of '{}' has no label in the column 'label'; fill it in, or remove the row.",
    ),
    ("a.parquet", b"", {}, "'{}' is empty; give a Parquet file with at least 2 sentences."),
    (
        "a.jsonl",
        b'{"a": "x", "b": "y"}\n{"a": "x", "b": "y"}\n',
        {"target_column": "a", "text_column": "b"},
        "target_column='a' and text_column='b' both name the text; leave one of them out.",
    ),
    (
        "a.jsonl",
        b'{"a": "x"}\n',
        {"target_column": "a"},
        "target_column='a' has no source_column beside it; name that too, or use text_column.",
    ),
    (
        "a.txt",
        b"a\nb\n",
        {"split": "test"},
        "split='test' is for folders and data sets on the Hub, not for '{}'; leave it out.",
    ),
    (
        "a.txt",
        b"a\nb\n",
        {"streaming": True},
        "streaming=True is for data sets on the Hub, not for '{}'; leave it out.",
    ),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD)
def test_bad_input_is_refused_in_one_sentence(tmp_path, cache, name, content, options, message):
    path = write(tmp_path / name, content)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load_text(path, **options)
        assert str(caught.value) == message.format(path)
    assert not cache.exists() or list(cache.iterdir()) == [], "nothing is left in the cache"


def test_bad_parquet_files(tmp_path):
    path = as_file("parquet", tmp_path)
    whole = path.read_bytes()
    for content in (b"no parquet at all", whole[:-20], whole[:8] + b"\xff" * 60 + whole[68:]):
        with pytest.raises(DataError, match="^'.*text.parquet' is not a readable Parquet file .*; write it again"):
            load_text(write(path, content))
    pq.write_table(pa.table({"text": ["a", None], "n": [1, 2], "l": [["a"], ["b"]]}), path)
    for column, message in [
        ("text", "^Row 2 of '.*' has no text in the column 'text'; fill it in, or remove the row.$"),
        ("n", "^Row 1 of '.*' has the int 1 in the column 'n' and no text; name another column, or make it text.$"),
        ("l", r"^Row 1 of '.*' has the list \['a'\] in the column 'l' and no text; name another column"),
        ("txt", r"^There is no column of '.*' \(it has text, n, l\) called 'txt'; did you mean 'text'\?$"),
    ]:
        with pytest.raises(DataError, match=message):
            load_text(path, text_column=column)
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(DataError, match="has only 1 row with text; give at least 2 sentences.$"):
        load_text(path)


def test_missing_files_and_folders_without_data(tmp_path):
    with pytest.raises(DataError, match="^There is no file '.*nothing.csv'; give the path of a text file"):
        load_text(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="^There is no file 'nothing'; "):
        load_text("nothing")
    with pytest.raises(DataError, match="^'.*' is a folder without a data set; give a file, a folder that"):
        load_text(tmp_path)
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(DataError, match="^'.*x.txt' is a folder without a data set; "):
        load_text(tmp_path / "x.txt")
    write(tmp_path / "saved/state.json", "{")
    with pytest.raises(DataError, match="^The data set in '.*saved' cannot be read .*; save it again with save_to_"):
        load_text(tmp_path / "saved")


def test_too_many_names_are_no_classes(monkeypatch):
    monkeypatch.setattr("hf_textgan.data.loading._MAX_CLASSES", 2)
    labels = _Labels("id", None, None, False)
    assert [labels(name, str, 0) for name in "baab"] == [0, 1, 1, 0]
    with pytest.raises(
        DataError, match="^7 has one label more than the 2 that the column 'id' may have; name the col"
    ):
        labels("c", str, 7)


# ---- The cache --------------------------------------------------------------------------------------------------


def test_a_changed_file_is_read_anew(tmp_path, cache):
    path = write(tmp_path / "a.txt", "a\nb\n")
    first = load_text(path)
    assert load_text(path)._fingerprint == first._fingerprint
    assert [folder.name for folder in cache.iterdir()] == [first._fingerprint]
    stamp = path.stat().st_mtime_ns
    write(path, "c\nd\n")  # the same size
    os.utime(path, ns=(stamp + 1, stamp + 1))
    assert load_text(path)["text"][:] == ["c", "d"]
    assert load_text(path, lowercase=True)._fingerprint != load_text(path)._fingerprint
    assert first["text"][:] == ["a", "b"], "what is in use stays"
    assert load_text(path, cache_dir=tmp_path / "other").cache_files[0]["filename"].startswith(str(tmp_path / "other"))


def test_what_a_killed_run_has_left_is_not_used(tmp_path, cache):
    path = write(tmp_path / "a.txt", "a\nb\n")
    key = load_text(path)._fingerprint
    done = cache / key
    part = cache / f"{key}.1234.part"
    done.rename(part)
    write(part / "data.arrow", (part / "data.arrow").read_bytes()[:100])
    old = cache / "other.5678.part"
    old.mkdir()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    assert load_text(path)["text"][:] == ["a", "b"]
    assert part.exists(), "it may belong to a process that still writes"
    assert not old.exists()


def _load_in_a_process(path, results):
    dataset = load_text(path, progress=False)
    encoded = encode_text(dataset, word_tokenizer(iterate_texts(dataset)), progress=False)
    results.put((dataset._fingerprint, hashlib.sha256(json.dumps(encoded.dataset[:]).encode()).hexdigest()))


def test_processes_that_race_get_the_same(tmp_path, cache):
    path = write(tmp_path / "a.txt", "".join(f"word{i % 7} dog {i}\n" for i in range(500)))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_load_in_a_process, args=(path, results)) for _ in range(3)]
    for process in processes:
        process.start()
    found = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(found) == 1
    assert len(list(cache.iterdir())) == 2, "the text and its ids, and nothing half written"


# ---- Encoding and tokenizers ------------------------------------------------------------------------------------


def test_encode_text_from_disk_to_disk(tmp_path, cache):
    rows = [
        {"text": "a dog", "label": "y", "of": "dog"},
        {"text": "a", "label": "x", "of": "a a"},
        {"text": "dog dog a dog", "label": "x", "of": "a"},
        {"text": "dog cat", "label": "x", "of": "dog dog dog"},
    ]
    dataset = load_text(write(tmp_path / "a.jsonl", rows), text_column="text", source_column="of")
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
    dataset = load_text(write(tmp_path / "a.txt", "白日依山尽\n黄河入海流\n"))
    tokenizer = character_tokenizer(iterate_texts(dataset))
    encoded = encode_text(dataset, tokenizer)
    assert encoded.max_length == 6
    assert [tokenizer.decode(row[1:-1]) for row in encoded.dataset["input_ids"]] == ["白日依山尽", "黄河入海流"]


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
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="^The tokenizer '.*empty' cannot be loaded .*; name a tokenizer's folder or"):
        load_tokenizer(str(tmp_path / "empty"))
    write(tmp_path / "slow/tokenizer_config.json", json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    assert not isinstance(AutoTokenizer.from_pretrained(tmp_path / "slow"), PreTrainedTokenizerFast)
    with pytest.raises(DataError, match="^The tokenizer '.*slow' is a ByT5Tokenizer, which is not a fast one, and "):
        load_tokenizer(str(tmp_path / "slow"))


# ---- The Hub ----------------------------------------------------------------------------------------------------

COMMIT = "1" * 40
ON_HUB = {
    "README.md": b"# Toys\n",
    "train.csv": b"sentence,label\na dog .,pos\na cat .,neg\n",
    "test.csv": b"sentence,label\na cow .,neg\na pig .,pos\n",
}


class Hub(BaseHTTPRequestHandler):
    """The data set org/toy."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str):
        self.send_response(status)
        for name, value in {**headers, "Content_Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):  # noqa: N802
        path = self.path.partition("?")[0]
        if "org/toy" not in path:
            return self.answer(404, X_Error_Code="RepoNotFound")
        if "/resolve/" in path:
            body = ON_HUB.get(path.partition("/resolve/")[2].partition("/")[2])
            if body is None:
                return self.answer(404, X_Error_Code="EntryNotFound")
            headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X_Repo_Commit": COMMIT}
            asked = self.headers.get("Range")
            if asked is None:
                return self.answer(200, body, **headers)
            begin, end = asked.removeprefix("bytes=").split("-")
            begin, end = int(begin), min(int(end or len(body)), len(body) - 1)
            span = f"bytes {begin}-{end}/{len(body)}"
            return self.answer(206, body[begin : end + 1], Content_Range=span, **headers)
        if "/tree/" in path:
            files = [{"type": "file", "path": p, "size": len(b), "oid": COMMIT} for p, b in ON_HUB.items()]
            content = files if path.endswith(COMMIT) else []
        else:
            content = {"id": "org/toy", "sha": COMMIT, "siblings": [{"rfilename": name} for name in ON_HUB]}
        return self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    do_HEAD = do_GET  # noqa: N815


ASK_THE_HUB = """
import json, logging
from hf_textgan.cli.data import DataArguments, load_texts
from hf_textgan.data import DataError, load_text

texts = load_texts(DataArguments(dataset_name="org/toy"))
found = [texts.train[:], texts.eval[:], texts.label_names]
streamed = load_text("org/toy", text_column="sentence", streaming=True)
found += [streamed[:], streamed.features["label"].names]
errors = []
for source, options in [("org/none", {}), ("org/toy", {"split": "no"}), ("org/none", {"streaming": True})]:
    try:
        load_text(source, **options)
    except DataError as error:
        errors.append(str(error))
print(json.dumps([found, errors]))
"""


@pytest.mark.slow
def test_a_data_set_on_the_hub(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
    }
    for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_THE_HUB], env=environment, capture_output=True, text=True, timeout=120
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    found, errors = json.loads(done.stdout.splitlines()[-1])
    train = {"text": ["a dog .", "a cat ."], "label": [1, 0]}
    assert found == [
        train,
        {"text": ["a cow .", "a pig ."], "label": [0, 1]},
        ["neg", "pos"],
        train,
        ["neg", "pos"],
    ]
    missing = (
        "There is neither a folder 'org/none' nor a data set of that name on the Hub that can be read; check the "
        "name, and log in if it is private."
    )
    assert errors[0] == errors[2] == missing
    assert errors[1].startswith("The data set 'org/toy' cannot be read from the Hub (ValueError: Unknown split")
    assert errors[1].endswith("; check its name, configuration and split, and the connection.")


def test_warnings_go_to_the_log_of_the_library(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        load_text(write(tmp_path / "a.txt", "a\n\nb\n"))
    assert {record.name for record in caplog.records} == {"hf_textgan.data.lines"}
