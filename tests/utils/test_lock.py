"""The lock of a run's folder."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from hf_textgan.utils.lock import LOCK_FILE, FolderLocked, locked


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
    lock = tmp_path / LOCK_FILE
    lock.write_text(content.replace("HOST", socket.gethostname()))
    os.utime(lock, (0, 0))
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_being_written_is_not_taken_over(tmp_path):
    (tmp_path / LOCK_FILE).write_text("")
    with pytest.raises(FolderLocked, match="was made just now by another process; wait for it"), locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_of_many_processes_that_find_a_stale_lock_one_gets_it(tmp_path):
    stale = json.dumps({"pid": 4194304, "host": socket.gethostname(), "started": "noon"})
    program = (
        "import sys, time; from pathlib import Path; from hf_textgan.utils.lock import FolderLocked, locked\n"
        "while not Path(sys.argv[1], 'go').exists(): time.sleep(0.001)\n"
        "try:\n"
        "    with locked(Path(sys.argv[1], 'run')): print('held', flush=True); input()\n"
        "except FolderLocked: print('refused')\n"
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK_FILE).write_text(stale)
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    time.sleep(0.5)
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 60
    while sum(process.poll() is None for process in processes) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    outputs = [process.communicate("\n")[0].strip() for process in processes]
    assert sorted(outputs) == ["held", *["refused"] * 3]
