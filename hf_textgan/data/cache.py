"""Memory-mapped data sets that are written once and found again."""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets.config
import pyarrow as pa
from datasets import Dataset, Features
from datasets.table import MemoryMappedTable


_FORMAT_VERSION = 1  # part of every key; to be raised when the format of the files changes
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
    """
    root = Path(datasets.config.HF_DATASETS_CACHE) / "hf_textgan" if cache_dir is None else Path(cache_dir)
    folder = root / key
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        part = root / f"{key}.{uuid.uuid4().hex}.part"
        part.mkdir()
        try:
            record = write(part / "data.arrow")
            (part / "record.json").write_text(json.dumps(record), encoding="utf-8")
            try:
                part.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    table = MemoryMappedTable.from_file(str(folder / "data.arrow"))
    return Dataset(table, fingerprint=key), json.loads((folder / "record.json").read_text(encoding="utf-8"))


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
