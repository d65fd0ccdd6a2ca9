"""`textgan train`."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    set_seed,
)

from .. import __version__
from ..data import data_report, encode_text, format_report, truncate_texts
from ..data.oracle import OracleMetrics, dataset_samples, make_oracle, oracle_sizes, sample_oracle
from ..data.text import check_batch
from ..data.tokenizers import special_token_ids
from ..evaluation import SymbolDivergence, TextMetrics, has_likelihood
from ..runs import ORACLE, check_output_dir, load_generator_model, write_record
from ..sampling import RolloutEngine, Samples
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.checkpoints import writing_folder
from .arguments import TrainArguments, parse_train_arguments
from .data import TEXT_OPTIONS, load_texts, make_tokenizer, refuse
from .errors import UserError, user_errors
from .twin import KeepStart, TimeLimit, WallClock, callbacks, check_held_out, check_twin, comparison_of, twin_of


def main(argv: list[str]) -> int:
    """Trains a system; see `textgan train --help`."""
    with user_errors():
        arguments = parse_train_arguments(argv)
        if arguments.run.mle_twin:
            check_twin(arguments)
        trainer = build_trainer(arguments)
    folder, limit = Path(arguments.training.output_dir), arguments.run.max_seconds
    clock = WallClock(folder) if limit is None else TimeLimit(folder, limit)
    more: list[TrainerCallback] = [clock]
    if arguments.run.mle_twin:
        more.append(KeepStart(trainer, arguments.training.pretrain_generator_steps))
    run_training(trainer, arguments, more)
    if arguments.run.mle_twin:
        twin = twin_of(arguments, trainer.model)
        with user_errors():
            trainer = build_trainer(twin)
        run_training(trainer, twin, callbacks(Path(twin.training.output_dir), clock.seconds))
        if trainer.is_world_process_zero():
            from .compare import report_comparison

            with user_errors():
                report_comparison(comparison_of(Path(arguments.training.output_dir)))
    return 0


def run_training(trainer: AdversarialTrainer, arguments: TrainArguments, more: list[TrainerCallback]) -> None:
    """Trains, or goes on, and saves the models."""
    for callback in more:
        trainer.add_callback(callback)
    folder = Path(arguments.training.output_dir)
    resume = arguments.run.resume and any(folder.glob("checkpoint-*"))
    try:
        trainer.train(resume_from_checkpoint=resume)
    except FloatingPointError as error:
        raise UserError(str(error)) from error
    trainer.save_model()
    if trainer.is_world_process_zero():
        print(f"\nThe trained models are in {folder}; try")
        print(f"    textgan generate {folder} --num_samples 10")


@dataclass
class Task:
    """
    What a run learns from and is measured by.

    Args:
        train, eval (`Dataset`):
            Encoded rows.
        max_length (`int`):
            Generated tokens of the longest one.
        sizes (`dict`):
            What follows for the configurations of the players.
        report (`str`):
            For the user, before the first step.
    """

    train: Dataset
    eval: Dataset | None
    max_length: int
    sizes: dict[str, Any]
    report: str
    tokenizer: PreTrainedTokenizerBase | None = None
    text_metrics: TextMetrics | None = None
    sequence_metrics: Callable[[Samples], dict[str, float]] | None = None


def build_trainer(arguments: TrainArguments) -> AdversarialTrainer:
    """Everything up to the first step: whatever is wrong with data, names or sizes is found here."""
    state = PartialState()
    say = print if state.is_main_process else _silent
    training, system = arguments.training, arguments.system
    output_dir = Path(training.output_dir)
    check_output_dir(output_dir, system.name, arguments.run.resume)
    state.wait_for_everyone()  # before the main process writes to it
    logging.getLogger("httpx").setLevel(logging.WARNING)

    set_seed(training.seed)
    synthetic = arguments.data.dataset_name == "oracle"
    generator, tokenizer = None, None
    if arguments.run.generator_name_or_path is not None:
        generator, tokenizer = load_generator(arguments.run.generator_name_or_path, with_tokenizer=not synthetic)
        if arguments.configs["generator"]:
            name = next(iter(arguments.configs["generator"]))
            raise ValueError(
                f"generator.{name} is set, but the generator comes from {arguments.run.generator_name_or_path}; "
                "leave one of the two out."
            )
    task = oracle_task(arguments) if synthetic else text_task(arguments, tokenizer)
    if arguments.run.mle_twin:
        check_held_out(task.eval)
    check_batch(len(task.train), training.per_device_train_batch_size * state.num_processes)
    say(task.report, flush=True)

    if generator is not None:
        check_generator(generator, task)
        # A pretrained generator may have more symbols than its tokenizer, and may draw them.
        task.sizes["vocab_size"] = max(task.sizes["vocab_size"], generator.config.vocab_size)
    unused = arguments.objective.unused_players  # the system has numbers for them all the same
    training.player_optimizers = {
        key: values for key, values in training.player_optimizers.items() if key.partition("/")[0] not in unused
    }
    players = {
        name: generator
        if name == "generator" and generator is not None
        else system.build_player(name, arguments.configs[name], task.sizes)
        for name in system.players
        if name not in unused
    }
    generator = players.pop("generator")

    if task.eval is None and training.load_best_model_at_end and training.metric_for_best_model in (None, "loss"):
        say("\nThere is no held-out text to tell the best model by: the last one is kept.")
        training.load_best_model_at_end, training.metric_for_best_model = False, None
    training.max_length = task.max_length
    if not has_likelihood(generator) and task.sequence_metrics is None:
        bos, eos, pad = (task.sizes[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id"))
        task.sequence_metrics = SymbolDivergence(task.train, RolloutEngine(task.max_length, bos, pad, eos))
    trainer = AdversarialTrainer(
        model=generator,
        args=training,
        objective=arguments.objective,
        train_dataset=task.train,
        eval_dataset=task.eval,
        processing_class=task.tokenizer,
        players=players,
        text_metrics=task.text_metrics,
        sequence_metrics=task.sequence_metrics,
    )
    if state.is_main_process:
        write_record(output_dir, describe(arguments))
        if synthetic and not (output_dir / ORACLE / "config.json").is_file():
            with writing_folder(output_dir / ORACLE) as folder:
                task.sequence_metrics.oracle.save_pretrained(folder)
    sizes = ", ".join(f"{name} {m.num_parameters():,}" for name, m in {"generator": generator, **players}.items())
    say(f"\n{system.name}: {', '.join(f'{p.name} {p.ticks:,} steps' for p in trainer.timetable.phases)}")
    say(f"parameters: {sizes}\n", flush=True)
    return trainer


def _silent(*values: Any, **options: Any) -> None:
    pass


def text_task(arguments: TrainArguments, tokenizer: PreTrainedTokenizerBase | None) -> Task:
    """The texts that the arguments name, encoded; without a tokenizer one is built from them."""
    data, max_length = arguments.data, arguments.training.max_length
    if tokenizer is not None and data.tokenizer_name_or_path is not None:
        raise ValueError(
            f"--tokenizer_name_or_path and --generator_name_or_path {arguments.run.generator_name_or_path} are both "
            "given; leave the former out: a generator comes with its tokenizer."
        )
    with PartialState().main_process_first():  # the others find the result in the cache
        texts = load_texts(data)
        if tokenizer is None:
            tokenizer = make_tokenizer(data, texts)
        encoded = encode_text(texts.train, tokenizer, max_length, data.min_length, truncate=data.truncate)
        window = encoded.max_length if data.truncate else None
        held_out = None
        if texts.eval is not None:
            held_out = encode_text(texts.eval, tokenizer, window, truncate=data.truncate).dataset
    report = data_report(
        texts.train, texts.eval, tokenizer, encoded.max_length, data.min_length, truncate=data.truncate
    )
    if texts.grammar is not None:
        report["warnings"] = []  # independent draws repeat; nothing is wrong with them
    references = None if texts.eval is None else texts.eval["text"][:]
    if references is not None and data.truncate:  # samples are compared with what they could be
        references = truncate_texts(references, tokenizer, encoded.max_length)
    bos, eos, pad = special_token_ids(tokenizer)
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
        },
        report=format_report(report),
        tokenizer=tokenizer,
        text_metrics=TextMetrics(references, data.split, texts.grammar),
    )


def oracle_task(arguments: TrainArguments) -> Task:
    """The field's synthetic task: sequences of an LSTM oracle, and the likelihood of samples under it."""
    options, length = arguments.oracle, arguments.training.max_length
    refuse(arguments.data, TEXT_OPTIONS, "--dataset_name oracle")
    oracle = make_oracle(
        options.oracle_path, options.oracle_seed, options.oracle_vocab_size, options.oracle_hidden_size
    )
    train = sample_oracle(oracle, options.oracle_train_size, length, options.oracle_seed, "train")
    held_out = sample_oracle(oracle, options.oracle_eval_size, length, options.oracle_seed, "test")
    metrics = OracleMetrics(oracle)
    sizes = oracle.config
    report = (
        f"oracle: {sizes.vocab_size:,} symbols, embedding {sizes.embedding_size}, hidden {sizes.hidden_size}, "
        f"{options.oracle_path or f'seed {options.oracle_seed}'}\n"
        f"sequences of {length} tokens: {len(train):,} to train on, {len(held_out):,} held out, with "
        f"{metrics(dataset_samples(held_out))['nll_oracle']:.3f} nats a token under the oracle itself"
    )
    return Task(
        train=train,
        eval=held_out,
        max_length=length,
        sizes={**oracle_sizes(oracle), "sequence_length": length},
        report=report,
        sequence_metrics=metrics,
    )


