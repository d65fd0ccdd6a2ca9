"""The cache of text: changed files, killed runs and several processes."""

import hashlib
import json
import multiprocessing
import os
import time

import pytest

from hf_textgan.data.encoding import encode_text
from hf_textgan.data.lines import iterate_texts
from hf_textgan.data.loading import load_text
from hf_textgan.data.tokenizers import word_tokenizer
from tests.data.files import write


DAMAGES = {
    "truncated": lambda folder: write(folder / "data.arrow", (folder / "data.arrow").read_bytes()[:-9]),
    "one byte": lambda folder: write(
        folder / "data.arrow", (folder / "data.arrow").read_bytes().replace(b"dog", b"dot")
    ),
    "no data": lambda folder: (folder / "data.arrow").unlink(),
    "no record": lambda folder: (folder / "record.json").unlink(),
    "empty record": lambda folder: write(folder / "record.json", "{}"),
    "list": lambda folder: write(folder / "record.json", "[]"),
    "half a record": lambda folder: write(folder / "record.json", '{"record": {"ski'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_data_are_written_again(tmp_path, cache, caplog, damage):
    path = write(tmp_path / "a.txt", "a dog\n\nb\n")
    folder = cache / load_text(path)._fingerprint
    caplog.clear()
    damage(folder)
    assert load_text(path)["text"][:] == ["a dog", "b"]
    assert [message.partition(" (")[0] for message in caplog.messages] == [
        f"The cached data in {folder} are damaged",
        f"Skipped 1 blank lines of {str(path)!r}.",
    ]
    caplog.clear()
    assert load_text(path)["text"][:] == ["a dog", "b"]
    assert len(caplog.messages) == 1, "said once"
    assert list(cache.iterdir()) == [folder], "the damaged files are gone"


def test_a_changed_file_is_read_anew(tmp_path, cache):
    path = write(tmp_path / "a.txt", "a\nb\n")
    first = load_text(path)
    assert load_text(path)._fingerprint == first._fingerprint
    assert [folder.name for folder in cache.iterdir()] == [first._fingerprint]
    stamp = path.stat().st_mtime_ns
    write(path, "c\nd\n")  # the same size
    os.utime(path, ns=(stamp, stamp))
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
    os.utime(old, (time.time() - 2 * 24 * 3600, time.time() - 2 * 24 * 3600))
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
