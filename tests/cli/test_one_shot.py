"""One-shot generators on the command line: training, replaced players, sampling, comparison, the MLE baseline."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModel, AutoTokenizer

from hf_textgan import get_system
from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.cli.main import main
from hf_textgan.comparison.sources import ModelSource
from hf_textgan.evaluation.text_metrics import TextMetrics
from hf_textgan.models import ConvGenerator, LatentGenerator, RecurrentGeneratorConfig, RecurrentGeneratorForCausalLM
from hf_textgan.runs import evaluate as run_evaluation
from hf_textgan.runs.build import build_trainer
from hf_textgan.runs.mle_baseline import baseline_arguments, lstm_of_equal_size


torch.set_num_threads(1)

PLACES = ("road", "roof", "sofa", "hill", "beach")
LINES = [
    f"a {color} {animal} is {word} on the {place} ."
    for color in ("red", "old")
    for animal in ("dog", "cat", "cow")
    for word in ("up", "asleep")
    for place in PLACES
]
CONVOLUTIONS = ("--generator.hidden_size", 8, "--generator.num_blocks", 1)
CRITIC = ("--discriminator.hidden_size", 8, "--discriminator.num_blocks", 1)
TEACHER = ("--autoencoder.hidden_size", 8, "--autoencoder.embedding_size", 4)
SIZES = {
    "iwgan": (*CONVOLUTIONS, *CRITIC, "--discriminator_steps", 1),
    "textkd_gan": (*CONVOLUTIONS, *CRITIC, *TEACHER, "--discriminator_steps", 1),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "train.txt").write_text("".join(f"{line}\n" for line in LINES))
    (folder / "test.txt").write_text("".join(f"{line.replace('red', 'old')}\n" for line in LINES * 2))
    return folder


def words_of(system: str, texts: Path, output_dir: Path, *more: object) -> list[str]:
    words = [
        system,
        "--train_file",
        texts / "train.txt",
        "--eval_file",
        texts / "test.txt",
        "--output_dir",
        output_dir,
    ]
    words += ["--per_device_train_batch_size", 8, "--max_steps", 2, "--eval_steps", 2, "--eval_num_samples", 8]
    return [str(word) for word in (*words, "--disable_tqdm", "true", "--use_cpu", "true", *more)]


@pytest.fixture(scope="module")
def run(texts, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "iwgan"
    assert main(["train", *words_of("iwgan", texts, folder, *SIZES["iwgan"])]) == 0
    return folder


def test_lines_are_cut_for_all_that_reads_them(run, texts):
    arguments = parse_train_arguments(words_of("iwgan", texts, run.parent / "other", *SIZES["iwgan"]))
    assert arguments.training.metric_for_best_model == "jsd_4" and arguments.training.greater_is_better is False
    trainer = build_trainer(arguments)
    rows = [trainer.train_dataset[i]["input_ids"] for i in range(len(trainer.train_dataset))]
    tokenizer, eos = trainer.processing_class, trainer.processing_class.eos_token_id
    for line, row in zip(LINES, rows, strict=True):
        long = len(line) >= 32  # no line has exactly 32
        assert len(row) == (33 if long else len(line) + 2) and (row[-1] == eos) is (not long)
        assert tokenizer.decode(row, skip_special_tokens=True) == line[:32]
    assert {len(line) >= 32 for line in LINES} == {True, False}
    held_out = [trainer.eval_dataset[i]["input_ids"] for i in range(len(trainer.eval_dataset))]
    assert max(map(len, held_out)) == 33
    # BLEU counts words, and its references are cut as the samples are.
    assert trainer.text_metrics([line.replace("red", "old")[:32] for line in LINES])["bleu_4"] == 1.0
    assert trainer.model.config.sequence_length == trainer.engine.max_length == 32


def test_evaluations_have_what_can_be_known(run):
    last = json.loads((run / "metrics.json").read_text())["evaluations"][-1]
    assert {f"eval_jsd_{n}" for n in (1, 2, 3, 4)} < set(last) and "eval_bleu_4" in last
    assert not any("nll" in key for key in last)  # such generators give texts no probability
    assert last["eval_real_token_entropy"] == 0.0 and last["eval_entropy_separability"] == 1.0
    assert json.loads((run / "best" / "adversarial" / "metrics.json").read_text())["eval_jsd_4"] <= 1.0
    times = json.loads((run / "training_seconds.json").read_text())
    assert list(times["evaluations"]) == ["2"] and 0 < times["evaluations"]["2"] <= times["seconds"]


def test_evaluation_from_the_command_line(run, texts, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(run_evaluation, "TextMetrics", lambda *words: seen.append(words) or TextMetrics(*words))
    assert main(["evaluate", str(run), "--num_samples", "8"]) == 0
    assert max(map(len, seen[0][0])) == 32 and seen[0][1] is str.split  # cut lines, words
    again = json.loads((run / "evaluation.json").read_text())["metrics"]
    last = json.loads((run / "metrics.json").read_text())["evaluations"][-1]
    # The samples are those of the run's last evaluation, with the same seed.
    shared = [key for key in again if not key.startswith("jaccard_")]
    assert all(again[key] == pytest.approx(last[f"eval_{key}"]) for key in shared) and {"jsd_4", "bleu_4"} < set(again)
    assert "jsd_4" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--eval_file", str(texts / "test.txt")]) == 0
    printed = capsys.readouterr().out  # the training text, of which the divergence is, is that of the run
    assert "jsd_4" in printed and "bleu_4" in printed


def test_samples_from_the_command_line(run, capsys):
    assert main(["generate", str(run), "--num_samples", "7", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 7 and all(len(line) <= 32 for line in printed.splitlines())
    assert main(["generate", str(run), "--num_samples", "7", "--seed", "1"]) == 0
    assert capsys.readouterr().out == printed
    for option, message in (
        (
            ("--temperature", "0.5"),
            "temperature is 0.5, but this ConvGenerator takes the most probable tokens; leave it",
        ),
        (("--top_k", "3"), "top_k is 3, but a ConvGenerator makes all tokens at once; leave it out."),
        (("--prompt", "a"), "but a ConvGenerator makes all tokens at once; leave it out."),
        (("--max_length", "16"), f"max_length is 16, but {run} makes 32 tokens at once; leave it out."),
    ):
        assert main(["generate", str(run), *option]) == 2
        assert message in capsys.readouterr().err


def test_comparison_with_a_language_model(run, texts, tmp_path, capsys):
    tokenizer = AutoTokenizer.from_pretrained(run)
    config = RecurrentGeneratorConfig(vocab_size=len(tokenizer), hidden_size=4, embedding_size=4)
    model = RecurrentGeneratorForCausalLM(config)
    model.generation_config.max_new_tokens = 33
    model.save_pretrained(tmp_path / "lm")
    tokenizer.save_pretrained(tmp_path / "lm")
    words = (
        "--num_samples",
        "50",
        "--num_seeds",
        "2",
        "--temperatures",
        "0.7",
        "1",
        "--output_dir",
        tmp_path / "report",
    )
    assert main(["compare", str(run), str(tmp_path / "lm"), *map(str, words)]) == 0
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["rows"]
    assert {draw["value"] for draw in rows["iwgan"]["draws"]} == {1.0}  # nothing to sweep
    assert {draw["value"] for draw in rows[str(tmp_path / "lm")]["draws"]} == {0.7, 1.0}
    assert not any("nll_test" in draw["metrics"] for draw in rows["iwgan"]["draws"])
    assert all(
        len(text) <= 32
        for text in json.loads((tmp_path / "report" / "report.json").read_text())["samples"]["real text"]["1"]
    )
    with pytest.raises(ValueError, match=r"@0\.7 names a temperature, but the model takes the most probable tokens"):
        ModelSource(f"{run}@0.7")


def test_a_generator_that_draws_its_tokens(run, tmp_path):
    drawing = AutoModel.from_pretrained(run)
    drawing.config.readout = "sample"
    drawing.save_pretrained(tmp_path / "drawing")
    AutoTokenizer.from_pretrained(run).save_pretrained(tmp_path / "drawing")
    source = ModelSource(str(tmp_path / "drawing"))
    assert source.swept
    cold, hot = (source.texts(20, 0, temperature=t) for t in (0.01, 3.0))
    assert cold != hot and cold == source.texts(20, 0, temperature=0.01)
    # The colder, the nearer to the most probable symbols.
    most_probable = ModelSource(str(run)).texts(20, 0)
    agree = [sum(a == b for a, b in zip(most_probable, texts, strict=True)) for texts in (cold, hot)]
    assert agree[0] > agree[1] == 0


def test_a_recurrent_generator_in_the_place_of_convolutions(texts, tmp_path):
    words = words_of("textkd_gan", texts, tmp_path / "run", "--generator", "recurrent", *CRITIC, *TEACHER)
    words += ["--generator.hidden_size", "8", "--generator.code_size", "6", "--preset", "laptop", "--max_steps", "1"]
    words += ["--pretrain_autoencoder_steps", "1"]
    arguments = parse_train_arguments(words)
    assert arguments.configs["generator"] == {"hidden_size": 8, "code_size": 6}  # the preset's sizes are another's
    assert main(["train", *words]) == 0
    generator = AutoModel.from_pretrained(tmp_path / "run")
    assert type(generator) is LatentGenerator and generator.config.decoder_input == "soft"
    assert not generator.config.frozen_decoder and generator.generate(3).shape == (3, 32)
    with pytest.raises(ValueError, match=r"There is no generator called 'recurent'; did you mean 'recurrent'\?"):
        get_system("iwgan").with_player("generator", "recurent")
    with pytest.raises(ValueError, match="seqgan has no latent-variable generator to replace; leave"):
        get_system("seqgan").with_player("generator", "recurrent")


@pytest.mark.slow
@pytest.mark.parametrize("system", ["iwgan", "textkd_gan"])
def test_words(system, texts, tmp_path):
    more = ("--level", "word", "--max_length", 9, "--metric_level", "word")
    assert main(["train", *words_of(system, texts, tmp_path / "run", *SIZES[system], *more)]) == 0
    assert type(AutoModel.from_pretrained(tmp_path / "run")) is ConvGenerator
    assert all(len(line.split()) <= 9 for line in (tmp_path / "run" / "samples.txt").read_text().splitlines())


def test_a_tokenizer_brings_its_units(run, texts, tmp_path):
    words = words_of("iwgan", texts, tmp_path / "run", *SIZES["iwgan"], "--tokenizer_name_or_path", run)
    assert parse_train_arguments(words).data.level == "word"  # the default, which says nothing: the tokenizer decides
    trainer = build_trainer(parse_train_arguments(words))
    assert len(trainer.processing_class) == len(AutoTokenizer.from_pretrained(run))


def test_training_goes_on_from_a_trained_generator(run, texts, tmp_path):
    words = words_of("iwgan", texts, tmp_path / "run", *CRITIC, "--generator_name_or_path", run)
    trainer = build_trainer(parse_train_arguments(words))
    before = AutoModel.from_pretrained(run).state_dict()
    assert type(trainer.model) is ConvGenerator and trainer.model.config.hidden_size == 8
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_time_limit(texts, tmp_path, capsys):
    words = words_of("iwgan", texts, tmp_path / "run", *SIZES["iwgan"], "--max_seconds", 0.5, "--max_steps", 10**6)
    assert main(["train", *words]) == 0
    steps = json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"]
    assert 1 <= steps < 10**4
    assert (tmp_path / "run" / f"checkpoint-{steps}").is_dir()
    assert main(["train", *words, "--max_seconds", "0"]) == 2
    assert "max_seconds is 0.0; set it above 0." in capsys.readouterr().err


def test_the_baseline_has_as_many_parameters(texts, tmp_path):
    words = words_of("iwgan", texts, tmp_path / "run", *CONVOLUTIONS, "--generator.learning_rate", "0.0003")
    arguments = parse_train_arguments(words)
    assert arguments.training.player_optimizers == {"generator": {"learning_rate": 0.0003}}
    generator = get_system("iwgan").build_player(
        "generator", arguments.configs["generator"], {"vocab_size": 30, "sequence_length": 32}
    )
    baseline = baseline_arguments(arguments, generator)
    assert baseline.system.name == "rnnlm" and baseline.data is arguments.data
    assert baseline.training.player_optimizers == {}
    sizes = baseline.configs["generator"]
    assert sizes["hidden_size"] == sizes["embedding_size"]
    model = baseline.system.build_player("generator", sizes, {"vocab_size": 30})
    assert abs(model.num_parameters() / generator.num_parameters() - 1) < 0.06
    # What rnnlm has, and not the GAN's 1e-4 and beta1 .5.
    assert (baseline.training.learning_rate, baseline.training.adam_beta1, baseline.training.max_grad_norm) == (
        1e-2,
        0.9,
        5.0,
    )
    assert (arguments.training.learning_rate, arguments.training.adam_beta1) == (1e-4, 0.5)
    for width in (1, 7, 100):
        config = RecurrentGeneratorConfig(vocab_size=50, hidden_size=width, embedding_size=width)
        parameters = RecurrentGeneratorForCausalLM(config).num_parameters()
        assert lstm_of_equal_size(parameters, 50) == width


def test_a_language_model_of_cut_lines_is_scored_without_an_end(texts, tmp_path):
    words = words_of("rnnlm", texts, tmp_path / "run", "--level", "character", "--truncate", "--max_length", 32)
    words[words.index("--max_steps")] = "--pretrain_generator_steps"
    sizes = ("--generator.hidden_size", "4", "--generator.embedding_size", "4")
    assert main(["train", *words, *sizes]) == 0
    source = ModelSource(str(tmp_path / "run"))
    long, short = (next(line for line in LINES if (len(line) >= 32) is wanted) for wanted in (True, False))
    ids = source.run.tokenizer(long)["input_ids"][:33]  # BOS and 32 characters
    logps = source.run.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    expected = -logps.detach().gather(1, torch.tensor(ids[1:])[:, None]).sum()
    assert source.nll_of_texts(Dataset.from_dict({"text": [long]})) == pytest.approx(float(expected), rel=1e-5)
    ids = [*source.run.tokenizer(short)["input_ids"], source.run.tokenizer.eos_token_id]
    logps = source.run.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    expected = -logps.detach().gather(1, torch.tensor(ids[1:])[:, None]).sum()
    assert source.nll_of_texts(Dataset.from_dict({"text": [short]})) == pytest.approx(float(expected), rel=1e-5)
