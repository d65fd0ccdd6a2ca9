"""Small files of text of every format, and the released parameters of the oracle."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def write(path: Path, content: str | bytes | list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


ROWS = [
    {"text": " A dog . ", "label": "pos"},
    {"text": "白日 依山", "label": "neg"},
    {"text": "a,cat", "label": "pos"},
]
AS_TEXT = ["A dog .", "白日 依山", "a,cat"]


def as_file(kind: str, folder: Path) -> Path:
    path = folder / f"text.{kind}"
    if kind == "txt":
        return write(path, "\ufeff A dog . \n白日 依山\r\na,cat")
    if kind == "csv":
        return write(path, '\ufefftext,label\r\n A dog . ,pos\r\n白日 依山,neg\r\n"a,cat",pos\r\n')
    if kind == "tsv":
        return write(path, "text\tlabel\n A dog . \tpos\n白日 依山\tneg\na,cat\tpos")
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    return write(path, ROWS)


def released_oracle() -> Path:
    """Returns the path of the published parameters; skips the test if they are not on this machine."""
    folder = os.environ.get("TEXTGAN_DATA_DIR")
    path = Path(folder or "") / "seqgan_oracle" / "target_params.npz"
    if folder is None or not path.is_file():
        pytest.skip("TEXTGAN_DATA_DIR names no folder with seqgan_oracle/target_params.npz")
    return path
