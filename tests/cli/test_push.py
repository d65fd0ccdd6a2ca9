"""`textgan train --push_to_hub` in a process of its own, which says where the models go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import WRITER, HubServer


ROOT = Path(__file__).parents[2]


@pytest.fixture
def server():
    server = HubServer(lfs=False)  # so Xet, which is on, has nothing to do
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_where_a_push_went(fails, server, tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"a {word} dog .\n" for word in ("red", "big", "old", "sad")))
    if fails:
        server.fail("/commit/", status=413, message=f"the disk of the Hub is full, {WRITER}")
    words = [*("train", "rnnlm", "--train_file", "train.txt", "--output_dir", "mine", "--push_to_hub")]
    words += [*("--pretrain_generator_steps", "1", "--per_device_train_batch_size", "4", "--eval_num_samples", "4")]
    words += [*("--generator.hidden_size", "4", "--generator.embedding_size", "4", "--disable_tqdm", "true")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}

    def textgan(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "hf_textgan.cli.main", *words],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), **server.environment(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = textgan(*words)
    url = f"{server.url}/org/mine"
    assert f"When the training is over, the models go to {url}." in done.stdout
    assert (tmp_path / "mine" / "model.safetensors").is_file()
    assert "Traceback" not in done.stderr and WRITER not in done.stdout + done.stderr
    assert not any(WRITER.encode() in path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file())
    if fails:
        assert done.returncode == 2 and "The push to org/mine failed: the Hub answered 413 (the disk" in done.stderr
        assert done.stderr.rstrip().endswith("the models are in mine, and `textgan push mine org/mine` pushes them.")
        again = textgan("push", "mine", "org/mine")
        assert again.returncode == 0 and f"mine is on the Hub: {url} (" in again.stdout
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.rstrip().endswith(f"The models are on the Hub: {url}")
    files = set(server.model("org/mine").files)
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "tokenization_word.py"} <= files
    assert server.unknown == []
