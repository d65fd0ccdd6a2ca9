"""The encoded data of a run, with the metrics that belong to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.encoding import encode_training_text
from ..data.oracle import dataset_samples, make_oracle, oracle_sizes, sample_oracle
from ..data.report import format_report
from ..data.tokenizers import special_token_ids
from ..evaluation.generators import check_samples
from ..evaluation.oracle import OracleMetrics
from ..evaluation.text_metrics import TextMetrics
from ..sampling.samples import Samples
from ..utils.numbers import check_memory
from .arguments import DATASET_DEFAULTS, TrainArguments
from .data import (
    TEXT_OPTIONS,
    Texts,
    describe_texts,
    encode_held_out,
    load_texts,
    make_tokenizer,
    raise_if_set,
    reference_texts,
)
from .labels import check_needs, class_names


@dataclass
class Task:
    """
    The data and the metrics of a run.

    Args:
        train, eval (`Dataset`):
            Encoded rows.
        max_length (`int`):
            Number of generated tokens of the longest row.
        sizes (`dict`):
            Values that follow for the configurations of the players, such as `vocab_size`.
        report (`str`):
            A description for the user, before the first step.
        class_names (`list[str]`, *optional*):
            The classes in the order of their numbers, if the texts have labels; the numbers themselves where the
            classes have no names.
    """

    train: Dataset
    eval: Dataset | None
    max_length: int
    sizes: dict[str, Any]
    report: str
    tokenizer: PreTrainedTokenizerBase | None = None
    text_metrics: TextMetrics | None = None
    sequence_metrics: Callable[[Samples], dict[str, float]] | None = None
    oracle: PreTrainedModel | None = None
    class_names: list[str] | None = None


def text_task(
    arguments: TrainArguments, tokenizer: PreTrainedTokenizerBase | None = None, texts: Texts | None = None
) -> Task:
    """
    Encodes the texts of a run.

    Args:
        arguments ([`TrainArguments`]):
            Name the texts and the options of their encoding.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            By default the one that the arguments name, or one built from the training text.
        texts ([`Texts`], *optional*):
            Texts in the place of those that the arguments name.
    """
    data, max_length = arguments.data, arguments.training.max_length
    if tokenizer is not None and data.tokenizer_name_or_path is not None:
        raise ValueError(
            f"--tokenizer_name_or_path and --generator_name_or_path {arguments.run.generator_name_or_path} are both "
            "given; leave the former out: a generator comes with its tokenizer."
        )
    source = "text to train on" if data.dataset_name is None else f"--dataset_name {data.dataset_name}"
    raise_if_set(arguments.oracle, tuple(vars(arguments.oracle)), source)
    with PartialState().main_process_first():  # the others find the result in the cache
        texts = load_texts(data) if texts is None else texts
        check_needs(arguments.system, data, texts)
        if tokenizer is None:
            tokenizer = make_tokenizer(data, texts)
        options = {"min_length": data.min_length, "truncate": data.truncate}
        encoded = encode_training_text(texts.train, tokenizer, max_length, **options)
        check_samples(arguments.training.eval_num_samples, encoded.max_length, "eval_num_samples")
        held_out, references = None, None
        if texts.eval is not None:
            held_out = encode_held_out(texts.eval, tokenizer, encoded.max_length, data.truncate)
            references = reference_texts(texts.eval, tokenizer, encoded.max_length, data.truncate)
    report = describe_texts(data, texts, tokenizer, encoded.max_length)
    bos, eos, pad = special_token_ids(tokenizer)
    names = class_names(texts, encoded.dataset)
    return Task(
        train=encoded.dataset,
        eval=held_out,
        max_length=encoded.max_length,
        sizes={
            "vocab_size": len(tokenizer),
            "sequence_length": encoded.max_length,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "pad_token_id": pad,
            **({} if names is None else {"num_classes": len(names)}),
        },
        report=format_report(report),
        tokenizer=tokenizer,
        text_metrics=TextMetrics(references, data.split, texts.grammar),
        class_names=names,
    )


def oracle_task(arguments: TrainArguments) -> Task:
    """Draws the sequences of the field's synthetic task from an LSTM oracle, which also scores the samples."""
    options, length = arguments.oracle, arguments.training.max_length
    length = DATASET_DEFAULTS["oracle"]["max_length"] if length is None else length
    raise_if_set(arguments.data, TEXT_OPTIONS, "--dataset_name oracle")
    if "conditions" in arguments.system.needs:
        raise ValueError(
            f"{arguments.system.name} needs conditions and the oracle has none; train it on pairs of texts."
        )
    vocab_size, hidden_size = options.oracle_vocab_size or 1, options.oracle_hidden_size or 1
    check_memory("An oracle of these sizes", 8 * (vocab_size + 4 * hidden_size) * hidden_size, "lower oracle_*_size")
    check_samples(arguments.training.eval_num_samples, length, "eval_num_samples")
    check_samples(options.oracle_train_size, length, "oracle_train_size")
    check_samples(options.oracle_eval_size, length, "oracle_eval_size")
    oracle = make_oracle(
        options.oracle_path, options.oracle_seed, options.oracle_vocab_size, options.oracle_hidden_size
    )
    train = sample_oracle(oracle, options.oracle_train_size, length, options.oracle_seed, "train")
    held_out = sample_oracle(oracle, options.oracle_eval_size, length, options.oracle_seed, "test")
    metrics = OracleMetrics(oracle)
    names = None
    if "labels" in arguments.system.needs:  # all sequences of the oracle are of one class
        names = ["0"]
        train, held_out = (rows.add_column("labels", [0] * len(rows)) for rows in (train, held_out))
    sizes = oracle.config
    report = (
        f"oracle: {sizes.vocab_size:,} tokens, embedding {sizes.embedding_size}, hidden {sizes.hidden_size}, "
        f"{options.oracle_path or f'seed {options.oracle_seed}'}\n"
        f"sequences of {length} tokens: {len(train):,} to train on, {len(held_out):,} held out, with "
        f"{metrics(dataset_samples(held_out))['nll_oracle']:.3f} nats a token under the oracle itself"
    )
    return Task(
        train=train,
        eval=held_out,
        max_length=length,
        sizes={
            **oracle_sizes(oracle),
            "sequence_length": length,
            **({} if names is None else {"num_classes": len(names)}),
        },
        report=report,
        sequence_metrics=metrics,
        oracle=oracle,
        class_names=names,
    )


__all__ = ["Task", "oracle_task", "text_task"]
