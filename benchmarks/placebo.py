"""
How often `textgan compare` sees a difference where there is none, and what it says of four ways to look better.

    python benchmarks/placebo.py [--seeds 8] [--num_samples 1000] [--num_seeds 3]

Trains `rnnlm` of one recipe with several training seeds on the caption grammar, measures each run once, and judges
every way to divide them into two systems of half the runs each, and every pair of single runs. Then it judges against
them: the same runs at temperature 0.7, with the sweep and without it; SeqGAN with a constant reward, which learns
nothing but noise; and a copy of the training text. Writes benchmarks/results/placebo.json.
"""

import argparse
import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from environment import describe
from tqdm import tqdm

from hf_textgan.cli.compare import make_parser
from hf_textgan.comparison.compare import compare, judge
from hf_textgan.comparison.prepare import prepare
from hf_textgan.comparison.sources import ModelSource


RESULTS = Path(__file__).parent / "results"
MLE = ["rnnlm", "--dataset_name", "grammar", "--grammar_train_size", "4000", "--preset", "laptop"]
STEPS = ["--pretrain_generator_steps", "1000"]


def train(folder: Path, *words: str) -> str:
    if not (folder / "config.json").is_file():
        command = [sys.executable, "-m", "hf_textgan.cli.main", "train", *words, "--output_dir", str(folder)]
        subprocess.run([*command, "--disable_tqdm", "true"], check=True, stdout=subprocess.DEVNULL)
    return str(folder)


def together(rows: list[dict], only: float | None = None) -> dict:
    """The rows of single runs as one of several runs; with `only` without the other temperatures."""
    draws = [
        {**draw, "source": number}
        for number, row in enumerate(rows)
        for draw in row["draws"]
        if only is None or draw["value"] == only
    ]
    return {"sources": [row["sources"][0] for row in rows], "judged": True, "draws": draws}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="runs/placebo", help="where the runs are written")
    parser.add_argument("--seeds", type=int, default=8, help="training runs of maximum likelihood")
    parser.add_argument("--constant", type=int, default=3, help="training runs of the constant reward")
    parser.add_argument("--num_samples", type=int, default=1000)
    parser.add_argument("--num_seeds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(options.runs)
    plain = [train(folder / f"mle-{seed}", *MLE, *STEPS, "--seed", str(seed)) for seed in range(1, options.seeds + 1)]
    constant = [
        train(
            folder / f"constant-{seed}",
            *("seqgan", *MLE[1:], "--reward", "constant", *STEPS, "--max_steps", "60", "--seed", str(100 + seed)),
        )
        for seed in range(1, options.constant + 1)
    ]
    arguments = make_parser().parse_args(
        [*plain, "--num_samples", str(options.num_samples), "--num_seeds", str(options.num_seeds)]
    )
    _, reference_sources, measure, config = prepare(arguments)
    sharp = [f"{path}@0.7" for path in plain]
    sources = {path: [ModelSource(path)] for path in (*plain, *sharp, *constant)}
    copies = next(source for source in reference_sources if source.label == "copied training text")
    sources["copy"] = [copies]
    rest = [source for source in reference_sources if source is not copies]
    draws = sum(len(config.values) if s[0].swept else 1 for s in sources.values()) + len(rest)
    with tqdm(total=draws * config.num_seeds) as bar:
        result = compare(sources, rest, measure, config, lambda text: bar.update(1))
    rows = result["rows"]

    def verdict(first: list[str], second: list[str], only: float | None = None) -> dict:
        pair = {"first": together([rows[p] for p in first], only), "second": together([rows[p] for p in second], only)}
        notes = {"first": result["notes"].get(first[0], []), "second": []}
        return judge(list(pair), pair, measure.axes, config.level, notes)[0].to_dict()

    half = len(plain) // 2
    splits = [part for part in itertools.combinations(plain, half) if plain[0] in part or len(plain) != 2 * half]
    found = {
        f"{half} runs against {len(plain) - half} of one recipe": [
            verdict(list(part), [path for path in plain if path not in part]) for part in splits
        ],
        "1 run against 1 of one recipe": [verdict([a], [b]) for a, b in itertools.combinations(plain, 2)],
        "temperature 0.7 with the sweep": [verdict(sharp[:half], plain[half:])],
        "temperature 0.7 without the sweep": [verdict(sharp[:half], plain[half:], only=1.0)],
        "constant reward": [verdict(constant, plain)],
        "a copy of the training text": [verdict(["copy"], plain)],
    }
    outcomes = {name: dict(Counter(v["outcome"] for v in verdicts)) for name, verdicts in found.items()}
    report = {
        "command": " ".join(["python", "benchmarks/placebo.py", *sys.argv[1:]]),
        "environment": describe(),
        "level": config.level,
        "num_samples": config.num_samples,
        "outcomes": outcomes,
        "notes": {path: notes for path, notes in result["notes"].items() if notes},
        "verdicts": {name: verdicts for name, verdicts in found.items() if len(verdicts) == 1},
        "adjusted_p": {
            name: [[test["adjusted"] for test in v["hypotheses"]] for v in verdicts]
            for name, verdicts in found.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "placebo.json").write_text(json.dumps(report, indent=1) + "\n")
    for name, counts in outcomes.items():
        print(f"{name:36} {counts}")


if __name__ == "__main__":
    main()
