"""
The measurements of the systems, read from benchmarks/results: each file with rows of systems has a reader here.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


@dataclass(frozen=True)
class Measurement:
    """
    A table of a file of results.

    Args:
        title (`str`):
            The task.
        file (`str`):
            The name of the JSON file.
        page (`str`):
            The page of `docs/results` that discusses it.
        command (`str`):
            The command that made it.
        conditions (`str`):
            Seeds, samples and hardware, in a sentence.
        columns (`tuple[str, ...]`):
            The names of metrics.
        rows (`dict[str, tuple[float | None, ...]]`):
            For each model its values.
        systems (`frozenset[str]`):
            The systems of which there is a model.
    """

    title: str
    file: str
    page: str
    command: str
    conditions: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]
    systems: frozenset[str]


def measurements(results: Path = RESULTS) -> list[Measurement]:
    """Returns the tables of all files of results that are there."""
    readers = {
        "mle_baseline_grammar.json": lambda f: _report(f, "On captions of the built-in grammar", "on_text.md"),
        "mle_baseline_coco.json": lambda f: _report(f, "On Image COCO captions", "on_text.md"),
        "oracle_t20.json": _oracle,
        "character_gans.json": _characters,
        "vgan_comparison.json": _vgan,
    }
    return [read(results / name) for name, read in readers.items() if (results / name).is_file()]


def _report(file: Path, title: str, page: str) -> Measurement:
    """Reads a report of `textgan compare`: the means over the draws at temperature 1."""
    result = json.loads(file.read_text(encoding="utf-8"))
    report = result["report"]
    columns = ("bleu_2", "bleu_4", "self_bleu_4", "forward_nll", "reverse_nll", "grammar_share")
    rows: dict[str, tuple[float | None, ...]] = {}
    for label, row in report["rows"].items():
        if label not in _REFERENCE_ROWS:
            draws = [draw["metrics"] for draw in row["draws"] if draw["value"] == 1.0]
            rows[_NAMES.get(label, label)] = tuple(
                math.fsum(draw[key] for draw in draws) / len(draws) if key in draws[0] else None for key in columns
            )
    columns, rows = _without_empty(columns, rows)
    config, seed = report["config"], result["command"].rpartition("--seed ")[2]
    return Measurement(
        title,
        file.name,
        page,
        result["command"],
        f"One training seed ({seed}), means of {config['num_seeds']} draws of {config['num_samples']:,} samples at "
        f"temperature 1, {_hardware(result['environment'])}. The row rnnlm is the MLE baseline of the run.",
        columns,
        rows,
        _systems(report["rows"]),
    )


# Sources that `textgan compare` measures beside the models.
_REFERENCE_ROWS = {"copied training text", "trigram sampler", "bag of words"}
# Rows of files that are older than the present names.
_NAMES = {
    "seqgan/mle_start": "seqgan, the generator with which adversarial training began",
    "rnnlm (twin)": "rnnlm, an LSTM of as many parameters",
}


def _characters(file: Path) -> Measurement:
    result = json.loads(file.read_text(encoding="utf-8"))
    columns = ("bleu_2", "bleu_4", "self_bleu_4", "distinct_texts", "jsd_1", "jsd_4")
    rows = {"real text": tuple(result["real"]["metrics"].get(key) for key in columns)}
    seeds = set()
    for label, runs in result["systems"].items():
        (run,) = runs
        seeds.add(run["seed"])
        rows[_NAMES.get(label, label)] = tuple(run["metrics"].get(key) for key in columns)
    (seed,) = seeds
    return Measurement(
        "On the first 32 characters of sentences of SNLI",
        file.name,
        "characters.md",
        result["command"],
        f"One training seed ({seed}), {result['minutes']:g} minutes of training each with the laptop preset, "
        f"{_hardware(result['environment'])}.",
        columns,
        rows,
        _systems(result["systems"]),
    )


def _vgan(file: Path) -> Measurement:
    """Reads BLEU-2 and likelihoods of captions: the means over the seeds."""
    result = json.loads(file.read_text(encoding="utf-8"))
    likelihoods = ("nll_per_sequence", "nll_bound_per_sequence", "nll_iw_50_per_sequence")
    rows: dict[str, tuple[float | None, ...]] = {}
    for label, runs in result["systems"].items():
        scores = [(run["bleu_2"][-1], run["self_bleu_2"], *map(run["likelihood"].get, likelihoods)) for run in runs]
        rows[label] = tuple(
            None if None in values else math.fsum(values) / len(values) for values in zip(*scores, strict=True)
        )
    real = result["real"]
    rows["real text"] = (real["bleu_2"][-1], real["self_bleu_2"], *(None for _ in likelihoods))
    runs = result["systems"]["vgan"]
    seeds = ", ".join(str(run["seed"]) for run in runs)
    return Measurement(
        "On captions of Multi30k",
        file.name,
        "vgan.md",
        result["command"],
        f"{'One training seed' if len(runs) == 1 else 'Means over the training seeds'} ({seeds}), the laptop preset, "
        f"{result['num_samples'][-1]:,} samples against {result['data']['test']:,} test lines, "
        f"{_hardware(runs[-1]['environment'])}.",
        ("bleu_2", "self_bleu_2", *likelihoods),
        rows,
        _systems(result["systems"]),
    )


def _oracle(file: Path) -> Measurement:
    """Reads the last evaluation of each run on the synthetic task."""
    result = json.loads(file.read_text(encoding="utf-8"))
    columns = ("nll_oracle", "nll_per_token", "nll_div")
    ((seed, runs),) = result["seeds"].items()
    rows: dict[str, tuple[float | None, ...]] = {}
    systems, environment = set(), {}
    for label, run in runs.items():
        if isinstance(run, dict) and run.get("finished"):
            name = run["arguments"][0]
            last, environment = run["evaluations"][-1], run["environment"]
            systems.add(name)
            rows[f"{name} ({label.replace('_', ' ')})"] = tuple(last.get(key) for key in columns)
    return Measurement(
        "On the LSTM oracle, 20 tokens",
        file.name,
        "oracle.md",
        result["command"],
        f"One training seed ({seed}), 10,000 samples at temperature 1 after the last step, {_hardware(environment)}. "
        "On this measure a control without a discriminator does better than SeqGAN.",
        columns,
        rows,
        frozenset(systems),
    )


def _without_empty(
    columns: tuple[str, ...], rows: dict[str, tuple[float | None, ...]]
) -> tuple[tuple[str, ...], dict[str, tuple[float | None, ...]]]:
    """Returns a table without the columns in which there is nothing."""
    kept = [i for i in range(len(columns)) if any(values[i] is not None for values in rows.values())]
    return tuple(columns[i] for i in kept), {name: tuple(values[i] for i in kept) for name, values in rows.items()}


def _systems(labels: Any) -> frozenset[str]:
    """Returns the systems in the labels of rows, such as `seqgan/mle_start`."""
    return frozenset(re.split(r"[/, ]", label)[0] for label in labels)


def _hardware(environment: dict[str, Any]) -> str:
    gpu = environment.get("gpu") or "no GPU"
    return (
        f"commit {environment['commit'][:7]}, {environment['torch_threads']} of {environment['cores']} cores of an "
        f"{environment['cpu']}, {gpu}"
    )
