"""What a push sends to the Hub, what it refuses, and what happens when the Hub fails."""

import json
import time
from pathlib import Path

import huggingface_hub.utils._http as hub_http
import pytest

from hf_textgan.cli.main import main
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.runs.generate import generate_texts
from hf_textgan.runs.push import push_run
from hf_textgan.runs.spaces import push_metrics
from hf_textgan.utils.hub import HubError
from tests.contracts.test_remote_code import LINES, files_of, system_players, write_system
from tests.hub_server import READER, WRITER


pytestmark = pytest.mark.usefixtures("one_thread")
CODE = {
    "configuration_cnn_discriminator.py",
    "configuration_recurrent_generator.py",
    "configuration_utils.py",
    "modeling_cnn_discriminator.py",
    "modeling_outputs.py",
    "modeling_recurrence_utils.py",
    "modeling_recurrent_generator.py",
    "modeling_text_cnn_utils.py",
    "tokenization_word.py",
}
MODEL = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
JUDGE = {"discriminator/" + name for name in MODEL - {"generation_config.json"}}
OTHERS = {"metrics.json": "{}\n", "samples.txt": "a dog\n", "curves.png": "png", "README.md": "# Mine\n"}
PRIVATE = (  # what lies in the folder of a run and stays there
    ".env",
    "training_args.bin",
    "training_args.json",
    "textgan.json",
    "optimizer.pt",
    "notes.txt",
    "config.py",
    "modeling_of_mine.py",
    "data.json",
    "logs/events.out",
    "checkpoint-3/optimizer.pt",
    "checkpoint-3/model.safetensors",
    "best/adversarial/model.safetensors",
    "mle_baseline/config.json",
    "mle_baseline/model.safetensors",
    "secret/config.json",
    "secret/model.safetensors",
    "discriminator/optimizer.pt",
    "discriminator/notes.txt",
)


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run of SeqGAN with much beside the models."""
    tokenizer = word_tokenizer(LINES)
    folder = tmp_path / "run"
    players = system_players("seqgan", len(tokenizer))
    players["generator"].generation_config.max_new_tokens = 6
    write_system(folder, players, tokenizer)
    for name, text in OTHERS.items():
        (folder / name).write_text(text)
    for name in PRIVATE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"system": "seqgan"}' if name == "textgan.json" else f"secret {name}")
    return folder


@pytest.fixture
def sleeps(monkeypatch) -> list[float]:
    """The waits of the client between attempts, which are not waited for."""
    waited: list[float] = []

    class Clock:
        sleep = staticmethod(waited.append)

        def __getattr__(self, name):
            return getattr(time, name)

    monkeypatch.setattr(hub_http, "time", Clock())
    return waited


def test_a_push_has_the_models_and_nothing_else_of_the_folder(hub, run):
    before = files_of(run)
    push = push_run(run, "org/seqgan")
    repository = hub.model("org/seqgan")
    assert set(repository.files) == MODEL | JUDGE | CODE | set(OTHERS)
    assert push.url == f"{hub.url}/org/seqgan" and push.num_files == len(repository.files)
    assert push.num_bytes == sum(map(len, repository.files.values()))
    assert str(push).startswith(f"{push.url} ({push.num_files} files, ") and push.commit.oid[:8] in str(push)
    assert all(b"secret" not in content for content in repository.files.values())
    for name in ("model.safetensors", "discriminator/model.safetensors", "tokenizer.json", *OTHERS):
        assert repository.files[name] == before[name]
    judge = json.loads(repository.files["discriminator/config.json"])
    assert judge["auto_map"]["AutoModelForSequenceClassification"] == "modeling_cnn_discriminator.CNNDiscriminator"
    config = json.loads(repository.files["config.json"])
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_recurrent_generator.RecurrentGeneratorForCausalLM"
    assert {key: value for key, value in config.items() if key != "auto_map"} == json.loads(before["config.json"])
    tokenizer = json.loads(repository.files["tokenizer_config.json"])
    assert tokenizer["auto_map"] == {"AutoTokenizer": [None, "tokenization_word.WordTokenizer"]}
    assert files_of(run) == before, "the folder stays as it is"
    assert generate_texts("org/seqgan", 3) == generate_texts(str(run), 3)


def test_the_same_run_gives_the_same_repository_and_no_second_commit(hub, run):
    first, again = push_run(run, "org/seqgan"), push_run(run, "org/seqgan")
    assert first.commit.oid == again.commit.oid and len(hub.model("org/seqgan").log) == 2  # with the empty one
    push_run(run, "org/other")
    assert hub.model("org/other").files == hub.model("org/seqgan").files


def test_a_second_push_deletes_what_is_stale_and_keeps_what_others_wrote(hub, run):
    old = {"LICENSE": b"mine", "demo.ipynb": b"mine", "modeling_old.py": b"old", "adapter_config.json": b"{}"}
    old |= {"discriminator/model.safetensors.index.json": b"old", "docs/config.json": b"mine"}
    hub.create("org/seqgan", old)
    push_run(run, "org/seqgan", commit_message="better")
    kept = {"LICENSE", "demo.ipynb", "docs/config.json"}
    assert set(hub.model("org/seqgan").files) == MODEL | JUDGE | CODE | set(OTHERS) | kept
    assert hub.model("org/seqgan").log[-1]["message"] == "better" and len(hub.model("org/seqgan").log) == 2


def test_private_repositories_and_branches(hub, run):
    push_run(run, "org/seqgan", private=True, revision="v1")
    repository = hub.model("org/seqgan")
    assert (
        repository.private and repository.files == {} and MODEL <= set(repository.commits[repository.branches["v1"]])
    )
    assert generate_texts("org/seqgan", 2, revision="v1") == generate_texts(str(run), 2)
    hub.create("org/public")
    with pytest.raises(HubError, match="org/public failed: it is there already and public, but private is asked for"):
        push_run(run, "org/public", private=True)
    assert hub.model("org/public").files == {}


def test_the_command_says_where_it_went(hub, run, capsys):
    assert main(["push", str(run), "org/seqgan", "--commit_message", "first"]) == 0
    out = capsys.readouterr().out
    assert f"{run} is on the Hub: {hub.url}/org/seqgan (" in out and "textgan generate org/seqgan" in out
    assert hub.model("org/seqgan").log[-1]["message"] == "first"
    assert main(["push", str(run), "org/se qgan"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("textgan push: The push to org/se qgan failed: its name is not valid")
    assert error.count("\n") == 1 and error.endswith("write it as org/name.\n")


def refusal(run: Path, **changes: bytes | None) -> str:
    for name, content in changes.items():
        path = run / name.replace("__", "/").replace("_dot_", ".")
        path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        push_run(run, "org/seqgan")
    return str(caught.value)


def test_folders_that_cannot_be_pushed(hub, run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "none") == f"There is no folder {tmp_path}/none; name the output folder of a run."
    assert refusal(tmp_path / "empty").endswith("holds no finished model (no config.json); name one that does.")
    assert "checkpoint-3 cannot be pushed: it has no manifest.json, so it was not" in refusal(run / "checkpoint-3")
    assert refusal(run, model_dot_safetensors=None).endswith(
        "no weights (no model.safetensors); name a finished model."
    )
    message = refusal(run, pytorch_model_dot_bin=b"pickle")
    assert "has its weights in pytorch_model.bin, a pickle, which can run any code when it is loaded; load" in message
    assert hub.repositories == {}


def test_an_adapter_of_a_base_model_that_others_lack_is_refused(hub, run):
    adapter = {
        "adapter_config.json": b'{"base_model_name_or_path": "/home/me/base"}',
        "adapter_model.safetensors": b"",
    }
    (run / "config.json").unlink()
    for name, content in adapter.items():
        (run / name).write_bytes(content)
    assert "belongs to the base model '/home/me/base', which nobody else can load by that name; push" in refusal(run)


def test_without_a_token_nothing_is_asked(hub, run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="there is no token of the Hub; run `hf auth login`, or set HF_TOKEN.$"):
        push_run(run, "org/seqgan")
    assert hub.requests == []


# ---- Faults of the Hub --------------------------------------------------------------------------------------------

COMMIT = "POST /api/models/org/seqgan/commit/"
FAULTS = {
    "no permission": (
        "POST /api/repos/create",
        {"status": 403},
        r"answered 403 .*HF_TOKEN, with a token that may write",
    ),
    "name of something else": ("POST /api/repos/create", {"status": 409}, "the name belongs to something else, or"),
    "fault while creating": (
        "POST /api/repos/create",
        {"status": 500},
        "answered 500 .*side of the Hub; do it again l",
    ),
    "fault while preparing": ("preupload", {"status": 503, "times": 99}, "answered 503 .* do it again later"),
    "fault in an upload": ("PUT /upload/", {"status": 500, "times": 99}, "answered 500 .* do it again later"),
    "upload cut": ("PUT /upload/", {"kind": "cut", "times": 99}, "the connection broke .*; do it again"),
    "too large": (COMMIT, {"status": 413}, "answered 413 .*; the Hub takes no files that large; push a smaller model"),
    "too many requests": (COMMIT, {"status": 429}, "answered 429 .*; too many requests; do it again in a few minutes"),
    "fault in the commit": (COMMIT, {"status": 502}, "answered 502 .*; the fault is on the side of the Hub"),
    "commit cut": (COMMIT, {"kind": "cut"}, "the connection broke .*; do it again"),
    "answer lost": (COMMIT, {"kind": "lost"}, "the connection broke .*; do it again"),
    "another commit": (COMMIT, {"status": 412}, "answered 412 .*; somebody changed the repository at the same time"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_a_second_push_completes(fault, hub, run, sleeps):
    pattern, options, message = FAULTS[fault]
    before = files_of(run)
    hub.fail(pattern, message=f"no, {WRITER}", **options)
    with pytest.raises(HubError, match=f"^The push to org/seqgan failed: .*{message}") as caught:
        push_run(run, "org/seqgan")
    assert str(caught.value).count(". ") == 0 and WRITER not in str(caught.value), "one sentence without the token"
    assert files_of(run) == before
    arrived = fault == "answer lost"
    if repository := hub.repositories.get(("model", "org/seqgan")):
        assert bool(repository.files) == arrived, "all files or none"
    hub.faults.clear()
    push_run(run, "org/seqgan")
    assert set(hub.model("org/seqgan").files) == MODEL | JUDGE | CODE | set(OTHERS)
    assert len(hub.model("org/seqgan").log) == 2, "and it pushes nothing twice"


@pytest.mark.parametrize("pattern", ["preupload", "PUT /upload/"])
def test_a_short_fault_is_waited_for(pattern, hub, run, sleeps):
    hub.fail(pattern, status=503, times=2)
    push_run(run, "org/seqgan")
    assert sleeps and hub.asked(pattern) > 2


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (
            "hf_unknown_token",
            r"answered 401 .*; run `hf auth login`, or set HF_TOKEN, with a token that may write there",
        ),
        (READER, r"answered 403 .*; run `hf auth login`, or set HF_TOKEN, with a token that may write there"),
    ],
)
def test_a_refused_token(token, message, hub, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError, match=message) as caught:
        push_run(run, "org/seqgan")
    assert token not in str(caught.value)
    assert hub.repositories == {}
    push_run(run, "org/seqgan", token=WRITER)


# ---- Metrics ------------------------------------------------------------------------------------------------------


def test_metrics_are_pushed_as_spaces(hub, capsys):
    assert main(["metrics", "push", "org", "self_bleu"]) == 0
    space = hub.repositories["space", "org/self_bleu"]
    assert {"self_bleu.py", "ngrams.py", "README.md", "app.py", "requirements.txt"} <= set(space.files)
    assert capsys.readouterr().out.startswith(f"{hub.url}/spaces/org/self_bleu (")
    hub.create("org/novelty", {"stale.py": b"", "notes.md": b""}, kind="space")
    push_metrics("org", ["novelty"])
    files = hub.repositories["space", "org/novelty"].files
    assert "stale.py" not in files and {"novelty.py", "notes.md"} <= set(files)
    with pytest.raises(ValueError, match="^The owner is 'org/x'; name a user or an organization, whose Spaces get"):
        push_metrics("org/x")
    with pytest.raises(ValueError, match="^There is no metric 'bleu'"):
        push_metrics("org", ["bleu"])
