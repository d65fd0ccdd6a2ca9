"""What the benchmarks share: the folder of the results, and training a run with named options."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hf_textgan.runs.arguments import TrainArguments, resolve_arguments
from hf_textgan.runs.build import build_trainer, checkpoint_to_resume


RESULTS = Path(__file__).parent / "results"
UNREACHED_STEPS = 1_000_000  # of a run that ends by a time limit


def make_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the option that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--output_dir", type=Path, default=RESULTS, help="folder of the results")
    return parser


def read_result(path: Path) -> dict[str, Any]:
    """Returns the results in a file, which later runs add to; without a file there are none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Writes results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def command_line(script: str, argv: list[str] | None) -> str:
    """Returns the command of a benchmark, without the folders of one machine."""
    words, kept = iter(sys.argv[1:] if argv is None else argv), []
    for word in words:
        if word in ("--output_dir", "--runs"):
            next(words)
        else:
            kept.append(Path(word).name if "/" in word else word)
    return " ".join(["python", f"benchmarks/{script}", *kept])


def run_arguments(system: str, folder: Path, **options: Any) -> TrainArguments:
    """Returns the arguments of a run that resumes where it was interrupted."""
    return resolve_arguments(system, ({**options, "output_dir": str(folder), "resume": True}, "the benchmark"))


def train_run(system: str, folder: Path, **options: Any) -> None:
    """
    Trains a run as `textgan train SYSTEM` does, from the start or its newest checkpoint; a finished run is not
    repeated.
    """
    if (folder / "config.json").is_file():
        return
    arguments = run_arguments(system, folder, **options)
    trainer = build_trainer(arguments, report=print)
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(trainer, arguments))
    trainer.save_model()


def as_words(system: str, options: dict[str, Any]) -> str:
    """Returns the command line of a run; of a file only its name, because folders are those of one machine."""
    words = ["textgan train", system]
    for name, value in options.items():
        value = value.name if isinstance(value, Path) else value
        words += [f"--{name}", str(value).lower() if isinstance(value, bool) else str(value)]
    return " ".join(words)
