"""
The synthetic task of the field, T = 20: maximum likelihood, scheduled sampling, PG-BLEU, SeqGAN, MaliGAN, a constant
reward.

    python benchmarks/oracle.py --oracle_path target_params.npz --seeds 42 43 44

Maximum likelihood and scheduled sampling train for the published 120 epochs; the policy gradients start from the
maximum-likelihood model of their seed and take the same number of generator steps at the same learning rate, with the
laptop preset (its discriminator and its number of rollouts). With `--seconds` they take as many as fit into the same
time of adversarial training, evaluations left out, by the time of a step that a short run measures first; the results
are then in oracle_t20_equal_time.json. At every evaluation: NLL-oracle, NLL-test and NLL-div, in
nats per token, on 10,000 samples. As controls the maximum-likelihood model is also sampled at other temperatures.

A finished run is not repeated, an interrupted one resumes from its checkpoint, and further seeds are added to the
results in the file. Writes benchmarks/results/oracle_t20.json and .png.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import command_line, make_parser, read_result, run_arguments, train_run, write_result
from environment import describe
from transformers import TrainerCallback

from hf_textgan.runs.build import build_trainer
from hf_textgan.runs.evaluate import EvaluationArguments, evaluate_run


STEPS_PER_EPOCH = 156
# Published NLL-oracle (Yu et al. 2017, arXiv 1609.05473, table 1), on the same oracle.
PUBLISHED = {"mle": 9.038, "scheduled_sampling": 8.985, "pg_bleu": 8.946, "seqgan": 8.736}
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.5)
MEASURED_STEPS = 8  # of which the first is left out


def conditions(options: argparse.Namespace, mle: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns the system of each condition and its options, without those that all conditions share."""
    between = 5 * STEPS_PER_EPOCH
    likelihood = {
        "pretrain_generator_steps": options.epochs * STEPS_PER_EPOCH,
        "load_best_model_at_end": False,
        "eval_steps": between,
        "save_steps": between,
    }
    gradient = {
        "generator_name_or_path": str(mle),
        "pretrain_generator_steps": 0,
        "max_steps": options.adversarial_steps,
        "eval_steps": 10,
        "save_steps": 10,
        "generator.learning_rate": options.learning_rate,
        "generator/adversarial.learning_rate": options.learning_rate,
    }
    return {
        "mle": ("rnnlm", likelihood),
        "scheduled_sampling": ("rnnlm", {**likelihood, "scheduled_sampling": 0.002 * options.epochs}),
        "seqgan": ("seqgan", gradient),
        "pg_bleu": ("seqgan", {**gradient, "reward": "bleu"}),
        "constant_reward": ("seqgan", {**gradient, "reward": "constant"}),
        "maligan": ("maligan", gradient),
        "maligan_mixed": ("maligan", {**gradient, "num_completions": 5}),
    }


