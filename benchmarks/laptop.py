"""
SeqGAN against its MLE twin with the laptop preset: the numbers of the README.

    python benchmarks/laptop.py --data grammar
    python benchmarks/laptop.py --data coco --train_file train.tok.txt --eval_file test.tok.txt

Trains `seqgan`, then `rnnlm` with the same generator for as many steps as fit into the wall-clock time that SeqGAN
took (its best model on held-out text is kept), and measures four generators on the same number of samples: the SeqGAN,
its own maximum-likelihood start, the twin, and, as a yardstick, held-out text. Writes the numbers and samples to
benchmarks/results/laptop_<data>.json and the curves beside it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from environment import describe

from hf_textgan.cli.evaluate import evaluate_run
from hf_textgan.data import CaptionGrammar, read_lines
from hf_textgan.evaluation import TextMetrics


RESULTS = Path(__file__).parent / "results"


def train(run: Path, *words: str) -> float:
    """Runs `textgan train`, unless that was done before; returns the seconds it took."""
    record = run.with_name(f"{run.name}.seconds")
    if not record.is_file():
        command = [sys.executable, "-m", "hf_textgan.cli.main", "train", *words, "--output_dir", str(run)]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        record.write_text(str(time.perf_counter() - started))
    return float(record.read_text())


def mle_seconds_per_step(run: Path) -> float:
    """Seconds of a maximum-likelihood step, its share of the evaluations included, from the files of a run."""
    started = (run / "textgan.json").stat().st_mtime
    state = json.loads((run / "metrics.json").read_text())
    steps = [entry["step"] for entry in state["evaluations"] if entry["phase"] == "pretrain_generator"]
    ended = (run / "samples" / f"step-{steps[-1]:07d}.txt").stat().st_mtime
    return (ended - started) / steps[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["grammar", "coco"], required=True)
    parser.add_argument("--train_file")
    parser.add_argument("--eval_file")
    parser.add_argument("--runs", default="runs/benchmark", help="where the runs are written")
    parser.add_argument("--num_samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    folder = Path(options.runs) / f"{options.data}-{options.seed}"
    if options.data == "grammar":
        data = ["--dataset_name", "grammar"]
    else:
        data = ["--train_file", options.train_file, "--eval_file", options.eval_file]
    common = [*data, "--preset", "laptop", "--seed", str(options.seed)]

    gan, twin = folder / "seqgan", folder / "rnnlm"
    gan_seconds = train(gan, "seqgan", *common)
    steps = int(gan_seconds / mle_seconds_per_step(gan))
    twin_seconds = train(twin, "rnnlm", *common, "--pretrain_generator_steps", str(steps))

    models = {"seqgan": gan, "mle_start": start_of_adversarial_phase(gan), "mle_twin": twin}
    rows = {}
    for name, model in models.items():
        arguments = SimpleNamespace(
            model=str(model),
            eval_file=options.eval_file,
            num_samples=options.num_samples,
            temperature=1.0,
            seed=0,
            max_length=None,
        )
        rows[name] = evaluate_run(arguments)
    rows["held_out_text"] = real_text(options)
    result = {
        "command": " ".join(["python", "benchmarks/laptop.py", *sys.argv[1:]]),
        "environment": describe(),
        "seconds": {"seqgan": gan_seconds, "rnnlm": twin_seconds},
        "rnnlm_steps": steps,
        "rows": rows,
        "evaluations": json.loads((gan / "metrics.json").read_text())["evaluations"],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"laptop_{options.data}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"laptop_{options.data}.png").write_bytes((gan / "curves.png").read_bytes())
    print(table({name: row["metrics"] for name, row in rows.items()}))


def start_of_adversarial_phase(run: Path) -> Path:
    """The checkpoint with which the adversarial phase of a run began."""
    phases = json.loads(next(run.glob("checkpoint-*/run.json")).read_text())["phases"]
    return run / f"checkpoint-{sum(phase['ticks'] for phase in phases if phase['name'] != 'adversarial')}"


def real_text(options: argparse.Namespace) -> dict:
    """Held-out lines in the place of samples, against the other held-out lines."""
    if options.data == "grammar":
        grammar = CaptionGrammar()
        lines = grammar.sample(2000 + options.num_samples, seed=12345)
    else:
        grammar, lines = None, read_lines(options.eval_file)
    texts, references = lines[: options.num_samples], lines[options.num_samples :]
    return {"metrics": TextMetrics(references, grammar=grammar)(texts), "num_references": len(references)}


def table(rows: dict[str, dict[str, float]]) -> str:
    """The metrics, one line each, with a column per generator."""
    keys = list(dict.fromkeys(key for metrics in rows.values() for key in metrics))
    lines = ["  ".join(["metric".ljust(22), *(name.rjust(14) for name in rows)])]
    for key in keys:
        cells = (f"{row[key]:.4f}" if key in row else "-" for row in rows.values())
        lines.append("  ".join([key.ljust(22), *(cell.rjust(14) for cell in cells)]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