def check_generator(generator: PreTrainedModel, task: Task) -> None:
    """Whether a pretrained generator fits the data."""
    limit = getattr(generator.config, "max_position_embeddings", None)
    if limit is not None and task.max_length > limit:
        raise ValueError(
            f"The texts have up to {task.max_length} tokens and the generator reads {limit}; set --max_length "
            f"{limit} or less."
        )
    if task.tokenizer is None:
        for name in ("vocab_size", "bos_token_id", "eos_token_id"):
            if getattr(generator.config, name) != task.sizes[name]:
                raise ValueError(
                    f"The generator has {name} {getattr(generator.config, name)} and the oracle {task.sizes[name]}; "
                    "start from a generator that was trained on this oracle."
                )


def load_generator(path: str, with_tokenizer: bool = True) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """Any causal language model and its tokenizer, in fp32 for training."""
    if not Path(path).is_dir() and (path.count("/") > 1 or path.startswith((".", "/"))):
        raise ValueError(
            f"There is no folder {path}; --generator_name_or_path takes a folder or a repository org/name."
        )
    try:
        model = load_generator_model(path, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(path) if with_tokenizer else None
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(f"The generator {path} cannot be loaded ({type(error).__name__}: {reason[:300]}).") from error
    return model, tokenizer


def describe(arguments: TrainArguments) -> dict[str, Any]:
    """The record of a run."""
    return {
        "system": arguments.system.name,
        "hf_textgan": __version__,
        "preset": arguments.run.preset,
        "discriminator": arguments.run.discriminator,
        "generator": arguments.run.generator,
        "generator_name_or_path": arguments.run.generator_name_or_path,
        "data": vars(arguments.data),
        **({"oracle": vars(arguments.oracle)} if arguments.data.dataset_name == "oracle" else {}),
        "max_length": arguments.training.max_length,
        "max_seconds": arguments.run.max_seconds,
        "objective": arguments.objective.hyperparameters(),
        "configs": arguments.configs,
    }
