"""
The share of comparisons that find a difference between equal systems, and the verdicts on four ways to look better.

    python benchmarks/placebo.py [--seeds 8] [--num_samples 1000] [--num_seeds 3]

Trains `rnnlm` with the same arguments and several training seeds on the caption grammar, and measures each run once.
Then compares every division of the runs into two systems of half the runs each, and every pair of single runs. Then
compares with them: the same runs at temperature 0.7, with the sweep and without it; SeqGAN with a constant reward,
whose gradient is noise; and a copy of the training text. Writes benchmarks/results/placebo.json.
"""

import itertools
from collections import Counter
from pathlib import Path

from common import command_line, make_parser, train_run, write_result
from environment import describe
from tqdm import tqdm

from hf_textgan.comparison.compare import compare, judge
from hf_textgan.comparison.prepare import ComparisonArguments, prepare
from hf_textgan.comparison.sources import ModelSource


SHARED = {"dataset_name": "grammar", "grammar_train_size": 4000, "preset": "laptop", "disable_tqdm": True}


def merge_rows(rows: list[dict], value: float | None = None) -> dict:
    """Returns the rows of single runs as one of several runs; with `value` only the draws at that temperature."""
    draws = [
        {**draw, "source": number}
        for number, row in enumerate(rows)
        for draw in row["draws"]
        if value is None or draw["value"] == value
    ]
    return {"sources": [row["sources"][0] for row in rows], "is_compared": True, "draws": draws}


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--runs", default="runs/placebo", help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=8, help="training runs of maximum likelihood")
    parser.add_argument("--constant", type=int, default=3, help="training runs of the constant reward")
    parser.add_argument("--steps", type=int, default=1000, help="steps of maximum likelihood")
    parser.add_argument("--adversarial_steps", type=int, default=60, help="steps of the constant reward")
    parser.add_argument("--num_samples", type=int, default=1000)
    parser.add_argument("--num_seeds", type=int, default=3, help="draws at each temperature")
    options = parser.parse_args(argv)
    folder = Path(options.runs)
    mle = [folder / f"mle-{seed}" for seed in range(1, options.seeds + 1)]
    for seed, path in enumerate(mle, start=1):
        train_run("rnnlm", path, **SHARED, pretrain_generator_steps=options.steps, seed=seed)
    constant = [folder / f"constant-{seed}" for seed in range(1, options.constant + 1)]
    steps = {"pretrain_generator_steps": options.steps, "max_steps": options.adversarial_steps}
    for seed, path in enumerate(constant, start=101):
        train_run("seqgan", path, **SHARED, **steps, reward="constant", seed=seed)

    mle, constant = [*map(str, mle)], [*map(str, constant)]
    sharp = [f"{path}@0.7" for path in mle]
    arguments = ComparisonArguments(mle, num_samples=options.num_samples, num_seeds=options.num_seeds)
    _, reference_sources, measure, config = prepare(arguments)
    sources = {path: [ModelSource(path)] for path in (*mle, *sharp, *constant)}
    copies = next(source for source in reference_sources if source.label == "copied training text")
    sources["copy"] = [copies]
    others = [source for source in reference_sources if source is not copies]
    draws = sum(len(config.values) if s[0].swept else 1 for s in sources.values()) + len(others)
    with tqdm(total=draws * config.num_seeds) as bar:
        result = compare(sources, others, measure, config, lambda text: bar.update(1))
    rows = result["rows"]

    def verdict(first: list[str], second: list[str], value: float | None = None) -> dict:
        pair = {
            "first": merge_rows([rows[path] for path in first], value),
            "second": merge_rows([rows[path] for path in second], value),
        }
        notes = {"first": result["notes"].get(first[0], []), "second": []}
        return judge(list(pair), pair, measure.axes, config.level, notes)[0].to_dict()

    half = len(mle) // 2
    splits = [part for part in itertools.combinations(mle, half) if mle[0] in part or len(mle) != 2 * half]
    verdicts = {
        f"{half} runs against {len(mle) - half} of the same system": [
            verdict(list(part), [path for path in mle if path not in part]) for part in splits
        ],
        "1 run against 1 of the same system": [verdict([a], [b]) for a, b in itertools.combinations(mle, 2)],
        "temperature 0.7 with the sweep": [verdict(sharp[:half], mle[half:])],
        "temperature 0.7 without the sweep": [verdict(sharp[:half], mle[half:], value=1.0)],
        "constant reward": [verdict(constant, mle)],
        "a copy of the training text": [verdict(["copy"], mle)],
    }
    outcomes = {name: dict(Counter(v["outcome"] for v in members)) for name, members in verdicts.items()}
    report = {
        "command": command_line("placebo.py", argv),
        "environment": describe(),
        "level": config.level,
        "num_samples": config.num_samples,
        "outcomes": outcomes,
        "notes": {path: notes for path, notes in result["notes"].items() if notes},
        "verdicts": {name: members for name, members in verdicts.items() if len(members) == 1},
        "adjusted_p": {
            name: [[test["adjusted"] for test in v["hypotheses"]] for v in members]
            for name, members in verdicts.items()
        },
    }
    write_result(options.output_dir / "placebo.json", report)
    for name, counts in outcomes.items():
        print(f"{name:36} {counts}")


if __name__ == "__main__":
    main()
