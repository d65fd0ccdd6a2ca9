"""`textgan evaluate`."""

import argparse
from pathlib import Path

from ..evaluation.descriptions import describe_metric
from ..runs.evaluate import EvaluationArguments, evaluate_run
from ..utils.files import check_output, strict_json, write_text
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan evaluate",
        description="Measures a trained generator: likelihood of held-out text, BLEU against it, Self-BLEU; for models"
        " of the caption grammar and of an oracle also the exact scores of their samples.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="output folder of a run, a checkpoint, or a repository as org/name")
    parser.add_argument("--eval_file", help="held-out text, one sentence a line (default: that of the run)")
    parser.add_argument("--num_samples", type=int, default=1000, help="samples to measure (default: 1000)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the samples (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    parser.add_argument("--max_length", type=int, help="most tokens of a sample, end included (default: as trained)")
    parser.add_argument("--revision", help="branch, tag or commit of a repository (default: main)")
    parser.add_argument("--output_file", help="JSON file (default: evaluation.json in the folder of the model)")
    parser.add_argument("--overwrite", action="store_true", help="replace output_file if it is there")
    return parser


def main(argv: list[str]) -> int:
    """Measures a generator; see `textgan evaluate --help`."""
    options = vars(make_parser().parse_args(argv))
    output_file, overwrite = options.pop("output_file"), options.pop("overwrite")
    arguments = EvaluationArguments(**options)
    with user_errors():
        if output_file is not None:
            check_output(Path(output_file), overwrite)
        result = evaluate_run(arguments)
    width = max(len(key) for key in result["metrics"])
    for key, value in result["metrics"].items():
        described = describe_metric(key)
        meaning = "" if described is None else f"  {described.meaning} ({described.direction})"
        print(f"{key.ljust(width)}  {value:8.4f}{meaning}")
    if output_file is None and Path(arguments.model).is_dir():
        output_file = str(Path(arguments.model) / "evaluation.json")
    if output_file is not None:
        with user_errors():
            write_text(Path(output_file), strict_json(result))
            _update_card(Path(arguments.model), Path(output_file))
    return 0


def _update_card(folder: Path, evaluation: Path) -> None:
    """Writes the card of a run again if an evaluation in its folder is new."""
    files = (folder / "textgan.json", folder / "run.json")  # a run of an older version has not both, and no card
    if evaluation != folder / "evaluation.json" or not all(file.is_file() for file in files):
        return
    from ..runs.card import write_card  # reads the options of training, which an evaluation does without
    from ..trainer.model_card import update_card

    update_card(folder, write_card)
