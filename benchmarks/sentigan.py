"""
SentiGAN beside its own start, independent generators by maximum likelihood, on short movie reviews of two classes.

    python benchmarks/sentigan.py --data_dir DATA_DIR --seeds 0 1 2

DATA_DIR holds the folder `movie_review15` with `train.txt`, `train.labels.txt`, `test.txt` and `test.labels.txt`: a
sentence or a label a line. For each seed, trains SentiGAN as `textgan train sentigan --preset laptop` does, in one
thread, and keeps the generator as pre-training leaves it: one LSTM for each class that has seen no discriminator. A
finished run is not repeated, an interrupted one resumes, and a call with other seeds adds them to the results.

Then draws `--num_samples` texts of each, half of each class, and measures

- the share that a classifier of words and pairs of words, trained on the training texts, assigns to the class that was
  asked for. It knows the training texts, so copies of them count as right: read it beside the novelty;
- novelty, ``1 - max Jaccard`` with a training text, and diversity, ``1 - max Jaccard`` with another text of the same
  sample, as sets of words, as in the paper. Diversity is measured in groups of as many texts as are held out, so that
  it can be compared with that of held-out text;
- copies of training texts, duplicates, and the length.

The report is benchmarks/results/sentigan.{json,md}.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from common import command_line, make_parser, read_result, run_arguments, write_result
from environment import describe

from hf_textgan.evaluation.generators import decode, sample_sequences
from hf_textgan.metrics.category import NgramClassifier
from hf_textgan.metrics.jaccard import jaccard_diversity, jaccard_novelty
from hf_textgan.runs.build import build_trainer, checkpoint_to_resume
from hf_textgan.runs.folder import PRETRAINED_FOLDER, load_run
from hf_textgan.runs.mle_baseline import SavePretrainedGenerator


CLASSES = ("negative", "positive")
START, GAN = "maximum likelihood (the start)", "SentiGAN"
REAL = ("training text", "held-out text")
# Of the paper, on other movie reviews, with another classifier, 5,000 texts of each class and other sets of words.
PUBLISHED = {
    "training text": {"accuracy": 0.892, "diversity": 0.753},
    START: {"accuracy": 0.622, "novelty": 0.267},  # one model for both classes
    GAN: {"accuracy": 0.885, "novelty": 0.395, "diversity": 0.741},
}
COLUMNS = ("accuracy", *(f"accuracy_{name}" for name in CLASSES), "novelty", "diversity")
COLUMNS += ("copied", "duplicates", "length")


def read_reviews(folder: Path, part: str) -> tuple[list[str], list[int]]:
    """Returns the texts of a part of the data and their classes."""
    texts = (folder / f"{part}.txt").read_text().splitlines()
    labels = [int(line) for line in (folder / f"{part}.labels.txt").read_text().split()]
    return texts, labels


def write_table(path: Path, texts: Sequence[str], labels: Sequence[int]) -> None:
    """Writes texts with the names of their classes as a file for `textgan train`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [("text", "label"), *((text, CLASSES[label]) for text, label in zip(texts, labels, strict=True))]
        )


def train(folder: Path, options: dict[str, Any]) -> None:
    """Trains a run, from the start or its newest checkpoint, and keeps the generator as pre-training leaves it."""
    if (folder / "config.json").is_file():
        return
    arguments = run_arguments("sentigan", folder, **options)
    trainer = build_trainer(arguments, report=print)
    trainer.add_callback(SavePretrainedGenerator(trainer))
    trainer.train(resume_from_checkpoint=checkpoint_to_resume(trainer, arguments))
    trainer.save_model()


def draw(folder: Path, num_samples: int) -> tuple[list[str], list[int]]:
    """Returns texts of a generator and the classes that were asked for, one after the other."""
    run = load_run(
        str(folder), max_length=load_run(str(folder.parent)).engine.max_length if is_start(folder) else None
    )
    bos = run.engine.bos_token_id
    rows = [{"input_ids": [bos, bos], "labels": label} for label in range(len(CLASSES))]
    samples = sample_sequences(run.model, run.engine, num_samples, seed=0, given=rows)[:num_samples]
    return decode(run.tokenizer, samples.sequences), samples.inputs["class_labels"].tolist()


def is_start(folder: Path) -> bool:
    return folder.name == PRETRAINED_FOLDER


