"""
The synthetic task of the field, T = 20: maximum likelihood, scheduled sampling, PG-BLEU, SeqGAN, a constant reward.

    python benchmarks/oracle.py --oracle_path target_params.npz --seeds 42 43 44

Maximum likelihood and scheduled sampling train for the published 120 epochs; the three policy gradients start from the
maximum-likelihood model of their seed and take the same number of generator steps at the same learning rate, with the
laptop preset (its discriminator and its number of rollouts). At every evaluation: NLL-oracle, NLL-test and NLL-div, in
nats per token, on 10,000 samples. As controls the maximum-likelihood model is also sampled at other temperatures.

Runs that are finished are not repeated, a run that was stopped goes on from its checkpoint, and more seeds join those
that are there. Writes benchmarks/results/oracle_t20.json and .png.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from environment import describe

from hf_textgan.runs.evaluate import evaluate_run


RESULTS = Path(__file__).parent / "results"
EPOCH = 156  # steps
# Published NLL-oracle (Yu et al. 2017, arXiv 1609.05473, table 1), on the same oracle.
PUBLISHED = {"mle": 9.038, "scheduled_sampling": 8.985, "pg_bleu": 8.946, "seqgan": 8.736}
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.5)


def conditions(options: argparse.Namespace, mle: Path) -> dict[str, list[str]]:
    """The command line of each condition, without what all share."""
    likelihood = ["rnnlm", "--pretrain_generator_steps", str(options.epochs * EPOCH)]
    likelihood += ["--load_best_model_at_end", "false", "--eval_steps", str(5 * EPOCH), "--save_steps", str(5 * EPOCH)]
    gradient = ["seqgan", "--generator_name_or_path", str(mle), "--pretrain_generator_steps", "0"]
    gradient += ["--max_steps", str(options.adversarial_steps), "--eval_steps", "10", "--save_steps", "10"]
    gradient += ["--generator.learning_rate", str(options.learning_rate)]
    gradient += ["--generator/adversarial.learning_rate", str(options.learning_rate)]
    return {
        "mle": likelihood,
        "scheduled_sampling": [*likelihood, "--scheduled_sampling", str(0.002 * options.epochs)],
        "seqgan": gradient,
        "pg_bleu": [*gradient, "--reward", "bleu"],
        "constant_reward": [*gradient, "--reward", "constant"],
    }


def train(run: Path, words: list[str]) -> dict:
    """Runs `textgan train`, or goes on with it; returns the environment of its last start and the seconds it took."""
    record = run.with_name(f"{run.name}.json")
    done = json.loads(record.read_text()) if record.is_file() else {"seconds": 0.0, "finished": False}
    if not done["finished"]:
        resume = ["--resume"] if any(run.glob("checkpoint-*")) else []
        if not resume and run.is_dir():
            subprocess.run(["rm", "-rf", str(run)], check=True)  # stopped before its first checkpoint
        command = [sys.executable, "-m", "hf_textgan.cli.main", "train", *words, "--output_dir", str(run), *resume]
        done["environment"] = describe()
        started = time.perf_counter()
        code = subprocess.run(command).returncode
        done["seconds"] += time.perf_counter() - started
        done["finished"] = code == 0
        record.write_text(json.dumps(done, indent=1) + "\n")
        if code:
            sys.exit(f"{run} stopped with status {code}; start the same command again to go on.")
    return done


def collect(run: Path) -> list[dict]:
    """The evaluations of a run, by generator steps."""
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
    """NLL-oracle and NLL-div of samples at other temperatures; the model, and so its NLL-test at 1, is the same."""
    rows = []
    for temperature in TEMPERATURES:
        arguments = SimpleNamespace(
            model=str(run), eval_file=None, num_samples=num_samples, temperature=temperature, seed=0, max_length=None
        )
        metrics = evaluate_run(arguments)["metrics"]
        rows.append({"temperature": temperature, **metrics})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle_path", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--only", nargs="+", help="conditions to run now; the others are reported if they are there")
    parser.add_argument("--epochs", type=int, default=120, help="of maximum likelihood")
    parser.add_argument("--adversarial_steps", type=int, default=100)
    parser.add_argument("--learning_rate", type=float, default=1e-2, help="of the generator's policy gradient")
    parser.add_argument("--runs", default="runs/oracle", help="where the runs are written")
    parser.add_argument("--disable_tqdm", action="store_true")
    options = parser.parse_args()

    path = RESULTS / "oracle_t20.json"
    result = json.loads(path.read_text()) if path.is_file() else {"seeds": {}}
    for seed in options.seeds:
        folder = Path(options.runs) / f"seed-{seed}"
        shared = ["--dataset_name", "oracle", "--oracle_path", options.oracle_path, "--preset", "laptop"]
        shared += ["--seed", str(seed), "--disable_tqdm", str(options.disable_tqdm).lower()]
        rows = result["seeds"].setdefault(str(seed), {})
        for name, arguments in conditions(options, folder / "mle").items():
            if options.only and name not in options.only:
                continue
            done = train(folder / name, [*arguments, *shared])
            rows[name] = {**done, "arguments": arguments, "evaluations": collect(folder / name)}
            if name == "mle" and "mle_temperatures" not in rows:
                rows["mle_temperatures"] = temperatures(folder / name, 10_000)
            words = [Path(word).name if word == options.oracle_path else word for word in sys.argv[1:]]
            result["command"] = " ".join(["python", "benchmarks/oracle.py", *words])
            write(path, result)
    draw(result, path.with_suffix(".png"))
    print(table(result))


def write(path: Path, result: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def last(rows: dict, name: str) -> dict:
    return rows[name]["evaluations"][-1]


def table(result: dict) -> str:
    """The last evaluation of every condition and seed."""
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
    """A row for each of the three measures; PG-BLEU has a column of its own, because its scale is another."""
    from matplotlib.figure import Figure

    measures = {"nll_oracle": "NLL-oracle", "nll_per_token": "NLL-test", "nll_div": "NLL-div"}
    columns = {
        "maximum likelihood (epochs)": ("mle", "scheduled_sampling"),
        "policy gradient (generator steps)": ("seqgan", "constant_reward"),
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
                        points = [(step / EPOCH, value) for step, value in points]
                    elif "mle" in rows:  # where it started from
                        points.insert(0, (0, last(rows, "mle")[key]))
                    shown = name in axis.get_legend_handles_labels()[1]
                    color = f"C{names.index(name)}"
                    axis.plot(
                        *zip(*points, strict=True), color=color, marker=".", linewidth=1, label=None if shown else name
                    )
            axis.set_ylabel(f"{label} (nats per token)")
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
