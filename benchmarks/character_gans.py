"""
IWGAN, TextKD-GAN and ARAE on lines of characters, for the same time: the tables of the paper of TextKD-GAN.

    python benchmarks/character_gans.py --train_file train.txt --eval_file test.txt --minutes 25

Trains each system as `textgan train SYSTEM --preset laptop` does, in a process of its own with one thread, and
`--parallel` of them at a time; also their MLE baseline, an LSTM with as many parameters as the convolutional
generator. The minutes are those of the processor, so that other work on the machine has no effect. A finished run is
not repeated, an interrupted one resumes, and a call with another `--seed` adds its runs to the results in the file.

Then measures BLEU-2, 3 and 4 of words (sentences averaged, NLTK's method 1, no brevity penalty) of 640 samples against
the lines of the eval file, both cut at 32 characters, and the divergence of character n-grams from the training lines
over time. The same measures of real lines stand beside them.

The report is benchmarks/results/character_gans.{json,md,png}.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from common import UNREACHED_STEPS, as_words, make_parser, read_result, run_arguments, write_result
from datasets import Dataset
from environment import describe

from hf_textgan import ConvGenerator, ConvGeneratorConfig
from hf_textgan.data.collator import collate
from hf_textgan.data.encoding import encode_text, truncate_texts
from hf_textgan.data.lines import read_lines
from hf_textgan.data.loading import load_text
from hf_textgan.data.tokenizers import character_tokenizer
from hf_textgan.evaluation.generators import decode, sample_sequences
from hf_textgan.evaluation.token_jsd import TokenJSD
from hf_textgan.metrics.ngrams import bleu_scores, self_bleu
from hf_textgan.runs.build import build_trainer, checkpoint_to_resume
from hf_textgan.runs.folder import Run, load_run
from hf_textgan.runs.mle_baseline import lstm_of_equal_size
from hf_textgan.systems import get_system
from hf_textgan.trainer.wall_clock import TimeLimit


LENGTH, SAMPLES = 32, 640
DATA = {"level": "character", "metric_level": "word", "truncate": True, "max_length": LENGTH}
# The teacher of the preset is trained by teacher forcing before the adversarial phase; that of the paper is not.
AS_PUBLISHED = {"autoencoder.decoder_input": "greedy", "pretrain_autoencoder_steps": 0}
BASELINE = "rnnlm (MLE baseline)"
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "iwgan": ("iwgan", {}),
    "textkd_gan": ("textkd_gan", AS_PUBLISHED),
    "textkd_gan, quick teacher": ("textkd_gan", {}),
    "arae": ("arae", {}),
    BASELINE: ("rnnlm", {}),
}
# BLEU-2, 3 and 4 of the paper: 714,667 lines, width 512, 200,000 iterations, the best checkpoint by the same metric.
PUBLISHED = {
    "iwgan": (0.57, 0.44, 0.30),
    "arae": (0.37, 0.27, 0.17),
    "textkd_gan": (0.62, 0.50, 0.38),
}


def folder_of(name: str, options: argparse.Namespace) -> Path:
    safe = name.replace(" ", "_").replace(",", "").replace("(", "").replace(")", "")
    return Path(options.runs) / f"{safe}-{options.minutes:g}min-{options.seed}"


def beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def run_options(name: str, options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Returns the system of a run and its options, without the folder."""
    system, own = SYSTEMS[name]
    values = {
        "preset": "laptop",
        **own,
        **DATA,
        "train_file": Path(options.train_file),
        "eval_file": Path(options.eval_file),
        "max_seconds": 60 * options.minutes,
        "seed": options.seed,
        "eval_num_samples": SAMPLES,
        "disable_tqdm": True,
        "use_cpu": True,
        "per_device_train_batch_size": options.batch_size,
        "eval_steps": options.eval_steps,
        "save_steps": options.eval_steps,
        "logging_steps": 100,
    }
    if name != BASELINE:
        return system, {**values, "max_steps": UNREACHED_STEPS}
    width = lstm_of_equal_size(options.baseline_parameters, options.baseline_vocabulary)
    sizes = {"generator.hidden_size": width, "generator.embedding_size": width}
    return system, {**values, "pretrain_generator_steps": UNREACHED_STEPS, **sizes}


class ProcessorTimeLimit(TimeLimit):
    clock = staticmethod(time.process_time)


