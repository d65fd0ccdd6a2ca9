"""Checkpoints that are complete or absent, and runs that resume from them exactly."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from hf_textgan.core.schedule import Update
from hf_textgan.objectives.mle import MLEObjective
from hf_textgan.objectives.seqgan import SeqGANObjective
from hf_textgan.trainer import checkpoints
from hf_textgan.utils.files import MANIFEST_FILE, clear_partial, strict_json, writing_folder
from tests.helpers import tiny_discriminator
from tests.toys import ThreePlayers, checkpoint_state, differences, length_metric, text_data, toy_trainer


torch.set_num_threads(1)


def write_checkpoint(output_dir: Path, step: int, text: str = "weights") -> Path:
    final = output_dir / f"checkpoint-{step}"
    with writing_folder(final) as folder:
        (folder / "tokenizer.json").write_text(text)
        (folder / "discriminator").mkdir()
        (folder / "discriminator" / "config.json").write_text("{}")
    return final


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def names(output_dir: Path) -> list[str]:
    return [path.name for path in checkpoints.checkpoints(output_dir)]


DAMAGES = {
    "a missing file": (
        lambda folder: (folder / "discriminator" / "config.json").unlink(),
        "discriminator/config.json is missing",
    ),
    "a truncated file": (
        lambda folder: (folder / "tokenizer.json").write_text("weig"),
        "tokenizer.json has 4 bytes instead of 7",
    ),
    "a flipped byte": (
        lambda folder: flip_a_byte(folder / "tokenizer.json"),
        "tokenizer.json is damaged (its checksum differs)",
    ),
    "no manifest": (
        lambda folder: (folder / MANIFEST_FILE).unlink(),
        "it has no manifest.json, so it was not written to the end",
    ),
    "half a manifest": (
        lambda folder: (folder / MANIFEST_FILE).write_text((folder / MANIFEST_FILE).read_text()[:50]),
        "its manifest.json is damaged",
    ),
    "an empty manifest": (lambda folder: (folder / MANIFEST_FILE).write_text("{}"), "its manifest.json is damaged"),
    "a manifest of nulls": (
        lambda folder: (folder / MANIFEST_FILE).write_bytes(b"\0" * 300),
        "its manifest.json is damaged",
    ),
    "a manifest that is a list": (
        lambda folder: (folder / MANIFEST_FILE).write_text("[1]"),
        "its manifest.json is damaged",
    ),
    "a manifest of a file elsewhere": (
        lambda folder: (folder / MANIFEST_FILE).write_text('{"../../hostname": {"size": 1, "sha256": ""}}'),
        "its manifest.json is damaged",
    ),
    "a manifest without sizes": (
        lambda folder: (folder / MANIFEST_FILE).write_text('{"tokenizer.json": {}}'),
        "its manifest.json is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_skipped_with_the_reason(tmp_path, damage):
    write_checkpoint(tmp_path, 9)
    good, bad = write_checkpoint(tmp_path, 10), write_checkpoint(tmp_path, 100)
    assert checkpoints.newest_complete(tmp_path) == (bad, [])
    act, reason = DAMAGES[damage]
    act(bad)
    assert checkpoints.checkpoint_problem(bad) == reason
    assert checkpoints.newest_complete(tmp_path) == (good, [(bad, reason)])


def test_what_is_no_checkpoint():
    assert checkpoints.checkpoint_problem(Path("nowhere")) == "it is not a folder"
    assert checkpoints.newest_complete(Path("nowhere")) == (None, [])


def test_checkpoints_are_ordered_by_number(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-1", "checkpoint-best", "_partial-checkpoint-11"):
        (tmp_path / name).mkdir()
    assert names(tmp_path) == [
        "checkpoint-10",
        "checkpoint-9",
        "checkpoint-1",
    ]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), writing_folder(tmp_path / "checkpoint-1") as folder:
        (folder / "tokenizer.json").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    final = write_checkpoint(tmp_path, 1, "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    assert (final / "tokenizer.json").read_text() == "whole"
    manifest = json.loads((final / MANIFEST_FILE).read_text())
    assert {name: entry["size"] for name, entry in manifest.items()} == {
        "discriminator/config.json": 2,
        "tokenizer.json": 5,
    }
    write_checkpoint(tmp_path, 1, "written again")
    assert (final / "tokenizer.json").read_text() == "written again"
    assert checkpoints.checkpoint_problem(final) is None


def test_what_killed_processes_left_is_cleared(tmp_path):
    kept = write_checkpoint(tmp_path, 1)
    nested = tmp_path / "best" / "_partial-0123abcd-adversarial" / "training_args.json"
    nested.parent.mkdir(parents=True)
    nested.write_text("half")
    (tmp_path / "_partial-0123abcd-metrics.json").write_text("half")
    # Names that somebody else may have given, and links.
    (tmp_path / "_partial-draft.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "_partial-0123abcd-draft.txt").write_text("mine")
    (tmp_path / "_partial-4567abcd-link").symlink_to(tmp_path / "notes")
    clear_partial(tmp_path, tmp_path / "best", tmp_path / "not there yet")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("_partial-*")) == [
        "_partial-4567abcd-link",
        "_partial-draft.txt",
        "notes/_partial-0123abcd-draft.txt",
    ]
    assert checkpoints.checkpoint_problem(kept) is None


def test_rotation_keeps_the_newest(tmp_path):
    for step in (8, 9, 10, 11):
        last = write_checkpoint(tmp_path, step)
    checkpoints.rotate(last, 2)
    assert names(tmp_path) == ["checkpoint-11", "checkpoint-10"]


def test_rotation_never_removes_what_was_just_written(tmp_path):
    for step in (4, 100, 200, 8):  # of which 100 and 200 were left by an earlier run
        last = write_checkpoint(tmp_path, step)
    checkpoints.rotate(last, 2)
    assert names(tmp_path) == ["checkpoint-8", "checkpoint-4"]
    checkpoints.rotate(last, 1)
    assert names(tmp_path) == ["checkpoint-8"]


# ---- Resuming -------------------------------------------------------------------------------------------------------


def copy_of(checkpoint: Path, output_dir: Path) -> Path:
    """A checkpoint alone in a folder, as after a kill at its step."""
    shutil.copytree(checkpoint, output_dir / checkpoint.name)
    return output_dir / checkpoint.name


@pytest.mark.parametrize(
    ("three", "changes"),
    [
        (False, {}),
        pytest.param(
            False,
            {"lr_scheduler_type": "linear", "warmup_steps": 2, "optim": "sgd", "optim_args": "momentum=0.9"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            False, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 3}, marks=pytest.mark.slow
        ),
        (True, {"eval_strategy": "steps", "eval_steps": 2, "text_metrics": length_metric}),
        pytest.param(True, {"gradient_accumulation_steps": 2, "lr_scheduler_type": "cosine"}, marks=pytest.mark.slow),
    ],
    ids=["seqgan", "seqgan-schedule", "seqgan-accumulation", "three-evaluation", "three-accumulation"],
)
def test_resuming_at_any_iteration_equals_the_uninterrupted_run(tmp_path, three, changes):
    def trainer(name: str):
        return toy_trainer(tmp_path / name, ThreePlayers() if three else None, eval_dataset=text_data()[1], **changes)

    trainer("whole").train()
    whole = [checkpoint_state(tmp_path / "whole" / f"checkpoint-{step}") for step in range(1, 9)]
    assert any("momentum_buffer" in key or "exp_avg" in key for key in whole[-1])
    moved = {name.split("/")[2] for name in whole[-1] if name.startswith("players/optimizers/")}
    assert moved == {"generator", "discriminator", *(["autoencoder"] if three else [])}
    for earlier, later in zip(whole, whole[1:], strict=False):
        assert differences(earlier, later), "a comparison that sees no training could not fail"

    for step in range(1, 9):
        copy_of(tmp_path / "whole" / f"checkpoint-{step}", tmp_path / f"from-{step}")
        resumed = trainer(f"from-{step}")
        assert resumed.train(resume_from_checkpoint=True).global_step == 8
        for later in range(step, 9):
            state = checkpoint_state(tmp_path / f"from-{step}" / f"checkpoint-{later}")
            assert differences(state, whole[later - 1]) == [], f"resumed from {step}, compared at {later}"
        state = json.loads((tmp_path / f"from-{step}" / "checkpoint-8" / "trainer_state.json").read_text())
        assert state["global_step"] == 8


PARTS = (
    Update("generator", "generator_loss", part="lm_head"),
    Update("discriminator", "discriminator_loss"),
    Update("generator", "generator_loss", part="embed_tokens"),
)


def test_parts_of_a_player_are_trained_and_resumed_on_their_own(tmp_path):
    def trainer(name: str, **changes):
        objective = ThreePlayers(updates_=PARTS)
        return toy_trainer(tmp_path / name, objective, pretrain_generator_steps=0, **changes)

    whole = trainer("whole", player_optimizers={"generator/adversarial/lm_head": {"learning_rate": 0.0}})
    before = {name: p.detach().clone() for name, p in whole.model.named_parameters()}
    whole.train()
    moved = {name for name, p in whole.model.named_parameters() if not torch.equal(before[name], p)}
    assert {name.split(".")[0] for name in moved} == {"embed_tokens"}, "the rate of the other part is 0"

    trainer("both").train()
    states = [checkpoint_state(tmp_path / "both" / f"checkpoint-{step}") for step in (3, 5)]
    moved = {name.split("/")[-1].split(".")[0] for name in differences(*states) if name.startswith("model.safe")}
    assert moved == {"embed_tokens", "lm_head"}
    copy_of(tmp_path / "both" / "checkpoint-3", tmp_path / "resumed")
    trainer("resumed").train(resume_from_checkpoint=True)
    assert differences(checkpoint_state(tmp_path / "resumed" / "checkpoint-5"), states[1]) == []


def test_a_part_that_is_not_there_is_refused(tmp_path):
    objective = ThreePlayers(updates_=(Update("generator", "generator_loss", part="lm_haed"),))
    with pytest.raises(
        ValueError, match="An update of the generator trains its part 'lm_haed', which is no submodule"
    ):
        toy_trainer(tmp_path, objective)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run with a checkpoint at each of its 8 iterations; nothing writes to it."""
    output_dir = tmp_path_factory.mktemp("whole")
    toy_trainer(output_dir).train()
    return output_dir


