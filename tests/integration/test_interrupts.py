"""Interrupted commands: a checkpoint, a sentence that says how to go on, and no traceback."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contracts.test_systems import options


ROOT = Path(__file__).parents[2]


def start(words: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "hf_textgan.cli.main", *words]

    def hear_signals() -> None:  # a job in the background of a shell ignores SIGINT, and so would its children
        signal.signal(signal.SIGINT, signal.default_int_handler)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, preexec_fn=hear_signals, **pipes)


def wait_for(path: Path, process: subprocess.Popen) -> None:
    for _ in range(600):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_a_checkpoint_and_says_how_to_go_on(tmp_path, number):
    run = tmp_path / "run"
    words = options("rnnlm", run, pretrain_generator_steps=3000, save_steps=5, eval_steps=5)
    process = start(words)
    wait_for(run / "checkpoint-5", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert f"was interrupted ({number.name}) after" in err and f"add --resume to continue it in {run}." in err
    assert not (run / ".lock").exists() and not (run / "config.json").exists()
    steps = sorted(int(path.name[11:]) for path in run.glob("checkpoint-*"))
    stopped = int(err.split("after ")[-1].split(" of ")[0])
    assert steps[-1] == stopped


@pytest.mark.slow
def test_ctrl_c_during_the_imports_leaves_no_traceback(tmp_path):
    for delay in (0.3, 1.0):
        process = start(options("rnnlm", tmp_path / f"run{delay}"))
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in err


@pytest.mark.slow
def test_two_runs_in_one_folder(tmp_path):
    run = tmp_path / "run"
    first = start(options("rnnlm", run, pretrain_generator_steps=3000, save_steps=5, eval_steps=5))
    wait_for(run / "checkpoint-5", first)
    second = start([*options("rnnlm", run, pretrain_generator_steps=3000, save_steps=5, eval_steps=5), "--resume"])
    _, err = second.communicate(timeout=120)
    assert second.returncode == 2 and f"{run} is written by process {first.pid} on" in err and "Traceback" not in err
    assert first.poll() is None, "the first one goes on"
    first.kill()
    first.communicate()
    # Its lock is stale, and is taken over.
    third = start([*options("rnnlm", run, pretrain_generator_steps=12, save_steps=5, eval_steps=5), "--resume"])
    _, err = third.communicate(timeout=120)
    assert third.returncode in (0, 2) and "is written by process" not in err
