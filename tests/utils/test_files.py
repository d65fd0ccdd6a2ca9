"""Files and folders that are complete or absent."""

import hashlib
import json
import os

import pytest

from hf_textgan.utils import files
from hf_textgan.utils.files import (
    MANIFEST_FILE,
    clear_partial,
    file_digest,
    partial_path,
    remove_folder,
    strict_json,
    write_text,
    writing_folder,
)


def test_a_folder_has_a_manifest_of_its_files(tmp_path):
    final = tmp_path / "checkpoint-1"
    with writing_folder(final) as folder:
        assert folder == partial_path(final) and not final.exists()
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_bytes(b"abc")
        (folder / "b.txt").write_bytes(b"")
    assert not partial_path(final).exists()
    expected = {
        "inner/a.txt": {"size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
        "b.txt": {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()},
    }
    assert json.loads((final / MANIFEST_FILE).read_text()) == expected
    assert file_digest(final / "inner" / "a.txt") == expected["inner/a.txt"]["sha256"]


def test_a_folder_is_replaced_only_by_a_complete_one(tmp_path):
    final = tmp_path / "folder"
    with writing_folder(final) as folder:
        (folder / "old.txt").write_text("old")
    with pytest.raises(RuntimeError, match="stop"), writing_folder(final) as folder:
        (folder / "new.txt").write_text("half")
        raise RuntimeError("stop")
    assert {path.name for path in final.iterdir()} == {"old.txt", MANIFEST_FILE}
    with writing_folder(final) as folder:
        assert not list(folder.iterdir()), "a partial folder is written from the start"
        (folder / "new.txt").write_text("new")
    assert {path.name for path in final.iterdir()} == {"new.txt", MANIFEST_FILE}


def test_a_text_is_complete_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_text(path, "first é\n")
    assert path.read_text(encoding="utf-8") == "first é\n"

    def fail(*_):
        raise OSError("disk")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk"):
        write_text(path, "second\n")
    assert path.read_text(encoding="utf-8") == "first é\n"
    monkeypatch.undo()
    assert partial_path(path).exists()
    clear_partial(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_the_manifest_is_deleted_first(tmp_path, monkeypatch):
    final = tmp_path / "folder"
    with writing_folder(final) as folder:
        (folder / "a.txt").write_text("a")
    monkeypatch.setattr(files.shutil, "rmtree", lambda folder: None)  # a deletion that is interrupted
    remove_folder(final)
    assert [path.name for path in final.iterdir()] == ["a.txt"]
    monkeypatch.undo()
    remove_folder(final)
    assert not os.path.exists(final)


def test_json_has_no_values_that_are_not_finite():
    values = {"a": [1.5, float("nan"), (float("inf"), -float("inf"))], "b": {"c": float("nan"), "d": True, "e": "NaN"}}
    assert json.loads(strict_json(values)) == {"a": [1.5, None, [None, None]], "b": {"c": None, "d": True, "e": "NaN"}}
    assert strict_json([1]) == "[\n  1\n]\n"
