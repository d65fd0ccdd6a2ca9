"""Every example runs from start to end in a tiny setting."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import AutoModelForCausalLM

from hf_textgan import RolloutEngine, StepContext, generate_texts
from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.core.players import Players
from hf_textgan.runs.folder import read_record
from tests.helpers import BOS, EOS, PAD, randomize, tiny_discriminator, tiny_lstm


EXAMPLES = Path(__file__).parents[2] / "examples"
TINY_STEPS = ["--pretrain_generator_steps", "2", "--pretrain_discriminator_steps", "1", "--max_steps", "1"]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_test_and_a_paragraph():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    tests = Path(__file__).read_text(encoding="utf-8")
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert names
    for name in names:
        assert f'example("{name}")' in tests, f"tests/integration/test_examples.py does not run {name}.py"
        assert f"examples/{name}.py" in readme, f"examples/README.md does not mention {name}.py"


def test_own_loop(one_thread, capsys):
    texts = example("own_loop").main(
        pretrain_generator=2, pretrain_discriminator=1, adversarial=1, num_lines=200, num_rollouts=1
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == [
        "pretrain_generator",
        "pretrain_discriminator",
        "adversarial",
    ]
    assert lines[0].endswith("after 2 iterations") and lines[2].endswith("after 4 iterations")
    assert lines[3:] == texts and len(texts) == 5


def test_evaluate_samples_of_the_grammar(capsys):
    results = example("evaluate_samples").main([], num_samples=200)
    assert list(results) == ["samples", "real text", "shuffled words"]
    # The order of words: real text has it, a trigram sampler has most of it, shuffled text has none.
    assert results["real text"]["bleu_4"] > 2 * results["shuffled words"]["bleu_4"]
    assert results["samples"]["jsd_2"] < results["shuffled words"]["jsd_2"]
    assert results["shuffled words"]["copied"] == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_evaluate_samples_of_files(tmp_path):
    lines = [f"a {color} {animal} sleeps ." for color in ("red", "blue") for animal in ("dog", "cat", "hen", "owl")]
    files = []
    for name, content in (("samples", lines[:4]), ("train", lines), ("eval", lines)):
        files += [f"--{name}_file", str(tmp_path / f"{name}.txt")]
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in content))
    results = example("evaluate_samples").main(files)
    assert results["samples"]["copied"] == 1.0  # each of them is in the training file
    with pytest.raises(SystemExit):
        example("evaluate_samples").main(files[:2])


def test_own_objective(one_thread, tmp_path, capsys):
    module = example("own_objective")
    words = ["--output_dir", str(tmp_path / "run"), *TINY_STEPS, "--eval_num_samples", "20"]
    texts = module.main(words, num_lines=300)
    printed = capsys.readouterr().out
    assert printed.splitlines()[-5:] == texts
    assert "eval_grammar_share" in printed and "reward/mean" in printed
    AutoModelForCausalLM.from_pretrained(tmp_path / "run")


def test_the_baseline_of_own_objective_is_the_mean_reward(one_thread):
    class ConstantDiscriminator(torch.nn.Module):
        def classify(self, sequences):
            return torch.tensor([[0.0, math.log(3.0)]]).repeat(len(sequences), 1)  # P(real) = 3/4

    players = Players({"generator": randomize(tiny_lstm()), "discriminator": ConstantDiscriminator()})
    objective = example("own_objective").BaselineObjective(num_rollouts=2)
    engine = RolloutEngine(3, BOS, PAD, EOS)
    output = objective.generator_loss(players, engine, {"input_ids": torch.zeros(8, 4)}, StepContext())
    # All rewards are 3/4, so are their mean and the baseline: nothing is left to learn from.
    assert output.metrics["reward/mean"] == pytest.approx(0.75)
    assert output.loss.item() == pytest.approx(0.0, abs=1e-5)
    players = Players({"generator": randomize(tiny_lstm()), "discriminator": randomize(tiny_discriminator())})
    output = objective.generator_loss(players, engine, {"input_ids": torch.zeros(8, 4)}, StepContext())
    assert abs(output.loss.item()) > 1e-3


@pytest.mark.slow
def test_pretrained_generator(one_thread, tmp_path, capsys):
    folder = str(tmp_path / "run")
    texts = example("pretrained_generator").main(["--output_dir", folder, *TINY_STEPS])
    assert "GPT2LMHeadModel" in capsys.readouterr().out
    assert texts == generate_texts(folder, num_samples=5)


@pytest.mark.slow
def test_train_seqgan(one_thread, tmp_path, capsys):
    module = example("train_seqgan")
    folder = tmp_path / "words"
    data = ["--dataset_name", "grammar", "--grammar_train_size", "200", "--grammar_eval_size", "100"]
    assert module.main([*data, "--output_dir", str(folder), "--num_rollouts", "1", *TINY_STEPS]) == 0
    assert len(generate_texts(str(folder), num_samples=2)) == 2
    assert module.main(["--max_step", "1"]) == 2  # options are those of the command, and none is filled in
    assert "max_steps" in capsys.readouterr().err


@pytest.mark.slow
def test_train_textkd(one_thread, tmp_path, capsys):
    module = example("train_textkd")
    folder = tmp_path / "words"
    data = ["--dataset_name", "grammar", "--grammar_train_size", "200", "--grammar_eval_size", "100"]
    sizes = ["--preset", "laptop", "--pretrain_autoencoder_steps", "1", "--max_steps", "1"]
    assert module.main([*data, "--output_dir", str(folder), *sizes]) == 0
    assert len(generate_texts(str(folder), num_samples=2)) == 2
    assert module.main(["--max_step", "1"]) == 2
    assert "max_steps" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "system"), [("train_seqgan", "seqgan"), ("train_textkd", "textkd_gan")])
def test_the_short_run_of_a_training_script(name, system):
    arguments = parse_train_arguments([system, *example(name).SHORT_RUN])
    assert arguments.data.dataset_name == "grammar" and arguments.run.preset == "laptop"
    assert arguments.training.output_dir == f"runs/{system}"


@pytest.mark.slow
def test_without_options_a_training_script_makes_the_short_run(one_thread, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert example("train_seqgan").main([]) == 0
    assert read_record(tmp_path / "runs" / "seqgan")["data"]["dataset_name"] == "grammar"
