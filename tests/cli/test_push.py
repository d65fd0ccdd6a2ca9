"""`--push_to_hub` says where the models go, against a server on this machine."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]


class Hub(BaseHTTPRequestHandler):
    """Takes a repository and one commit of small files."""

    protocol_version = "HTTP/1.1"

    def __init__(self, state: dict, *words):
        self.state = state
        super().__init__(*words)

    def log_message(self, *words):
        pass

    def answer(self, content: dict, status: int = 200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # noqa: N802
        self.answer({"name": "org", "id": "org/run", "sha": "1" * 40})

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        endpoint = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            self.state["name"] = json.loads(body)["name"]
            self.answer({"url": f"{endpoint}/org/{self.state['name']}"})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif "/commit/" in self.path and self.state["fails"]:
            self.answer({"error": "the disk of the Hub is full"}, status=413)
        elif "/commit/" in self.path:
            entries = [json.loads(line) for line in body.splitlines()]
            self.state["files"] = {entry["value"]["path"] for entry in entries if entry["key"] == "file"}
            self.answer({"commitUrl": f"{endpoint}/org/run/commit/{'1' * 40}", "commitOid": "1" * 40})
        else:
            self.answer({"errors": [], "warnings": []})


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_where_a_push_went(fails, tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"a {word} dog .\n" for word in ("red", "big", "old", "sad")))
    state: dict = {"fails": fails}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, state))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    hub = {"HF_ENDPOINT": url, "HF_TOKEN": "hf_none", "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    words = [*("train", "rnnlm", "--train_file", "train.txt", "--output_dir", "mine", "--push_to_hub")]
    words += [*("--pretrain_generator_steps", "1", "--per_device_train_batch_size", "4", "--eval_num_samples", "4")]
    words += [*("--generator.hidden_size", "4", "--generator.embedding_size", "4", "--disable_tqdm", "true")]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hf_textgan.cli.main", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **hub},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert state["name"] == "mine"
    assert f"When the training is over, the models go to {url}/org/mine." in done.stdout
    assert (tmp_path / "mine" / "model.safetensors").is_file()
    if fails:
        assert done.returncode == 2 and f"The push to {url}/org/mine failed" in done.stderr
        assert done.stderr.rstrip().endswith(
            "the models are in mine, and the same command with --resume pushes them again."
        )
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip().endswith(f"The models are on the Hub: {url}/org/mine")
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= state["files"]
