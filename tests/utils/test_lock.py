"""The lock of a run's folder."""

import json
import os
import socket

import pytest

from hf_textgan.utils.lock import LOCK_FILE, locked


def test_a_lock_is_held_within_the_block(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        owner = json.loads((folder / LOCK_FILE).read_text())
        assert owner["pid"] == os.getpid() and owner["host"] == socket.gethostname()
    assert list(folder.iterdir()) == []
    with pytest.raises(RuntimeError), locked(folder):
        raise RuntimeError("in the block")
    assert list(folder.iterdir()) == []


def test_a_lock_of_another_process_is_an_error_that_names_it(tmp_path):
    lock = tmp_path / LOCK_FILE
    lock.write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname(), "started": "noon"}))
    message = f"{tmp_path} is written by process {os.getppid()} on {socket.gethostname()} since noon; wait for it,"
    with pytest.raises(ValueError, match=message), locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE], "and it is left as it is"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "noon"}))
    with pytest.raises(ValueError, match="process 1 on elsewhere since noon"), locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ['{"pid": 4194304, "host": "HOST", "started": "noon"}', "{}", "half", ""])
def test_a_stale_or_damaged_lock_is_taken_over(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content.replace("HOST", socket.gethostname()))
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []
