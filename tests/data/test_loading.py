"""Text from files, folders and data sets: formats, columns, labels and conditions."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_textgan.data.errors import DataError
from hf_textgan.data.lines import LINES_PER_BATCH, iterate_texts
from hf_textgan.data.loading import load_text, split_names
from tests.data.files import AS_TEXT, as_file, write


pytestmark = pytest.mark.usefixtures("cache")


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
    number = 2 * LINES_PER_BATCH + 3
    path = write(tmp_path / "a.tsv", "label\ttext\n" + "".join(f"{'cab'[i % 3]}\tw{i}\n" for i in range(number)))
    dataset = load_text(path, progress=False)
    assert dataset["text"][:] == [f"w{i}" for i in range(number)]
    assert dataset["label"][:] == [[2, 0, 1][i % 3] for i in range(number)]
    assert list(iterate_texts(dataset.select([5, 2]))) == ["w5", "w2"]


def test_rows_are_numbered_across_batches(tmp_path):
    texts = ["a"] * (LINES_PER_BATCH + 1) + [None, "a"]
    rows = [{"text": text} for text in texts]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    for source, unit in [
        (write(tmp_path / "a.jsonl", rows), "Line"),
        (tmp_path / "a.parquet", "Row"),
        (Dataset.from_dict({"text": texts}), "Row"),
    ]:
        with pytest.raises(DataError, match=f"^{unit} {LINES_PER_BATCH + 2} of .* has no text in the column 'text'; "):
            load_text(source)


def test_warnings_go_to_the_log_of_the_library(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        load_text(write(tmp_path / "a.txt", "a\n\nb\n"))
    assert {record.name for record in caplog.records} == {"hf_textgan.data.lines"}
