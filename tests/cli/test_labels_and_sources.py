"""
Labels and sources in every command. The classes and the sources decide the text in these data, so that a label or a
source that gets lost on its way shows in the texts and in their likelihood.
"""

import json
from pathlib import Path

import pytest

from hf_textgan.cli.main import main
from hf_textgan.comparison.sources import ModelSource
from hf_textgan.data import load_text
from hf_textgan.runs.generate import generate_texts
from hf_textgan.sampling.loading import load_generator
from hf_textgan.trainer import validation
from tests import systems_with_inputs
from tests.systems_with_inputs import ClassLM, train


pytestmark = pytest.mark.usefixtures("one_thread")

FEW = ["--num_samples", "60", "--num_seeds", "2", "--temperatures", "1"]
QUICK = {
    "pretrain_generator_steps": 150,
    "per_device_train_batch_size": 16,
    "learning_rate": 0.05,
    "eval_steps": 150,
    "save_steps": 150,
}


def csv(path: Path, header: str, rows: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in (header, *rows)), encoding="utf-8")
    return str(path)


# Three texts of each class, and two of each source, whose words `x`, `y` and `z` occur in no text.
OF_CLASSES = ["good,a a a", "good,a a", "good,a", "bad,b b b", "bad,b b", "bad,b"]
OF_SOURCES = ["x z,a a", "x,a", "y z,b b", "y,b"]


