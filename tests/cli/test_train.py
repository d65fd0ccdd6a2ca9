"""The command line: what it prints, what it refuses and how it says so."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.cli.main import main
from hf_textgan.runs.build import build_trainer
from tests.contracts.test_systems import options


torch.set_num_threads(1)

LINES = "".join(f"a {color} {animal} is sleeping .\n" for color in ("red", "blue") for animal in ("dog", "cat", "hen"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny finished run of seqgan."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(options("seqgan", folder)) == 0
    return folder


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def test_help_and_systems_need_neither_torch_nor_transformers() -> None:
    code = """
import sys
sys.argv[0] = "textgan"
from hf_textgan.cli.main import main
for words in (["--help"], ["systems"], ["train", "--help"], ["train"], []):
    assert main(words) == 0
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"torch", "transformers", "datasets", "numpy"}, loaded
"""
    started = time.perf_counter()
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert time.perf_counter() - started < 5  # without torch; with it, several times as long
    assert (
        "seqgan   policy-gradient" in " ".join(result.stdout.split(" ")).replace("  ", "  ")
        or "seqgan" in result.stdout
    )
    for word in ("rnnlm", "seqgan", "1609.05473", "policy-gradient", "experimental"):
        assert word in result.stdout


def test_file_to_samples(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "train.txt").write_text(LINES)
    (tmp_path / "test.txt").write_text(LINES.replace("sleeping", "eating"))
    words = [
        *("train", "rnnlm", "--train_file", tmp_path / "train.txt", "--eval_file", tmp_path / "test.txt"),
        *("--output_dir", tmp_path / "run", "--per_device_train_batch_size", 6, "--pretrain_generator_steps", 150),
        *("--eval_num_samples", 20, "--eval_steps", 50, "--save_steps", 50, "--disable_tqdm", "true"),
    ]
    assert main([str(word) for word in words]) == 0
    output = capsys.readouterr().out
    assert "16.67%" in output  # "eating" is one of six tokens of each held-out line
    assert main(["generate", str(tmp_path / "run"), "--num_samples", "20", "--seed", "3"]) == 0
    first = capsys.readouterr().out
    # Six lines are learnt by heart.
    lines = first.splitlines()
    assert len(lines) == 20 and sum(f"{line}\n" in LINES for line in lines) >= 15
    assert main(["generate", str(tmp_path / "run"), "--num_samples", "20", "--seed", "3"]) == 0
    assert capsys.readouterr().out == first
    assert main(["generate", str(tmp_path / "run"), "--num_samples", "5", "--prompt", "a red"]) == 0
    assert all(line.startswith("a red ") for line in capsys.readouterr().out.splitlines())
    for option in (("--top_k", "1"), ("--top_p", "0.001"), ("--temperature", "0.001")):  # each leaves one text
        assert main(["generate", str(tmp_path / "run"), "--num_samples", "20", *option]) == 0
        assert len(set(capsys.readouterr().out.splitlines())) == 1
    for option, message in ((("--top_k", "0"), "top_k is 0; set it to 1"), (("--top_p", "2"), "top_p is 2.0; set it")):
        assert main(["generate", str(tmp_path / "run"), *option]) == 2
        assert message in capsys.readouterr().err


def test_character_level(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "train.txt").write_text("春眠不觉晓\n处处闻啼鸟\n夜来风雨声\n花落知多少\n", encoding="utf-8")
    words = [
        *("train", "rnnlm", "--train_file", tmp_path / "train.txt", "--level", "character"),
        *("--output_dir", tmp_path / "run", "--per_device_train_batch_size", 4, "--pretrain_generator_steps", 100),
        *("--disable_tqdm", "true", "--eval_num_samples", 8),
    ]
    assert main([str(word) for word in words]) == 0
    assert "There is no held-out text to select the best model by: the last one is kept." in capsys.readouterr().out
    assert len((tmp_path / "run" / "samples.txt").read_text(encoding="utf-8").splitlines()) == 8
    assert main(["generate", str(tmp_path / "run"), "--num_samples", "8"]) == 0
    samples = capsys.readouterr().out.splitlines()
    assert any(len(line) == 5 and line[0] in "春处夜花" for line in samples)


def test_labelled_text_from_one_flag(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [f"a {color} dog is {word} .,{word}" for color in ("red", "blue", "old") for word in ("good", "bad")]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    words = [
        *("train", "rnnlm", "--train_file", tmp_path / "train.csv", "--output_dir", tmp_path / "run"),
        *("--per_device_train_batch_size", 6, "--pretrain_generator_steps", 100, "--disable_tqdm", "true"),
    ]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "bad" in printed and "good" in printed  # the classes in the report
    assert main(["generate", str(tmp_path / "run"), "--num_samples", "5"]) == 0
    assert any(line.startswith("a ") for line in capsys.readouterr().out.splitlines())

    # The batches carry the classes of their texts: bad is 0, good 1.
    words[words.index(tmp_path / "run")] = tmp_path / "again"
    trainer = build_trainer(parse_train_arguments([str(word) for word in words[1:]]))
    batch = next(iter(trainer.get_train_dataloader()))[0][0]
    texts = trainer.processing_class.batch_decode(batch["input_ids"], skip_special_tokens=True)
    assert batch["labels"].tolist() == [int("good" in text) for text in texts]
    assert sorted(batch["labels"].tolist()) == [0, 0, 0, 1, 1, 1]


def test_source_and_target_columns_are_carried(tmp_path: Path) -> None:
    pairs = [{"en": f"a {color} dog", "de": f"ein {color} hund ."} for color in ("red", "blue", "old", "new")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    words = f"""rnnlm --train_file {tmp_path / "train.jsonl"} --source_column en --target_column de
        --output_dir {tmp_path / "run"} --per_device_train_batch_size 4 --pretrain_generator_steps 2"""
    trainer = build_trainer(parse_train_arguments(words.split()))
    batch = next(iter(trainer.get_train_dataloader()))[0][0]
    assert batch["condition_mask"].tolist() == [[1, 1, 1, 1]] * 4  # three words and the end
    trainer.train()


def test_a_tokenizer_by_path(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(LINES)
    words = f"""train rnnlm --train_file {tmp_path / "train.txt"} --tokenizer_name_or_path {trained}
        --output_dir {tmp_path / "run"} --per_device_train_batch_size 6 --pretrain_generator_steps 2
        --disable_tqdm true"""
    assert main(words.split()) == 0
    assert (tmp_path / "run" / "tokenizer.json").read_text() == (trained / "tokenizer.json").read_text()


def test_evaluate_knows_the_held_out_text_of_the_run(trained: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", str(trained), "--num_samples", "20"]) == 0
    printed = capsys.readouterr().out
    result = json.loads((trained / "evaluation.json").read_text())
    logged = json.loads((trained / "metrics.json").read_text())["evaluations"][-1]
    assert result["metrics"]["nll_per_token"] == pytest.approx(logged["eval_nll_per_token"], abs=1e-6)
    assert {"bleu_2", "self_bleu_5", "grammar_share", "nll_per_sequence"} <= set(result["metrics"])
    assert f"{result['metrics']['nll_per_token']:.4f}" in printed


def test_samples_do_not_depend_on_their_number(trained: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["generate", str(trained), "--num_samples", "3"]) == 0
    three = capsys.readouterr().out.splitlines()
    assert main(["generate", str(trained), "--num_samples", "300"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == three


def test_precedence_of_options(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "system: seqgan\noutput_dir: from_yaml\nlearning_rate: 5e-3\nnum_rollouts: 3\n"
        "generator: {hidden_size: 48}\ndiscriminator.learning_rate: 2e-4\nuse_cpu: true\n"
    )
    arguments = parse_train_arguments(["--config", str(file), "--preset", "laptop", "--num_rollouts", "7"])
    assert arguments.system.name == "seqgan"
    assert arguments.training.output_dir == "from_yaml"
    assert arguments.training.learning_rate == 5e-3  # file before system
    assert arguments.objective.num_rollouts == 7  # command line before file before preset
    assert arguments.objective.discriminator_steps == 3  # preset before system
    assert arguments.configs["generator"] == {"hidden_size": 48}
    discriminator = arguments.training.for_optimizer("discriminator", "adversarial")
    assert discriminator.learning_rate == 2e-4  # file before preset
    assert discriminator.max_grad_norm == 0.0  # system
    overridden = parse_train_arguments(
        ["--config", str(file), "--discriminator.learning_rate", "1e-5", "--generator.hidden_size=5"]
    )
    assert overridden.training.for_optimizer("discriminator", "adversarial").learning_rate == 1e-5
    assert overridden.configs["generator"] == {"hidden_size": 5}


def files(folder: Path) -> dict[str, str]:
    """Files that are wrong, and one that is right."""
    (folder / "good.txt").write_text(LINES)
    (folder / "empty.txt").write_text("\n  \n")
    (folder / "one.txt").write_text("a dog .\n")
    (folder / "latin.txt").write_bytes(b"a dog .\na caf\xe9 .\n")
    (folder / "odd.yaml").write_text("system: seqgan\nlearning_rat: 0.1\n")
    (folder / "odd2.yaml").write_text("system: seqgan\ngenerator: {hiden_size: 3}\n")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "many.yaml").write_text("system: [rnnlm, seqgan]\n")
    (folder / "notes").mkdir()
    (folder / "notes" / "thesis.txt").write_text("mine")
    return {"D": str(folder)}


GOOD = "--train_file {D}/good.txt --output_dir {D}/out"
SIX = "--per_device_train_batch_size 6"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train seqgan --train_file {D}/none.txt --output_dir {D}/out", "There is no file '{D}/none.txt'"),
        ("train seqgan --train_file {D}/empty.txt --output_dir {D}/out", "empty.txt"),
        ("train seqgan --train_file {D}/one.txt --output_dir {D}/out", "one.txt"),
        ("train seqgan --train_file {D}/latin.txt --output_dir {D}/out", "UTF-8"),
        (f"train seqgan {GOOD} --max_length 3", "All 6 lines are longer than max_length=3"),
        (f"train seqgan {GOOD} --per_device_train_batch_size 7", "The 6 training lines do not fill one batch"),
        (f"train seqgam {GOOD}", "There is no system called 'seqgam'; did you mean 'seqgan'?"),
        (f"train seqgan {GOOD} --learning_rat 1", "called 'learning_rat'; did you mean 'learning_rate'?"),
        (f"train seqgan {GOOD} --generator.hiden_size 1", "called 'hiden_size'; did you mean 'hidden_size'?"),
        (f"train seqgan {GOOD} --critic.hidden_size 1", "There is no player of seqgan called 'critic'"),
        (f"train seqgan {GOOD} --learning_rate fast", "invalid float value: 'fast'"),
        (f"train seqgan {GOOD} --preset huge", "There is no preset of seqgan called 'huge'"),
        (f"train seqgan {GOOD} --num_rollouts 0", "num_rollouts is 0; set it to 1 or more."),
        (f"train seqgan {GOOD} --temperature 0", "temperature is 0.0; set it above 0."),
        (
            f"train seqgan {GOOD} --num_train_epochs 3",  # also the default of transformers
            "num_train_epochs is 3.0 in the command line, but adversarial training counts iterations; set max_steps",
        ),
        (f"train seqgan {GOOD} {SIX} --generator.hidden_size big", "Field 'hidden_size' expected int, got str"),
        (
            f"train seqgan {GOOD} {SIX} --discriminator.window_sizes [1]",
            "window_sizes has 1 entries and num_filters 12",
        ),
        (f"train seqgan {GOOD} extra", "The word 'extra' belongs to no option"),
        (f"train seqgan {GOOD} --dataset_name grammar", "leave one of them out"),
        (
            "train seqgan --dataset_name gramar --output_dir {D}/out",
            "data set called 'gramar'; did you mean 'grammar'?",
        ),
        (f"train seqgan {GOOD} --label_column label", "has lines and no column 'label'; give a .csv or .jsonl file"),
        (f"train seqgan {GOOD} --tokenizer_name_or_path {{D}}/nothing", "There is no folder '{D}/nothing'"),
        (
            f"train seqgan {GOOD} {SIX} --num_negatives 5",
            "num_negatives is 5, but a step takes 6; set it to a multiple",
        ),
        (f"train seqgan {GOOD} --reward blue", "invalid choice: 'blue'"),
        (f"train seqgan {GOOD} --scheduled_sampling 1.5", "scheduled_sampling is 1.5; set it to a value from 0 to 1"),
        (f"train seqgan {GOOD} --discriminator cmn", "called 'cmn'; did you mean 'cnn'?"),
        ("data raport {D}/good.txt", "There is no command of `textgan data` called 'raport'; did you mean 'report'?"),
        ("evaluate {D}/notes --eval_file {D}/none.txt", "holds no finished model"),
        (f"train seqgan {GOOD} --generator_name_or_path {{D}}/nothing", "There is no folder {D}/nothing"),
        (f"train rnnlm {GOOD} {SIX} --max_steps 5", "max_steps is 5, but MLEObjective has no adversarial phase"),
        ("train seqgan --output_dir {D}/out", "No training text is named"),
        ("train seqgan --train_file {D}/good.txt", "No output folder is named"),
        ("train seqgan --train_file {D}/good.txt --output_dir {D}/notes", "is not empty and holds no run"),
        ("train seqgan --train_file {D}/good.txt --output_dir {D}/good.txt", "is a file"),
        ("train --train_file {D}/good.txt", "No system is named"),
        ("train --config {D}/none.yaml", "There is no file {D}/none.yaml"),
        ("train --config {D}/odd.yaml --output_dir {D}/out", "called 'learning_rat'; did you mean 'learning_rate'?"),
        ("train --config {D}/odd2.yaml --output_dir {D}/out", "called 'hiden_size'; did you mean 'hidden_size'?"),
        ("train --config {D}/list.yaml", "holds no options"),
        ("train --config {D}/many.yaml --output_dir {D}/out", "system is ['rnnlm', 'seqgan']; name one system"),
        ("train rnnlm --player_optimizers 5 --output_dir {D}/out", "player_optimizers is 5; give arguments by player"),
        ("train rnnlm --generator.hidden_size [x --output_dir {D}/out", "--generator.hidden_size [x is not YAML"),
        ("trian seqgan", "There is no command called 'trian'; did you mean 'train'?"),
        ("generate {D}/nothing", "There is no folder {D}/nothing"),
        ("generate {D}/notes", "holds no finished model"),
        ("generate {D}/notes --num_samples 0", "num_samples is 0"),
        ("generate {D}/notes --temperature 0", "temperature is 0.0"),
        ("evaluate {D}/notes --num_samples 1", "num_samples is 1"),
    ],
)
def test_bad_input_is_one_sentence_before_any_training(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    values = files(tmp_path)
    assert main(words.format(**values).split()) == 2
    error = capsys.readouterr().err.strip()
    assert message.format(**values) in error
    assert len(error.splitlines()) == 1 and error.startswith("textgan") and error[-1] in ".?"
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "mine"


def test_folder_of_another_run_is_left_alone(trained: Path, capsys: pytest.CaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    assert main(options("rnnlm", trained)) == 2
    assert f"{trained} holds a run of seqgan, not of rnnlm" in capsys.readouterr().err
    assert main(options("seqgan", trained)) == 2
    assert "add --resume to continue it" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_broken_models_are_refused(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: os.path.getsize(weights) // 2])
    assert main(["generate", str(broken)]) == 2
    error = capsys.readouterr().err.strip()
    assert f"{broken} cannot be loaded" in error and len(error.splitlines()) == 1


def test_half_written_checkpoint_is_skipped_on_resume(trained: Path, tmp_path: Path, capsys, caplog) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    newest, older = run / "checkpoint-9", run / "checkpoint-6"
    assert newest.is_dir() and older.is_dir()
    (newest / "players.pt").unlink()
    expected = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()
    assert main([*options("seqgan", run), "--resume"]) == 0
    assert (run / "model.safetensors").read_bytes() == expected


def test_resuming_a_finished_run_changes_nothing(trained: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = (run / "model.safetensors").read_bytes(), (run / "samples.txt").read_bytes()
    assert main([*options("seqgan", run), "--resume"]) == 0
    assert ((run / "model.safetensors").read_bytes(), (run / "samples.txt").read_bytes()) == before
