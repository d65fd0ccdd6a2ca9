"""`textgan evaluate`."""

import argparse
import functools
from pathlib import Path

from ..data import CaptionGrammar, encode_lines, read_lines
from ..data.text import collate
from ..evaluation import TextMetrics, corpus_nll, nll_metrics, sample_texts
from ..runs import load_run
from ..trainer.checkpoints import strict_json, write_text
from .errors import user_errors
from .train import load_texts


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="textgan evaluate",
        description="Measures a trained generator: likelihood of held-out text, BLEU against it, Self-BLEU; for models"
        " of the caption grammar also the exact scores of their samples.",
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
    references, grammar, level = None, None, "word"
    if arguments.eval_file is not None:
        references = read_lines(arguments.eval_file)
    run = load_run(arguments.model, arguments.max_length)
    data = run.record.get("data")
    if data is not None:
        level = data["level"]
        if data["dataset_name"] == "grammar":
            grammar = CaptionGrammar()
        if references is None:
            from .arguments import DataArguments

            references = load_texts(DataArguments(**data)).eval
    if references is None:
        raise ValueError(f"{arguments.model} names no held-out text; add --eval_file FILE.")

    metrics: dict[str, float] = {}
    held_out = encode_lines(references, run.tokenizer).dataset
    collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
    metrics.update(nll_metrics(corpus_nll(run.model, run.engine, held_out, collator)))
    texts = sample_texts(
        run.model, run.engine, run.tokenizer, arguments.num_samples, arguments.seed, arguments.temperature
    )
    split = str.split if level == "word" else list
    metrics.update(TextMetrics(references, split, grammar)(texts))
    return {
        "metrics": metrics,
        "model": arguments.model,
        "num_samples": arguments.num_samples,
        "num_references": len(references),
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        "samples": texts[:20],
    }
