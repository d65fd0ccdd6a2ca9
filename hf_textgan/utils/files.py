"""Files and folders that are complete or absent."""

import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


MANIFEST_FILE = "manifest.json"
_PARTIAL_PREFIX = "_partial-"  # the Hub upload of the Trainer leaves out names with an underscore
_PARTIAL_NAME = re.compile(rf"{_PARTIAL_PREFIX}[0-9a-f]{{8}}-.+")


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


def weights_digest(folder: Path) -> str | None:
    """Returns a SHA-256 of the weights that lie directly in a folder; `None` if there are none."""
    files = sorted(folder.glob("*.safetensors"))
    digests = [f"{path.name} {file_digest(path)}" for path in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest() if files else None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)


def partial_path(final: Path) -> Path:
    """Returns a path beside `final` at which it is written before it is complete; nobody can guess it."""
    return final.parent / f"{_PARTIAL_PREFIX}{secrets.token_hex(4)}-{final.name}"


def check_no_link(path: Path) -> None:
    """Raises `OSError` if `path` is a link: what lies behind it belongs to somebody else."""
    if path.is_symlink():
        raise OSError(
            f"{path} is a link to {os.readlink(path)}, and links are not followed; remove it, or choose another "
            "folder."
        )


def check_output(path: Path, overwrite: bool) -> None:
    """Raises `ValueError` if an output is there already and may not be replaced."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file for the output.")
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise ValueError(f"{path} is there already; add --overwrite to replace it, or name another file.")
    if not path.parent.is_dir():
        raise ValueError(
            f"There is no folder {path.parent} for the output {path.name}; make it, or name another file."
        )


def make_folder(path: Path) -> Path:
    """Makes a folder, if it is not there, and returns it; a link in its place is an error."""
    check_no_link(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def writing_file(path: Path) -> Iterator[Path]:
    """Yields a new file to write to, which replaces `path` when the block ends without an error."""
    partial = partial_path(path)
    partial.open("x").close()
    try:
        yield partial
        _fsync(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a file that is complete or absent."""
    with writing_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def writing_folder(final: Path) -> Iterator[Path]:
    """Yields a new folder to write to, which replaces `final` when the block ends without an error."""
    check_no_link(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(final)
    partial.mkdir()
    try:
        yield partial
        commit_folder(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def writing_into(folder: Path, last: str) -> Iterator[Path]:
    """
    Yields a new folder to write to, whose content moves into `folder` when the block ends without an error. The file
    `last`, which tells that the content is complete, is removed first and comes last.
    """
    make_folder(folder)
    partial = partial_path(folder / "save")
    partial.mkdir()
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if (folder / last).exists():
        (folder / last).unlink()
    names = sorted((path.name for path in partial.iterdir()), key=lambda name: (name == last, name))
    for name in names:
        source, target = partial / name, folder / name
        if source.is_dir():
            make_folder(target)
            for path in sorted(source.iterdir(), key=lambda path: (path.name == last, path.name)):
                os.replace(path, target / path.name)
        else:
            os.replace(source, target)
    shutil.rmtree(partial)


def commit_folder(partial: Path, final: Path) -> None:
    """
    Lists the files of a folder in its manifest, forces them to disk and renames the folder to `final`. An existing
    folder is replaced.
    """
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


def read_object(path: Path, **types: type | tuple[type, ...]) -> dict[str, Any]:
    """
    Reads a JSON file that holds an object.

    Args:
        path (`Path`):
            The file.
        types:
            Names that the object must have, and the types of their values.

    Raises:
        `ValueError`: If the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or use another folder.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged (it holds no JSON object); restore it, or use another folder.")
    for name, kinds in types.items():
        if not isinstance(content.get(name), kinds):
            raise ValueError(
                f"{path} is damaged (its {name} is {content.get(name)!r}); restore it, or use another folder."
            )
    return content


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
    check_no_link(folder)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder)


def clear_partial(*folders: Path) -> None:
    """Deletes the half-written files and folders of killed processes that lie directly in these folders."""
    for folder in folders:
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in list(folder.iterdir()):
            if not _PARTIAL_NAME.fullmatch(path.name) or path.is_symlink():
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


__all__ = [
    "MANIFEST_FILE",
    "check_no_link",
    "check_output",
    "clear_partial",
    "commit_folder",
    "file_digest",
    "make_folder",
    "partial_path",
    "read_object",
    "remove_folder",
    "strict_json",
    "weights_digest",
    "write_text",
    "writing_file",
    "writing_folder",
    "writing_into",
]
