"""Metrics as Spaces: pushed to and loaded from a server on this machine by the unmodified clients, and by path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_textgan.metrics import available, load
from hf_textgan.metrics.export import export_metrics
from hf_textgan.runs.spaces import push_metrics


REFERENCES = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]
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
references = {references}
self_bleu = evaluate.load(f"{owner}/self_bleu")
print({key: value for key, value in self_bleu.compute(predictions=references).items() if "bleu" in key})
print(round(bleu.compute(predictions=["a cat sat here"], references=references)["bleu_2"], 5))
""".replace("{references}", repr(REFERENCES))


def load_spaces(owner: str, cwd: Path, **environment: str) -> None:
    """Loads all Spaces of an owner in a process of its own, and computes a score."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHONPATH"))}
    result = subprocess.run(
        [sys.executable, "-c", CODE, owner, *available()],
        env={**inherited, "HF_HOME": str(cwd / "home"), "OMP_NUM_THREADS": "1", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    own, bleu = result.stdout.splitlines()[-2:]
    assert bleu == "0.63589"  # with a brevity penalty of .7788
    expected = load("self_bleu").compute(predictions=REFERENCES) or {}
    assert own == repr({key: value for key, value in expected.items() if "bleu" in key})


@pytest.mark.slow
def test_pushed_spaces_load_from_a_hub(hub, tmp_path):
    pushes = push_metrics("org")
    assert [push.url for push in pushes] == [f"{hub.url}/spaces/org/{name}" for name in available()]
    cwd = tmp_path / "elsewhere"  # "org/NAME" is no path there
    cwd.mkdir()
    load_spaces("org", cwd, **hub.environment(cwd / "home"))
    assert hub.asked("/spaces/org/textgan_bleu/resolve/main/ngrams.py")


@pytest.mark.slow
def test_spaces_load_by_path_offline(tmp_path):
    export_metrics(tmp_path / "copies")
    load_spaces("copies", tmp_path, HF_HUB_OFFLINE="1")
