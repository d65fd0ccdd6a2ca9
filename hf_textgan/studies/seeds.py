"""A system trained with several seeds, which is what a statement about the system needs."""

import copy
import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..comparison.prepare import ComparisonArguments, run_comparison
from ..evaluation.descriptions import SUMMARY_METRICS, describe_metric
from ..runs.arguments import TrainArguments
from ..runs.folder import RUN_RECORD_FILE, check_output_dir, seed_folder, seed_folders


def seed_arguments(arguments: TrainArguments) -> list[TrainArguments]:
    """
    Returns the arguments of the run of each seed: `seed`, `seed + 1`, ..., each with a folder of its own in the output
    folder.

    Raises:
        `ValueError`: If an option belongs to a single run, or the output folder holds something else.
    """
    training, num_seeds = arguments.training, arguments.run.num_seeds
    for name in ("push_to_hub", "resume_from_checkpoint", "data_seed"):
        if getattr(training, name) not in (None, False):
            raise ValueError(
                f"{name} is {getattr(training, name)!r} and num_seeds is {num_seeds}, but {name} belongs to a single "
                f"run; {_INSTEAD[name]}."
            )
    _check_seeds_folder(training.output_path, arguments.system.name, arguments.run.resume)
    runs = []
    for seed in range(training.seed, training.seed + num_seeds):
        run = replace(
            arguments,
            run=replace(arguments.run, num_seeds=1),
            training=copy.deepcopy(training),
            data=copy.copy(arguments.data),
            objective=copy.deepcopy(arguments.objective),
            configs=copy.deepcopy(arguments.configs),
        )
        run.training.seed, run.training.output_dir = seed, str(seed_folder(training.output_path, seed))
        runs.append(run)
    return runs


_INSTEAD = {
    "push_to_hub": "leave it out, and push the run of your choice",
    "resume_from_checkpoint": "use --resume, which continues each run",
    "data_seed": "leave it out, so that the order of the data follows the seed of each run",
}


def _check_seeds_folder(folder: Path, system: str, resume: bool) -> None:
    if (folder / RUN_RECORD_FILE).is_file():
        raise ValueError(f"{folder} holds a single run, and num_seeds needs a folder of its own; name another folder.")
    runs = seed_folders(folder)
    if not runs:
        check_output_dir(folder, system, resume)  # an empty folder, or none
    for run in runs:
        check_output_dir(run, system, resume)


def is_finished(arguments: TrainArguments) -> bool:
    """
    Returns whether the run of these arguments, which its trainer has completed, was trained to its end: its saved
    models were trained with the same arguments.
    """
    folder = arguments.training.output_path
    if not (folder / "config.json").is_file():
        return False
    try:
        saved = json.loads((folder / "training_args.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return saved == json.loads(json.dumps(arguments.training.to_dict(), default=str))


def compare_seeds(output_dir: Path) -> dict[str, Any]:
    """
    Compares the runs of several seeds with the generators with which their adversarial training began and with their
    baselines; writes the report to the folder `report` of `output_dir`. The unit of the comparison is the seed.
    """
    return run_comparison(
        ComparisonArguments([str(output_dir)], output_dir=str(output_dir / "report"), overwrite=True)
    )


def summarize_seeds(folders: list[Path]) -> list[str]:
    """Returns a line for each main metric at the end of the runs: mean and standard deviation over the seeds."""
    finals = [_final_metrics(folder) for folder in folders]
    lines = []
    for name in SUMMARY_METRICS:
        values = [metrics[f"eval_{name}"] for metrics in finals if metrics.get(f"eval_{name}") is not None]
        described = describe_metric(name)
        if len(values) < len(folders) or described is None or not all(map(math.isfinite, values)):
            continue
        deviation = statistics.stdev(values) if len(values) > 1 else math.nan
        shown = f"{statistics.fmean(values):.4g} ± {deviation:.2g}"
        lines.append(f"  {name.ljust(24)} {shown}: {described.meaning}; {described.direction}")
    return lines


def _final_metrics(folder: Path) -> dict[str, float]:
    """Returns the last evaluation of a run; `{}` without one."""
    file = folder / "metrics.json"
    evaluations = json.loads(file.read_text(encoding="utf-8"))["evaluations"] if file.is_file() else []
    return evaluations[-1] if evaluations else {}


__all__ = ["compare_seeds", "is_finished", "seed_arguments", "summarize_seeds"]
