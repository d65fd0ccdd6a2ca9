"""`textgan compare`."""

import argparse
from pathlib import Path

from tqdm import tqdm

from ..comparison.compare import CompareConfig, compare
from ..comparison.measure import OracleMeasure, TextMeasure
from ..comparison.report import sentence, write_report
from ..comparison.sources import LEAST_HELD_OUT, REAL, LinesSource, MarkovSource, ModelSource, OracleSource, halves
from ..data import CaptionGrammar, read_lines, truncate_texts
from ..data.oracle import load_oracle, sample_oracle
from ..runs import ORACLE
from .data import DataArguments, load_eval, load_texts
from .errors import user_errors


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan compare",
        description="Says which of several generators is better: a sweep over temperatures, quality against "
        "diversity, real text and trivial ways to write beside them, and a verdict for each pair with its test.",
        epilog="Runs of one recipe with several training seeds count as one system, and only they can tell systems "
        "apart. PATH@0.7 fixes a temperature.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "sources", nargs="+", metavar="PATH", help="folder of a run, a checkpoint, org/name, or a .txt file of samples"
    )
    parser.add_argument("--eval_file", help="held-out text, one sentence a line (default: that of the runs)")
    parser.add_argument("--train_file", help="the training text (default: that of the runs)")
    parser.add_argument("--output_dir", default="report", help="folder of the report (default: report)")
    parser.add_argument("--num_samples", type=int, default=2000, help="texts per draw (default: 2000)")
    parser.add_argument("--num_seeds", type=int, default=5, help="draws at each temperature (default: 5)")
    parser.add_argument("--temperatures", type=float, nargs="+", help="of the sweep (default: 0.7 0.85 1 1.15)")
    parser.add_argument("--top_p", type=float, nargs="+", help="sweep over these instead, as in 0.8 0.9 1")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of the draws (default: 0)")
    parser.add_argument("--level", type=float, default=0.05, help="of the verdicts (default: 0.05)")
    return parser


def main(argv: list[str]) -> int:
    """Compares generators; see `textgan compare --help`."""
    arguments = make_parser().parse_args(argv)
    with user_errors():
        report_comparison(arguments)
    return 0


def report_comparison(arguments: argparse.Namespace) -> None:
    """Compares, writes the report and prints what it says."""
    result = run_comparison(arguments)
    for verdict in result["verdicts"]:
        print(sentence(verdict))
    for label, remarks in result["remarks"].items():
        for remark in remarks:
            print(f"{label} {remark}.")
    print(f"The report is {Path(arguments.output_dir) / 'report.md'}.")


def run_comparison(arguments: argparse.Namespace) -> dict:
    """Everything is checked before anything is drawn; writes the report."""
    groups, yardsticks, measure, config = prepare(arguments)
    sources = [source for members in (*groups.values(), yardsticks) for source in members]
    draws = sum(len(config.values) if source.swept else 1 for source in sources) * config.num_seeds
    with tqdm(total=draws, unit="draw", desc="textgan compare") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(1)

        result = compare(groups, yardsticks, measure, config, progress)
    write_report(result, Path(arguments.output_dir))
    return result


def prepare(arguments: argparse.Namespace) -> tuple[dict[str, list], list, TextMeasure | OracleMeasure, CompareConfig]:
    """The systems, what is measured beside them, the metrics, and the sizes."""
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
    models = [source for source in sources if isinstance(source, ModelSource)]
    synthetic = [(model.run.record.get("data") or {}).get("dataset_name") == "oracle" for model in models]
    if not any(synthetic):
        measure, yardsticks, config.num_samples = _text_measure(arguments, models, config)
        return groups, yardsticks, measure, config
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
    """The sources by system: runs that differ in nothing but their training seed are one."""
    by_recipe: dict[str, list] = {}
    for source in sources:
        by_recipe.setdefault(source.recipe, []).append(source)
    labels = [members[0].label for members in by_recipe.values()]
    return {
        label if labels.count(label) == 1 and label != REAL else members[0].path: members
        for label, members in zip(labels, by_recipe.values(), strict=True)
    }


def _text_measure(
    arguments: argparse.Namespace, models: list[ModelSource], config: CompareConfig
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
    if options.truncate and models:  # what the models could write
        engine, tokenizer = models[0].run.engine, models[0].run.tokenizer
        held_out_lines, train_lines = (
            truncate_texts(lines, tokenizer, engine.max_length) for lines in (held_out_lines, train_lines)
        )
    real, references = halves(held_out_lines, config.seed)
    if len(held_out) < LEAST_HELD_OUT:
        raise ValueError(
            f"The held-out text has {len(held_out)} lines; give {LEAST_HELD_OUT} or more: one half is compared with "
            "the other."
        )
    num_samples = min(config.num_samples, len(real))  # real text takes the place of samples, at the same size
    split, join = options.split, options.join
    sentences = [split(line) for line in train_lines]
    longest = max(map(len, sentences))
    grammar = CaptionGrammar() if options.dataset_name == "grammar" else None
    yardsticks = [
        LinesSource(REAL, real),
        LinesSource("copied training text", train_lines),
        MarkovSource("trigram sampler", sentences, 3, join, longest),
        MarkovSource("bag of words", sentences, 1, join, longest),
    ]
    return TextMeasure(train_lines, references, split, grammar), yardsticks, num_samples


def _oracle_measure(models: list[ModelSource]) -> tuple[OracleMeasure, list]:
    first, *others = models
    for other in others:
        if other.run.record["oracle"] != first.run.record["oracle"]:
            raise ValueError(f"{first.path} and {other.path} learned from other oracles; compare runs of one oracle.")
    options, length = first.run.record["oracle"], first.run.engine.max_length
    oracle = load_oracle(first.run.root / ORACLE)
    held_out = sample_oracle(oracle, options["oracle_eval_size"], length, options["oracle_seed"], "test")
    return OracleMeasure(oracle, held_out), [OracleSource(oracle, length)]


__all__ = ["group", "main", "make_parser", "prepare", "report_comparison", "run_comparison"]
