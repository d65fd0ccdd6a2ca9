"""The contract of every pushed model: it loads, and computes the same, in a process that cannot import the package."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from transformers import AutoModel, AutoModelForCausalLM

from hf_textgan import models
from hf_textgan.data.tokenizers import discriminator_tokenizer, word_tokenizer
from hf_textgan.models import MODELS
from hf_textgan.sampling.capabilities import capabilities_of
from hf_textgan.systems import SYSTEMS
from hf_textgan.systems.spec import Copy, config_fields
from hf_textgan.trainer.repository import auto_classes_of, write_repository
from tests import remote_outputs
from tests.contracts.test_models import TINY, tiny


SCRIPT = Path(remote_outputs.__file__)
LINES = ["a red dog runs home .", "a big dog runs away .", "the old dog sits .", "one cat eats the fish ."]


def system_players(name: str, vocab_size: int) -> dict:
    """The players of a system, tiny."""
    spec = SYSTEMS[name]
    overrides = {
        player: {
            key: value
            for key, value in TINY.items()
            if key in config_fields(getattr(models, spec.player(player)[0])) - {"vocab_size", "sequence_length"}
        }
        for player, own in spec.players.items()
        if not isinstance(own, Copy)
    }
    torch.manual_seed(0)
    return spec.build_players(overrides, {"vocab_size": vocab_size, "sequence_length": 6})


def write_system(folder: Path, players: dict, tokenizer) -> None:
    """Saves players as a run does."""
    for name, player in players.items():
        target = folder if name == "generator" else folder / name
        player.save_pretrained(target)
        if name != "generator" and getattr(player.config, "sequence_length", None):
            discriminator_tokenizer(tokenizer, 6).save_pretrained(target)
    tokenizer.save_pretrained(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("model_class", MODELS, ids=lambda model_class: model_class.__name__)
def test_the_code_of_a_model_is_complete_and_needs_no_package(model_class, tmp_path):
    tiny(model_class).save_pretrained(tmp_path / "model")
    write_repository(tmp_path / "model", tmp_path / "pushed")
    config = json.loads((tmp_path / "pushed/config.json").read_text())
    expected = {"AutoConfig", "AutoModel", *(auto_class.__name__ for auto_class in MODELS[model_class])}
    assert config["auto_map"].keys() == expected == auto_classes_of(config["model_type"]).keys()
    assert "auto_map" not in json.loads((tmp_path / "model/config.json").read_text()), "the local folder stays"
    code = {path.stem: ast.parse(path.read_text()) for path in (tmp_path / "pushed").glob("*.py")}
    for name, reference in config["auto_map"].items():
        module, _, class_name = reference.partition(".")
        assert class_name == (model_class.config_class if name == "AutoConfig" else model_class).__name__
        assert class_name in {node.name for node in code[module].body if isinstance(node, ast.ClassDef)}
    for tree in code.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and node.module in code
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                top = {name.partition(".")[0] for name in names}
                assert top <= {"torch", "transformers", "huggingface_hub", *sys.stdlib_module_names}


@pytest.mark.slow
def test_a_stranger_loads_every_model_and_every_system(hub, tmp_path, one_thread):
    """
    One process, in which the package cannot be imported, loads all of them by each of their Auto classes: weights,
    outputs and generated tokens are equal bit by bit.
    """
    tokenizer = word_tokenizer(LINES)
    plan: list[dict] = []

    def publish(name: str, players: dict) -> str:
        folder, repository = tmp_path / name, f"org/{name.lower()}"
        write_system(folder / "run", players, tokenizer)
        write_repository(folder / "run", folder / "pushed", players)
        hub.create(repository, files_of(folder / "pushed"))
        for player, model in players.items():
            options = {} if player == "generator" else {"subfolder": player}
            loaded = AutoModel.from_pretrained(repository, **options)
            assert type(loaded) is type(model), "with the package, the registered class is used without asking"
            expected = folder / f"{player}.bin"
            torch.save(remote_outputs.outputs(loaded), expected)
            auto_classes = [name for name in auto_classes_of(model.config.model_type) if name != "AutoConfig"]
            plan.append(
                {
                    "repository": repository,
                    "options": options,
                    "auto_classes": auto_classes,
                    "expected": str(expected),
                }
            )
        return repository

    for model_class in MODELS:
        publish(model_class.__name__, {"generator": tiny(model_class)})
    generators = {}
    for name in SYSTEMS:
        players = system_players(name, len(tokenizer))
        repository = publish(name, players)
        one_shot = capabilities_of(players["generator"]).sampling == "one-shot"
        generators.setdefault("one-shot" if one_shot else "generator", repository)
    assert {entry["repository"] for entry in plan} == {key[1] for key in hub.repositories}

    (tmp_path / "plan.json").write_text(json.dumps({"models": plan, **generators}))
    environment = {
        **os.environ,
        **hub.environment(tmp_path / "home"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "plan.json", tmp_path / "result.json"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1500,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["wrong"] == []
    assert result["tokenizer"] == "WordTokenizer"
    assert result["texts"] == remote_outputs.texts(generators["generator"])
    whole, streamed, stopped = result["texts"][-3:]
    assert whole == streamed and whole.startswith("a red ") and len(whole.split(" ")) == 6
    assert whole.startswith(stopped) and 3 <= len(stopped.split(" ")) <= 4
    assert [len(r[0]["generated_text"].split(" ")) for r in result["texts"][0]] == [6, 7]
    assert "org/" in result["untrusted"] and "trust_remote_code=True" in result["untrusted"]
    assert result["one-shot"].startswith("ValueError: Unrecognized configuration class")
    assert Path(HF_HUB_CACHE).is_dir()


def test_the_loading_table(hub, tmp_path):
    """With the package, each Auto class of the table loads from the Hub without asking for trust."""
    tokenizer = word_tokenizer(LINES)
    players = system_players("seqgan", len(tokenizer))
    write_system(tmp_path / "run", players, tokenizer)
    write_repository(tmp_path / "run", tmp_path / "pushed", players)
    hub.create("org/seqgan", files_of(tmp_path / "pushed"))
    for auto_class in (AutoModel, AutoModelForCausalLM):
        loaded = auto_class.from_pretrained("org/seqgan")
        assert type(loaded) is models.RecurrentGeneratorForCausalLM
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    judge = AutoModelForSequenceClassification.from_pretrained("org/seqgan", subfolder="discriminator")
    assert type(judge) is models.CNNDiscriminator
    assert type(AutoTokenizer.from_pretrained("org/seqgan")) is models.WordTokenizer
