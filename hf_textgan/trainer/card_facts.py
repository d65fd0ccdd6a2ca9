"""The facts of a model card, read from the files of a saved run. Reading them imports nothing of training."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..utils.files import weights_digest


logger = logging.getLogger(__name__)

RUN_DESCRIPTION_FILE = "run.json"
_NUM_SAMPLES = 10


@dataclass
class DatasetFacts:
    """
    The data of a run, in words.

    Args:
        name (`str`):
            Its name for people.
        kind (`str`):
            Its type in the model index: a name on the Hub, or another word.
        description (`str`):
            A sentence, as Markdown.
        hub_name (`str`, *optional*):
            Its name on the Hub.
        config, train_split, eval_split (`str`, *optional*):
            Its configuration and splits.
        files (`dict[str, dict]`, *optional*):
            For each part (such as `train_file`) the `name`, the number of `bytes` and the `sha256` of its file.
        language (`str`, *optional*):
            The language of the text, where it is known.
        license (`str`, *optional*):
            The licence that models trained on it can have without asking anybody, where it is known.
    """

    name: str
    kind: str
    description: str
    hub_name: str | None = None
    config: str | None = None
    train_split: str | None = None
    eval_split: str | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    language: str | None = None
    license: str | None = None


@dataclass
class SystemFacts:
    """
    The part of a card that the record of a system and the arguments of the run know.

    Args:
        name (`str`):
            The system.
        mode (`str`):
            The source of the generator's gradient, in words.
        title, bibtex (`str`):
            Of the paper.
        url (`str`, *optional*):
            The address of the paper.
        deviations (`tuple[str, ...]`):
            Differences from the paper, one sentence each.
        by_likelihood (`bool`):
            Whether the system is trained by maximum likelihood alone.
        command (`str`, *optional*):
            The command that repeats the run, if there is one.
        changed (`list[tuple[str, Any, Any]]`):
            The options whose values differ from those of the record: name, value in the run, value of the record.
        dataset ([`DatasetFacts`]):
            The data.
    """

    name: str
    mode: str
    title: str
    bibtex: str
    url: str | None
    deviations: tuple[str, ...]
    by_likelihood: bool
    command: str | None
    changed: list[tuple[str, Any, Any]]
    dataset: DatasetFacts


@dataclass
class CardFacts:
    """
    The content of the files of a saved run, each empty where the file is missing.

    Args:
        name (`str`):
            The name of the folder.
        run (`dict`):
            `run.json`: what was trained, and under `saved` what was saved ([`~trainer.saved_models.describe_saved`]).
        arguments (`dict`):
            `training_args.json`.
        metrics (`dict`):
            `metrics.json`, the evaluations of the training.
        evaluation (`dict`):
            `evaluation.json` of `textgan evaluate`, if it is of these weights.
        seconds (`dict`):
            `training_seconds.json`.
        samples (`list[str]`):
            The first samples of the evaluation of the saved models.
        has_curves (`bool`):
            Whether there is a `curves.png`.
        has_code (`bool`):
            Whether the folder has the code of the models, so that they load without this package.
        baseline (`dict`):
            The last evaluation of the MLE baseline, if it learned from the same data.
        comparison (`dict`):
            `report/report.json`, if it is of these weights.
    """

    name: str
    run: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, Any] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    has_curves: bool = False
    has_code: bool = False
    baseline: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] = field(default_factory=dict)

    @property
    def saved(self) -> dict[str, Any]:
        """The description of the saved models."""
        return self.run.get("saved", {})

    def evaluation_of(self, step: int | None) -> dict[str, Any]:
        """Returns the evaluation of the training at a step; `{}` without one."""
        found = [entry for entry in self.metrics.get("evaluations", []) if entry.get("step") == step]
        return found[-1] if found else {}

    @property
    def own_evaluation(self) -> dict[str, Any]:
        """The evaluation of the saved models within the training."""
        return self.evaluation_of(self.saved.get("evaluated_at"))


def read_facts(
    folder: Path,
    published: Path | None = None,
    baseline_folder: str = "mle_baseline",
    report_folder: str = "report",
) -> CardFacts:
    """
    Reads the facts of a card from the files of a folder, and what its readers see from the folder with those that are
    published; a damaged file is told and counts as missing.
    """
    published = published or folder
    digest = weights_digest(folder)
    run, evaluation = _read(folder / RUN_DESCRIPTION_FILE), _read(folder / "evaluation.json")
    models = _read(folder / report_folder / "models.json")
    facts = CardFacts(
        name=folder.resolve().name,
        run=run,
        arguments=_read(folder / "training_args.json"),
        metrics=_read(published / "metrics.json"),
        evaluation=evaluation if digest is not None and evaluation.get("weights_sha256") == digest else {},
        seconds=_read(folder / "training_seconds.json"),
        has_curves=(published / "curves.png").is_file(),
        has_code=_has_code(published),
        comparison=_read(folder / report_folder / "report.json") if digest in models.values() else {},
    )
    facts.samples = _samples(folder, facts)
    if (folder / baseline_folder / RUN_DESCRIPTION_FILE).is_file():
        baseline = CardFacts(
            name=baseline_folder,
            run=_read(folder / baseline_folder / RUN_DESCRIPTION_FILE),
            metrics=_read(folder / baseline_folder / "metrics.json"),
        )
        if baseline.run.get("train_data_checksum") == run.get("train_data_checksum"):
            facts.baseline = baseline.own_evaluation
    return facts


def _has_code(folder: Path) -> bool:
    """Returns whether the models of a folder can be loaded by the code that lies beside them."""
    return any("auto_map" in _read(folder / name) for name in ("config.json", "adapter_config.json"))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning("%s is damaged (%s), so the model card leaves it out; restore it.", path, error)
        return {}
    return content if isinstance(content, dict) else {}


def _samples(folder: Path, facts: CardFacts) -> list[str]:
    """Returns the first samples of the evaluation of the saved models, which need not be the last of the run."""
    step, evaluations = facts.saved.get("evaluated_at"), facts.metrics.get("evaluations", [])
    if not isinstance(step, int):
        return []
    path = folder / "samples" / f"step-{step:07d}.txt"
    if not path.is_file():
        path = folder / "samples.txt"
        if not path.is_file() or not evaluations or evaluations[-1].get("step") != step:
            return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for _, line in zip(range(_NUM_SAMPLES), file, strict=False)]


# What an evaluation logs beside its metrics; the loss is the likelihood, which has a name of its own.
_NO_METRICS = {"runtime", "samples_per_second", "steps_per_second", "loss"}


def evaluation_metrics(entry: Mapping[str, Any], prefix: str = "eval_") -> dict[str, float]:
    """Returns the metrics of an evaluation that are finite numbers, by their names without `prefix`."""
    return {
        key.removeprefix(prefix): float(value)
        for key, value in entry.items()
        if key.startswith(prefix) and key.removeprefix(prefix) not in _NO_METRICS
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


__all__ = [
    "CardFacts",
    "DatasetFacts",
    "RUN_DESCRIPTION_FILE",
    "SystemFacts",
    "evaluation_metrics",
    "read_facts",
]
