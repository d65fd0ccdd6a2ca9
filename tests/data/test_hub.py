"""A data set on the Hub, from a server on this machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


COMMIT = "1" * 40
ON_HUB = {
    "README.md": b"# Toys\n",
    "train.csv": b"sentence,label\na dog .,pos\na cat .,neg\n",
    "test.csv": b"sentence,label\na cow .,neg\na pig .,pos\n",
}


class Hub(BaseHTTPRequestHandler):
    """The data set org/toy."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str):
        self.send_response(status)
        for name, value in {**headers, "Content_Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):  # noqa: N802
        path = self.path.partition("?")[0]
        if "org/toy" not in path:
            return self.answer(404, X_Error_Code="RepoNotFound")
        if "/resolve/" in path:
            body = ON_HUB.get(path.partition("/resolve/")[2].partition("/")[2])
            if body is None:
                return self.answer(404, X_Error_Code="EntryNotFound")
            headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X_Repo_Commit": COMMIT}
            asked = self.headers.get("Range")
            if asked is None:
                return self.answer(200, body, **headers)
            begin, end = asked.removeprefix("bytes=").split("-")
            begin, end = int(begin), min(int(end or len(body)), len(body) - 1)
            span = f"bytes {begin}-{end}/{len(body)}"
            return self.answer(206, body[begin : end + 1], Content_Range=span, **headers)
        if "/tree/" in path:
            files = [{"type": "file", "path": p, "size": len(b), "oid": COMMIT} for p, b in ON_HUB.items()]
            content = files if path.endswith(COMMIT) else []
        else:
            content = {"id": "org/toy", "sha": COMMIT, "siblings": [{"rfilename": name} for name in ON_HUB]}
        return self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    do_HEAD = do_GET  # noqa: N815


ASK_THE_HUB = """
import json, logging
from hf_textgan.data import DataError, load_text
from hf_textgan.runs.data import DataArguments, load_texts

texts = load_texts(DataArguments(dataset_name="org/toy"))
found = [texts.train[:], texts.eval[:], texts.label_names]
streamed = load_text("org/toy", text_column="sentence", streaming=True)
found += [streamed[:], streamed.features["label"].names]
errors = []
for source, options in [("org/none", {}), ("org/toy", {"split": "no"}), ("org/none", {"streaming": True})]:
    try:
        load_text(source, **options)
    except DataError as error:
        errors.append(str(error))
print(json.dumps([found, errors]))
"""


@pytest.mark.slow
def test_a_data_set_on_the_hub(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
    }
    for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_THE_HUB], env=environment, capture_output=True, text=True, timeout=120
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    found, errors = json.loads(done.stdout.splitlines()[-1])
    train = {"text": ["a dog .", "a cat ."], "label": [1, 0]}
    assert found == [
        train,
        {"text": ["a cow .", "a pig ."], "label": [0, 1]},
        ["neg", "pos"],
        train,
        ["neg", "pos"],
    ]
    missing = (
        "There is neither a folder 'org/none' nor a data set of that name on the Hub that can be read; check the "
        "name, and log in if it is private."
    )
    assert errors[0] == errors[2] == missing
    assert errors[1].startswith("The data set 'org/toy' cannot be read from the Hub (ValueError: Unknown split")
    assert errors[1].endswith("; check its name, configuration and split, and the connection.")
