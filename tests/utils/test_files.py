"""Files and folders that are complete or absent."""

import hashlib
import json
import os

import pytest

from hf_textgan.utils import files
from hf_textgan.utils.files import (
    MANIFEST_FILE,
    check_output,
    file_digest,
    make_folder,
    remove_folder,
    strict_json,
    write_text,
    writing_folder,
)


def test_a_folder_has_a_manifest_of_its_files(tmp_path):
    final = tmp_path / "checkpoint-1"
    with writing_folder(final) as folder:
        assert folder.parent == final.parent and not final.exists()
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_bytes(b"abc")
        (folder / "b.txt").write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == [final.name]
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


def test_links_are_not_followed(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    link = tmp_path / "checkpoint-1"
    link.symlink_to(other)
    for act in (lambda: writing_folder(link).__enter__(), lambda: remove_folder(link), lambda: make_folder(link)):
        with pytest.raises(OSError, match=f"{link} is a link to {other}, and links are not followed; remove it"):
            act()
    assert (other / "mine.txt").read_text() == "mine"
    # A file is replaced, not written through.
    (tmp_path / "file.json").symlink_to(other / "mine.txt")
    write_text(tmp_path / "file.json", "new")
    assert (other / "mine.txt").read_text() == "mine" and not (tmp_path / "file.json").is_symlink()


def test_outputs_that_exist_are_refused(tmp_path):
    path = tmp_path / "out.txt"
    check_output(path, overwrite=False)
    path.write_text("mine")
    with pytest.raises(ValueError, match=f"{path} is there already; add --overwrite to replace it"):
        check_output(path, overwrite=False)
    check_output(path, overwrite=True)
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder; name a file"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(ValueError, match=f"There is no folder {tmp_path / 'no'} for the output out.txt"):
        check_output(tmp_path / "no" / "out.txt", overwrite=False)


def test_a_save_moves_into_its_folder_with_the_last_file_last(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with files.writing_into(folder, last="config.json") as partial:
        (partial / "discriminator").mkdir()
        for name in ("config.json", "model.txt", "discriminator/config.json"):
            (partial / name).write_text("first")
    (folder / "metrics.json").write_text("kept")
    order, replace = [], os.replace

    def fail_at_the_last(source, target):
        order.append(os.path.relpath(target, folder))
        if len(order) == 3:
            raise OSError("killed here")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", fail_at_the_last)
    with pytest.raises(OSError, match="killed"), files.writing_into(folder, last="config.json") as partial:
        (partial / "discriminator").mkdir()
        for name in ("config.json", "model.txt", "discriminator/config.json"):
            (partial / name).write_text("second")
    assert order == ["discriminator/config.json", "model.txt", "config.json"]
    assert not (folder / "config.json").exists(), "nobody loads half a save"
    assert (folder / "metrics.json").read_text() == "kept"
