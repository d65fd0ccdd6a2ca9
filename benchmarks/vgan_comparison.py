"""
RNNLM, SeqGAN, VGAN-pre and VGAN on the captions of Multi30k: the tables and curves of the paper of VGAN.

    python benchmarks/vgan_comparison.py --only vgan --seed 42    # one run, to train several side by side
    python benchmarks/vgan_comparison.py                          # what is missing, then the report

Trains each system as `textgan train SYSTEM --preset laptop` does, SeqGAN with as many generator steps an iteration as
VGAN (5 before 3 of the discriminator). A finished run is not repeated, an interrupted one resumes. The texts are the
lines of `--data_dir`/{train,val,test}.txt (by default TEXTGAN_DATA_DIR/multi30k) of at most `--max_words` words: all
test lines, and evenly spaced ones of the others, `--train_lines` and 1,000.

Then measures BLEU-2 of 200, 400, ..., 1,000 samples against all test lines (sentences averaged; counts of 0 smoothed
by NLTK's method 1, with its brevity penalty), and the negative log-likelihood of the test lines: the exact one of
RNNLM and SeqGAN, a bound and an estimate by 50 importance-weighted draws of the others. Writes
benchmarks/results/vgan_comparison.{json,png} and docs/results/vgan.md.
"""

import argparse
import functools
import json
import os
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from common import as_words, command_line, make_parser, train_run, write_result
from environment import describe

from hf_textgan.data.collator import collate
from hf_textgan.data.encoding import encode_text
from hf_textgan.data.lines import read_lines
from hf_textgan.data.loading import load_text
from hf_textgan.evaluation.generators import (
    IW_DRAWS,
    corpus_nll,
    decode,
    importance_weighted_nll,
    nll_metrics,
    sample_sequences,
)
from hf_textgan.metrics.ngrams import bleu, self_bleu
from hf_textgan.runs.folder import load_run
from hf_textgan.sampling.capabilities import capabilities_of


SYSTEMS: dict[str, dict[str, Any]] = {"rnnlm": {}, "seqgan": {"generator_steps": 5}, "vgan_pre": {}, "vgan": {}}
VAL_LINES = 1000
EVAL_STEPS = {"rnnlm": 100, "vgan_pre": 100, "seqgan": 20, "vgan": 20}
NUM_SAMPLES = (200, 400, 600, 800, 1000)
# BLEU-2 of 200 to 1,000 samples in the paper, on the Penn Treebank (its table 2).
PUBLISHED = {
    "rnnlm": (0.658, 0.650, 0.654, 0.655, 0.662),
    "seqgan": (0.712, 0.705, 0.701, 0.702, 0.681),
    "vgan_pre": (0.680, 0.690, 0.694, 0.695, 0.671),
    "vgan": (0.715, 0.709, 0.714, 0.715, 0.695),
}
NLL_COLUMNS = {
    "nll_per_sequence": "NLL",
    "nll_bound_per_sequence": "bound on the NLL",
    f"nll_iw_{IW_DRAWS}_per_sequence": f"NLL by {IW_DRAWS} weighted draws",
}
STEPS = ("pretrain_generator_steps", "pretrain_discriminator_steps", "max_steps", "eval_steps")


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data_dir", type=Path, default=Path(os.environ.get("TEXTGAN_DATA_DIR", "data"), "multi30k"))
    parser.add_argument("--train_lines", type=int, default=20_000)
    parser.add_argument("--max_words", type=int, default=20)
    parser.add_argument("--vocab_size", type=int, default=5000)
    parser.add_argument("--runs", type=Path, default=Path("runs/vgan_comparison"), help="folder of the runs")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    parser.add_argument("--num_seeds", type=int, default=3)
    parser.add_argument("--first_seed", type=int, default=42)
    parser.add_argument("--only", choices=SYSTEMS, help="train this system and write no report")
    parser.add_argument("--seed", type=int, help="train with this seed and write no report")
    for name in STEPS:
        parser.add_argument(f"--{name}", type=int, help="default: that of the preset")
    options = parser.parse_args(argv)

    files = prepare_texts(options)
    all_seeds = range(options.first_seed, options.first_seed + options.num_seeds)
    for seed in all_seeds if options.seed is None else [options.seed]:
        for system in SYSTEMS if options.only is None else [options.only]:
            values = run_options(system, seed, files, options)
            values |= {name: str(value) for name, value in values.items() if isinstance(value, Path)}
            train_run(system, options.runs / f"{system}-{seed}", **values)
    if options.only is not None or options.seed is not None:
        return

    test_lines = read_lines(str(files["test"]))
    result: dict[str, Any] = {
        "command": command_line("vgan_comparison.py", argv),
        "environment": describe(),
        "data": {name: len(read_lines(str(path))) for name, path in files.items()},
        "max_words": options.max_words,
        "num_samples": NUM_SAMPLES,
        "published_bleu_2": PUBLISHED,
        "real": measure_real(read_lines(str(files["val"])), test_lines),
        "systems": {
            system: [measure(system, seed, files, test_lines, options) for seed in all_seeds] for system in SYSTEMS
        },
    }
    target = options.output_dir / "vgan_comparison"
    write_result(target.with_suffix(".json"), result)
    draw(result, target.with_suffix(".png"))
    page = write_page(result)
    options.docs.mkdir(parents=True, exist_ok=True)
    (options.docs / "vgan.md").write_text(page)
    print(page)


