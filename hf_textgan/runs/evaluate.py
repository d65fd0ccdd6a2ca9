"""Metrics of a trained generator."""

import functools
from dataclasses import dataclass
from typing import Any

from ..data.caption_grammar import CaptionGrammar
from ..data.collator import collate
from ..data.encoding import encode_text
from ..data.oracle import dataset_samples, load_oracle, sample_oracle
from ..data.rows import Rows
from ..evaluation.generators import (
    corpus_nll,
    decode,
    importance_weighted_nll,
    nll_metrics,
    sample_nll,
    sample_sequences,
)
from ..evaluation.oracle import OracleMetrics
from ..evaluation.text_metrics import TextMetrics
from ..evaluation.token_jsd import TokenJSD
from ..sampling.capabilities import capabilities_of
from ..sampling.samples import Samples
from .data import DataArguments, encode_held_out, load_eval, load_texts, reference_texts
from .folder import ORACLE_FOLDER, Run, load_run


@dataclass
class EvaluationArguments:
    """
    The arguments of an evaluation.

    Args:
        model (`str`):
            The folder of a run, a checkpoint, or a repository on the Hub.
        eval_file (`str`, *optional*):
            Held-out text, one sentence a line; by default that of the run.
        num_samples (`int`, *optional*, defaults to `1000`):
            Number of samples to measure.
        temperature (`float`, *optional*, defaults to `1.0`):
            Of the samples.
        seed (`int`, *optional*, defaults to `0`):
            Of the samples.
        max_length (`int`, *optional*):
            Largest number of tokens of a sample, EOS included; by default that of the training.
    """

    model: str
    eval_file: str | None = None
    num_samples: int = 1000
    temperature: float = 1.0
    seed: int = 0
    max_length: int | None = None


def evaluate_run(arguments: EvaluationArguments) -> dict[str, Any]:
    """Returns the metrics of a generator with the arguments that they were computed from."""
    if arguments.num_samples < 2:
        raise ValueError(f"num_samples is {arguments.num_samples}; set it to 2 or more.")
    run = load_run(arguments.model, arguments.max_length)
    data = run.record.get("data") or {}
    evaluate = _evaluate_oracle if data.get("dataset_name") == "oracle" else _evaluate_texts
    return {
        **evaluate(arguments, run, data),
        "model": arguments.model,
        "num_samples": arguments.num_samples,
        "temperature": arguments.temperature,
        "seed": arguments.seed,
    }


def _evaluate_texts(arguments: EvaluationArguments, run: Run, data: dict) -> dict[str, Any]:
    """Measures a generator of text: the likelihood of held-out text, and the metrics of samples."""
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
    references = reference_texts(texts, run.tokenizer, run.engine.max_length, options.truncate)
    held_out = encode_held_out(texts, run.tokenizer, run.engine.max_length, options.truncate)
    samples = _draw(arguments, run, held_out)
    metrics = {}
    likelihood = capabilities_of(run.model).likelihood
    if likelihood is not None:
        collator = functools.partial(collate, pad_token_id=run.engine.pad_token_id)
        metrics = nll_metrics(corpus_nll(run.model, run.engine, held_out, collator), likelihood == "bound")
        if hasattr(run.model, "nll_importance_weighted"):
            metrics |= importance_weighted_nll(run.model, run.engine, held_out, collator)
    if likelihood == "exact":
        metrics["nll_div"] = _entropy(arguments, run, samples)
    elif likelihood is None and train is not None:
        rows = encode_text(train, run.tokenizer, run.engine.max_length, truncate=options.truncate).dataset
        metrics.update(TokenJSD(rows, run.engine)(samples))
    texts = decode(run.tokenizer, samples.sequences)
    grammar = CaptionGrammar() if options.dataset_name == "grammar" else None
    metrics.update(TextMetrics(references, options.split, grammar)(texts))
    return {"metrics": metrics, "num_references": len(references), "samples": texts[:20]}


def _evaluate_oracle(arguments: EvaluationArguments, run: Run, data: dict) -> dict[str, Any]:
    """Measures a generator that learned from an oracle: NLL-oracle, NLL-test (`nll_per_token`) and NLL-div."""
    if arguments.eval_file is not None:
        raise ValueError(f"{arguments.model} writes ids, so --eval_file cannot be measured; leave it out.")
    if run.root is None:
        raise ValueError(f"{arguments.model} writes ids and its oracle is not there; measure the folder of its run.")
    oracle, options = load_oracle(run.root / ORACLE_FOLDER), run.record["oracle"]
    length = run.engine.max_length
    held_out = sample_oracle(oracle, options["oracle_eval_size"], length, options["oracle_seed"], "test")
    samples = _draw(arguments, run)
    metrics = {}
    if capabilities_of(run.model).likelihood == "exact":
        metrics = nll_metrics(sample_nll(run.model, run.engine, dataset_samples(held_out)))
        metrics["nll_div"] = _entropy(arguments, run, samples)
    metrics.update(OracleMetrics(oracle)(samples))
    return {"metrics": metrics, "num_references": len(held_out), "samples": decode(None, samples.sequences[:20])}


def _draw(arguments: EvaluationArguments, run: Run, given: Rows | None = None) -> Samples:
    engine = run.engine.at(arguments.temperature)
    return sample_sequences(run.model, engine, arguments.num_samples, arguments.seed, given=given)[
        : arguments.num_samples
    ]


def _entropy(arguments: EvaluationArguments, run: Run, samples: Samples) -> float:
    """Returns NLL-div, the entropy rate of the samples, in nats per token."""
    return nll_metrics(sample_nll(run.model, run.engine.at(arguments.temperature), samples))["nll_per_token"]


__all__ = ["EvaluationArguments", "evaluate_run"]