def test_the_newest_complete_checkpoint_is_taken(run, tmp_path, caplog):
    for step in (2, 5, 6, 7):
        copy_of(run / f"checkpoint-{step}", tmp_path)
    (tmp_path / "checkpoint-7" / MANIFEST_FILE).unlink()
    flip_a_byte(tmp_path / "checkpoint-6" / "discriminator" / "model.safetensors")
    (tmp_path / "_partial-0123abcd-checkpoint-8").mkdir()
    trainer = toy_trainer(tmp_path)
    trainer.train(resume_from_checkpoint=True)
    assert caplog.messages[:3] == [
        f"Skipped {tmp_path / 'checkpoint-7'}: it has no manifest.json, so it was not written to the end.",
        f"Skipped {tmp_path / 'checkpoint-6'}: discriminator/model.safetensors is damaged (its checksum differs).",
        f"Resuming from {tmp_path / 'checkpoint-5'}.",
    ]
    assert differences(checkpoint_state(tmp_path / "checkpoint-8"), checkpoint_state(run / "checkpoint-8")) == []
    # The damaged ones were written again in passing.
    assert [checkpoints.checkpoint_problem(path) for path in checkpoints.checkpoints(tmp_path)] == [None] * 5
    assert not list(tmp_path.rglob("_partial-*"))


