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
    written = folder / f"{LOCK_FILE}-{secrets.token_hex(4)}"
    written.write_text(json.dumps(owner))
    while True:
        try:
            os.link(written, path)  # at once with its content, and only if there is none
            written.unlink()
            break
        except FileExistsError:
            other = _read(path)
            if other is not None and not _is_stale(other):
                written.unlink()
                raise FolderLocked(
                    f"{folder} is written by process {other['pid']} on {other['host']} since {other['started']}; wait "
                    f"for it, choose another folder, or delete {path} if that process is gone."
                ) from None
            path.unlink(missing_ok=True)
    try:
        yield
    finally:
        if _read(path) == owner:
            path.unlink(missing_ok=True)


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
