"""Loading generators: the code of a repository is never run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hf_textgan.data.errors import DataError
from hf_textgan.data.loading import load_tokenizer
from hf_textgan.data.oracle import load_oracle
from hf_textgan.metrics.embeddings import model_embedding
from hf_textgan.runs.build import load_pretrained
from hf_textgan.runs.folder import load_run
from hf_textgan.sampling.loading import load_generator
from tests.helpers import tiny_lstm


CODE = """from pathlib import Path
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
Path({marker!r}).touch()
class OtherConfig(PreTrainedConfig):
    model_type = "other"
class OtherModel(PreTrainedModel):
    config_class = OtherConfig
class OtherTokenizer(PreTrainedTokenizerFast):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "code.OtherConfig",
    "AutoModel": "code.OtherModel",
    "AutoModelForCausalLM": "code.OtherModel",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model folder with code that leaves a file behind when it is run."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "code.py").write_text(CODE.format(marker=str(tmp_path / "was_run")))
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_text(json.dumps({"model_type": "other", "auto_map": AUTO_MAP}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Other", "auto_map": {"AutoTokenizer": [None, "code.OtherTokenizer"]}})
    )
    return folder


@pytest.mark.parametrize(
    "load",
    [
        load_generator,
        load_run,
        load_pretrained,
        load_tokenizer,
        load_oracle,
        lambda name: model_embedding(name, None, ["a dog"]),
    ],
    ids=["generator", "run", "pretrained", "tokenizer", "oracle", "embeddings"],
)
def test_the_code_of_a_folder_is_not_run(load, folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *args: "y")  # the answer to the question of transformers
    with pytest.raises((ValueError, DataError), match="custom code|cannot be loaded"):
        load(str(folder))
    assert not (folder.parent / "was_run").exists()


@pytest.mark.slow  # a fresh interpreter
def test_the_command_says_so_in_one_sentence_and_asks_nothing(folder):
    done = subprocess.run(
        [sys.executable, "-m", "hf_textgan.cli.main", "generate", str(folder)],
        input="y\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and not (folder.parent / "was_run").exists()
    [line] = [line for line in done.stderr.splitlines() if "cannot be loaded" in line]
    assert "custom code" in line and "Traceback" not in done.stderr


def test_our_classes_are_preferred_to_the_code_beside_a_model(tmp_path):
    tiny_lstm(9).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "auto_map": AUTO_MAP}))
    assert type(load_generator(str(tmp_path))) is type(tiny_lstm(9))