def prepare_texts(options: argparse.Namespace) -> dict[str, Path]:
    """Writes the lines of at most `max_words` words, evenly spaced training lines among them; returns the files."""
    folder = options.runs / f"texts-{options.train_lines}-{options.max_words}"
    files = {name: folder / f"{name}.txt" for name in ("train", "val", "test")}
    for name, path in files.items():
        if path.is_file():
            continue
        lines = read_lines(str(options.data_dir / f"{name}.txt"))
        lines = [line for line in lines if len(line.split()) <= options.max_words]
        limit = {"train": options.train_lines, "val": VAL_LINES, "test": len(lines)}[name]
        kept = np.linspace(0, len(lines) - 1, min(limit, len(lines))).astype(int)
        lines = [lines[int(index)] for index in kept]
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")  # several processes may write the same
        partial.write_text("\n".join(lines) + "\n")
        partial.replace(path)
    return files


def run_options(system: str, seed: int, files: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    values = {
        "preset": "laptop",
        "train_file": files["train"],
        "eval_file": files["val"],
        "vocab_size": options.vocab_size,
        "seed": seed,
        "use_cpu": True,
        "disable_tqdm": True,
        "eval_steps": EVAL_STEPS[system],
        "eval_num_samples": 200,
        **SYSTEMS[system],
    }
    steps = {name: getattr(options, name) for name in STEPS if getattr(options, name) is not None}
    only_generator = system in ("rnnlm", "vgan_pre")
    values |= {
        name: value
        for name, value in steps.items()
        if not (only_generator and name in ("pretrain_discriminator_steps", "max_steps"))
    }
    values["save_steps"] = values["eval_steps"]
    return values


def measure(
    system: str, seed: int, files: dict[str, Path], test_lines: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Returns the measures of a finished run, which are kept in its folder."""
    folder = options.runs / f"{system}-{seed}"
    kept = folder / "measured.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    run = load_run(str(folder))
    assert run.tokenizer is not None  # it writes text
    samples = sample_sequences(run.model, run.engine, NUM_SAMPLES[-1], seed=0)[: NUM_SAMPLES[-1]]
    texts = decode(run.tokenizer, samples.sequences)
    held_out = encode_text(load_text(str(files["test"])), run.tokenizer, run.engine.max_length).dataset
    collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
    is_bound = capabilities_of(run.model).likelihood == "bound"
    likelihood = nll_metrics(corpus_nll(run.model, run.engine, held_out, collator), is_bound)
    if is_bound:
        likelihood |= importance_weighted_nll(run.model, run.engine, held_out, collator)
    evaluations = json.loads((folder / "metrics.json").read_text())["evaluations"]
    curve_keys = ("step", "phase", "eval_bleu_2")
    curve_keys += ("eval_nll_per_token", "eval_nll_bound_per_token", "eval_kl_per_token")
    measured = {
        "seed": seed,
        "command": as_words(system, run_options(system, seed, files, options)),
        "environment": describe(),
        "parameters": run.model.num_parameters(),
        "seconds": json.loads((folder / "training_seconds.json").read_text())["seconds"],
        "test_lines": len(held_out),
        "likelihood": likelihood,
        "kl_per_token": next((e["eval_kl_per_token"] for e in evaluations[::-1] if "eval_kl_per_token" in e), None),
        **text_scores(texts, test_lines),
        "samples": texts[:10],
        "curve": [{key: entry[key] for key in curve_keys if key in entry} for entry in evaluations],
    }
    write_result(kept, measured)
    return measured


def text_scores(texts: list[str], test_lines: list[str]) -> dict[str, Any]:
    words, references = [text.split() for text in texts], [line.split() for line in test_lines]
    return {
        "bleu_2": [bleu(words[:number], references, 2)["bleu_2"] for number in NUM_SAMPLES],
        "self_bleu_2": self_bleu(words, 2)["self_bleu_2"],
        "distinct_texts": len(set(texts)) / len(texts),
    }


def measure_real(lines: list[str], test_lines: list[str]) -> dict[str, Any]:
    """Returns the measures of real lines in the place of samples."""
    spaced = np.random.default_rng(0).permutation(len(lines))[: NUM_SAMPLES[-1]]
    return text_scores([lines[int(index)] for index in spaced], test_lines)


def spread(values: list[float], digits: int = 3) -> str:
    shown = f"{mean(values):.{digits}f}"
    return f"{shown} ± {stdev(values):.{digits}f}" if len(values) > 1 else shown


def write_page(result: dict[str, Any]) -> str:
    systems = result["systems"]
    environment = systems["vgan"][-1]["environment"]  # of the runs; a report may be drawn later
    seeds = [run["seed"] for run in systems["vgan"]]
    heads = ["", *(str(number) for number in result["num_samples"]), "Self-BLEU-2", "different texts"]
    bleu_rows = [
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    real = result["real"]
    cells = [*(f"{value:.3f}" for value in real["bleu_2"]), f"{real['self_bleu_2']:.3f}"]
    bleu_rows.append(f"| real lines | {' | '.join(cells)} | {real['distinct_texts']:.3f} |")
    for name, runs in systems.items():
        columns = [[run["bleu_2"][k] for run in runs] for k in range(len(result["num_samples"]))]
        columns += [[run["self_bleu_2"] for run in runs], [run["distinct_texts"] for run in runs]]
        bleu_rows.append(f"| {name} | {' | '.join(map(spread, columns))} |")
    nll_rows = [
        "| | " + " | ".join(NLL_COLUMNS.values()) + " | KL per token | parameters | training, s |",
        "|---" * (len(NLL_COLUMNS) + 4) + "|",
    ]
    for name, runs in systems.items():
        cells = []
        for column in NLL_COLUMNS:
            values = [run["likelihood"][column] for run in runs if column in run["likelihood"]]
            cells.append(spread(values, 2) if values else "-")
        divergences = [run["kl_per_token"] for run in runs if run["kl_per_token"] is not None]
        cells.append(spread(divergences, 4) if divergences else "-")
        cells += [f"{runs[0]['parameters']:,}", f"{mean(run['seconds'] for run in runs):.0f}"]
        nll_rows.append(f"| {name} | {' | '.join(cells)} |")
    published = ["| | " + " | ".join(map(str, result["num_samples"])) + " |", "|---" * 6 + "|"]
    published += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in result["published_bleu_2"].items()]
    commands = {name: runs[0]["command"] for name, runs in systems.items()}
    over = f"Mean and standard deviation over {len(seeds)} training seeds ({', '.join(map(str, seeds))})."
    if len(seeds) == 1:
        over = f"One training seed ({seeds[0]}), so a difference between two systems may be chance."
    return f"""# VGAN on captions

RNNLM, SeqGAN, VGAN-pre and VGAN on {result["data"]["train"]:,} captions of Multi30k of at most {result["max_words"]}
words, each with the laptop preset: generators of equal width, and the same number of steps of pre-training. SeqGAN
makes as many generator steps an iteration as VGAN.

{over}

| | |
|---|---|
| commit | {environment["commit"][:7]}, {environment["date"]} |
| hardware | {environment["cpu"]}, {environment["cores"]} cores, GPU: {environment["gpu"] or "none"} |
| raw numbers | `benchmarks/results/vgan_comparison.json` |
| command | `{result["command"]}` |

## BLEU-2 by number of samples

Against all {result["data"]["test"]:,} test lines: the mean over the samples of sentence BLEU-2 with brevity penalty,
counts of 0 smoothed by NLTK's method 1. Higher is closer to the references. Real lines are held-out lines in the place
of samples.

{chr(10).join(bleu_rows)}

![BLEU-2 and likelihood](../../benchmarks/results/vgan_comparison.png)

## Likelihood of the test lines

Nats per line, its end included; lower is better. Of RNNLM and SeqGAN it is exact. Of VGAN-pre and VGAN there are an
upper bound, of single draws of the latents, and an estimate by importance weights, which lies above the exact value on
average: the latter is the one to compare. The KL of posterior and prior, nats per token of held-out text, is 0 where
the latents are not used to describe the text.

{chr(10).join(nll_rows)}

## Published

BLEU-2 on the Penn Treebank (the paper's table 2): other text, other sizes. It is not reproduced here.

{chr(10).join(published)}

## Commands

{chr(10).join(f"- {name}: `{command}`" for name, command in commands.items())}

## Limits

One data set, at the size of the laptop preset, which is far from the paper's (300 units, 60 latent dimensions). BLEU-2
against a whole test set is near its ceiling: compare it with the row of real lines. A difference within the spread
over seeds says nothing.
"""


def draw(result: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(result["num_samples"], result["real"]["bleu_2"], "k:", label="real lines")
    for number, (name, runs) in enumerate(result["systems"].items()):
        rows = np.array([run["bleu_2"] for run in runs])
        deviation = rows.std(0, ddof=1) if len(runs) > 1 else np.zeros(rows.shape[1])
        left.errorbar(result["num_samples"], rows.mean(0), deviation, color=f"C{number}", capsize=2, label=name)
        for k, run in enumerate(runs):
            for key, style in (("eval_nll_per_token", "-"), ("eval_nll_bound_per_token", "--")):
                points = [(entry["step"], entry[key]) for entry in run["curve"] if key in entry]
                if points:
                    what = "NLL" if style == "-" else "bound"
                    label = None if k else f"{name} ({what})"
                    right.plot(*zip(*points, strict=True), f"C{number}{style}", linewidth=1, label=label)
    left.set_xlabel("samples")
    left.set_title("BLEU-2 against the test lines (mean and deviation over seeds)", fontsize=10)
    right.set_xlabel("iteration, of pre-training, then adversarial")
    right.set_title("held-out text, nats per token (lower is better)", fontsize=10)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
