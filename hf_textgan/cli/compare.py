"""`textgan compare`."""

import argparse
from pathlib import Path
from typing import Any

from ..comparison.prepare import ComparisonArguments, run_comparison
from ..comparison.report import sentence
from ..utils.escaping import printable
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan compare",
        description="Says which of several generators is better: a sweep over temperatures, quality against "
        "diversity, real text and trivial samplers beside them, and a verdict for each pair with its test.",
        epilog="Runs that differ in their training seed only count as one system, and only several seeds can tell "
        "systems apart: `textgan train --num_seeds 3` trains them, and PATH is the folder of all. PATH@0.7 fixes a "
        "temperature.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="PATH",
        help="folder of a run or of several seeds, a checkpoint, org/name, or a .txt file of samples",
    )
    parser.add_argument("--eval_file", help="held-out text, one sentence a line (default: that of the runs)")
    parser.add_argument("--train_file", help="the training text (default: that of the runs)")
    parser.add_argument("--output_dir", default="report", help="folder of the report (default: report)")
    parser.add_argument("--num_samples", type=int, default=2000, help="texts per draw (default: 2000)")
    parser.add_argument("--num_seeds", type=int, default=5, help="draws at each temperature (default: 5)")
    parser.add_argument("--temperatures", type=float, nargs="+", help="of the sweep (default: 0.7 0.85 1 1.15)")
    parser.add_argument("--top_p", type=float, nargs="+", help="sweep over these instead, as in 0.8 0.9 1")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of the draws (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there already")
    parser.add_argument("--level", type=float, default=0.05, help="of the verdicts (default: 0.05)")
    return parser


def main(argv: list[str]) -> int:
    """Compares generators; see `textgan compare --help`."""
    arguments = ComparisonArguments(**vars(make_parser().parse_args(argv)))
    with user_errors():
        result = run_comparison(arguments)
    print_comparison(result, Path(arguments.output_dir))
    return 0


def print_comparison(result: dict[str, Any], output_dir: Path) -> None:
    """Prints the verdicts and the notes of a comparison."""
    for verdict in result["verdicts"]:
        print(printable(sentence(verdict)))
    for label, notes in result["notes"].items():
        for note in notes:
            print(printable(f"{label} {note}."))
    print(f"The report is {output_dir / 'report.md'}.")