def test_a_named_checkpoint_is_taken_under_any_name(run, tmp_path):
    shutil.copytree(run / "checkpoint-4", tmp_path / "a-good-one")
    toy_trainer(tmp_path).train(resume_from_checkpoint=str(tmp_path / "a-good-one"))
    assert differences(checkpoint_state(tmp_path / "checkpoint-8"), checkpoint_state(run / "checkpoint-8")) == []


def test_what_cannot_be_resumed_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"holds no complete checkpoint; start it without resume_from_checkpoint\."):
        toy_trainer(tmp_path).train(resume_from_checkpoint=True)
    broken = copy_of(run / "checkpoint-3", tmp_path)
    (broken / "players.pt").unlink()
    message = re.escape(f"{tmp_path} holds no complete checkpoint (checkpoint-3: players.pt is missing); start it")
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match=re.escape(f"{broken} cannot be resumed: players.pt is missing; name a c")):
        toy_trainer(tmp_path).train(resume_from_checkpoint=str(broken))
    with pytest.raises(ValueError, match="checkpoint-77 cannot be resumed: it is not a folder; name a complete"):
        toy_trainer(tmp_path).train(resume_from_checkpoint=str(run / "checkpoint-77"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 43}, "was written with seed=42 and this run has 43; a resumed run must keep it"),
        ({"data_seed": 7}, "was written with data_seed=None and this run has 7"),
        ({"per_device_train_batch_size": 5}, "was written with per_device_train_batch_size=4 and this run has 5"),
        ({"gradient_accumulation_steps": 2}, "was written with gradient_accumulation_steps=1 and this run has 2"),
        ({"temperature": 0.5}, "was written with temperature=1.0 and this run has 0.5"),
        ({"max_length": 8}, "was written with max_length=6 and this run has 8"),
        ({"objective": SeqGANObjective(num_rollouts=3, discriminator_steps=2)}, "was written with hyperparameters="),
        (
            {"objective": ThreePlayers()},
            "was written with objective='SeqGANObjective' and this run has 'Th",
        ),
        (
            {"pretrain_generator_steps": 4},
            r"Up to its step 6, .*'iterations': 3.* where this one has .*'iterations': 4",
        ),
        (
            {"pretrain_discriminator_steps": 0},
            "the phase .*pretrain_discriminator.* where this one has .*advers",
        ),
        (
            {"max_steps": 0},
            "the phase .*adversarial.* where this one has None; a resumed run may only",
        ),
    ],
)
def test_a_changed_run_is_refused(run, tmp_path, changes, message):
    checkpoint = copy_of(run / "checkpoint-6", tmp_path)
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path, **changes).train(resume_from_checkpoint=str(checkpoint))


