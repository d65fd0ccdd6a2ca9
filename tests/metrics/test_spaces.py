"""Exported metrics as Spaces: loaded by the unmodified client from a server on this machine, and by path offline."""

import os
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hf_textgan.metrics import available
from hf_textgan.metrics.export import export_metrics


# Spaces do not have the package.
CODE = """
import sys
sys.modules["hf_textgan"] = None
import evaluate
owner, *names = sys.argv[1:]
for name in names:
    module = evaluate.load(f"{owner}/{name}")
    assert module.description, name
bleu = evaluate.load(f"{owner}/textgan_bleu")
references = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]
print(round(bleu.compute(predictions=["a cat sat here"], references=references)["bleu_2"], 5))
"""


class Space(BaseHTTPRequestHandler):
    """Serves the files of a folder of Spaces under the revision `main`; every other revision is unknown."""

    def __init__(self, folder: Path, asked: list[str], *arguments):
        self.folder, self.asked = folder, asked
        super().__init__(*arguments)

    def do_GET(self):
        self.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")  # spaces/org/NAME/resolve/REVISION/FILE
        file = self.folder / parts[2] / parts[5] if len(parts) == 6 and parts[3:5] == ["resolve", "main"] else None
        found = file is not None and file.is_file()
        body = file.read_bytes() if found else b"not found"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(body)}"')
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


def load_spaces(owner: str, cwd: Path, **environment: str) -> None:
    """Loads all Spaces of an owner in a process of its own, and computes a score."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHONPATH"))}
    result = subprocess.run(
        [sys.executable, "-c", CODE, owner, *available()],
        env={**inherited, "HF_HOME": str(cwd / "home"), "OMP_NUM_THREADS": "1", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.split()[-1] == "0.63589"  # with a brevity penalty of .7788


@pytest.mark.slow
def test_spaces_load_from_a_hub(tmp_path):
    export_metrics(tmp_path / "org")
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Space, tmp_path / "org", asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    cwd = tmp_path / "elsewhere"  # "org/NAME" is no path there
    cwd.mkdir()
    try:
        load_spaces("org", cwd, HF_ENDPOINT=endpoint, HF_UPDATE_DOWNLOAD_COUNTS="0", NO_PROXY="127.0.0.1")
    finally:
        server.shutdown()
    assert any(path.startswith("/spaces/org/textgan_bleu/resolve/main/ngrams.py") for path in asked)


@pytest.mark.slow
def test_spaces_load_by_path_offline(tmp_path):
    export_metrics(tmp_path / "copies")
    load_spaces("copies", tmp_path, HF_HUB_OFFLINE="1")
