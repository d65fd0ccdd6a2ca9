"""
IWGAN, TextKD-GAN and ARAE on lines of characters, for the same time: the tables of the paper of TextKD-GAN.

    python benchmarks/character_gans.py --train_file train.txt --eval_file test.txt --minutes 25

Each system is trained as by `textgan train SYSTEM --preset laptop --max_seconds ...` in a process of its own with one
thread, `--parallel` of them at a time, unless it was before; so is the maximum-likelihood twin, an LSTM with as many
parameters as the convolutional generator. The minutes are those of the processor, on which other work has no effect.
 An interrupted run goes on, and runs of other seeds are
added by another call with their `--seed`. Then BLEU-2, 3 and 4 of words (sentences averaged, NLTK's method 1, no
brevity penalty) of 640 samples against the lines of the eval file, both cut at 32 characters, and the divergence of
character n-grams from the training lines over time. Real lines stand beside them.

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

import torch
from environment import describe

from hf_textgan.cli.arguments import parse_train_arguments
from hf_textgan.data.encoding import truncate_texts
from hf_textgan.data.lines import read_lines
from hf_textgan.evaluation.generators import decode, sample_sequences
from hf_textgan.evaluation.token_jsd import TokenJSD
from hf_textgan.metrics.ngrams import bleu_scores, self_bleu
from hf_textgan.runs.build import build_trainer, run_training
from hf_textgan.runs.folder import load_run
from hf_textgan.runs.mle_baseline import lstm_of_equal_size
from hf_textgan.trainer.wall_clock import TimeLimit


RESULTS = Path(__file__).parent / "results"
LENGTH, SAMPLES = 32, 640
DATA = ["--level", "character", "--metric_level", "word", "--truncate", "--max_length", str(LENGTH)]
# The preset's teacher is told the true symbols and has a head start; the paper's reads its own and has none.
AS_PUBLISHED = ["--autoencoder.decoder_input", "greedy", "--pretrain_autoencoder_steps", "0"]
SYSTEMS = {
    "iwgan": ["iwgan", "--preset", "laptop"],
    "textkd_gan": ["textkd_gan", "--preset", "laptop", *AS_PUBLISHED],
    "textkd_gan, quick teacher": ["textkd_gan", "--preset", "laptop"],
    "arae": ["arae", "--preset", "laptop"],
    "rnnlm (twin)": ["rnnlm", "--preset", "laptop"],
}
# Of the paper, on 714,667 lines at width 512 after 200,000 iterations, the best checkpoint by this very metric.
PUBLISHED = {
    "iwgan": (0.57, 0.44, 0.30),
    "arae": (0.37, 0.27, 0.17),
    "textkd_gan": (0.62, 0.50, 0.38),
}
MANY = 1_000_000  # steps that no run reaches


def folder_of(name: str, options: argparse.Namespace) -> Path:
    safe = name.replace(" ", "_").replace(",", "").replace("(", "").replace(")", "")
    return Path(options.runs) / f"{safe}-{options.minutes:g}min-{options.seed}"


def beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def command(name: str, options: argparse.Namespace) -> list[str]:
    words = [*SYSTEMS[name], *DATA, "--train_file", options.train_file, "--eval_file", options.eval_file]
    words += ["--output_dir", str(folder_of(name, options)), "--max_seconds", str(60 * options.minutes), "--resume"]
    words += ["--seed", str(options.seed), "--eval_num_samples", str(SAMPLES), "--disable_tqdm", "true", "--use_cpu"]
    words += ["--per_device_train_batch_size", str(options.batch_size)]
    words += [
        "--eval_steps",
        str(options.eval_steps),
        "--save_steps",
        str(options.eval_steps),
        "--logging_steps",
        "100",
    ]
    if name.startswith("rnnlm"):
        width = str(lstm_of_equal_size(options.twin_parameters, options.twin_vocabulary))
        words += ["--pretrain_generator_steps", str(MANY)]
        return [*words, "--generator.hidden_size", width, "--generator.embedding_size", width]
    return [*words, "--max_steps", str(MANY)]


class ProcessorTimeLimit(TimeLimit):
    clock = staticmethod(time.process_time)


def train_here(words: list[str]) -> None:
    torch.set_num_threads(1)
    arguments = parse_train_arguments(words)
    folder = Path(arguments.training.output_dir)
    environment = beside(folder, ".json")
    if not environment.is_file():
        environment.write_text(json.dumps(describe()))
    run_training(build_trainer(arguments), arguments, [ProcessorTimeLimit(folder, arguments.run.max_seconds)])


def train(name: str, options: argparse.Namespace) -> None:
    folder = folder_of(name, options)
    if (folder / "model.safetensors").is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder, ".log").open("a") as log:
        words = [sys.executable, __file__, "--train", *command(name, options)]
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
    kept = ("step", "phase", *(f"eval_jsd_{n}" for n in range(1, 5)), "eval_bleu_2", "eval_bleu_4")
    kept += ("eval_real_row_entropy", "eval_generator_row_entropy", "eval_told_apart_by_entropy")
    kept += ("eval_reconstruction_accuracy", "eval_nll_per_token", "eval_generator_code_norm")
    run = load_run(str(folder))
    before = run.record["objective"].get("pretrain_autoencoder_steps", 0)
    sequences = sample_sequences(run.model, run.engine, SAMPLES, seed=0)[:SAMPLES]
    texts = decode(run.tokenizer, sequences)
    return {
        # Folders are those of one machine.
        "command": " ".join(["textgan train", *(Path(w).name if "/" in w else w for w in command(name, options))]),
        "environment": json.loads(beside(folder, ".json").read_text()),
        "seed": options.seed,
        "seconds": seconds["seconds"],
        "steps": evaluations[-1]["step"] - before,  # of the generator
        "parameters": run.model.num_parameters(),
        "metrics": {**scores(texts, references), **divergence(options, run, sequences)},
        "samples": texts[:10],
        "curve": [
            {"seconds": seconds["evaluations"].get(str(e["step"])), **{k: e[k] for k in kept if k in e}}
            for e in evaluations
        ],
    }


_TABLES: dict[str, TokenJSD] = {}


def divergence(options: argparse.Namespace, run, sequences) -> dict[str, float]:
    """From the training lines, over the symbols of the run."""
    from hf_textgan.data.encoding import encode_text
    from hf_textgan.data.loading import load_text

    key = run.tokenizer.backend_tokenizer.to_str()
    if key not in _TABLES:
        rows = encode_text(load_text(options.train_file), run.tokenizer, LENGTH, truncate=True).dataset
        _TABLES[key] = TokenJSD(rows, run.engine)
    return _TABLES[key](run.engine.as_samples(sequences))


def real_row(options: argparse.Namespace, run, references: list[str], train_lines: list[str]) -> dict:
    """640 training lines in the place of samples for BLEU; for the divergence 640 lines of the eval file."""
    from datasets import Dataset

    from hf_textgan.data.collator import collate
    from hf_textgan.data.encoding import encode_text

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
                else:  # a language model, which is not measured so while it is trained
                    end = run["metrics"][f"jsd_{order}"]
                    axis.axhline(end, color=f"C{number}", linestyle="--", label=None if k else f"{name}, in the end")
        axis.axhline(result["real"]["metrics"][f"jsd_{order}"], color="black", linestyle=":", label="real lines")
        axis.set_title(f"JSD-{order} (bits)")
    shown = {
        "BLEU-4": "eval_bleu_4",
        "row entropy (nats): generator, and dashed teacher": "eval_generator_row_entropy",
        "told apart by row entropy": "eval_told_apart_by_entropy",
        "reconstruction accuracy": "eval_reconstruction_accuracy",
    }
    for axis, (title, key) in zip(panels[1], shown.items(), strict=True):
        for number, (name, runs) in enumerate(result["systems"].items()):
            for run in runs:
                points = [(e["seconds"] / 60, e[key]) for e in run["curve"] if key in e]
                if points:
                    axis.plot(*zip(*points, strict=True), f"C{number}.-", linewidth=1)
                if key == "eval_generator_row_entropy" and name.startswith("textkd"):
                    teacher = [(e["seconds"] / 60, e["eval_real_row_entropy"]) for e in run["curve"] if key in e]
                    axis.plot(*zip(*teacher, strict=True), f"C{number}--", linewidth=1)
        axis.set_title(title)
    for axis in panels.flat:
        axis.grid(alpha=0.3)
        axis.set_xlabel("minutes")
    panels[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    if sys.argv[1:2] == ["--train"]:
        train_here(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train_file", required=True)
    parser.add_argument("--eval_file", required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--eval_steps", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--runs", default="runs/character", help="where the runs are written")
    options = parser.parse_args()

    from hf_textgan import ConvGenerator, ConvGeneratorConfig
    from hf_textgan.data.tokenizers import character_tokenizer
    from hf_textgan.systems import get_system

    train_lines = read_lines(options.train_file)
    options.twin_vocabulary = len(character_tokenizer(train_lines))
    preset = get_system("iwgan").preset("laptop")
    sizes = {key.removeprefix("generator."): v for key, v in preset.items() if key.startswith("generator.")}
    convolutional = ConvGenerator(ConvGeneratorConfig(vocab_size=options.twin_vocabulary, **sizes))
    options.twin_parameters = convolutional.num_parameters()

    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(lambda name: train(name, options), options.systems))
    first = load_run(str(folder_of(options.systems[0], options)))
    references = truncate_texts(read_lines(options.eval_file), first.tokenizer, LENGTH)
    target = RESULTS / "character_gans"
    old = json.loads(target.with_suffix(".json").read_text()) if target.with_suffix(".json").is_file() else {}
    result = {
        "command": f"python benchmarks/character_gans.py --minutes {options.minutes:g} --seed {options.seed} "
        f"--batch_size {options.batch_size}",
        "environment": describe(),
        "minutes": options.minutes,
        "num_references": len(references),
        "real": real_row(options, first, references, train_lines),
        "published": PUBLISHED,
        "systems": dict(old.get("systems", {})) if old.get("minutes") == options.minutes else {},
    }
    for name in options.systems:
        others = [run for run in result["systems"].get(name, []) if run["seed"] != options.seed]
        result["systems"][name] = [*others, measure(name, options, references)]
    RESULTS.mkdir(exist_ok=True)
    target.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, target.with_suffix(".png"))
    sizes = f"{options.minutes:g} minutes of one core each, batches of {options.batch_size}"
    text = f"{sizes}.\n\n{table(result)}\n"
    target.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
