"""What a system needs of its data, and the names of classes."""

import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_textgan import build_run
from hf_textgan.cli.main import main
from hf_textgan.models import CNNDiscriminatorConfig
from hf_textgan.runs.labels import class_number, name_classes, names_of_classes
from hf_textgan.sampling.loading import load_generator
from tests import systems_with_inputs
from tests.systems_with_inputs import ClassConfig, ClassLM, train


pytestmark = pytest.mark.usefixtures("one_thread")

PARTS = [("good", "a fine film ."), ("bad", "a dull film ."), ("good", "so fine ."), ("bad", "so dull and long .")]


@pytest.fixture(autouse=True)
def systems(monkeypatch):
    systems_with_inputs.register(monkeypatch)


def csv(path: Path, rows, header=("label", "text")) -> str:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in (header, *rows)), encoding="utf-8")
    return str(path)


def error_of(capsys, words: list[str]) -> str:
    assert main(words) == 2
    return capsys.readouterr().err


def test_the_names_of_the_classes_are_saved_with_the_generator(tmp_path):
    file = csv(tmp_path / "train.csv", PARTS * 3)
    assert main(train("classgan", tmp_path / "run", train_file=file, eval_file=file)) == 0
    generator = load_generator(str(tmp_path / "run"))
    assert generator.config.num_classes == 2
    assert generator.config.id2label == {0: "bad", 1: "good"} and generator.config.label2id == {"bad": 0, "good": 1}
    assert names_of_classes(generator) == ["bad", "good"]
    assert [class_number(generator, label) for label in ("good", "bad", "0", 1)] == [1, 0, 0, 1]
    # Without `num_classes` a discriminator keeps its own classes.
    config = json.loads((tmp_path / "run" / "discriminator" / "config.json").read_text())
    assert config["id2label"] == {"0": "fake", "1": "real"}


def test_numbers_are_the_names_of_classes_without_names(tmp_path):
    file = csv(tmp_path / "train.csv", [(index % 3, "a film .") for index in range(9)])
    trainer = build_run("classlm", file, output_dir=tmp_path / "run", use_cpu=True)
    assert trainer.model.config.num_classes == 3 == len(trainer.model.embed_classes.weight)
    assert names_of_classes(trainer.model) == ["0", "1", "2"]


def test_a_discriminator_names_its_first_outputs_after_the_classes():
    class Judge:
        config = CNNDiscriminatorConfig(num_labels=3)

    Judge.config.num_classes = 2
    Judge.config.id2label = {0: "LABEL_0", 1: "LABEL_1", 2: "fake"}
    rows = Dataset.from_dict({"labels": [0, 1]})
    name_classes({"generator": ClassLM(ClassConfig()), "discriminator": Judge}, ["bad", "good"], rows, None)
    assert Judge.config.id2label == {0: "bad", 1: "good", 2: "fake"}
    assert Judge.config.label2id == {"bad": 0, "good": 1, "fake": 2}


def test_the_number_for_an_unknown_class_is_refused_with_its_name():
    generator = ClassLM(ClassConfig(id2label={0: "negative", 1: "positive"}))
    with pytest.raises(ValueError, match="no class of the generator called 'postive'; did you mean 'positive'"):
        class_number(generator, "postive")
    with pytest.raises(ValueError, match="no class of the generator called '2'; choose one of negative, positive."):
        class_number(generator, 2)