def test_changed_data_and_processes_are_refused(run, tmp_path):
    tokenizer, dataset = text_data()
    checkpoint = copy_of(run / "checkpoint-6", tmp_path)
    trainer = toy_trainer(tmp_path, trainer_options={"train_dataset": [*list(dataset)[:-1], {"input_ids": [1, 4, 2]}]})
    with pytest.raises(ValueError, match="was written with train_data_checksum="):
        trainer.train(resume_from_checkpoint=str(checkpoint))

    other = {"players": {"discriminator": tiny_discriminator(len(tokenizer), 6, embedding_size=3)}}
    with pytest.raises(ValueError, match=r"was written with players=\{.*CNNDiscriminator of .* parameters"):
        toy_trainer(tmp_path, trainer_options=other).train(resume_from_checkpoint=str(checkpoint))

    state = json.loads((checkpoint / "run.json").read_text())
    with writing_folder(tmp_path / "checkpoint-7") as folder:
        shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
        (folder / "run.json").write_text(json.dumps({**state, "world_size": 2}))
    with pytest.raises(ValueError, match="was written with world_size=2 and this run has 1; a resumed run must"):
        toy_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_changed_arguments_of_an_optimizer_take_over_and_are_told(run, tmp_path, caplog):
    checkpoint = copy_of(run / "checkpoint-6", tmp_path)
    changes = {"weight_decay": 0.3, "adam_beta1": 0.1, "player_optimizers": {"discriminator": {"max_grad_norm": 1}}}
    trainer = toy_trainer(tmp_path, **changes)
    trainer.train(resume_from_checkpoint=str(checkpoint))
    message = next(message for message in caplog.messages if message.startswith("Resuming from"))
    for change in (
        "From this checkpoint on, weight_decay is 0.3 in place of 0.0.",
        "adam_beta1 is 0.1 in place of 0.9.",
        "max_grad_norm of discriminator/pretrain_discriminator, discriminator/adversarial is 1.0 in place of 5.0.",
    ):
        assert change in message
    groups = trainer.player_optimizers["generator", "adversarial"].optimizer.param_groups
    assert [(group["weight_decay"], group["betas"][0]) for group in groups] == [(0.3, 0.1), (0.0, 0.1)]
    changed = differences(checkpoint_state(tmp_path / "checkpoint-8"), checkpoint_state(run / "checkpoint-8"))
    assert changed, "the changes have an effect"


