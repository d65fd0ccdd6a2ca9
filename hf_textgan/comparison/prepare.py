"""From paths to a comparison."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..data.caption_grammar import CaptionGrammar
from ..data.encoding import truncate_texts
from ..data.lines import read_lines
from ..data.oracle import load_oracle, sample_oracle
from ..evaluation.text_metrics import MIN_HELD_OUT_LINES
from ..runs.data import DataArguments, load_eval, load_texts
from ..runs.folder import ORACLE_FOLDER
from .compare import CompareConfig, compare
from .measure import OracleMeasure, TextMeasure
from .report import write_report
from .sources import REAL_TEXT_LABEL, LinesSource, MarkovSource, ModelSource, OracleSource, halves


@dataclass
class ComparisonArguments:
    """
    The arguments of a comparison.

    Args:
        sources (`list[str]`):
            Folders of runs, checkpoints, names on the Hub, or `.txt` files of samples; `PATH@0.7` fixes a temperature.
        eval_file, train_file (`str`, *optional*):
            Held-out and training text, one sentence a line; by default those of the runs.
        output_dir (`str`, *optional*, defaults to `"report"`):
            The folder of the report.
        num_samples (`int`, *optional*, defaults to `2000`):
            Texts per draw.
        num_seeds (`int`, *optional*, defaults to `5`):
            Draws at each temperature.
        temperatures, top_p (`list[float]`, *optional*):
            The values of the sweep, of one kind.
        seed (`int`, *optional*, defaults to `0`):
            The first seed of the draws.
        level (`float`, *optional*, defaults to `0.05`):
            The probability of calling any pair of equal systems different.
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


def run_comparison(arguments: ComparisonArguments) -> dict[str, Any]:
    """Compares and writes the report; checks everything before the first draw."""
    groups, reference_sources, measure, config = prepare(arguments)
    sources = [source for members in (*groups.values(), reference_sources) for source in members]
    draws = sum(len(config.values) if source.swept else 1 for source in sources) * config.num_seeds
    with tqdm(total=draws, unit="draw", desc="textgan compare") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(1)

        result = compare(groups, reference_sources, measure, config, progress)
    write_report(result, Path(arguments.output_dir))
    return result


def prepare(
    arguments: ComparisonArguments,
) -> tuple[dict[str, list], list, TextMeasure | OracleMeasure, CompareConfig]:
    """Returns the systems, the reference sources, the metrics, and the sizes."""
    if arguments.temperatures and arguments.top_p:
        raise ValueError("--temperatures and --top_p are both given; leave one of the two out.")
    values = arguments.top_p or arguments.temperatures
    config = CompareConfig(
        sweep="top_p" if arguments.top_p else "temperature",
        **({"values": tuple(sorted(set(values)))} if values else {}),
        num_samples=arguments.num_samples,
        num_seeds=arguments.num_seeds,
        seed=arguments.seed,
        level=arguments.level,
    )
    if Path(arguments.output_dir).is_file():
        raise ValueError(f"{arguments.output_dir} is a file; name a folder for the report.")
    twice = next((path for path in arguments.sources if arguments.sources.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice; name each source once.")
    sources = [_source(path) for path in arguments.sources]
    groups = group(sources)
    models = [source for source in sources if source.is_model]
    synthetic = [(model.run.record.get("data") or {}).get("dataset_name") == "oracle" for model in models]
    if not any(synthetic):
        measure, reference_sources, config.num_samples = _text_measure(arguments, models, config)
        return groups, reference_sources, measure, config
    if not all(synthetic) or len(models) < len(sources):
        raise ValueError("Some of the sources write sequences of an oracle and others text; compare one kind.")
    if config.sweep == "top_p":
        raise ValueError("With --top_p most sequences of an oracle have no likelihood; sweep over --temperatures.")
    return groups, *reversed(_oracle_measure(models)), config


def _source(path: str) -> ModelSource | LinesSource:
    if path.endswith(".txt") and Path(path).is_file():
        return LinesSource(path, read_lines(path))
    return ModelSource(path)


def group(sources: list) -> dict[str, list]:
    """Returns the sources by system; runs that differ only in their training seed are one system."""
    by_run_config: dict[str, list] = {}
    for source in sources:
        by_run_config.setdefault(source.run_config, []).append(source)
    labels = [members[0].label for members in by_run_config.values()]
    return {
        label if labels.count(label) == 1 and label != REAL_TEXT_LABEL else members[0].path: members
        for label, members in zip(labels, by_run_config.values(), strict=True)
    }


def _text_measure(
    arguments: ComparisonArguments, models: list[ModelSource], config: CompareConfig
) -> tuple[TextMeasure, list, int]:
    records = {model.path: model.run.record.get("data") for model in models if model.run.record.get("data")}
    options = DataArguments(**next(iter(records.values()))) if records else DataArguments()
    if not (arguments.train_file and arguments.eval_file):
        if not records:
            raise ValueError(
                "No source names its training and held-out text; add --train_file FILE and --eval_file FILE."
            )
        first, *others = records
        for other in others:
            if {**records[other], "metric_level": options.metric_level} != records[first]:
                raise ValueError(
                    f"{first} and {other} were trained on other text, or on the same read otherwise; name the text to "
                    "compare with by --train_file and --eval_file."
                )
        texts = load_texts(options)
    train = load_eval(options, arguments.train_file) if arguments.train_file else texts.train
    held_out = load_eval(options, arguments.eval_file) if arguments.eval_file else texts.eval
    if held_out is None:
        raise ValueError(f"{models[0].path} names no held-out text; add --eval_file FILE.")
    held_out_lines, train_lines = held_out["text"][:], train["text"][:]
    if options.truncate and models:  # cut to the length that the models can write
        engine, tokenizer = models[0].run.engine, models[0].run.tokenizer
        held_out_lines, train_lines = (
            truncate_texts(lines, tokenizer, engine.max_length) for lines in (held_out_lines, train_lines)
        )
    real, references = halves(held_out_lines, config.seed)
    if len(held_out) < MIN_HELD_OUT_LINES:
        raise ValueError(
            f"The held-out text has {len(held_out)} lines; give {MIN_HELD_OUT_LINES} or more: one half is "
            "compared with the other."
        )
    num_samples = min(config.num_samples, len(real))  # real text takes the place of samples, at the same size
    split, join = options.split, options.join
    sentences = [split(line) for line in train_lines]
    longest = max(map(len, sentences))
    grammar = CaptionGrammar() if options.dataset_name == "grammar" else None
    reference_sources = [
        LinesSource(REAL_TEXT_LABEL, real),
        LinesSource("copied training text", train_lines),
        MarkovSource("trigram sampler", sentences, 3, join, longest),
        MarkovSource("bag of words", sentences, 1, join, longest),
    ]
    return TextMeasure(train_lines, references, split, grammar), reference_sources, num_samples


def _oracle_measure(models: list[ModelSource]) -> tuple[OracleMeasure, list]:
    first, *others = models
    for other in others:
        if other.run.record["oracle"] != first.run.record["oracle"]:
            raise ValueError(f"{first.path} and {other.path} learned from other oracles; compare runs of one oracle.")
    options, length = first.run.record["oracle"], first.run.engine.max_length
    oracle = load_oracle(first.run.root / ORACLE_FOLDER)
    held_out = sample_oracle(oracle, options["oracle_eval_size"], length, options["oracle_seed"], "test")
    return OracleMeasure(oracle, held_out), [OracleSource(oracle, length)]


__all__ = ["ComparisonArguments", "group", "prepare", "run_comparison"]
