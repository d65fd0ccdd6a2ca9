"""The card of a run of a system: the command that repeats it, its data, and what differs from the record."""

import json
import re
import shlex

import pytest
from huggingface_hub import ModelCard

from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.cli.evaluate import main as evaluate
from hf_textgan.runs.build import build_run, describe
from hf_textgan.runs.card import changed_options, command, system_facts, write_card
from hf_textgan.runs.folder import read_record, write_record
from hf_textgan.systems import SYSTEMS
from hf_textgan.utils.files import file_digest
from hf_textgan.utils.random import fork_rng


def saved_arguments(words, folder):
    """Writes what a run with these words would leave of its arguments, and returns them."""
    arguments = parse_train_arguments([*words, "--output_dir", str(folder)])
    write_record(folder, describe(arguments))
    (folder / "training_args.json").write_text(json.dumps(arguments.training.to_dict(), default=str))
    return arguments


def plain(arguments):
    """The arguments of a run as JSON, without where it lies."""
    training = json.loads(json.dumps(arguments.training.to_dict(), default=str))
    training = {k: v for k, v in training.items() if k not in ("output_dir", "logging_dir", "run_name")}
    record = {k: v for k, v in describe(arguments).items() if k != "files"}
    return json.loads(json.dumps([record, training], default=str))


@pytest.mark.parametrize("preset", [None, "laptop", "paper"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_run_as_the_record_says_has_no_other_option(name, preset, tmp_path):
    if preset is not None and preset not in SYSTEMS[name].presets:
        pytest.skip(f"{name} has no preset {preset}")
    words = [name, "--dataset_name", "grammar", *(["--preset", preset] if preset else [])]
    saved_arguments(words, tmp_path)
    record = read_record(tmp_path)
    assert changed_options(tmp_path, record) == {}
    expected = f"textgan train {name} {f'--preset {preset} ' if preset else ''}--dataset_name grammar --output_dir "
    assert command(record, {}, tmp_path) == expected + tmp_path.name


@pytest.mark.parametrize(
    "words",
    [
        "seqgan --dataset_name grammar --preset laptop --num_rollouts 3 --seed 7 --lowercase true",
        "seqgan --dataset_name grammar --generator.hidden_size 48 --discriminator.learning_rate 1e-2",
        "seqgan --dataset_name grammar --preset laptop --generator/adversarial.learning_rate 2e-3 --max_steps 9",
        "seqgan --dataset_name grammar --discriminator bidirectional --discriminator.hidden_size 8 --reward constant",
        "seqgan --dataset_name oracle --oracle_vocab_size 60 --oracle_seed 4 --max_length 11",
        "iwgan --dataset_name grammar --level word --max_seconds 5 --gradient_penalty 2.5",
        "seqgan --dataset_name org/data --dataset_config 'a b' --text_column 'the \"text\"' --dataset_eval_split dev",
        "arae --train_file train.txt --eval_file eval.txt --min_count 2",
        "rnnlm --dataset_name grammar --lr_scheduler_type cosine --lr_scheduler_kwargs '{\"num_cycles\": 2}'",
    ],
)
def test_the_command_gives_the_same_run(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.txt", "eval.txt"):
        (tmp_path / name).write_text("a line\n")
    arguments = saved_arguments(shlex.split(words), tmp_path / "run")
    record = read_record(tmp_path / "run")
    options = changed_options(tmp_path / "run", record)
    repeated = shlex.split(command(record, options, tmp_path / "run"))
    assert repeated[:2] == ["textgan", "train"]
    assert plain(parse_train_arguments(repeated[2:])) == plain(arguments)


def test_the_difference_to_the_record_has_its_value(tmp_path):
    words = "seqgan --dataset_name grammar --num_rollouts 3 --generator.hidden_size 48 --generator.dropout 0.5"
    saved_arguments([*words.split(), "--discriminator.learning_rate", "0.01"], tmp_path)
    assert system_facts(tmp_path).changed == [
        ("num_rollouts", 3, 16),
        ("generator.hidden_size", 48, 32),
        ("generator.dropout", 0.5, 0.0),
        ("discriminator.learning_rate", 0.01, 1e-4),
    ]


def test_no_path_of_this_machine_stands_on_a_card(tmp_path):
    text = tmp_path / "secret" / "my captions.txt"
    text.parent.mkdir()
    text.write_text("a line\n")
    saved_arguments(["seqgan", "--train_file", str(text)], tmp_path / "run")
    facts = system_facts(tmp_path / "run")
    assert shlex.split(facts.command)[2:] == ["seqgan", "--output_dir", "run", "--train_file", "my captions.txt"]
    file = {"name": "my captions.txt", "bytes": 7, "sha256": file_digest(text)}
    assert facts.dataset.files == {"train_file": file}
    assert str(tmp_path) not in repr(facts)


def test_text_from_python_has_no_command(tmp_path):
    saved_arguments(["seqgan", "--dataset_name", "grammar"], tmp_path)
    record = read_record(tmp_path)
    record["data"]["dataset_name"] = None
    write_record(tmp_path, record)
    assert system_facts(tmp_path).command is None


SHORT = {
    "dataset": "grammar",
    "preset": "laptop",
    "grammar_train_size": 120,
    "grammar_eval_size": 60,
    "eval_num_samples": 20,
    "disable_tqdm": True,
    "use_cpu": True,
    "save_strategy": "no",
}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("seqgan", {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 1, "max_steps": 1, "seed": 3}),
        ("iwgan", {"max_steps": 2}),
    ],
)
def test_a_run_its_card_and_its_evaluation(name, options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with fork_rng("card", 0):
        trainer = build_run(name, output_dir=f"runs/{name}", **SHORT, **options)
        trainer.train()
        trainer.save_model()
    path = tmp_path / "runs" / name / "README.md"
    card = ModelCard.load(path)
    assert card.data.tags[:3] == ["hf_textgan", "text-gan", name]
    assert (card.data.license, card.data.language) == ("apache-2.0", "en")
    assert card.data.pipeline_tag == ("text-generation" if name == "seqgan" else None)
    for heading in ("How to use", "Training data", "Training", "Metrics", "Samples", "Limits", "Citation", "Licence"):
        assert f"\n## {heading}\n" in card.text
    assert SYSTEMS[name].paper.title in card.text and all(d in card.text for d in SYSTEMS[name].deviations)
    for block in re.findall(r"^```python\n(.*?)^```$", card.text, re.DOTALL | re.MULTILINE):
        exec(compile(block, "README.md", "exec"), {})
    assert "evaluation.json" not in card.text

    assert evaluate([f"runs/{name}", "--num_samples", "30"]) == 0
    card = ModelCard.load(path)
    measured = json.loads((tmp_path / "runs" / name / "evaluation.json").read_text())
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results.items() <= measured["metrics"].items() and len(results) > 3
    assert "| metric |" in card.text and "`textgan evaluate` measured this model on 30 samples" in card.text

    write_card(f"runs/{name}", repository="org/name")
    assert 'from_pretrained("org/name")' in path.read_text() and path.read_text().count("# name\n") == 1
