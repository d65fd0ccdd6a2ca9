"""
A server that runs commands of `textgan`, each in a fresh process; `test_campaign.py` talks to it.

It imports everything once and runs nothing itself, so that a forked child starts at once. Each line on its input is a
request as JSON, the arguments of [`run`]; the answer has the exit status, the signal or `timeout`, and what the
command printed.
"""

import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import datasets.config
import torch

# What a command imports when it runs.
import hf_textgan.cli.compare
import hf_textgan.cli.data
import hf_textgan.cli.evaluate
import hf_textgan.cli.generate
import hf_textgan.cli.train  # noqa: F401
from hf_textgan.cli.main import main as textgan


MEMORY = 6 << 30  # bytes a command may reserve beyond what the server has: one that wants more fails at once


def child(words: list[str], environment: dict[str, str], file_size: int | None) -> int:
    torch.set_num_threads(1)
    os.environ.update(environment)
    if "HF_DATASETS_CACHE" in environment:  # read when the server started
        datasets.config.HF_DATASETS_CACHE = environment["HF_DATASETS_CACHE"]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    if file_size is not None:  # a disk on which a file cannot grow further
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return textgan(words)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1


def run(
    words: list[str],
    folder: str,
    timeout: float = 60,
    environment: dict[str, str] | None = None,
    file_size: int | None = None,
    signals: list[tuple[float, int]] | None = None,
) -> dict[str, Any]:
    """
    Runs one command in a child; returns how it ended and what it printed.

    Args:
        words (`list[str]`):
            The command.
        folder (`str`):
            Its working directory.
        timeout (`float`, *optional*, defaults to 60):
            Seconds after which it is killed.
        environment (`dict[str, str]`, *optional*):
            Variables of its environment.
        file_size (`int`, *optional*):
            Bytes beyond which no file can grow, as on a full disk.
        signals (`list[tuple[float, int]]`, *optional*):
            Signals sent to it, with the seconds after its start.
    """
    pending = sorted(signals or [])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the command begins
        pid = os.fork()
        if pid == 0:
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (out.fileno(), 1), (err.fileno(), 2)):
                os.dup2(source, target)
            status = 1
            try:
                os.chdir(folder)
                status = child(words, environment or {}, file_size)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        ended: dict[str, Any] = {}
        while not ended:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                ended = {"signal": os.WTERMSIG(code)} if os.WIFSIGNALED(code) else {"rc": os.WEXITSTATUS(code)}
            elif time.monotonic() - start > timeout:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                ended = {"timeout": timeout}
            else:
                while pending and time.monotonic() - start > pending[0][0]:
                    os.kill(pid, pending.pop(0)[1])
                time.sleep(0.005)
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            ended[name] = file.read().decode(errors="replace")
        return {**ended, "seconds": time.monotonic() - start}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in io.TextIOWrapper(os.fdopen(0, "rb"), encoding="utf-8"):
        answer = run(**json.loads(line))
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