def train_in_this_process(system: str, folder: Path, values: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    arguments = run_arguments(system, folder, **values)
    environment = beside(folder, ".json")
    if not environment.is_file():
        write_result(environment, describe())
    trainer = build_trainer(arguments, report=print)
    trainer.remove_callback(TimeLimit)
    trainer.add_callback(ProcessorTimeLimit(folder, arguments.run.max_seconds))
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(trainer, arguments))
    trainer.save_model()


def train(name: str, options: argparse.Namespace) -> None:
    folder = folder_of(name, options)
    if (folder / "model.safetensors").is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder, ".log").open("a") as log:
        system, values = run_options(name, options)
        words = [sys.executable, __file__, "--train", system, str(folder), json.dumps(values, default=str)]
        subprocess.run(words, check=True, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def scores(texts: list[str], references: list[str]) -> dict[str, float]:
    words = [text.split() for text in texts]
    measured = bleu_scores(words, [line.split() for line in references], max_order=4, brevity_penalty=False)
    return {
        **{f"bleu_{n}": mean(measured[n]) for n in (2, 3, 4)},
        "self_bleu_4": self_bleu(words, 4)["self_bleu_4"],
        "distinct_texts": len(set(texts)) / len(texts),
    }


def measure(name: str, options: argparse.Namespace, references: list[str]) -> dict:
    folder = folder_of(name, options)
    seconds = json.loads((folder / "training_seconds.json").read_text())
    evaluations = json.loads((folder / "metrics.json").read_text())["evaluations"]
    keys = ("step", "phase", *(f"eval_jsd_{n}" for n in range(1, 5)), "eval_bleu_2", "eval_bleu_4")
    keys += ("eval_real_token_entropy", "eval_generator_token_entropy", "eval_entropy_separability")
    keys += ("eval_reconstruction_accuracy", "eval_nll_per_token", "eval_generator_code_norm")
    run = load_run(str(folder))
    pretraining = run.record["objective"].get("pretrain_autoencoder_steps", 0)
    sequences = sample_sequences(run.model, run.engine, SAMPLES, seed=0)[:SAMPLES].sequences
    texts = decode(run.tokenizer, sequences)
    return {
        "command": as_words(*run_options(name, options)),
        "environment": json.loads(beside(folder, ".json").read_text()),
        "seed": options.seed,
        "seconds": seconds["seconds"],
        "steps": max(0, evaluations[-1]["step"] - pretraining),  # of the generator
        "parameters": run.model.num_parameters(),
        "metrics": {**scores(texts, references), **divergence(options, run, sequences)},
        "samples": texts[:10],
        "curve": [
            {"seconds": seconds["evaluations"].get(str(e["step"])), **{k: e[k] for k in keys if k in e}}
            for e in evaluations
        ],
    }


_DIVERGENCES: dict[str, TokenJSD] = {}


def divergence(options: argparse.Namespace, run: Run, sequences: torch.LongTensor) -> dict[str, float]:
    """Returns the divergence from the training lines, over the tokens of the run."""
    key = run.tokenizer.backend_tokenizer.to_str()
    if key not in _DIVERGENCES:
        dataset = encode_text(load_text(options.train_file), run.tokenizer, LENGTH, truncate=True).dataset
        _DIVERGENCES[key] = TokenJSD(dataset, run.engine)
    return _DIVERGENCES[key](run.engine.as_samples(sequences))


def measure_real(options: argparse.Namespace, run: Run, references: list[str], train_lines: list[str]) -> dict:
    """Measures real lines as samples: 640 training lines by BLEU, 640 lines of the eval file by the divergence."""
    texts = truncate_texts(train_lines, run.tokenizer, LENGTH)[:SAMPLES]
    held_out = Dataset.from_dict({"text": read_lines(options.eval_file)[:SAMPLES]})
    rows = encode_text(held_out, run.tokenizer, LENGTH, truncate=True).dataset
    sequences = run.engine.real_sequences(collate([rows[i] for i in range(len(rows))], run.engine.pad_token_id))
    return {"metrics": {**scores(texts, references), **divergence(options, run, sequences)}, "samples": texts[:10]}


def table(result: dict) -> str:
    columns = ["bleu_2", "bleu_3", "bleu_4", "self_bleu_4", "distinct_texts", "jsd_1", "jsd_2", "jsd_3", "jsd_4"]
    lines = [
        "| | iterations | " + " | ".join(columns) + " | published BLEU-2/3/4 |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for name, runs in {"real lines": [result["real"]], **result["systems"]}.items():
        cells = []
        for column in columns:
            values = [run["metrics"][column] for run in runs]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}")
        published = " / ".join(f"{value:.2f}" for value in PUBLISHED.get(name, ())) or "-"
        steps = ", ".join(f"{run['steps']:,}" for run in runs if "steps" in run) or "-"
        lines.append(f"| {name} | {steps} | " + " | ".join(cells) + f" | {published} |")
    return "\n".join(lines)


def draw(result: dict, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 6.4), layout="constrained")
    panels = figure.subplots(2, 4)
    for order, axis in enumerate(panels[0], start=1):
        for number, (name, runs) in enumerate(result["systems"].items()):
            for k, run in enumerate(runs):
                points = [
                    (e["seconds"] / 60, e[f"eval_jsd_{order}"]) for e in run["curve"] if f"eval_jsd_{order}" in e
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), f"C{number}.-", label=None if k else name, linewidth=1)
                else:  # the baseline, which has no divergence during training
                    end = run["metrics"][f"jsd_{order}"]
                    axis.axhline(end, color=f"C{number}", linestyle="--", label=None if k else f"{name}, at the end")
        axis.axhline(result["real"]["metrics"][f"jsd_{order}"], color="black", linestyle=":", label="real lines")
        axis.set_title(f"JSD-{order} (bits)")
    curves = {
        "BLEU-4": "eval_bleu_4",
        "token entropy (nats), dashed: teacher": "eval_generator_token_entropy",
        "entropy separability": "eval_entropy_separability",
        "reconstruction accuracy": "eval_reconstruction_accuracy",
    }
    for axis, (title, key) in zip(panels[1], curves.items(), strict=True):
        for number, (name, runs) in enumerate(result["systems"].items()):
            for run in runs:
                points = [(e["seconds"] / 60, e[key]) for e in run["curve"] if key in e]
                if points:
                    axis.plot(*zip(*points, strict=True), f"C{number}.-", linewidth=1)
                if key == "eval_generator_token_entropy" and name.startswith("textkd"):
                    teacher = [(e["seconds"] / 60, e["eval_real_token_entropy"]) for e in run["curve"] if key in e]
                    axis.plot(*zip(*teacher, strict=True), f"C{number}--", linewidth=1)
        axis.set_title(title)
    for axis in panels.flat:
        axis.grid(alpha=0.3)
        axis.set_xlabel("minutes")
    panels[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--train"]:
        system, folder, values = argv[1:]
        train_in_this_process(system, Path(folder), json.loads(values))
        return
    parser = make_parser(__doc__)
    parser.add_argument("--train_file", required=True)
    parser.add_argument("--eval_file", required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--eval_steps", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2, help="number of simultaneous runs")
    parser.add_argument("--runs", default="runs/character", help="folder of the runs")
    options = parser.parse_args(argv)

    train_lines = read_lines(options.train_file)
    options.baseline_vocabulary = len(character_tokenizer(train_lines))
    preset = get_system("iwgan").preset("laptop")
    sizes = {key.removeprefix("generator."): v for key, v in preset.items() if key.startswith("generator.")}
    convolutional = ConvGenerator(ConvGeneratorConfig(vocab_size=options.baseline_vocabulary, **sizes))
    options.baseline_parameters = convolutional.num_parameters()

    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(lambda name: train(name, options), options.systems))
    first = load_run(str(folder_of(options.systems[0], options)))
    references = truncate_texts(read_lines(options.eval_file), first.tokenizer, LENGTH)
    target = options.output_dir / "character_gans"
    old = read_result(target.with_suffix(".json"))
    is_same_study = old.get("minutes") == options.minutes and set(old["systems"]) <= set(SYSTEMS)
    result = {
        "command": f"python benchmarks/character_gans.py --minutes {options.minutes:g} --seed {options.seed} "
        f"--batch_size {options.batch_size}",
        "environment": describe(),
        "minutes": options.minutes,
        "num_references": len(references),
        "real": measure_real(options, first, references, train_lines),
        "published": PUBLISHED,
        "systems": dict(old["systems"]) if is_same_study else {},
    }
    for name in options.systems:
        others = [run for run in result["systems"].get(name, []) if run["seed"] != options.seed]
        result["systems"][name] = [*others, measure(name, options, references)]
    write_result(target.with_suffix(".json"), result)
    draw(result, target.with_suffix(".png"))
    sizes = f"{options.minutes:g} minutes of one core each, batches of {options.batch_size}"
    text = f"{sizes}.\n\n{table(result)}\n"
    target.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