def test_data_without_what_a_system_needs_are_refused(tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{text}\n" for _, text in PARTS))
    plain = csv(tmp_path / "plain.csv", [(text,) for _, text in PARTS], ("text",))
    labelled = csv(tmp_path / "labelled.csv", PARTS)
    run = tmp_path / "run"
    cases = [
        (
            "classlm",
            {"train_file": plain},
            f"classlm needs labels and {plain} has none; name their column with --label_column.",
        ),
        (
            "classlm",
            {"train_file": lines},
            f"classlm needs labels and {lines} has none; give a file with columns, such as a .csv, and name their "
            "column with --label_column.",
        ),
        (
            "classlm",
            {"train_file": labelled, "eval_file": plain},
            f"classlm needs labels and {plain} has none; name their column with --label_column.",
        ),
        (
            "classlm",
            {"dataset_name": "grammar"},
            "classlm needs labels and grammar has none; add --label_column subject.",
        ),
        (
            "sourcelm",
            {"dataset_name": "grammar"},
            "sourcelm needs conditions and grammar has none; add --source_column keywords.",
        ),
        (
            "sourcelm",
            {"train_file": labelled},
            f"sourcelm needs conditions and {labelled} has none; name their column with --source_column and that of "
            "the texts with --target_column.",
        ),
        (
            "sourcelm",
            {"dataset_name": "oracle"},
            "sourcelm needs conditions and the oracle has none; train it on pairs of texts.",
        ),
    ]
    for system, options, message in cases:
        assert message in error_of(capsys, train(system, run, **options)), options
    assert not run.exists()


@pytest.mark.parametrize(
    ("labels", "held_out", "message"),
    [
        ((1, 2, 1, 2), None, "The class '0' has no training text; give it some, or number the classes 0, 1, 2 and"),
        ((0, 90, 0, 90), None, "The largest label is 90 for 4 training texts; number the classes 0, 1, 2 and so on"),
        (
            (0, 1, 0, 1),
            (0, 2, 1, 1),
            "A held-out text has the label 2 and the training texts have 0 to 1; leave it out, or",
        ),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, capsys, labels, held_out, message):
    texts = [text for _, text in PARTS]
    options = {"train_file": csv(tmp_path / "train.csv", zip(labels, texts, strict=True))}
    if held_out is not None:
        options["eval_file"] = csv(tmp_path / "test.csv", zip(held_out, texts, strict=True))
    assert message in error_of(capsys, train("classlm", tmp_path / "run", **options))


def test_a_pretrained_generator_keeps_its_classes(tmp_path, capsys):
    file = csv(tmp_path / "train.csv", PARTS * 3)
    assert main(train("classlm", tmp_path / "first", train_file=file)) == 0
    capsys.readouterr()
    start = {"generator_name_or_path": tmp_path / "first"}
    other = csv(tmp_path / "other.csv", [(label.upper(), text) for label, text in PARTS])
    error = error_of(capsys, train("classlm", tmp_path / "second", train_file=other, **start))
    assert "The generator has the classes bad, good and the data BAD, GOOD; give the classes of the data" in error
    three = csv(tmp_path / "three.csv", [*PARTS, ("fair", "a film .")])
    error = error_of(capsys, train("classlm", tmp_path / "third", train_file=three, **start))
    assert "The data have 3 classes (bad, fair, good) and a ClassConfig has num_classes 2; train on data" in error
    # A system without needs, too, does not train such a generator without its labels.
    plain = csv(tmp_path / "plain.csv", [(text,) for _, text in PARTS], ("text",))
    error = error_of(
        capsys, train("rnnlm", tmp_path / "fourth", train_file=plain, per_device_train_batch_size=4, **start)
    )
    assert "A ClassLM reads labels and the training text has none; name their column with --label_column." in error
    assert "generator.num_classes is 3 and the data have 2; leave it out." in error_of(
        capsys, train("classlm", tmp_path / "fifth", train_file=file, **{"generator.num_classes": 3})
    )


def test_held_out_data_in_python_are_numbered_as_the_training_data(tmp_path):
    features = Features({"text": Value("string"), "label": Value("string")})
    data = Dataset.from_dict({"label": [p[0] for p in PARTS], "text": [p[1] for p in PARTS]}, features=features)
    held_out = data.select([0, 2])  # `good` alone, which would be class 0 by itself
    trainer = build_run("classlm", data, held_out, output_dir=tmp_path / "run", use_cpu=True)
    assert [row["labels"] for row in trainer.eval_dataset] == [1, 1]
    assert isinstance(trainer.train_dataset.features["labels"], ClassLabel)


def test_sequences_of_the_oracle_are_one_class(tmp_path):
    options = {"oracle_train_size": 8, "oracle_eval_size": 4, "oracle_vocab_size": 6, "oracle_hidden_size": 4}
    trainer = build_run("classlm", "oracle", output_dir=tmp_path / "run", use_cpu=True, eval_num_samples=4, **options)
    assert trainer.model.config.num_classes == 1
    assert {row["labels"] for row in trainer.train_dataset} == {row["labels"] for row in trainer.eval_dataset} == {0}
