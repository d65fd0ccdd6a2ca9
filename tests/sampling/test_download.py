"""Models from the Hub: verified, without code and pickles, and with a sentence when something is wrong."""

from pathlib import Path

import huggingface_hub.constants
import pytest
from transformers import AutoModel

from hf_textgan.cli.main import main
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.runs.generate import generate_texts
from hf_textgan.sampling.download import model_folder
from hf_textgan.sampling.loading import load_generator
from hf_textgan.utils.hub import HubError
from tests.contracts.test_remote_code import LINES, files_of
from tests.helpers import tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def local(tmp_path) -> Path:
    tokenizer = word_tokenizer(LINES)
    model = tiny_lstm(len(tokenizer))
    model.generation_config.max_new_tokens = 5
    model.save_pretrained(tmp_path / "local")
    tokenizer.save_pretrained(tmp_path / "local")
    return tmp_path / "local"


@pytest.fixture
def repository(hub, local):
    others = {"modeling_x.py": b"raise RuntimeError", "training_args.bin": b"", "discriminator/config.json": b"{}"}
    return hub.create("org/model", {**files_of(local), **others})


def test_no_code_no_pickle_and_no_other_player_is_downloaded(repository, local):
    folder = model_folder("org/model")
    assert files_of(folder) == files_of(local)
    assert generate_texts("org/model", 3) == generate_texts(str(local), 3)
    assert load_generator("org/model").name_or_path == "org/model"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_byte_that_changed_on_the_way_is_found(name, hub, repository, local):
    """The size is right, so nobody else notices."""
    hub.fail("GET /cdn/" if name.endswith("safetensors") else f"GET .*/{name}", "alter")
    with pytest.raises(
        HubError, match=f"^{name} of org/model is not what the repository states .* do it again to down"
    ):
        generate_texts("org/model")
    assert generate_texts("org/model") == generate_texts(str(local)), "the damaged file is gone from the cache"


def test_a_byte_that_changed_in_the_cache_is_found(repository):
    blob = (model_folder("org/model") / "model.safetensors").resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    AutoModel.from_pretrained("org/model")  # notices nothing
    with pytest.raises(HubError, match="^model.safetensors of org/model is not what the repository states"):
        model_folder("org/model")
    assert (model_folder("org/model") / "model.safetensors").read_bytes() == content


def test_a_truncated_download_is_continued(hub, repository, local):
    hub.fail("GET /cdn/", "truncate")
    assert (model_folder("org/model") / "model.safetensors").read_bytes() == (local / "model.safetensors").read_bytes()
    assert hub.asked("GET /cdn/") == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 500, "times": 99}, "do it again later|cannot be reached"),
        ({"kind": "cut", "times": 99}, "the connection broke|cannot be reached"),
        ({"status": 429, "times": 99}, "too many requests|cannot be reached"),
    ],
)
def test_a_hub_that_fails(fault, message, hub, repository, monkeypatch, capsys):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.fail("(HEAD|GET) ", **fault)
    assert main(["generate", "org/model"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("textgan generate: The download of org/model failed: ") and error.count("\n") == 1
    assert any(words in error for words in message.split("|"))
    hub.faults.clear()
    assert main(["generate", "org/model", "--num_samples", "1"]) == 0


def test_names_and_revisions_that_are_not_there(hub, repository, capsys):
    for words, message in (
        (
            ["org/none"],
            "The download of org/none failed: there is no such repository, or your token may not read it; ",
        ),
        (
            ["org/model", "--revision", "v9"],
            "The download of org/model at v9 failed: there is no such revision; name ",
        ),
    ):
        assert main(["generate", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    with pytest.raises(ValueError, match="revision is 'v1', but .* is a folder; leave it out"):
        model_folder(".", "v1")


def test_a_private_repository_needs_a_token(hub, local, monkeypatch):
    hub.create("org/model", files_of(local), private=True)
    model_folder("org/model")
    monkeypatch.delenv("HF_TOKEN")
    hub.create("org/other", files_of(local), private=True)
    with pytest.raises(
        HubError, match="there is no such repository, or your token may not read it; check the name, or"
    ):
        model_folder("org/other")


def test_offline_the_cache_is_used_and_verified(hub, repository, local, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        HubError, match="the Hub cannot be reached, and the cache does not have it; check the connectio"
    ):
        model_folder("org/model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    model_folder("org/model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert generate_texts("org/model", 2) == generate_texts(str(local), 2)
    assert len(hub.requests) == asked


def test_pickles_are_refused_with_the_reason(hub, local, tmp_path):
    files = files_of(local)
    weights = files.pop("model.safetensors")
    hub.create("org/pickle", {**files, "pytorch_model.bin": weights})
    reason = "has its weights in pytorch_model.bin, a pickle, which can run any code when it is loaded; load it where"
    with pytest.raises(ValueError, match=f"org/pickle {reason}"):
        generate_texts("org/pickle")
    assert not hub.asked("resolve.*pytorch_model.bin")
    (local / "model.safetensors").rename(local / "pytorch_model.bin")
    with pytest.raises(ValueError, match=reason):
        generate_texts(str(local))
    hub.create("org/nothing", {"config.json": files["config.json"]})
    with pytest.raises(ValueError, match="org/nothing has no weights .no model.safetensors.; name a finished model"):
        generate_texts("org/nothing")