def test_another_kind_of_optimizer_is_refused(run, tmp_path):
    checkpoint = copy_of(run / "checkpoint-6", tmp_path)
    message = r"was written with optim='adamw_torch_fused' and this run has 'sgd'; keep it, because"
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path, optim="sgd").train(resume_from_checkpoint=str(checkpoint))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", None, r"checkpoint-7 has no run.json, so it is no checkpoint of a run"),
        ("trainer_state.json", None, r"checkpoint-7 has no trainer_state.json, so it is no checkpoint of a run"),
        ("run.json", b"[]", r"run.json is damaged \(it holds no JSON object\); restore it"),
        ("run.json", b"{}", r"run.json is damaged \(its phases is None\); restore it"),
        (
            "players.pt",
            {"optimizers": {}, "objective": {}, "best": {}},
            r"checkpoint-7 has no optimizer of generator/",
        ),
    ],
)
def test_a_checkpoint_of_wrong_content_is_refused(run, tmp_path, name, content, message):
    with writing_folder(tmp_path / "checkpoint-7") as folder:
        shutil.copytree(run / "checkpoint-7", folder, dirs_exist_ok=True)
        if content is None:
            (folder / name).unlink()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            torch.save(content, folder / name)
    with pytest.raises(ValueError, match=message):
        toy_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_a_run_may_be_extended(run, tmp_path):
    toy_trainer(tmp_path / "longer", max_steps=6).train()
    copy_of(run / "checkpoint-8", tmp_path / "extended")
    extended = toy_trainer(tmp_path / "extended", max_steps=6)
    assert extended.train(resume_from_checkpoint=True).global_step == 11
    longer = checkpoint_state(tmp_path / "longer" / "checkpoint-11")
    assert differences(checkpoint_state(tmp_path / "extended" / "checkpoint-11"), longer) == []

    # By a phase, too: maximum likelihood first, the adversarial phases later.
    toy_trainer(tmp_path / "mle", max_steps=0, pretrain_discriminator_steps=0).train()
    toy_trainer(tmp_path / "mle", max_steps=6).train(resume_from_checkpoint=True)
    assert differences(checkpoint_state(tmp_path / "mle" / "checkpoint-11"), longer) == []
    # And cut short, behind the checkpoint.
    copy_of(tmp_path / "longer" / "checkpoint-7", tmp_path / "shorter")
    assert toy_trainer(tmp_path / "shorter", max_steps=3).train(resume_from_checkpoint=True).global_step == 8
    shorter = checkpoint_state(tmp_path / "shorter" / "checkpoint-8")
    assert differences(shorter, checkpoint_state(run / "checkpoint-8")) == []


def test_a_finished_run_has_nothing_left_to_do(run, tmp_path):
    copy_of(run / "checkpoint-8", tmp_path)
    trainer = toy_trainer(tmp_path)
    assert trainer.train(resume_from_checkpoint=True).global_step == 8
    trainer.save_model(str(tmp_path / "models"))
    folders = tmp_path / "models", run / "checkpoint-8"
    first, second = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert first == second


