"""Memory-mapped data sets that are written once and found again."""

import hashlib
import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets.config
import pyarrow as pa
from datasets import Dataset, Features
from datasets.table import MemoryMappedTable

from ..utils.files import file_digest


logger = logging.getLogger(__name__)

_DATA_FILE, _RECORD_FILE = "data.arrow", "record.json"
_FORMAT_VERSION = 2  # part of every key; to be raised when the format of the files changes
_STALE_SECONDS = 24 * 3600  # age at which the partial folder of a killed run is removed


def fingerprint(*parts: Any) -> str:
    """Returns the key of a result that depends on `parts` only, which JSON can write."""
    content = json.dumps([_FORMAT_VERSION, *parts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def cached_dataset(
    key: str, write: Callable[[Path], dict[str, Any]], cache_dir: str | Path | None = None
) -> tuple[Dataset, dict[str, Any]]:
    """
    Returns the data set called `key` in the cache, memory-mapped, and its record. If the cache lacks it, `write`
    writes the Arrow file to the path that it is given and returns the record.

    A data set gets its name when it is complete, so no process reads half of it, and several processes may write it.
    One whose files are damaged or missing is written again, and a warning says so.
    """
    root = Path(datasets.config.HF_DATASETS_CACHE) / "hf_textgan" if cache_dir is None else Path(cache_dir)
    folder = root / key
    if folder.is_dir():
        try:
            return _read(folder, key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            logger.warning("The cached data in %s are damaged (%s) and are written again.", folder, reason)
            _discard(folder)
    root.mkdir(parents=True, exist_ok=True)
    _remove_stale(root)
    part = _part(root, key)
    part.mkdir()
    try:
        record = write(part / _DATA_FILE)
        content = {"record": record, "sha256": file_digest(part / _DATA_FILE)}
        (part / _RECORD_FILE).write_text(json.dumps(content), encoding="utf-8")
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _read(folder, key)


def _read(folder: Path, key: str) -> tuple[Dataset, dict[str, Any]]:
    """Returns a data set and its record; raises `ValueError` and others if its files are damaged."""
    content = json.loads((folder / _RECORD_FILE).read_text(encoding="utf-8"))
    if file_digest(folder / _DATA_FILE) != content["sha256"]:
        raise ValueError(f"{_DATA_FILE} has changed since it was written")
    table = MemoryMappedTable.from_file(str(folder / _DATA_FILE))
    return Dataset(table, fingerprint=key), dict(content["record"])


def _discard(folder: Path) -> None:
    """Removes a data set; a process that has mapped it keeps it."""
    damaged = _part(folder.parent, folder.name)
    with suppress(FileNotFoundError):  # another process was first
        folder.rename(damaged)  # at once, so that nobody finds half of it
    shutil.rmtree(damaged, ignore_errors=True)


def _part(root: Path, key: str) -> Path:
    """Returns a new name for a folder that is not complete."""
    return root / f"{key}.{uuid.uuid4().hex}.part"


def write_arrow(path: Path, features: Features, batches: Iterable[Mapping[str, list]]) -> None:
    """Writes batches of rows as an Arrow stream, as 🤗 Datasets maps it."""
    schema = features.arrow_schema
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            arrays = [pa.array(batch[field.name], type=field.type) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _remove_stale(root: Path) -> None:
    for part in root.glob("*.part"):
        try:
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(part, ignore_errors=True)
        except FileNotFoundError:
            pass  # another process was first


__all__ = ["cached_dataset", "fingerprint", "write_arrow"]