@pytest.fixture(scope="module", autouse=True)
def systems():
    with pytest.MonkeyPatch.context() as monkeypatch:
        systems_with_inputs.register(monkeypatch)
        yield


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    files = {
        "train_file": csv(folder / "train.csv", "label,text", OF_CLASSES * 20),
        "eval_file": csv(folder / "test.csv", "label,text", OF_CLASSES * 20),
    }
    assert main(train("classlm", folder / "run", **files, **QUICK)) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def paired(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("paired")
    files = {
        "train_file": csv(folder / "train.csv", "source,text", OF_SOURCES * 20),
        "eval_file": csv(folder / "test.csv", "source,text", OF_SOURCES * 30),
    }
    columns = {"source_column": "source", "target_column": "text"}
    assert main(train("sourcelm", folder / "run", **files, **columns, **QUICK)) == 0
    return folder / "run"


def words(texts: list[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def output_of(capsys, *arguments: object, status: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


# ---- generate -------------------------------------------------------------------------------------------------------


def test_generate_for_a_label_by_name_or_number(labelled, capsys):
    for label, word in (("good", "a"), ("bad", "b"), ("1", "a"), ("0", "b")):
        printed = output_of(capsys, "generate", labelled, "--num_samples", 20, "--label", label)
        assert words(printed.splitlines()) == {word}, label
    assert words(generate_texts(str(labelled), 20, label=1)) == {"a"}
    assert words(generate_texts(str(labelled), 40)) == {"a", "b"}, "without a label it is drawn"


def test_generate_for_sources(paired, tmp_path, capsys):
    assert words(output_of(capsys, "generate", paired, "--source", "x z").splitlines()) == {"a"}
    printed = output_of(capsys, "generate", paired, "--source", "y", "--source", "x", "--num_samples", 3).splitlines()
    assert len(printed) == 6 and words(printed[:3]) == {"b"} and words(printed[3:]) == {"a"}
    (tmp_path / "sources.txt").write_text("x\ny\nx z\n")
    printed = output_of(capsys, "generate", paired, "--source_file", tmp_path / "sources.txt", "--num_samples", 100)
    firsts = [[line[:1] for line in printed.splitlines()[100 * row : 100 * (row + 1)]] for row in range(3)]
    assert [max(set(letters), key=letters.count) for letters in firsts] == ["a", "b", "a"]
    assert min(letters.count("ab"[row % 2]) for row, letters in enumerate(firsts)) >= 95
    assert [text[0] for text in generate_texts(str(paired), 2, sources=["x", "y"])] == ["a", "a", "b", "b"]


def test_generate_refuses_what_a_generator_does_not_read(labelled, paired, tmp_path, capsys):
    (tmp_path / "gap.txt").write_text("x\n\ny\n")
    cases = [
        ((labelled, "--label", "goood"), "There is no class of the generator called 'goood'; did you mean 'good'?"),
        ((labelled, "--label", "2"), "no class of the generator called '2'; choose one of bad, good."),
        ((labelled, "--source", "x"), f"A source is given, but {labelled} reads no sources; leave it out."),
        (
            (paired, "--source", "x", "--label", "good"),
            f"label is 'good', but {paired} reads no labels; leave it out.",
        ),
        ((paired,), f"{paired} writes texts from sources; give one with --source, or several with --source_file."),
        ((paired, "--source", " "), "Source 1 ('') has no token"),
        ((paired, "--source_file", tmp_path / "gap.txt"), "has no source in line 2; write one source a line."),
        (
            (paired, "--source", "x", "--source_file", tmp_path / "gap.txt"),
            "--source and --source_file are both given; leave one of the two out.",
        ),
    ]
    for arguments, message in cases:
        assert message in output_of(capsys, "generate", *arguments, status=2), arguments
    with pytest.raises(ValueError, match="sources is 'x y'; pass a list of at least 1 text."):
        generate_texts(str(paired), sources="x y")


def test_unknown_words_of_sources_are_told(paired, caplog):
    generate_texts(str(paired), 1, sources=["x q", "y"])
    assert f"1 of 3 tokens of the sources are unknown to {paired}." in caplog.text


# ---- train ----------------------------------------------------------------------------------------------------------


def test_samples_stand_beside_their_labels_and_sources(labelled, paired):
    for run, column in ((labelled, "label"), (paired, "source")):
        lines = [line.split("\t") for line in (run / "samples.tsv").read_text().splitlines()]
        assert lines[0] == [column, "text"] and len(lines) == 9
        assert [text for _, text in lines[1:]] == (run / "samples.txt").read_text().splitlines()
        rows = OF_CLASSES if column == "label" else OF_SOURCES
        assert [given for given, _ in lines[1:]] == [rows[i % len(rows)].split(",")[0] for i in range(8)]
    assert load_text(str(labelled / "samples.tsv")).features["label"].names == ["bad", "good"]


def test_category_accuracy_during_training(labelled):
    metrics = json.loads((labelled / "metrics.json").read_text())["evaluations"][-1]
    assert metrics["eval_category_accuracy_real"] == metrics["eval_category_accuracy_real[bad]"] == 1.0
    assert min(metrics["eval_category_accuracy"], metrics["eval_category_accuracy[good]"]) >= 0.75  # of 8 texts
    assert not any(key.startswith("eval_bleu_2[") for key in metrics), "only what is cheap"


def test_words_of_sources_alone_are_in_the_vocabulary(paired):
    vocabulary = json.loads((paired / "tokenizer.json").read_text())["model"]["vocab"]
    assert {"a", "b", "x", "y", "z"} <= set(vocabulary)


def test_resuming_with_other_labels_is_refused(tmp_path, capsys):
    file = csv(tmp_path / "train.csv", "label,text", OF_CLASSES)
    words = train("classlm", tmp_path / "run", train_file=file, pretrain_generator_steps=3)
    assert main(words) == 0
    more = train("classlm", tmp_path / "run", train_file=file, pretrain_generator_steps=6)
    labels = ["bad", "good", "good", "bad", "good", "bad"]
    texts = [row.partition(",")[2] for row in OF_CLASSES]
    csv(tmp_path / "train.csv", "label,text", [f"{label},{text}" for label, text in zip(labels, texts, strict=True)])
    error = output_of(capsys, *more, "--resume", status=2)
    assert "a resumed run must keep it, or it would see other data and make other steps." in error


@pytest.mark.parametrize(("header", "rows"), [("label,text", OF_CLASSES), ("source,text", OF_SOURCES)])
def test_what_a_system_ignores_is_told_once(tmp_path, monkeypatch, header, rows):
    told: list[str] = []
    monkeypatch.setattr(validation.logger, "warning_once", told.append)
    options = {"train_file": csv(tmp_path / "train.csv", header, rows), "pretrain_generator_steps": 1}
    columns = {"source_column": "source"} if header.startswith("source") else {}
    command = train("rnnlm", tmp_path / "run", per_device_train_batch_size=4, **options, **columns)
    assert main(command) == 0
    name = "condition_ids" if columns else "labels"
    assert [text.partition(",")[0] for text in told] == [f"The training data have {name}"]


def test_the_length_of_sources_is_limited(tmp_path, capsys):
    files = {"train_file": csv(tmp_path / "train.csv", "source,text", ["x z,a", "x,a a", "y z,b", "y,b b"])}
    columns = {"source_column": "source", "target_column": "text"}
    limit = {"max_condition_length": 2, "pretrain_generator_steps": 1, "per_device_train_batch_size": 2}
    report = output_of(capsys, *train("sourcelm", tmp_path / "run", **files, **columns, **limit))
    assert "long conditions" in report
    run = tmp_path / "run"
    message = f"Source 1 has 3 tokens with its end and {run} was trained on 2 or less; shorten it."
    assert message in output_of(capsys, "generate", run, "--source", "x z", status=2)
    held_out = {"eval_file": csv(tmp_path / "test.csv", "source,text", OF_SOURCES)}
    refused = train("sourcelm", tmp_path / "other", **files, **held_out, **columns, **limit)
    assert "2 of 4 held-out sources have more than max_condition_length=2 tokens with their end; leave" in output_of(
        capsys, *refused, status=2
    )
    plain = train("rnnlm", tmp_path / "other", train_file=csv(tmp_path / "x.csv", "text", ["a", "b"]), **limit)
    assert "max_condition_length is 2 and the training text has no sources; name their column with" in output_of(
        capsys, *plain, status=2
    )


# ---- evaluate and compare -------------------------------------------------------------------------------------------


def test_evaluate_with_labels(labelled, tmp_path, capsys):
    printed = output_of(capsys, "evaluate", labelled, "--num_samples", 60)
    result = json.loads((labelled / "evaluation.json").read_text())
    metrics = result["metrics"]
    last = json.loads((labelled / "metrics.json").read_text())["evaluations"][-1]
    assert metrics["nll_per_token"] == pytest.approx(last["eval_nll_per_token"], rel=1e-5)
    assert min(metrics["category_accuracy"], metrics["category_accuracy[bad]"]) > 0.9
    assert metrics["category_accuracy_real"] == metrics["category_accuracy_real[good]"] == 1.0
    # The texts of a class against those of the class alone; against all they would find more references.
    assert metrics["self_bleu_2[good]"] > 0 and metrics["bleu_2[bad]"] > 0
    assert metrics["jaccard_novelty_real"] == metrics["jaccard_diversity_real"] == 0.0
    assert metrics["jaccard_novelty"] < 0.1 and metrics["jaccard_diversity"] < 0.1
    assert "of the class good: share of the samples in the requested class" in printed
    assert result["inputs"]["label"][:6] == ["good"] * 3 + ["bad"] * 3
    # Other labels make the same texts improbable, also those of a file with one class, which alone would be number 0.
    swapped = csv(tmp_path / "swapped.csv", "label,text", ["good,b b", "good,b"])
    options = ("--eval_file", swapped, "--output_file", tmp_path / "swapped.json")
    output_of(capsys, "evaluate", labelled, *options)
    wrong = json.loads((tmp_path / "swapped.json").read_text())["metrics"]
    assert wrong["nll_per_token"] > metrics["nll_per_token"] + 2
    assert wrong["category_accuracy"] == wrong["category_accuracy[good]"] > 0.9
    assert wrong["category_accuracy_real"] == 0.0


def test_evaluate_refuses_text_without_what_the_generator_reads(labelled, paired, tmp_path, capsys):
    plain = csv(tmp_path / "plain.csv", "text", ["a", "b"])
    assert f"{labelled} reads labels and {plain} has none; give text with the columns of its training." in output_of(
        capsys, "evaluate", labelled, "--eval_file", plain, status=2
    )
    other = csv(tmp_path / "other.csv", "label,text", ["fair,a", "bad,b"])
    assert "has the label 'fair', which is not one of bad, good" in output_of(
        capsys, "evaluate", labelled, "--eval_file", other, status=2
    )
    assert "'source'" in output_of(capsys, "evaluate", paired, "--eval_file", plain, status=2)


def test_evaluate_with_sources(paired, capsys):
    output_of(capsys, "evaluate", paired, "--num_samples", 60)
    result = json.loads((paired / "evaluation.json").read_text())
    last = json.loads((paired / "metrics.json").read_text())["evaluations"][-1]
    assert result["metrics"]["nll_per_token"] == pytest.approx(last["eval_nll_per_token"], rel=1e-5)
    assert result["inputs"]["source"][:4] == ["x z", "x", "y z", "y"]


def test_compare_with_labels(labelled, tmp_path, capsys, monkeypatch):
    output_of(capsys, "compare", labelled, *FEW, "--output_dir", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    of_model = report["rows"]["classlm"]["draws"][0]["metrics"]
    real = report["rows"]["real text"]["draws"][0]["metrics"]
    assert min(of_model["category_accuracy"], of_model["category_accuracy[good]"]) > 0.9
    assert real["category_accuracy"] == real["category_accuracy[bad]"] == 1.0
    assert "category_accuracy" not in report["rows"]["bag of words"]["draws"][0]["metrics"]
    assert "category_accuracy[bad]" in (tmp_path / "report" / "report.md").read_text()
    last = json.loads((labelled / "metrics.json").read_text())["evaluations"][-1]
    assert of_model["nll_test"] == pytest.approx(last["eval_nll_per_token"], abs=0.15)  # of one half of the lines

    # A bound stands in a column of its own.
    monkeypatch.setattr(ClassLM, "likelihood", "bound", raising=False)
    output_of(capsys, "compare", labelled, *FEW, "--output_dir", tmp_path / "bound")
    bound = json.loads((tmp_path / "bound" / "report.json").read_text())["rows"]["classlm"]["draws"][0]["metrics"]
    assert "nll_test" not in bound and bound["nll_bound_test"] == pytest.approx(of_model["nll_test"], rel=1e-5)


def test_compare_takes_the_likelihood_given_the_labels(labelled):
    source = ModelSource(str(labelled))
    right = load_text(str(labelled.parent / "test.csv"))
    wrong = right.map(lambda row: {"label": 1 - row["label"]})
    assert source.nll_of_texts(wrong) > 3 * source.nll_of_texts(right)
    assert source.likelihood_given(right) == "exact" and source.likelihood_given(right.select_columns("text")) is None
    source.draw_for(right)
    assert source.labels(4, 0) == right["label"][:4]
    drawn = zip(source.texts(40, 0), source.labels(40, 0), strict=True)
    assert sum(text[0] == "ba"[label] for text, label in drawn) > 35


def test_compare_with_sources(paired, labelled, tmp_path, capsys):
    output_of(capsys, "compare", paired, *FEW, "--output_dir", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    metrics = report["rows"]["sourcelm"]["draws"][0]["metrics"]
    last = json.loads((paired / "metrics.json").read_text())["evaluations"][-1]
    assert metrics["nll_test"] == pytest.approx(last["eval_nll_per_token"], abs=0.1)
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"a {i}\n" for i in range(120)))
    files = ("--eval_file", lines, "--train_file", lines)
    assert "reads sources and the held-out text of the comparison has none; give text with" in output_of(
        capsys, "compare", paired, *FEW, *files, "--output_dir", tmp_path / "other", status=2
    )
    # Without labels a generator draws them, and its likelihood is left out.
    output_of(capsys, "compare", labelled, *FEW, *files, "--output_dir", tmp_path / "drawn")
    drawn = json.loads((tmp_path / "drawn" / "report.json").read_text())["rows"]["classlm"]["draws"][0]["metrics"]
    assert "bleu_2" in drawn and not {"nll_test", "nll_bound_test", "category_accuracy"} & set(drawn)


def test_a_folder_alone_knows_its_classes(labelled, tmp_path):
    generator = load_generator(str(labelled))
    generator.save_pretrained(tmp_path / "alone")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "alone" / name).write_bytes((labelled / name).read_bytes())
    assert words(generate_texts(str(tmp_path / "alone"), 10, label="good")) == {"a"}
