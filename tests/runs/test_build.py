"""Runs in Python: the trainer of a command, and its options."""

import json

import pytest
import torch
from datasets import Dataset

from hf_textgan import build_run, generate_texts
from hf_textgan.cli.main import main
from hf_textgan.data import CaptionGrammar
from hf_textgan.runs.arguments import flatten_options, resolve_arguments
from hf_textgan.runs.build import checkpoint_to_resume
from hf_textgan.runs.evaluate import EvaluationArguments, evaluate_run


pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {
    "grammar_train_size": 64,
    "grammar_eval_size": 16,
    "per_device_train_batch_size": 8,
    "pretrain_generator_steps": 2,
    "pretrain_discriminator_steps": 1,
    "max_steps": 2,
    "num_rollouts": 1,
    "discriminator_steps": 1,
    "eval_num_samples": 8,
    "save_steps": 2,
    "disable_tqdm": True,
}
TINY = {"generator": {"hidden_size": 8, "embedding_size": 8}}
DISCRIMINATOR = {"discriminator.window_sizes": [1, 2], "discriminator.num_filters": [4, 4]}


def run(output_dir, **changes):
    options = {"dataset": "grammar", **OPTIONS, **TINY, **DISCRIMINATOR, **changes}
    return build_run("seqgan", output_dir=output_dir, **options)


def test_the_trainer_is_that_of_the_command(tmp_path):
    trainer = run(tmp_path / "python")
    trainer.train()
    trainer.save_model()
    flat = {**OPTIONS, **flatten_options(TINY), **DISCRIMINATOR}
    words = [word for key, value in flat.items() for word in (f"--{key}", str(value))]
    assert main(["train", "seqgan", "--dataset_name", "grammar", "--output_dir", str(tmp_path / "cli"), *words]) == 0
    for name in ("model.safetensors", "discriminator/model.safetensors", "samples.txt"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "cli" / name).read_bytes()
    records = [json.loads((tmp_path / folder / "textgan.json").read_text()) for folder in ("python", "cli")]
    assert records[0] == records[1]

    texts = generate_texts(str(tmp_path / "python"), num_samples=3, seed=1)
    assert len(texts) == 3 and texts == generate_texts(str(tmp_path / "cli"), num_samples=3, seed=1)
    result = evaluate_run(EvaluationArguments(str(tmp_path / "python"), num_samples=8))
    assert {"nll_per_token", "bleu_2", "grammar_share"} <= set(result["metrics"])


def test_texts_in_place_of_names(tmp_path):
    lines = CaptionGrammar().sample(40, seed=1)
    sizes = {key: value for key, value in OPTIONS.items() if not key.startswith("grammar")}
    options = {**sizes, **TINY, **DISCRIMINATOR}
    said = []
    first = build_run("seqgan", lines, lines[:8], output_dir=tmp_path / "a", report=said.append, **options)
    table = Dataset.from_dict({"caption": lines})
    second = build_run("seqgan", table, output_dir=tmp_path / "b", **options)
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    third = build_run("seqgan", file, file, output_dir=tmp_path / "c", **options)
    rows = [[trainer.train_dataset[i]["input_ids"] for i in range(40)] for trainer in (first, second, third)]
    assert rows[0] == rows[1] == rows[2]
    assert [len(t.eval_dataset) if t.eval_dataset is not None else 0 for t in (first, second, third)] == [8, 0, 40]
    assert "vocabulary" in said[0] and "seqgan: pretrain_generator 2 iterations" in said[1]
    assert json.loads((tmp_path / "c" / "textgan.json").read_text())["data"]["train_file"] == str(file)


def test_a_layer_wins_over_those_before_it(tmp_path):
    folder = {"output_dir": str(tmp_path / "x"), "use_cpu": True}
    arguments = resolve_arguments(
        "seqgan",
        ({**folder, "max_steps": 7, "generator.hidden_size": 5, "learning_rate": "2e-3"}, "the file"),
        ({"max_steps": 9, "discriminator.learning_rate": 0.5}, "the command line"),
    )
    assert arguments.training.max_steps == 9 and arguments.training.learning_rate == 2e-3
    assert arguments.configs["generator"] == {"hidden_size": 5}
    assert arguments.training.optimizer_options["discriminator"]["learning_rate"] == 0.5
    assert arguments.training.optimizer_options["discriminator"]["max_grad_norm"] == 0.0, "of the system, and kept"
    assert arguments.objective.num_rollouts == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_step": 3}, r"There is no option in the options called 'max_step'; did you mean 'max_steps'\?"),
        (
            {"generator": {"hiden_size": 3}},
            r"no option of the generator of seqgan called 'hiden_size'; did you",
        ),
        ({"preset": "laptp"}, r"There is no preset of seqgan called 'laptp'; did you mean 'laptop'\?"),
        ({"dataset": None, "eval_dataset": ["a"]}, "eval_dataset is given and dataset is not; pass the training text"),
        ({"dataset": "grammar", "oracle_seed": 3}, "--oracle_seed and --dataset_name grammar are both given; leave"),
        ({"dataset": None}, "No training text is named"),
        ({"tokenizer": "t", "generator_name_or_path": "nowhere/at/all"}, "There is no folder nowhere/at/all"),
    ],
)
def test_options_that_are_wrong(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_resuming_by_the_flag_of_transformers(tmp_path, capsys):
    trainer = run(tmp_path / "run")
    trainer.train()
    whole = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    checkpoint = tmp_path / "run" / "checkpoint-4"
    for value, expected in (("true", "checkpoint-5"), (str(checkpoint), "checkpoint-4")):
        given = {"output_dir": str(tmp_path / "run"), "resume_from_checkpoint": value}
        named = resolve_arguments("seqgan", (given, "the options"))
        again = run(tmp_path / "run", resume_from_checkpoint=value)
        found = checkpoint_to_resume(again, named)
        assert found is not None and found.endswith(expected)
        again.train(resume_from_checkpoint=found)
        assert all(torch.equal(value, whole[name]) for name, value in again.model.state_dict().items())

    empty = ["train", "seqgan", "--dataset_name", "grammar", "--output_dir", str(tmp_path / "new")]
    words = [word for key, value in {**OPTIONS, **DISCRIMINATOR}.items() for word in (f"--{key}", str(value))]
    assert main([*empty, *words, "--resume_from_checkpoint", "true"]) == 2
    assert "holds no complete checkpoint; start it without resume_from_checkpoint." in capsys.readouterr().err
