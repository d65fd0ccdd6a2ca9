"""Pushes of the trainer: at the end, at every save, and when the Hub fails."""

import json
import threading

import pytest
import torch

from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.utils.hub import HubError
from tests.hub_server import WRITER
from tests.toys import toy_trainer


pytestmark = pytest.mark.usefixtures("one_thread")
PLAYERS = {"model.safetensors", "config.json", "discriminator/model.safetensors", "discriminator/config.json"}


def trainer(folder, objective=None, **changes):
    options = {"push_to_hub": True, "hub_model_id": "org/toy", "save_strategy": "no", "eval_num_samples": 4}
    steps = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 1, "max_steps": 1}
    return toy_trainer(folder, objective, **{**options, **(steps if objective is None else {}), **changes})


def test_the_trainer_pushes_all_players_and_no_state_of_optimizers(hub, tmp_path):
    run = trainer(tmp_path / "run", save_strategy="steps", save_steps=2)
    run.train()
    assert hub.model("org/toy").files == {}, "the push is at the end"
    commit = run.push_to_hub(commit_message="done", license="mit")
    repository = hub.model("org/toy")
    assert commit.oid == repository.branches["main"] and repository.log[-1]["message"] == "done"
    assert PLAYERS | {"tokenizer.json", "modeling_recurrent_generator.py", "README.md"} <= set(repository.files)
    suffixes = {name.rpartition(".")[2] for name in repository.files}
    assert suffixes <= {"json", "safetensors", "py", "md", "txt", "png", "jinja"}
    assert not any("checkpoint" in name or "training_args" in name for name in repository.files)
    card = repository.files["README.md"].decode()
    assert "org/toy" in card and "license: mit" in card and "trust_remote_code" in card
    # Neither the arguments nor a checkpoint tell the token.
    assert not any(WRITER.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not list((tmp_path / "run").glob("_*")), "nothing is left of the push"


def test_every_save_is_pushed(hub, tmp_path):
    run = trainer(
        tmp_path / "run",
        save_strategy="steps",
        save_steps=1,
        save_total_limit=1,
        hub_strategy="every_save",
        hub_always_push=True,
        hub_token=WRITER,
    )
    run.train()
    repository = hub.model("org/toy")
    messages = [entry["message"] for entry in repository.log[1:]]
    assert messages == [f"Training in progress, step {step}" for step in range(1, 5)]
    for entry in repository.log[1:]:
        assert PLAYERS <= set(repository.commits[entry["oid"]])
    saved = (tmp_path / "run/checkpoint-4/model.safetensors").read_bytes()
    assert repository.files["model.safetensors"] == saved
    assert not any(WRITER.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_push_under_way_is_not_overtaken(hub, tmp_path):
    hub.fail("POST /api/models/org/toy/commit", "wait", seconds=1.5)
    run = trainer(tmp_path / "run", save_strategy="steps", save_steps=1, hub_strategy="every_save")
    run.train()
    messages = [entry["message"] for entry in hub.model("org/toy").log[1:]]
    assert messages[0] == "Training in progress, step 1" and len(messages) < 4


def test_a_failed_push_is_reported_and_the_training_goes_on(hub, tmp_path):
    straight = toy_trainer(tmp_path / "straight", MLEObjective(), pretrain_generator_steps=3, save_strategy="no")
    straight.train()
    hub.fail("POST /api/models/org/toy/commit", status=413, times=2, message="full")
    options = {"save_strategy": "steps", "save_steps": 1, "hub_strategy": "every_save", "hub_always_push": True}
    run = toy_trainer(
        tmp_path / "run",
        MLEObjective(),
        pretrain_generator_steps=3,
        push_to_hub=True,
        hub_model_id="org/toy",
        **options,
    )
    run.train()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name
    warnings = [entry["warning"] for entry in run.state.log_history if "warning" in entry]
    assert len(warnings) == 2
    assert warnings[0] == (
        "The push to org/toy failed: the Hub answered 413 (full); the Hub takes no files that large; push a smaller "
        "model. The training goes on, and the next push has all files."
    )
    assert any("The push to org/toy failed" in line for line in run.summary())
    assert [entry["message"] for entry in hub.model("org/toy").log[1:]] == ["Training in progress, step 3"]
    hub.fail("POST /api/repos/create", status=500)
    with pytest.raises(HubError, match="The push to org/toy failed: the Hub answered 500"):
        run.push_to_hub()
    assert (tmp_path / "run/model.safetensors").is_file()
    run.push_to_hub()
    assert "model.safetensors" in hub.model("org/toy").files


def test_without_blocking_there_is_a_future(hub, tmp_path):
    run = toy_trainer(tmp_path / "run", MLEObjective(), pretrain_generator_steps=1, save_strategy="no")
    run.train()
    job = run.push_to_hub(blocking=False, revision="v1")  # and no push_to_hub among the arguments
    assert job.result().oid == hub.model("org/run").branches["v1"]
    assert threading.current_thread() is threading.main_thread()


def test_a_repository_that_cannot_be_made_stops_the_run_before_it_starts(hub, tmp_path):
    hub.fail("POST /api/repos/create", status=403, message="not yours")
    with pytest.raises(HubError, match=r"^The push to org/toy failed: the Hub answered 403 \(not yours\); run `hf"):
        trainer(tmp_path / "run", MLEObjective())


@pytest.mark.parametrize("strategy", ["checkpoint", "all_checkpoints"])
def test_the_state_of_optimizers_is_never_pushed(strategy, hub, tmp_path):
    message = f'hub_strategy is .{strategy}., but a push never has the state of optimizers; set it to "end" or "every'
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path / "run", MLEObjective(), hub_strategy=strategy)


def test_the_card_of_a_push_is_that_of_what_is_pushed(hub, tmp_path):
    run = trainer(tmp_path / "run")
    run.train()
    run.save_model(_internal_call=True)
    local = (tmp_path / "run/README.md").read_text()
    assert "trust_remote_code" not in local, "the code of the models is not in the local folder"
    (tmp_path / "run/README.md").write_text("# Mine\n")
    run.push_to_hub()
    assert hub.model("org/toy").files["README.md"] == b"# Mine\n", "a card that was changed by hand is kept"
    assert json.loads(hub.model("org/toy").files["config.json"])["auto_map"]
