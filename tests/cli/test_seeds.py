"""`textgan train --num_seeds`: several runs of one system, resumed exactly and compared as one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hf_textgan import build_run
from hf_textgan.cli.main import main
from hf_textgan.comparison.prepare import expand_seeds
from hf_textgan.data.caption_grammar import CaptionGrammar


pytestmark = pytest.mark.usefixtures("one_thread")

RNNLM = {"pretrain_generator_steps": 12, "eval_steps": 6, "save_steps": 6, "eval_num_samples": 20}
SEQGAN = {
    **{"pretrain_generator_steps": 8, "pretrain_discriminator_steps": 2, "max_steps": 2, "eval_num_samples": 20},
    **{"num_rollouts": 1, "discriminator_steps": 1, "eval_steps": 4, "save_steps": 4},
    **{"discriminator.window_sizes": "[2]", "discriminator.num_filters": "[4]"},
}
TINY = {"generator.hidden_size": 8, "generator.embedding_size": 8, "disable_tqdm": "true", "seed": 5}


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    lines = CaptionGrammar().sample(300, seed=0)
    (folder / "train.txt").write_text("".join(f"{line}\n" for line in lines[:180]))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in lines[180:]))
    return folder


def train(system: str, texts: Path, output_dir: Path, *flags: str, **options: object) -> int:
    files = {"train_file": texts / "train.txt", "eval_file": texts / "test.txt", "output_dir": output_dir}
    words = [str(word) for name, value in {**files, **TINY, **options}.items() for word in (f"--{name}", value)]
    return main(["train", system, *words, *flags])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_each_seed_is_the_run_of_that_seed(texts, tmp_path, capsys):
    folder = tmp_path / "seeds"
    assert train("rnnlm", texts, folder, num_seeds=2, **RNNLM) == 0
    printed = capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["seed-5", "seed-6"]
    assert train("rnnlm", texts, tmp_path / "single", **RNNLM, seed=6) == 0
    assert same(weights(folder / "seed-6"), weights(tmp_path / "single"))
    assert not same(weights(folder / "seed-5"), weights(folder / "seed-6"))
    # The mean over the two evaluations, and half their difference times the root of two.
    values = [
        json.loads((folder / name / "metrics.json").read_text())["evaluations"][-1]["eval_nll_per_token"]
        for name in ("seed-5", "seed-6")
    ]
    mean, deviation = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
    assert f"nll_per_token            {mean:.4g} ± {deviation:.2g}: NLL of held-out text, nats per token" in printed
    assert "rnnlm over the seeds 5, 6, mean ± standard deviation" in printed

    # One seed more: the finished ones are left alone, and one that lost its last steps is continued.
    capsys.readouterr()
    for name in ("config.json", "model.safetensors", "training_args.json"):
        (folder / "seed-6" / name).unlink()
    for path in (folder / "seed-6" / "checkpoint-12").iterdir():
        path.unlink()
    kept = (folder / "seed-5" / "model.safetensors").stat().st_mtime_ns
    assert train("rnnlm", texts, folder, "--resume", num_seeds=3, **RNNLM) == 0
    printed = capsys.readouterr().out
    assert f"{folder / 'seed-5'} is finished; nothing is left to train." in printed
    assert f"{folder / 'seed-6'} is finished" not in printed
    assert (folder / "seed-5" / "model.safetensors").stat().st_mtime_ns == kept
    assert same(weights(folder / "seed-6"), weights(tmp_path / "single"))
    assert (folder / "seed-7" / "config.json").is_file()

    # They are one system for `textgan compare`, with or without a temperature.
    paths = [str(folder / f"seed-{seed}") for seed in (5, 6, 7)]
    assert expand_seeds(str(folder)) == paths
    assert expand_seeds(f"{folder}@0.7") == [f"{path}@0.7" for path in paths]
    assert expand_seeds(paths[0]) == paths[:1] and expand_seeds("org/name") == ["org/name"]
    words = [str(folder), str(tmp_path / "single") + "@0.8", "--num_samples", "60", "--num_seeds", "2"]
    assert main(["compare", *words, "--temperatures", "1", "--output_dir", str(tmp_path / "report")]) == 0
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    assert result["rows"]["rnnlm"]["sources"] == paths
    (verdict,) = result["verdicts"]
    assert verdict["unit"] == "training run" and len(verdict["hypotheses"][0]["first"]) == 3


@pytest.mark.slow
def test_several_seeds_with_their_baselines(texts, tmp_path, capsys):
    folder = tmp_path / "gan"
    assert train("seqgan", texts, folder, "--mle_baseline", num_seeds=2, **SEQGAN) == 0
    assert f"The report is {folder / 'report' / 'report.md'}." in capsys.readouterr().out
    result = json.loads((folder / "report" / "report.json").read_text())
    seeds = [folder / "seed-5", folder / "seed-6"]
    for label, part in (
        ("seqgan", ""),
        ("seqgan/pretrained_generator", "pretrained_generator"),
        ("seqgan/mle_baseline", "mle_baseline"),
    ):
        assert result["rows"][label]["sources"] == [str(seed / part) for seed in seeds]
    assert all(v["scope"] == "systems" and v["test"] == "Welch's t-test" for v in result["verdicts"])
    # Nothing is left to do, but for the report.
    kept = [(seed / "mle_baseline" / "model.safetensors").stat().st_mtime_ns for seed in seeds]
    assert train("seqgan", texts, folder, "--mle_baseline", "--resume", num_seeds=2, **SEQGAN) == 0
    assert [(seed / "mle_baseline" / "model.safetensors").stat().st_mtime_ns for seed in seeds] == kept


def test_what_belongs_to_a_single_run(texts, tmp_path, capsys):
    single = tmp_path / "single"
    single.mkdir()
    (single / "textgan.json").write_text('{"system": "rnnlm"}')
    filled = tmp_path / "filled"
    filled.mkdir()
    (filled / "notes.txt").write_text("mine")
    started = tmp_path / "started" / "seed-5"
    started.mkdir(parents=True)
    (started / "textgan.json").write_text('{"system": "rnnlm"}')
    for folder, options, message in (
        (tmp_path / "new", {"num_seeds": 0}, "num_seeds is 0; set it to 1 or more."),
        (tmp_path / "new", {"data_seed": 3}, "data_seed belongs to a single run; leave it out"),
        (tmp_path / "new", {"push_to_hub": "true"}, "push_to_hub belongs to a single run; leave it out"),
        (tmp_path / "new", {"resume_from_checkpoint": "x"}, "belongs to a single run; use --resume"),
        (single, {}, f"{single} holds a single run, and num_seeds needs a folder of its own"),
        (filled, {}, f"{filled} is not empty and holds no run; name another output folder."),
        (started.parent, {}, f"{started} already holds a run of rnnlm; add --resume to continue it"),
    ):
        assert train("rnnlm", texts, folder, **{"num_seeds": 2, **RNNLM, **options}) == 2
        assert message in capsys.readouterr().err
    assert main(["compare", str(started.parent)]) == 2
    assert f"{started} holds no finished model; finish it with --resume" in capsys.readouterr().err
    with pytest.raises(ValueError, match="num_seeds is 2, but a trainer trains one run; call build_run for each"):
        build_run("rnnlm", dataset=["a dog ."] * 4, output_dir=tmp_path / "new", num_seeds=2)
    assert not (tmp_path / "new").exists()
