"""`textgan train`, `evaluate` and `generate` on the synthetic task."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from hf_textgan.cli.main import main
from hf_textgan.data.oracle import dataset_samples, load_oracle, sample_oracle
from hf_textgan.evaluation.oracle import OracleMetrics
from hf_textgan.sampling.samples import Samples
from tests.data.files import released_oracle


pytestmark = pytest.mark.usefixtures("one_thread")


def words(output_dir: Path, system: str = "rnnlm", **options) -> list[str]:
    values = {
        "dataset_name": "oracle",
        "output_dir": output_dir,
        "oracle_vocab_size": 40,
        "oracle_hidden_size": 6,
        "oracle_train_size": 64,
        "oracle_eval_size": 32,
        "max_length": 5,
        "eval_num_samples": 48,
        "per_device_train_batch_size": 8,
        "eval_steps": 4,
        "save_steps": 4,
        "disable_tqdm": True,
        "pretrain_generator_steps": 8,
        **options,
    }
    chosen = {name: value for name, value in values.items() if value is not None}
    return ["train", system, *(word for name, value in chosen.items() for word in (f"--{name}", str(value)))]


def test_run_on_an_oracle(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(run)) == 0
    oracle = load_oracle(run / "oracle")
    held_out = dataset_samples(sample_oracle(oracle, 32, 5, split="test"))
    printed = capsys.readouterr().out
    value = OracleMetrics(oracle)(held_out)["nll_oracle"]
    assert f"64 to train on, 32 held out, with {value:.3f} nats a token under the oracle itself" in printed

    logged = json.loads((run / "metrics.json").read_text())["evaluations"][-1]
    samples = [[int(word) for word in line.split()] for line in (run / "samples.txt").read_text().splitlines()]
    assert len(samples) == 48 and {len(row) for row in samples} == {5}
    drawn = torch.tensor(samples)
    drawn = Samples(drawn, torch.ones_like(drawn))
    assert logged["eval_nll_oracle"] == pytest.approx(OracleMetrics(oracle)(drawn)["nll_oracle"], abs=1e-6)
    # The run keeps the model with the best likelihood of held-out sequences: the one that lies in its folder.
    best = json.loads((run / "best" / "pretrain_generator" / "metrics.json").read_text())
    assert main(["evaluate", str(run), "--num_samples", "48"]) == 0
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    for key in ("nll_oracle", "nll_div", "nll_per_token"):
        assert metrics[key] == pytest.approx(best[f"eval_{key}"], abs=1e-6)
    capsys.readouterr()
    assert main(["generate", str(run), "--num_samples", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(0 <= int(word) < 40 for line in lines for word in line.split())


@pytest.mark.slow
def test_seqgan_starts_from_a_trained_generator_and_resumes(tmp_path):
    start = tmp_path / "start"
    assert main(words(start)) == 0
    tiny = {
        "system": "seqgan",
        "generator_name_or_path": start,
        "pretrain_generator_steps": 0,
        "pretrain_discriminator_steps": 3,
        "num_rollouts": 2,
        "discriminator_steps": 1,
        "discriminator.window_sizes": "[1,2]",
        "discriminator.num_filters": "[3,3]",
    }
    assert main(words(tmp_path / "straight", max_steps=6, **tiny)) == 0
    assert main(words(tmp_path / "stopped", max_steps=2, **tiny)) == 0
    assert main([*words(tmp_path / "stopped", max_steps=6, **tiny), "--resume"]) == 0
    for folder in (".", "discriminator"):
        straight, stopped = (AutoModel.from_pretrained(tmp_path / run / folder) for run in ("straight", "stopped"))
        for expected, resumed in zip(straight.parameters(), stopped.parameters(), strict=True):
            assert torch.equal(expected, resumed)
    trained = AutoModel.from_pretrained(tmp_path / "straight")
    assert not torch.equal(trained.lm_head.weight, AutoModel.from_pretrained(start).lm_head.weight)


@pytest.mark.parametrize(
    "discriminator", ["cnn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("recurrent", "bidirectional"))]
)
def test_discriminators_on_sequences_without_eos(tmp_path, discriminator):
    options = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 2, "max_steps": 1, "num_rollouts": 2}
    assert main(words(tmp_path / "run", "seqgan", discriminator=discriminator, preset="laptop", **options)) == 0
    model = AutoModel.from_pretrained(tmp_path / "run", subfolder="discriminator")
    assert getattr(model.config, "bidirectional", None) == {"recurrent": False, "bidirectional": True}.get(
        discriminator
    )


@pytest.mark.parametrize("reward", ["bleu", pytest.param("constant", marks=pytest.mark.slow)])
def test_rewards_without_a_discriminator(tmp_path, capsys, reward):
    run = tmp_path / "run"
    options = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": None, "max_steps": 4, "num_rollouts": 2}
    assert main(words(run, "seqgan", reward=reward, preset="laptop", **options)) == 0
    assert "seqgan: pretrain_generator 2 iterations, adversarial 4 iterations" in capsys.readouterr().out
    assert not (run / "discriminator").exists() and (run / "checkpoint-6").is_dir()
    log = json.loads((run / "checkpoint-6" / "trainer_state.json").read_text())["log_history"]
    rewards = [entry["reward/mean"] for entry in log if "reward/mean" in entry]
    assert rewards == [1.0] if reward == "constant" else 0 < rewards[0] < 1


@pytest.mark.slow
def test_six_epochs_of_maximum_likelihood(tmp_path):
    """The reference code's log: 10.17 after an epoch, 9.43 after five."""
    words = f"""train rnnlm --dataset_name oracle --oracle_path {released_oracle()} --output_dir {tmp_path / "run"}
        --pretrain_generator_steps 936 --eval_steps 156 --save_strategy no --eval_num_samples 2000
        --oracle_eval_size 2000 --disable_tqdm true --load_best_model_at_end false"""
    assert main(words.split()) == 0
    evaluations = json.loads((tmp_path / "run" / "metrics.json").read_text())["evaluations"]
    curve = [entry["eval_nll_oracle"] for entry in evaluations]
    assert 9.9 < curve[0] < 10.5 and curve[-1] < 9.5
    assert evaluations[-1]["eval_nll_per_token"] < 8.2 < math.log(5000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"oracle_path": "x.npz"}, "oracle_vocab_size is 40, but the oracle is read from x.npz; leave one"),
        ({"eval_file": "x.txt"}, "--eval_file and --dataset_name oracle are both given; leave one of them out."),
        ({"lowercase": True}, "--lowercase and --dataset_name oracle are both given; leave one of them out."),
        ({"oracle_train_size": 1}, "The train split of the oracle has 1 sequences; use 2 or more."),
        ({"oracle_hidden_size": 0}, "oracle_hidden_size is 0; set it to 1 or more."),
        ({"max_length": 0}, "max_length is 0; set it to 1 or more"),
        ({"oracle_train_size": 6}, "do not fill one batch of batch_size=8"),
        ({"oracle_train_size": 10**12}, "oracle_train_size=1000000000000 with max_length=5 would take about"),
        ({"oracle_hidden_size": 10**12}, "An oracle of these sizes would take about"),
        ({"oracle_seed": -1}, "oracle_seed is -1; set it to 0 or more."),
        ({"oracle_sed": 3}, "called 'oracle_sed'; did you mean 'oracle_seed'?"),
    ],
)
def test_options_that_are_refused(tmp_path, capsys, options, message):
    assert main(words(tmp_path / "run", **options)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_models_that_do_not_fit_are_refused(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(run)) == 0
    other = words(tmp_path / "other", generator_name_or_path=run, oracle_vocab_size=50)
    assert main(other) == 2
    assert "The generator has vocab_size 40 and the oracle 50; start from" in capsys.readouterr().err
    assert main(["generate", str(run), "--prompt", "a dog"]) == 2
    assert "The prompt 'a dog' is text, but" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--eval_file", "x.txt"]) == 2
    assert "writes ids, so --eval_file cannot be measured; leave it out." in capsys.readouterr().err
    assert main(words(tmp_path / "third", "rnnlm", discriminator="cnn")) == 2
    assert "rnnlm has no discriminator of sequences to replace; leave discriminator out." in (capsys.readouterr().err)
    assert main(words(tmp_path / "third", "seqgan", discriminator="cmn")) == 2
    assert "There is no discriminator called 'cmn'; did you mean 'cnn'?" in capsys.readouterr().err
