"""Two processes on CPU: one run, on other data each, with the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.integration import distributed_runs


pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]


def launch(tmp_path: Path, scenario: str) -> list[dict]:
    """Runs a scenario of `distributed_runs.py` in two processes and returns what each reported."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.integration.distributed_runs", scenario, str(tmp_path)]
    root = Path(__file__).parents[2]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(root)}
    result = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr[-4000:]
    return [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder and the reports of two processes; one launch for all tests."""
    tmp_path = tmp_path_factory.mktemp("train")
    return tmp_path, launch(tmp_path, "train")


def test_two_processes_train_one_model(trained):
    """The same weights and evaluations on both, data and samples of their own, and the steps of the whole batch."""
    tmp_path, (first, second) = trained
    assert first["weights"] == second["weights"], "bit-identical"
    assert first["world_size"] == 2 and first["global_step"] == second["global_step"] == 8

    # Each rank read 2 of the 4 sentences of a batch, one in each micro-step; together those that one process reads.
    single = distributed_runs.record(tmp_path / "single", per_device_train_batch_size=4)
    assert len(first["read"]) == len(second["read"]) == len(single["read"])
    for mine, yours, whole in zip(first["read"], second["read"], single["read"], strict=True):
        assert [mine[0], yours[0], mine[1], yours[1]] == [[sentence] for sentence in whole[0]]
    assert first["drawn"] != second["drawn"], "the ranks draw samples of their own"

    # The first phase draws nothing, so it is the same run; the gradient is that of all tokens, not a mean of means.
    assert first["mle_losses"] == second["mle_losses"] == pytest.approx(single["mle_losses"], rel=1e-5)

    # One process measures the same on the same checkpoint.
    assert first["metrics"] == second["metrics"]
    trainer = distributed_runs.trainer(tmp_path / "again")
    trainer._load_from_checkpoint(str(tmp_path / "run" / "checkpoint-8"))
    metrics = trainer.evaluate()
    for key in ("eval_nll_per_token", "eval_nll_per_sequence"):
        assert first["metrics"][key] == pytest.approx(metrics[key], rel=1e-6)
    assert first["metrics"]["eval_mean_words"] == metrics["eval_mean_words"]
    assert first["samples"] == trainer.last_samples and len(trainer.last_samples) == 600
    assert first["best"] == second["best"]

    # One step on sentences with unequal numbers of tokens, through `take_step`.
    mine, yours = first["step"], second["step"]
    whole = distributed_runs.one_step(rank=0, world_size=1)
    assert mine["tokens"] + yours["tokens"] == whole["tokens"] and mine["tokens"] != yours["tokens"]
    assert mine["loss"] == yours["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert mine["grad_norm"] == yours["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-5)
    assert mine["weights"] == yours["weights"]
    torch.testing.assert_close(torch.tensor(mine["weights"]), torch.tensor(whole["weights"]), rtol=0, atol=1e-6)


def test_two_processes_gather_what_the_generator_read(trained):
    first, second = (report["gathered"] for report in trained[1])
    single = distributed_runs.gathered(Accelerator(cpu=True))
    assert first == second == single
    assert set(single["300"]) == {"sequences", "mask", "class_labels", "noise"}
    assert single["300"]["class_labels"] == [1, 0, 1] * 100


@pytest.mark.slow
def test_two_processes_resume_exactly(tmp_path):
    first, second = launch(tmp_path, "resume")
    assert first["differences"] == second["differences"] == {str(step): [] for step in (2, 4, 6, 7)}
    assert "was written with world_size=2 and this run has 3" in first["refused"]


def test_two_processes_take_the_steps_of_one_with_three_players(trained, tmp_path):
    """Noise, shares and penalty are those of the whole batch; a decoder that is left out of a step is no error."""
    first, second = (report["wasserstein"] for report in trained[1])
    for name in distributed_runs.WASSERSTEIN:
        assert first[name]["weights"] == second[name]["weights"], f"{name}: bit-identical"
        assert len(first[name]["logs"]) == 3 and all(
            "discriminator/score_gap" in entry for entry in first[name]["logs"]
        )
        if name == "arae, batch":  # each process normalizes by the statistics of its own half
            continue
        whole = distributed_runs.wasserstein(tmp_path / f"single {name}", name, 1)
        found, expected = torch.tensor(first[name]["weights"]), torch.tensor(whole["weights"])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        for mine, entry in zip(first[name]["logs"], whole["logs"], strict=True):
            if name.startswith("arae"):  # metrics are means over the processes, which read other numbers of tokens
                for key in ("autoencoder/accuracy", "autoencoder/nll_per_token"):
                    assert mine.pop(key) == pytest.approx(entry.pop(key), rel=0.1)
            assert mine == pytest.approx(entry, rel=1e-3, abs=1e-4), name


@pytest.mark.slow
def test_two_processes_gather_rows_and_sum_statistics(tmp_path):
    first, second = launch(tmp_path, "couple")
    assert first == second
    assert first["gathered"] == [[[1.0], [2.0]], [[10.0], [11.0]]], "in the order of the processes"
    assert first["total"] == [[24.0]], "1 + 2 + 10 + 11"


@pytest.mark.slow
def test_two_processes_read_the_labels_of_their_rows(tmp_path):
    rows = [f"{label},{word} {word}" for word, label in (("a", "good"), ("b", "bad"), ("c", "good"), ("d", "bad"))]
    (tmp_path / "labels.csv").write_text("\n".join(["label,text", *rows, ""]))
    first, second = launch(tmp_path, "classes")
    for name in ("classlm", "classgan"):
        assert first[name]["weights"] == second[name]["weights"] and first[name]["metrics"] == second[name]["metrics"]
        assert first[name]["inputs"] == {"label": ["good", "bad"] * 150}
        assert {"eval_category_accuracy", "eval_category_accuracy[bad]"} <= set(first[name]["metrics"])
    # Maximum likelihood draws nothing, so it is the run of one process: each label went with its text.
    whole = distributed_runs.with_classes(tmp_path, "classlm", 4)
    assert first["classlm"]["weights"] == pytest.approx(whole["weights"], abs=1e-6)
    key = "eval_nll_per_token"
    assert first["classlm"]["metrics"][key] == pytest.approx(whole["metrics"][key], rel=1e-5)
    assert first["classlm"]["inputs"] == whole["inputs"]
