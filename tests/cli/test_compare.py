"""`textgan compare` and `--mle_baseline` on tiny runs."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from hf_textgan.cli.main import main
from hf_textgan.comparison.sources import ModelSource
from hf_textgan.data.caption_grammar import CaptionGrammar
from hf_textgan.trainer.wall_clock import TimeLimit


pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ("--generator.hidden_size", "8", "--generator.embedding_size", "8", "--disable_tqdm", "true")
FEW = ("--num_samples", "60", "--num_seeds", "2")


def train(*words: object) -> None:
    assert main(["train", *map(str, words), *TINY]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two runs of one recipe and one of another, on the same 300 captions."""
    folder = tmp_path_factory.mktemp("runs")
    lines = CaptionGrammar().sample(420, seed=0)
    (folder / "train.txt").write_text("".join(f"{line}\n" for line in lines[:300]))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in lines[300:]))
    common = ("--train_file", folder / "train.txt", "--eval_file", folder / "test.txt", "--eval_num_samples", 20)
    steps = ("--pretrain_generator_steps", 30, "--eval_steps", 30, "--save_steps", 30)
    for name, seed, rate in (("first", 1, 0.01), ("second", 2, 0.01), ("other", 1, 0.02)):
        train("rnnlm", *common, *steps, "--seed", seed, "--learning_rate", rate, "--output_dir", folder / name)
    return folder


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_runs_of_one_recipe_are_one_system(runs, tmp_path, capsys):
    paths = [str(runs / name) for name in ("first", "second", "other")]
    assert main(["compare", *paths, *FEW, "--temperatures", "1", "0.8", "--output_dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    result = report(tmp_path)
    rows = result["rows"]
    assert list(rows) == [paths[0], paths[2], "real text", "copied training text", "trigram sampler", "bag of words"]
    assert rows[paths[0]]["sources"] == paths[:2] and rows[paths[2]]["sources"] == paths[2:]
    assert [len(row["draws"]) for row in rows.values()] == [8, 4, 2, 2, 2, 2]
    (verdict,) = result["verdicts"]
    assert verdict["scope"] == "systems" and verdict["test"] == "Student's t-test"
    assert result["config"]["num_samples"] == 60 and result["config"]["values"] == [0.8, 1.0]
    real, copies = (rows[label]["draws"][0]["metrics"] for label in ("real text", "copied training text"))
    assert copies["copied"] == 1.0 and real["copied"] < 0.2
    assert real["bleu_4"] > rows["bag of words"]["draws"][0]["metrics"]["bleu_4"]
    assert f"The report is {tmp_path / 'report.md'}." in printed
    assert "| bag of words |" in (tmp_path / "report.md").read_text()
    # The same draws, the same numbers.
    assert main(["compare", *paths, *FEW, "--temperatures", "0.8", "1", "--output_dir", str(tmp_path / "again")]) == 0
    assert report(tmp_path / "again")["rows"] == rows


def test_a_file_of_samples_and_a_fixed_temperature(runs, tmp_path, capsys):
    samples = tmp_path / "samples.txt"
    samples.write_text((runs / "train.txt").read_text())
    words = [
        str(samples),
        f"{runs / 'first'}@0.5",
        *FEW,
        "--top_p",
        "0.9",
        "1",
        "--output_dir",
        str(tmp_path / "report"),
    ]
    assert main(["compare", *words]) == 0
    result = report(tmp_path / "report")
    assert list(result["rows"])[:2] == [str(samples), "rnnlm@0.5"]
    assert result["config"]["sweep"] == "top_p"
    assert len(result["rows"][str(samples)]["draws"]) == 2 and len(result["rows"]["rnnlm@0.5"]["draws"]) == 4
    assert result["notes"][str(samples)][0].startswith("copies the training text in 100.0% of its texts")
    assert result["verdicts"][0]["outcome"] in ("no verdict", "trade-off", "no difference")
    assert f"{samples} copies the training text" in capsys.readouterr().out
    half = ModelSource(f"{runs / 'first'}@0.5")
    assert half.texts(20, 0, temperature=2.0) == ModelSource(str(runs / "first")).texts(20, 0)


def test_runs_on_an_oracle(tmp_path, capsys):
    oracle = ("--dataset_name", "oracle", "--oracle_vocab_size", 20, "--oracle_hidden_size", 4, "--max_length", 5)
    oracle = (*oracle, "--oracle_train_size", 200, "--oracle_eval_size", 200, "--eval_num_samples", 20)
    for name, seed in (("a", 1), ("b", 2)):
        folder = tmp_path / name
        train(
            "rnnlm", *oracle, "--seed", seed, "--pretrain_generator_steps", 5 + 60 * (seed - 1), "--output_dir", folder
        )
    paths = [str(tmp_path / name) for name in "ab"]
    assert main(["compare", *paths, *FEW, "--output_dir", str(tmp_path / "report")]) == 0
    result = report(tmp_path / "report")
    assert list(result["rows"]) == [*paths, "real text"]
    real = result["rows"]["real text"]["draws"][0]["metrics"]
    for path in paths:
        metrics = next(draw["metrics"] for draw in result["rows"][path]["draws"] if draw["value"] == 1.0)
        assert metrics["nll_test"] > real["nll_test"] - 0.02  # the oracle itself predicts best
    assert [test["name"] for test in result["verdicts"][0]["hypotheses"]][0].startswith("nll_")
    with pytest.raises(ValueError, match="/a writes token ids and no text; compare it with runs on its oracle.$"):
        ModelSource(paths[0]).nll_of_texts(Dataset.from_dict({"text": ["1 2 3"]}))
    samples = tmp_path / "samples.txt"
    samples.write_text("1 2 3\n3 2 1\n")
    for words, message in (
        (
            [paths[0], str(samples)],
            "Some sources write sequences of an oracle and others text; compare one kind.",
        ),
        ([*paths, "--top_p", "0.5", "1"], "With --top_p most sequences of an oracle have no likelihood"),
    ):
        assert main(["compare", *words]) == 2
        assert message in capsys.readouterr().err


def test_errors_of_compare(runs, tmp_path, capsys):
    first = str(runs / "first")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "few.txt").write_text("a dog .\n" * 60)
    for words, message in (
        ([first, first], f"{first} is given twice; give each source once."),
        ([f"{first}@cold"], f"{first}@cold ends in @cold, which is no temperature; write one like {first}@0.7."),
        ([f"{first}@0"], "has the temperature 0; set it above 0."),
        ([str(tmp_path / "nowhere")], "nowhere"),
        ([str(tmp_path / "empty.txt")], "has no line with text; give a file with at least 2 sentences"),
        ([str(tmp_path / "few.txt")], "No source has training and held-out text; add --train_file FILE"),
        ([first, "--eval_file", str(tmp_path / "few.txt")], "The held-out text has 60 lines; give 100 or more"),
        ([first, "--temperatures", "0.5"], "lack 1, the value of training; add it."),
        ([first, "--temperatures", "1", "--top_p", "1"], "--temperatures and --top_p are both given"),
        ([first, "--num_samples", "10"], "num_samples is 10; set it to 50 or more."),
        ([first, "--output_dir", str(tmp_path / "few.txt")], "is a file; name a folder for the report."),
    ):
        assert main(["compare", *words]) == 2, words
        assert message in capsys.readouterr().err
    train(
        *("rnnlm", "--dataset_name", "grammar", "--grammar_train_size", 100, "--grammar_eval_size", 100),
        *("--pretrain_generator_steps", 2, "--eval_num_samples", 20, "--output_dir", tmp_path / "grammar"),
    )
    assert main(["compare", first, str(tmp_path / "grammar")]) == 2
    assert "were trained on different text" in capsys.readouterr().err
    assert not (Path.cwd() / "report").exists()


@pytest.mark.slow
def test_a_run_with_its_baseline_ends_with_a_report(runs, tmp_path, capsys):
    folder = tmp_path / "gan"
    words = (
        *("seqgan", "--train_file", runs / "train.txt", "--eval_file", runs / "test.txt", "--mle_baseline"),
        *("--pretrain_generator_steps", 8, "--pretrain_discriminator_steps", 2, "--max_steps", 2),
        *("--num_rollouts", 1, "--discriminator_steps", 1, "--eval_num_samples", 20, "--eval_steps", 4),
        *(
            "--save_steps",
            4,
            "--save_total_limit",
            9,
            "--discriminator.window_sizes",
            "[2]",
            "--discriminator.num_filters",
            "[4]",
        ),
    )
    train(*words, "--output_dir", folder)
    printed = capsys.readouterr().out
    assert f"The report is {folder / 'report' / 'report.md'}." in printed
    result = report(folder / "report")
    start = str(folder / "pretrained_generator")
    assert list(result["rows"])[:3] == ["seqgan", "seqgan/pretrained_generator", "seqgan/mle_baseline"]
    # The start is the last model of the pre-training, which its checkpoint holds too.
    saved = [
        load_file(place / "model.safetensors") for place in (folder / "pretrained_generator", folder / "checkpoint-8")
    ]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])
    end = load_file(folder / "model.safetensors")
    assert any(not torch.equal(saved[0][name], end[name]) for name in end)
    assert [row["sources"] for row in list(result["rows"].values())[:3]] == [
        [str(folder)],
        [start],
        [str(folder / "mle_baseline")],
    ]
    assert len(result["verdicts"]) == 3 and all(v["scope"] == "these two models" for v in result["verdicts"])
    baseline = json.loads((folder / "mle_baseline" / "textgan.json").read_text())
    gan = json.loads((folder / "textgan.json").read_text())
    assert baseline["system"] == "rnnlm" and baseline["data"] == gan["data"]
    assert baseline["configs"]["generator"] == gan["configs"]["generator"] == {"hidden_size": 8, "embedding_size": 8}
    seconds = json.loads((folder / "training_seconds.json").read_text())["seconds"]
    assert 0 < seconds < 100


