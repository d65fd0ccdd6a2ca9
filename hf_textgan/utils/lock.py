"""A lock of the folder of a run, so that two runs do not write to it at once."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


LOCK_FILE = ".lock"
_SECONDS_TO_WRITE = 10.0  # a lock without an owner that is older was left by a process killed while it wrote it


class FolderLocked(ValueError):
    """The folder is written by another process; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """
    Holds the lock of a folder within the block. A lock whose process has ended on this machine is taken over.

    Raises:
        [`FolderLocked`]: If another process holds it; the message names the process, its machine and its start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}
    while True:
        try:
            with path.open("x") as file:  # only one process makes it
                file.write(json.dumps(owner))
            break
        except FileExistsError:
            _take_away(path)
    try:
        yield
    finally:
        if _read(path) == owner:
            path.unlink(missing_ok=True)


def _take_away(path: Path) -> None:
    """Removes a stale lock, and raises [`FolderLocked`] for any other."""
    other = _read(path)
    if other is not None and not _is_stale(other):
        raise FolderLocked(
            f"{path.parent} is written by process {other['pid']} on {other['host']} since {other['started']}; wait "
            f"for it, choose another folder, or delete {path} if that process is gone."
        )
    try:
        if other is None and time.time() - path.stat().st_mtime < _SECONDS_TO_WRITE:
            raise FolderLocked(f"{path} was made just now by another process; wait for it, or choose another folder.")
        taken = path.with_name(f"{LOCK_FILE}-{secrets.token_hex(4)}")
        os.rename(path, taken)
    except FileNotFoundError:  # its owner, or another process that saw it stale, was first
        return
    if _read(taken) != other:  # another process took the stale lock over between the two lines: give it back
        os.replace(taken, path)
        return
    taken.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    """Returns the owner of a lock; `None` if it is gone or damaged."""
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and {"pid", "host", "started"} <= owner.keys() else None


def _is_stale(owner: dict[str, Any]) -> bool:
    """Returns whether the process that made a lock has ended; that of another machine cannot be asked."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError, TypeError):
        return False
    return int(owner["pid"]) == os.getpid()


__all__ = ["FolderLocked", "LOCK_FILE", "locked"]
