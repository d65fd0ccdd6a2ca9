"""`textgan evaluate`."""

import argparse
import functools
from pathlib import Path

from ..data import CaptionGrammar, encode_text, truncate_texts
from ..data.oracle import OracleMetrics, dataset_samples, load_oracle, sample_oracle
from ..data.text import collate
from ..evaluation import (
    SymbolDivergence,
    TextMetrics,
    corpus_nll,
    decode,
    has_likelihood,
    nll_metrics,
    sample_nll,
    sample_sequences,
)
from ..runs import ORACLE, Run, load_run
from ..sampling import Samples
from ..trainer.checkpoints import strict_json, write_text
from .data import DataArguments, load_eval, load_texts
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
    parser.add_argument("--output_file", help="JSON file (default: evaluation.json in the folder of the model)")
    return parser


def main(argv: list[str]) -> int:
    """Measures a generator; see `textgan evaluate --help`."""
    arguments = make_parser().parse_args(argv)
    with user_errors():
        result = evaluate_run(arguments)
    width = max(len(key) for key in result["metrics"])
    for key, value in result["metrics"].items():
        print(f"{key.ljust(width)}  {value:.4f}")
    target = arguments.output_file
    if target is None and Path(arguments.model).is_dir():
        target = str(Path(arguments.model) / "evaluation.json")
    if target is not None:
        write_text(Path(target), strict_json(result))
    return 0


def evaluate_run(arguments: argparse.Namespace) -> dict:
    """The metrics of a generator with what they were computed from."""
    if arguments.num_samples < 2:
        raise ValueError(f"num_samples is {arguments.num_samples}; set it to 2 or more.")
    run = load_run(arguments.model, arguments.max_length)
    data = run.record.get("data") or {}
    evaluate = evaluate_oracle if data.get("dataset_name") == "oracle" else evaluate_texts
    return {
        **evaluate(arguments, run, data),
        "model": arguments.model,
        "num_samples": arguments.num_samples,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
    }


def evaluate_texts(arguments: argparse.Namespace, run: Run, data: dict) -> dict:
    """Of a generator of text: the likelihood of held-out text, and the metrics of samples."""
    if run.tokenizer is None:
        raise ValueError(f"{arguments.model} writes ids and its oracle is not there; measure the folder of its run.")
    options = DataArguments(**data)
    train = None
    if arguments.eval_file is not None:
        texts = load_eval(options, arguments.eval_file)
    else:
        both = load_texts(options) if data else None
        texts, train = (both.eval, both.train) if both is not None else (None, None)
    if texts is None:
        raise ValueError(f"{arguments.model} names no held-out text; add --eval_file FILE.")
    references = texts["text"][:]
    if options.truncate:
        references = truncate_texts(references, run.tokenizer, run.engine.max_length)
    samples = draw(arguments, run)
    metrics = {}
    if has_likelihood(run.model):
        window = run.engine.max_length if options.truncate else None
        held_out = encode_text(texts, run.tokenizer, window, truncate=options.truncate).dataset
        collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
        metrics = nll_metrics(corpus_nll(run.model, run.engine, held_out, collator))
        metrics["nll_div"] = entropy(arguments, run, samples)
    elif train is not None:
        rows = encode_text(train, run.tokenizer, run.engine.max_length, truncate=options.truncate).dataset
        metrics.update(SymbolDivergence(rows, run.engine)(samples))
    texts = decode(run.tokenizer, samples.sequences)
    grammar = CaptionGrammar() if options.dataset_name == "grammar" else None
    metrics.update(TextMetrics(references, options.split, grammar)(texts))
    return {"metrics": metrics, "num_references": len(references), "samples": texts[:20]}


def evaluate_oracle(arguments: argparse.Namespace, run: Run, data: dict) -> dict:
    """Of a generator that learned from an oracle: NLL-oracle, NLL-test (`nll_per_token`) and NLL-div."""
    if arguments.eval_file is not None:
        raise ValueError(f"{arguments.model} writes ids, so --eval_file cannot be measured; leave it out.")
    oracle, options = load_oracle(run.root / ORACLE), run.record["oracle"]
    length = run.engine.max_length
    held_out = sample_oracle(oracle, options["oracle_eval_size"], length, options["oracle_seed"], "test")
    samples = draw(arguments, run)
    metrics = {}
    if has_likelihood(run.model):
        metrics = nll_metrics(sample_nll(run.model, run.engine, dataset_samples(held_out)))
        metrics["nll_div"] = entropy(arguments, run, samples)
    metrics.update(OracleMetrics(oracle)(samples))
    return {"metrics": metrics, "num_references": len(held_out), "samples": decode(None, samples.sequences[:20])}


def draw(arguments: argparse.Namespace, run: Run) -> Samples:
    sequences = sample_sequences(run.model, run.engine, arguments.num_samples, arguments.seed, arguments.temperature)
    return run.engine.as_samples(sequences[: arguments.num_samples])


def entropy(arguments: argparse.Namespace, run: Run, samples: Samples) -> float:
    """NLL-div: the entropy rate of what was drawn, in nats per token."""
    return nll_metrics(sample_nll(run.model, run.engine, samples, arguments.temperature))["nll_per_token"]