def test_the_time_of_a_baseline_counts_what_went_before_an_interruption(tmp_path):
    (tmp_path / "training_seconds.json").write_text('{"seconds": 90.0, "evaluations": {}}')
    for steps, limit, stops in ((5, 80.0, True), (5, 100.0, False), (0, 80.0, False)):  # 0: a new run
        clock, control = TimeLimit(tmp_path, limit), TrainerControl()
        clock.on_train_begin(None, TrainerState(global_step=steps), control)
        clock.on_step_end(None, TrainerState(global_step=steps + 1), control)
        assert control.should_training_stop is control.should_save is stops


def test_what_has_no_baseline(runs, tmp_path, capsys):
    text = ("--train_file", runs / "train.txt", "--output_dir", tmp_path / "run", "--mle_baseline")
    few = tmp_path / "few.txt"
    few.write_text("a dog .\na cat .\n")
    for words, message in (
        (
            ("rnnlm", *text, "--eval_file", runs / "test.txt"),
            "--mle_baseline is set, but rnnlm is itself trained by likelihood",
        ),
        (("seqgan", *text), "--mle_baseline is set, but there is no held-out text to stop by; add --eval_file FILE."),
        (
            ("seqgan", *text, "--eval_file", few),
            "--mle_baseline is set and the held-out text has 2 lines; give 100 or",
        ),
        (("seqgan", *text, "--eval_file", runs / "test.txt", "--eval_strategy", "no"), 'eval_strategy is "no"'),
    ):
        assert main(["train", *map(str, words)]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