def measure(
    texts: list[str], labels: list[int], train_texts: list[str], classifier: NgramClassifier, group: int
) -> dict[str, float]:
    """Returns the metrics of texts; diversity is that of `group` texts, on average."""
    words, known = [text.split() for text in texts], [text.split() for text in train_texts]
    hits = [found == asked for found, asked in zip(classifier.predict(words), labels, strict=True)]
    groups = [words[start : start + group] for start in range(0, max(1, len(words) - group + 1), group)]
    return {
        "accuracy": mean(hits),
        **{
            f"accuracy_{name}": mean(hit for hit, asked in zip(hits, labels, strict=True) if asked == label)
            for label, name in enumerate(CLASSES)
        },
        "novelty": jaccard_novelty(words, known),
        "diversity": mean(jaccard_diversity(part) for part in groups),
        "copied": mean(text in set(train_texts) for text in texts),
        "duplicates": 1 - len(set(texts)) / len(texts),
        "length": mean(map(len, words)),
    }


def measure_text(part: str, data: dict[str, tuple[list[str], list[int]]], classifier: NgramClassifier) -> dict:
    """Measures real text; training text of which only the other training texts count for its novelty has none."""
    texts, labels = data[part]
    metrics = measure(texts, labels, data["train"][0], classifier, len(data["test"][0]))
    return metrics if part == "test" else {key: metrics[key] for key in metrics if key not in ("novelty", "copied")}


def report(result: dict[str, Any]) -> str:
    """Returns the table of the results."""
    seeds = sorted(result["seeds"], key=int)
    lines = [
        "# SentiGAN on short movie reviews",
        "",
        f"Means over the training seeds {', '.join(seeds)}, with the standard deviation; "
        f"{result['num_samples']:,} samples of each generator. Commands, commits and samples are in `sentigan.json`.",
        "",
        "| | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    rows: dict[str, list[dict]] = {name: [result["real"][name]] for name in REAL}
    rows |= {name: [result["seeds"][seed][name]["metrics"] for seed in seeds] for name in (START, GAN)}
    for name, metrics in rows.items():
        lines.append(f"| {name} | " + " | ".join(cell([row.get(c) for row in metrics]) for c in COLUMNS) + " |")
    lines += ["", "Published, for other data and another classifier:", ""]
    for name, values in PUBLISHED.items():
        lines.append(f"- {name}: " + ", ".join(f"{key} {value}" for key, value in values.items()))
    for name in (START, GAN):
        lines += ["", f"## Samples of {name}, seed {seeds[0]}", ""]
        lines += [f"- {text}" for text in result["seeds"][seeds[0]][name]["samples"]]
    return "\n".join(lines) + "\n"


def cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    spread = f" ± {stdev(known):.3f}" if len(known) > 1 else ""
    return f"{mean(known):.3f}{spread}"


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of the data")
    parser.add_argument("--runs", type=Path, default=Path("runs/sentigan"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="training seeds")
    parser.add_argument("--num_samples", type=int, default=2000, help="texts drawn of each generator")
    for name in ("pretrain_generator_steps", "pretrain_discriminator_steps", "max_steps", "num_rollouts"):
        parser.add_argument(f"--{name}", type=int, help="in place of that of the preset")
    options = parser.parse_args(argv)
    run(options, command_line("sentigan.py", argv))


def run(options: argparse.Namespace, command: str) -> None:
    torch.set_num_threads(1)
    folder = options.data_dir / "movie_review15"
    data = {part: read_reviews(folder, part) for part in ("train", "test")}
    files = {part: options.runs / f"{part}.csv" for part in data}
    for part, path in files.items():
        write_table(path, *data[part])
    changed = ("pretrain_generator_steps", "pretrain_discriminator_steps", "max_steps", "num_rollouts")
    changes = {name: getattr(options, name) for name in changed if getattr(options, name) is not None}
    classifier = NgramClassifier().fit([text.split() for text in data["train"][0]], data["train"][1])

    path = options.output_dir / "sentigan.json"
    result = read_result(path)
    result |= {
        "num_samples": options.num_samples,
        "real": {name: measure_text(part, data, classifier) for name, part in zip(REAL, data, strict=True)},
        "seeds": result.get("seeds", {}),
    }
    for seed in options.seeds:
        run_folder = options.runs / f"seed-{seed}"
        values = {"train_file": str(files["train"]), "eval_file": str(files["test"]), "preset": "laptop", "seed": seed}
        train(run_folder, {**values, **changes, "use_cpu": True, "disable_tqdm": True})
        rows: dict[str, Any] = {"command": command, "options": changes, "environment": describe()}
        for name, place in ((START, run_folder / PRETRAINED_FOLDER), (GAN, run_folder)):
            texts, labels = draw(place, options.num_samples)
            metrics = measure(texts, labels, data["train"][0], classifier, len(data["test"][0]))
            shown = [f"{CLASSES[label]}: {text}" for text, label in zip(texts[:10], labels[:10], strict=True)]
            rows[name] = {"metrics": metrics, "samples": shown}
        result["seeds"][str(seed)] = rows
        write_result(path, result)
        path.with_suffix(".md").write_text(report(result))
    print(report(result))


if __name__ == "__main__":
    main()