class StepTimes(TrainerCallback):
    """The seconds of each iteration."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def in_time(seconds: float, folder: Path, system: str, options: dict[str, Any]) -> dict[str, Any]:
    """
    Returns the number of adversarial iterations that take `seconds`, and ten evaluations among them. It is measured
    once and kept, so an interrupted run resumes with the same.
    """
    path = folder.with_name(f"{folder.name}-steps.json")
    record = read_result(path)
    if not record:
        short = {"max_steps": MEASURED_STEPS, "pretrain_discriminator_steps": 0, "eval_strategy": "no"}
        with tempfile.TemporaryDirectory() as other:
            trainer = build_trainer(run_arguments(system, Path(other), **{**options, **short, "save_strategy": "no"}))
            times = StepTimes()
            trainer.add_callback(times)
            trainer.train()
        each = statistics.median(times.seconds[1:])
        record = {"seconds": seconds, "seconds_per_step": each, "max_steps": max(1, round(seconds / each))}
        write_result(path, record)
    between = max(1, record["max_steps"] // 10)
    return {"max_steps": record["max_steps"], "eval_steps": between, "save_steps": between}


def train(folder: Path, system: str, options: dict[str, Any]) -> dict:
    """Trains or resumes a run; returns the environment of its last start and the seconds that it took."""
    path = folder.with_name(f"{folder.name}.json")
    record = read_result(path) or {"seconds": 0.0, "finished": False}
    if not record["finished"]:
        record["environment"] = describe()
        started = time.perf_counter()
        try:
            train_run(system, folder, **options)
            record["finished"] = True
        finally:  # an interrupted run resumes when the same command is started again
            record["seconds"] += time.perf_counter() - started
            write_result(path, record)
    return record


def collect(run: Path) -> list[dict]:
    """Returns the evaluations of a run, by generator steps."""
    keys = ("nll_oracle", "nll_per_token", "nll_div")
    evaluations = json.loads((run / "metrics.json").read_text())["evaluations"]
    phases = json.loads(next(run.glob("checkpoint-*/run.json")).read_text())["phases"]
    before = sum(phase["iterations"] for phase in phases if phase["name"] == "pretrain_discriminator")
    return [
        {
            "step": max(0, e["step"] - before),
            "phase": e["phase"],
            **{key: e[f"eval_{key}"] for key in keys if f"eval_{key}" in e},
        }
        for e in evaluations
    ]


def temperatures(run: Path, num_samples: int) -> list[dict]:
    """Returns NLL-oracle and NLL-div of samples at other temperatures; NLL-test at 1 is that of the model."""
    rows = []
    for temperature in TEMPERATURES:
        arguments = EvaluationArguments(str(run), num_samples=num_samples, temperature=temperature)
        rows.append({"temperature": temperature, **evaluate_run(arguments)["metrics"]})
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--oracle_path", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--only", nargs="+", help="conditions to run; the results of the others stay in the file")
    parser.add_argument("--epochs", type=int, default=120, help="of maximum likelihood")
    parser.add_argument("--adversarial_steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="of adversarial training, in the place of adversarial_steps")
    parser.add_argument("--learning_rate", type=float, default=1e-2, help="of the generator's policy gradient")
    parser.add_argument("--runs", default="runs/oracle", help="folder of the runs")
    parser.add_argument("--disable_tqdm", action="store_true")
    options = parser.parse_args(argv)

    path = options.output_dir / ("oracle_t20.json" if options.seconds is None else "oracle_t20_equal_time.json")
    result = read_result(path) or {"seeds": {}}
    for seed in options.seeds:
        folder = Path(options.runs) / f"seed-{seed}"
        shared = {
            "dataset_name": "oracle",
            "oracle_path": options.oracle_path,
            "preset": "laptop",
            "seed": seed,
            "disable_tqdm": options.disable_tqdm,
        }
        rows = result["seeds"].setdefault(str(seed), {})
        for name, (system, values) in conditions(options, folder / "mle").items():
            if options.only and name not in options.only:
                continue
            run = folder / name
            if options.seconds is not None and "max_steps" in values:
                run = folder / f"{name}-equal-time"
                values = {**values, **in_time(options.seconds, run, system, {**values, **shared})}
            record = train(run, system, {**values, **shared})
            rows[name] = {**record, "system": system, "options": values, "evaluations": collect(run)}
            if name == "mle" and "mle_temperatures" not in rows:
                rows["mle_temperatures"] = temperatures(folder / name, 10_000)
            result["command"] = command_line("oracle.py", argv)
            write_result(path, result)
    draw(result, path.with_suffix(".png"))
    print(table(result))


def last(rows: dict, name: str) -> dict:
    return rows[name]["evaluations"][-1]


def table(result: dict) -> str:
    """Returns the last evaluation of every condition and seed."""
    lines = [f"{'condition':22}{'seed':>6}{'NLL-oracle':>12}{'NLL-test':>10}{'NLL-div':>10}{'published':>11}"]
    for seed, rows in result["seeds"].items():
        for name in (n for n in rows if n != "mle_temperatures"):
            e = last(rows, name)
            values = f"{e['nll_oracle']:>12.3f}{e['nll_per_token']:>10.3f}{e['nll_div']:>10.3f}"
            lines.append(f"{name:22}{seed:>6}{values}{PUBLISHED.get(name, ''):>11}")
        for row in rows.get("mle_temperatures", []):
            values = f"{row['nll_oracle']:>12.3f}{row['nll_per_token']:>10.3f}{row['nll_div']:>10.3f}"
            lines.append(f"{'mle, temperature ' + str(row['temperature']):22}{seed:>6}{values}")
    return "\n".join(lines)


def draw(result: dict, path: Path) -> None:
    """Draws a row for each of the three measures; PG-BLEU has another scale, and so a column of its own."""
    from matplotlib.figure import Figure

    measures = {"nll_oracle": "NLL-oracle", "nll_per_token": "NLL-test", "nll_div": "NLL-div"}
    columns = {
        "maximum likelihood (epochs)": ("mle", "scheduled_sampling"),
        "policy gradient (generator steps)": ("seqgan", "constant_reward", "maligan", "maligan_mixed"),
        "PG-BLEU (generator steps)": ("pg_bleu",),
    }
    names = [name for group in columns.values() for name in group]
    figure = Figure(figsize=(13, 9), layout="constrained")
    grid = figure.subplots(len(measures), len(columns), sharex="col")
    for column, (title, group) in enumerate(columns.items()):
        grid[0][column].set_title(title)
        for axis, (key, label) in zip(grid[:, column], measures.items(), strict=True):
            for rows in result["seeds"].values():
                for name in (n for n in group if n in rows):
                    points = [(e["step"], e[key]) for e in rows[name]["evaluations"]]
                    if column == 0:
                        points = [(step / STEPS_PER_EPOCH, value) for step, value in points]
                    elif "mle" in rows:  # the start of the policy gradients
                        points.insert(0, (0, last(rows, "mle")[key]))
                    has_label = name in axis.get_legend_handles_labels()[1]
                    color = f"C{names.index(name)}"
                    axis.plot(
                        *zip(*points, strict=True),
                        color=color,
                        marker=".",
                        linewidth=1,
                        label=None if has_label else name,
                    )
            axis.set_ylabel(f"{label} (nats per token)")
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
