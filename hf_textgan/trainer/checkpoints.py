"""
Checkpoints that are complete or absent.

A checkpoint is written to a folder with a temporary name, listed in a manifest, forced to disk and renamed. A process
that is killed leaves either the finished folder or a temporary one, which is cleared at the next start.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


MANIFEST = "manifest.json"
_PARTIAL = "_partial-"  # the Hub upload of the Trainer leaves out names with an underscore


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def partial_folder(final: Path) -> Path:
    """Where a folder is written before it is complete."""
    return final.parent / f"{_PARTIAL}{final.name}"


def finish_folder(final: Path) -> None:
    """
    Lists the files of the partial folder of `final` in its manifest, forces them to disk and renames it. A folder that
    is there already is replaced.
    """
    partial = partial_folder(final)
    manifest = {
        str(path.relative_to(partial).as_posix()): {"size": path.stat().st_size, "sha256": _digest(path)}
        for path in _files(partial)
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for path in (*_files(partial), partial / MANIFEST):
        _fsync(path)
    for directory in (*(path for path in partial.rglob("*") if path.is_dir()), partial):
        _fsync(directory)
    if final.exists():  # a resumed run writes the same step again
        remove_folder(final)
    os.replace(partial, final)
    _fsync(final.parent)


@contextmanager
def writing_folder(final: Path) -> Iterator[Path]:
    """Yields a folder to write to, which becomes `final` when the block ends without an error."""
    partial = partial_folder(final)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    finish_folder(final)


def write_text(path: Path, text: str) -> None:
    """Writes a file that is complete or absent."""
    temporary = path.with_name(f"{_PARTIAL}{path.name}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def strict_json(content: dict | list) -> str:
    """JSON that every reader accepts: values that are not finite, which JSON does not have, become null."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(content), indent=2, allow_nan=False) + "\n"


def remove_folder(folder: Path) -> None:
    """Deletes a folder; if it is interrupted, what remains is no checkpoint, because the manifest goes first."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder)


def clear_partial(output_dir: Path) -> None:
    """Deletes what killed processes left half-written."""
    for path in list(output_dir.rglob(f"{_PARTIAL}*")):  # one may lie in another, and be gone with it
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def why_incomplete(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or `None`."""
    if not checkpoint.is_dir():
        return "it is not a folder"
    if not (checkpoint / MANIFEST).is_file():
        return f"it has no {MANIFEST}, so it was not written to the end"
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text())
        files = [(name, entry["size"], entry["sha256"]) for name, entry in manifest.items()]
    except (ValueError, AttributeError, KeyError, TypeError):
        files = []
    if not files:
        return f"its {MANIFEST} is damaged"
    for name, size, sha256 in files:
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
        if _digest(path) != sha256:
            return f"{name} is damaged (its checksum differs)"
    return None


def checkpoints(output_dir: Path) -> list[Path]:
    """The folders `checkpoint-N`, complete or not, newest first."""
    found = [path for path in output_dir.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def rotate(written: Path, limit: int) -> None:
    """
    Keeps `limit` checkpoints: the one just written and the newest before it. Those of later steps were left by an
    earlier run in this folder and go first.
    """
    step = _step(written)
    others = sorted((path for path in checkpoints(written.parent) if path != written), key=lambda p: _step(p) > step)
    for path in others[limit - 1 :]:
        remove_folder(path)


def newest_complete(output_dir: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The newest complete checkpoint, and the newer ones that were skipped, each with the reason."""
    skipped = []
    for checkpoint in checkpoints(output_dir):
        reason = why_incomplete(checkpoint)
        if reason is None:
            return checkpoint, skipped
        skipped.append((checkpoint, reason))
    return None, skipped


__all__ = [
    "MANIFEST",
    "checkpoints",
    "clear_partial",
    "finish_folder",
    "newest_complete",
    "partial_folder",
    "remove_folder",
    "rotate",
    "strict_json",
    "why_incomplete",
    "write_text",
    "writing_folder",
]
