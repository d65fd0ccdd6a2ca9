"""Files and folders that are complete or absent."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


MANIFEST_FILE = "manifest.json"
_PARTIAL_PREFIX = "_partial-"  # the Hub upload of the Trainer leaves out names with an underscore


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)


def partial_path(final: Path) -> Path:
    """Returns the path at which a file or folder is written before it is complete."""
    return final.parent / f"{_PARTIAL_PREFIX}{final.name}"


def commit_folder(final: Path) -> None:
    """
    Lists the files of the partial folder of `final` in its manifest, forces them to disk and renames the folder. An
    existing folder is replaced.
    """
    partial = partial_path(final)
    manifest = {
        str(path.relative_to(partial).as_posix()): {"size": path.stat().st_size, "sha256": file_digest(path)}
        for path in _files(partial)
    }
    (partial / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    for path in (*_files(partial), partial / MANIFEST_FILE):
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
    partial = partial_path(final)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    commit_folder(final)


def write_text(path: Path, text: str) -> None:
    """Writes a file that is complete or absent."""
    temporary = partial_path(path)
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def strict_json(content: dict | list) -> str:
    """Returns JSON that every reader accepts: NaN and infinite values, which JSON does not have, become null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(content), indent=2, allow_nan=False) + "\n"


def remove_folder(folder: Path) -> None:
    """Deletes a folder, the manifest first, so that an interrupted deletion leaves no complete checkpoint."""
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder)


def clear_partial(output_dir: Path) -> None:
    """Deletes the half-written files and folders of killed processes."""
    for path in list(output_dir.rglob(f"{_PARTIAL_PREFIX}*")):  # one may lie in another that was deleted before it
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


__all__ = [
    "MANIFEST_FILE",
    "clear_partial",
    "commit_folder",
    "file_digest",
    "partial_path",
    "remove_folder",
    "strict_json",
    "write_text",
    "writing_folder",
]
