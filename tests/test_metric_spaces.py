"""The metric modules as Spaces of a Hub: loaded by the unmodified client from a server on this machine."""

import os
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import hf_textgan.metrics
from hf_textgan.metrics import available


FOLDER = Path(hf_textgan.metrics.__file__).parent
CODE = """
import sys
sys.modules["hf_textgan"] = None  # a Space has none
import evaluate
for name in sys.argv[1:]:
    module = evaluate.load(f"org/{name}")
    assert module.description, name
bleu = evaluate.load("org/textgan_bleu")
references = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]
print(round(bleu.compute(predictions=["a cat sat here"], references=references)["bleu_2"], 5))
"""


class Space(BaseHTTPRequestHandler):
    """Serves the files of the modules under the revision `main`; every other one is unknown."""

    def __init__(self, asked: list[str], *arguments):
        self.asked = asked
        super().__init__(*arguments)

    def do_GET(self):
        self.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")  # spaces/org/NAME/resolve/REVISION/FILE
        file = FOLDER / parts[2] / parts[5] if len(parts) == 6 and parts[3:5] == ["resolve", "main"] else None
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


@pytest.mark.slow
def test_modules_load_from_a_space(tmp_path):
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Space, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHONPATH"))},
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HOME": str(tmp_path),
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
    }
    try:
        result = subprocess.run(
            [sys.executable, "-c", CODE, *available()],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
        )
    finally:
        server.shutdown()
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.split()[-1] == "0.63589"  # with a brevity penalty of .7788
    assert any(path.startswith("/spaces/org/textgan_bleu/resolve/main/ngrams.py") for path in asked)
