"""Comparisons of runs, checkpoints and files, given by their paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from tqdm import tqdm

from ..data.caption_grammar import CaptionGrammar
from ..data.encoding import truncate_texts
from ..data.lines import read_lines
from ..data.oracle import load_oracle, sample_oracle
from ..evaluation.classes import names_of_classes, reads_labels, reads_sources
from ..evaluation.text_metrics import MIN_HELD_OUT_LINES
from ..runs.data import DataArguments, Texts, load_eval, load_texts
from ..runs.folder import BASELINE_FOLDER, ORACLE_FOLDER, PRETRAINED_FOLDER, seed_folders
from ..runs.labels import check_held_out_inputs, class_metrics, named_classes
from ..utils.escaping import printable
from ..utils.files import check_output
from .compare import CompareConfig, compare
from .measure import Measure, OracleMeasure, TextMeasure
from .report import write_report
from .sources import (
    REAL_TEXT_LABEL,
    LinesSource,
    MarkovSource,
    ModelSource,
    OracleSource,
    TextSource,
    split_in_halves,
)


@dataclass
class ComparisonArguments:
    """
    The arguments of a comparison.

    Args:
        sources (`list[str]`):
            Folders of runs or of the runs of several seeds, checkpoints, names on the Hub, or `.txt` files of samples;
            `PATH@0.7` fixes a temperature.
        eval_file, train_file (`str`, *optional*):
            Files of held-out and training text, one sentence a line; by default those of the runs.
        output_dir (`str`, *optional*, defaults to `"report"`):
            The folder of the report.
        num_samples (`int`, *optional*, defaults to `2000`):
            The number of texts of a draw.
        num_seeds (`int`, *optional*, defaults to `5`):
            The number of draws at each temperature.
        temperatures, top_p (`list[float]`, *optional*):
            The values of the sweep; only one of the two.
        seed (`int`, *optional*, defaults to `0`):
            The first seed of the draws.
        level (`float`, *optional*, defaults to `0.05`):
            The probability of calling any pair of equal systems different.
        overwrite (`bool`, *optional*, defaults to `False`):
            Whether a report that is there already is replaced.
    """

    sources: list[str]
    eval_file: str | None = None
    train_file: str | None = None
    output_dir: str = "report"
    num_samples: int = 2000
    num_seeds: int = 5
    temperatures: list[float] | None = None
    top_p: list[float] | None = None
    seed: int = 0
    level: float = 0.05
    overwrite: bool = False


def run_comparison(arguments: ComparisonArguments) -> dict[str, Any]:
    """Compares sources, writes the report and returns it; all arguments are checked before the first draw."""
    groups, reference_sources, measure, config = prepare(arguments)
    sources = [source for members in (*groups.values(), reference_sources) for source in members]
    draws = sum(len(config.values) if source.swept else 1 for source in sources) * config.num_seeds
    with tqdm(total=draws, unit="draw", desc="textgan compare") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(printable(text), refresh=False)
            bar.update(1)

        result = compare(groups, reference_sources, measure, config, progress)
    write_report(result, Path(arguments.output_dir))
    return result


def prepare(
    arguments: ComparisonArguments,
) -> tuple[dict[str, list[Any]], list[Any], Measure[Any], CompareConfig]:
    """Returns the systems by label, the reference sources, the metrics and the configuration of a comparison."""
    if arguments.temperatures and arguments.top_p:
        raise ValueError("--temperatures and --top_p are both given; leave one of the two out.")
    values = arguments.top_p or arguments.temperatures or CompareConfig.values
    config = CompareConfig(
        sweep="top_p" if arguments.top_p else "temperature",
        values=tuple(sorted(set(values))),
        num_samples=arguments.num_samples,
        num_seeds=arguments.num_seeds,
        seed=arguments.seed,
        level=arguments.level,
    )
    if Path(arguments.output_dir).is_file():
        raise ValueError(f"{arguments.output_dir} is a file; name a folder for the report.")
    if Path(arguments.output_dir).is_dir():
        check_output(Path(arguments.output_dir) / "report.md", arguments.overwrite)
    paths = [run for path in arguments.sources for run in expand_seeds(path)]
    repeated = next((path for path in paths if paths.count(path) > 1), None)
    if repeated is not None:
        raise ValueError(f"{repeated} is given twice; give each source once.")
    sources = [_source(path) for path in paths]
    groups = group(sources)
    models = [source for source in sources if isinstance(source, ModelSource)]
    synthetic = [(model.run.record.get("data") or {}).get("dataset_name") == "oracle" for model in models]
    if not any(synthetic):
        text_measure, text_sources, config.num_samples = _text_measure(arguments, models, config)
        return groups, text_sources, text_measure, config
    if not all(synthetic) or len(models) < len(sources):
        raise ValueError("Some sources write sequences of an oracle and others text; compare one kind.")
    if config.sweep == "top_p":
        raise ValueError("With --top_p most sequences of an oracle have no likelihood; sweep over --temperatures.")
    oracle_measure, oracle_source = _oracle_measure(models)
    return groups, [oracle_source], oracle_measure, config


def expand_seeds(path: str) -> list[str]:
    """
    Returns the runs in a folder of several seeds: those of the system, the generators with which their adversarial
    training began, and their baselines, where they are there. Any other path is returned as it is; `PATH@0.7` fixes a
    temperature.

    Raises:
        `ValueError`: If a run in the folder is not finished.
    """
    before, at, after = path.rpartition("@")
    folder, suffix = (Path(before), at + after) if at and not Path(path).exists() else (Path(path), "")
    runs = [] if (folder / "config.json").is_file() else seed_folders(folder)
    unfinished = next((run for run in runs if not (run / "config.json").is_file()), None)
    if unfinished is not None:
        raise ValueError(
            f"{unfinished} holds no finished model; finish it with --resume, or name the runs one by one."
        )
    parts = [runs, *([run / part for run in runs] for part in (PRETRAINED_FOLDER, BASELINE_FOLDER))]
    models = [str(model) + suffix for part in parts for model in part if (model / "config.json").is_file()]
    return models or [path]


def _source(path: str) -> ModelSource | LinesSource:
    if path.endswith(".txt") and Path(path).is_file():
        return LinesSource(path, read_lines(path))
    return ModelSource(path)


def group(sources: Sequence[ModelSource | LinesSource]) -> dict[str, list[ModelSource | LinesSource]]:
    """Returns the sources by system; runs that differ only in their training seed are one system."""
    by_run_config: dict[str, list[ModelSource | LinesSource]] = {}
    for source in sources:
        by_run_config.setdefault(source.run_config, []).append(source)
    labels = [members[0].label for members in by_run_config.values()]
    return {
        label if labels.count(label) == 1 and label != REAL_TEXT_LABEL else members[0].path: members
        for label, members in zip(labels, by_run_config.values(), strict=True)
    }


def _text_measure(
    arguments: ComparisonArguments, models: list[ModelSource], config: CompareConfig
) -> tuple[TextMeasure, list[TextSource], int]:
    """Returns the metrics, the reference sources and the number of samples of a comparison of texts."""
    # With the defaults of options that an older version did not have.
    records: dict[str, dict[str, Any]] = {
        model.path: vars(DataArguments(**model.run.record["data"])) for model in models if model.run.record.get("data")
    }
    options = DataArguments(**next(iter(records.values()))) if records else DataArguments()
    if not (arguments.train_file and arguments.eval_file):
        if not records:
            raise ValueError("No source has training and held-out text; add --train_file FILE and --eval_file FILE.")
        first, *others = records
        for other in others:
            if {**records[other], "metric_level": options.metric_level} != records[first]:
                raise ValueError(
                    f"{first} and {other} were trained on different text, or with different options for it; give the "
                    "text of the comparison with --train_file and --eval_file."
                )
        texts = load_texts(options)
    names = next((named for model in models if (named := named_classes(model.run.model)) is not None), None)
    train = load_eval(options, arguments.train_file, names) if arguments.train_file else texts.train
    held_out = load_eval(options, arguments.eval_file, names) if arguments.eval_file else texts.eval
    if held_out is None:
        raise ValueError(f"{models[0].path} has no held-out text; add --eval_file FILE.")
    train_lines = train["text"][:]
    if options.truncate and models and models[0].run.tokenizer is not None:  # as long as texts of the models
        engine, tokenizer = models[0].run.engine, models[0].run.tokenizer
        held_out = _with_texts(held_out, truncate_texts(held_out, tokenizer, engine.max_length))
        train_lines = truncate_texts(train_lines, tokenizer, engine.max_length)
    real, references = split_in_halves(held_out, config.seed)
    for model in models:
        if reads_sources(model.run.model) or "label" in held_out.column_names:
            check_held_out_inputs(model.run.model, model.path, held_out, "the held-out text of the comparison")
        model.draw_for(real)
    if len(held_out) < MIN_HELD_OUT_LINES:
        raise ValueError(
            f"The held-out text has {len(held_out)} lines; give {MIN_HELD_OUT_LINES} or more: one half is "
            "compared with the other."
        )
    num_samples = min(config.num_samples, len(real))  # a draw has as many texts from models as from real text
    split, join = options.split, options.join
    sentences = [split(line) for line in train_lines]
    max_length = max(map(len, sentences))
    grammar = CaptionGrammar() if options.dataset_name == "grammar" else None
    classes = None
    labelled = "label" in held_out.column_names and "label" in train.column_names
    if labelled and (reading := next((model for model in models if reads_labels(model.run.model)), None)) is not None:
        classes = class_metrics(
            Texts(train, references), references["text"][:], names_of_classes(reading.run.model), split
        )
    real_labels, train_labels = ((part["label"][:] if classes is not None else None) for part in (real, train))
    reference_sources: list[TextSource] = [
        LinesSource(REAL_TEXT_LABEL, real["text"][:], real_labels),
        LinesSource("copied training text", train_lines, train_labels),
        MarkovSource("trigram sampler", sentences, 3, join, max_length),
        MarkovSource("bag of words", sentences, 1, join, max_length),
    ]
    return TextMeasure(train_lines, references, split, grammar, classes), reference_sources, num_samples


def _with_texts(dataset: Dataset, texts: list[str]) -> Dataset:
    """Returns a data set with other texts in their rows."""
    columns = {name: dataset[name][:] for name in dataset.column_names}
    return Dataset.from_dict({**columns, "text": texts}, features=dataset.features)


def _oracle_measure(models: list[ModelSource]) -> tuple[OracleMeasure, OracleSource]:
    """Returns the metrics and the reference source of a comparison of sequences of an oracle."""
    first, *others = models
    for other in others:
        if other.run.record["oracle"] != first.run.record["oracle"]:
            raise ValueError(
                f"{first.path} and {other.path} were trained on different oracles; compare runs on one oracle."
            )
    options, length = first.run.record["oracle"], first.run.engine.max_length
    oracle = load_oracle(Path(first.path if first.run.root is None else first.run.root) / ORACLE_FOLDER)
    held_out = sample_oracle(oracle, options["oracle_eval_size"], length, options["oracle_seed"], "test")
    return OracleMeasure(oracle, held_out), OracleSource(oracle, length)


__all__ = ["ComparisonArguments", "group", "prepare", "run_comparison"]