def test_models_without_optimizers_cannot_be_resumed(tmp_path):
    trainer = toy_trainer(tmp_path, MLEObjective(), pretrain_generator_steps=2, save_only_model=True)
    trainer.train()
    assert checkpoints.checkpoint_problem(tmp_path / "checkpoint-2") is None
    assert not (tmp_path / "checkpoint-2" / "players.pt").exists()
    with pytest.raises(ValueError, match="was written with save_only_model, so it has no optimizers to resume; start"):
        toy_trainer(tmp_path, MLEObjective(), pretrain_generator_steps=4).train(resume_from_checkpoint=True)


def test_a_run_keeps_as_many_checkpoints_as_it_may(tmp_path):
    toy_trainer(tmp_path, save_total_limit=2).train()
    assert names(tmp_path) == ["checkpoint-8", "checkpoint-7"]
    toy_trainer(tmp_path, save_total_limit=2, max_steps=1).train()
    assert names(tmp_path) == ["checkpoint-6", "checkpoint-5"]


def test_a_fresh_start_beside_old_checkpoints_is_reported(run, tmp_path, caplog):
    old = copy_of(run / "checkpoint-8", tmp_path)
    toy_trainer(tmp_path).train()
    assert caplog.messages[0].startswith(f"{old} is there already: this run starts afresh")
    assert differences(checkpoint_state(old), checkpoint_state(run / "checkpoint-8")) == []


def test_the_best_models_are_remembered_over_a_resume(tmp_path):
    values = {1: 5.0, 2: 1.0, 3: 4.0, 6: 9.0, 7: 8.0, 8: 7.0}

    def trainer(name: str):
        made = []  # the metric is asked for its names before the trainer is there
        trainer = toy_trainer(
            tmp_path / name,
            eval_dataset=text_data()[1],
            eval_strategy="steps",
            eval_steps=1,
            text_metrics=lambda texts: {"score": values.get(made[0].state.global_step, 0.0) if made else 0.0},
            metric_for_best_model="score",
            greater_is_better=False,
        )
        made.append(trainer)
        return trainer

    trainer("whole").train()
    shutil.copytree(tmp_path / "whole" / "best", tmp_path / "resumed" / "best")
    copy_of(tmp_path / "whole" / "checkpoint-3", tmp_path / "resumed")
    resumed = trainer("resumed")
    resumed.train(resume_from_checkpoint=True)
    assert {phase: best["step"] for phase, best in resumed.best.items()} == {"pretrain_generator": 2, "adversarial": 8}
    weights = [tmp_path / n / "best" / "pretrain_generator" / "model.safetensors" for n in ("whole", "resumed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_written_json_has_no_nan():
    values = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (float("-inf"), 2)}, "e": "NaN"}
    strict = json.loads(strict_json(values), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert strict == {"a": None, "b": [1.5, None], "c": {"d": [None, 2]}, "e": "NaN"}


def test_a_checkpoint_with_parameters_that_are_not_finite_is_no_good_one(tmp_path):
    for step in (1, 2):
        with writing_folder(tmp_path / f"checkpoint-{step}") as folder:
            model = tiny_discriminator()
            if step == 2:
                with torch.no_grad():
                    model.classifier.weight[0, 0] = float("nan")
            model.save_pretrained(folder)
    newest, skipped = checkpoints.newest_complete(tmp_path)
    assert newest == tmp_path / "checkpoint-1"
    assert skipped == [(tmp_path / "checkpoint-2", "model.safetensors has parameters that are not finite")]


def test_a_learning_rate_that_explodes_stops_the_run_before_it_is_saved(tmp_path):
    trainer = toy_trainer(tmp_path, max_steps=1, pretrain_generator_steps=3)
    trainer.train()
    again = toy_trainer(tmp_path, max_steps=1, pretrain_generator_steps=30, learning_rate=1e39)
    message = r"step of generator/\w+ in iteration 3 made parameters that are not finite .*; the last good chec"
    with pytest.raises(FloatingPointError, match=message):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert checkpoints.newest_complete(tmp_path)[0] is not None
