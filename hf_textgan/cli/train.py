"""`textgan train`."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from .. import __version__
from ..data import (
    CaptionGrammar,
    character_tokenizer,
    data_report,
    encode_lines,
    format_report,
    read_lines,
    word_tokenizer,
)
from ..data.text import EncodedText, check_batch
from ..data.tokenizers import special_token_ids
from ..evaluation import TextMetrics
from ..runs import check_output_dir, write_record
from ..trainer.adversarial_trainer import AdversarialTrainer
from .arguments import DataArguments, TrainArguments, parse_train_arguments
from .errors import UserError, user_errors


@dataclass
class Texts:
    """The lines of a run."""

    train: list[str]
    eval: list[str] | None
    grammar: CaptionGrammar | None = None


def main(argv: list[str]) -> int:
    """Trains a system; see `textgan train --help`."""
    with user_errors():
        arguments = parse_train_arguments(argv)
        trainer = build_trainer(arguments)
    resume = arguments.run.resume and any(Path(arguments.training.output_dir).glob("checkpoint-*"))
    try:
        trainer.train(resume_from_checkpoint=resume)
    except FloatingPointError as error:
        raise UserError(str(error)) from error
    trainer.save_model()
    if trainer.is_world_process_zero():
        print(f"\nThe trained models are in {arguments.training.output_dir}; try")
        print(f"    textgan generate {arguments.training.output_dir} --num_samples 10")
    return 0


def build_trainer(arguments: TrainArguments) -> AdversarialTrainer:
    """Everything up to the first step: whatever is wrong with data, names or sizes is found here."""
    state = PartialState()
    say = print if state.is_main_process else _silent
    training, data, system = arguments.training, arguments.data, arguments.system
    output_dir = Path(training.output_dir)
    check_output_dir(output_dir, system.name, arguments.run.resume)
    state.wait_for_everyone()  # before the main process writes to it
    logging.getLogger("httpx").setLevel(logging.WARNING)

    texts = load_texts(data)
    set_seed(training.seed)
    generator, tokenizer = None, None
    if arguments.run.generator_name_or_path is not None:
        generator, tokenizer = load_generator(arguments.run.generator_name_or_path)
        if arguments.configs["generator"]:
            name = next(iter(arguments.configs["generator"]))
            raise ValueError(
                f"generator.{name} is set, but the generator comes from {arguments.run.generator_name_or_path}; "
                "leave one of the two out."
            )
    else:
        make = {"word": word_tokenizer, "character": character_tokenizer}[data.level]
        tokenizer = make(texts.train, data.vocab_size, data.min_count)

    encoded = encode_lines(texts.train, tokenizer, training.max_length)
    check_batch(len(encoded.dataset), training.per_device_train_batch_size * state.num_processes)
    held_out = encode_lines(texts.eval, tokenizer, None).dataset if texts.eval else None
    report = data_report(texts.train, texts.eval, tokenizer, encoded.max_length)
    if texts.grammar is not None:
        report["warnings"] = []  # independent draws repeat; nothing is wrong with them
    say(format_report(report), flush=True)

    if generator is not None:
        limit = getattr(generator.config, "max_position_embeddings", None)
        if limit is not None and encoded.max_length > limit:
            raise ValueError(
                f"The texts have up to {encoded.max_length} tokens and the generator reads {limit}; set --max_length "
                f"{limit} or less."
            )
    players = build_players(arguments, tokenizer, encoded, generator)
    generator = players.pop("generator")

    if texts.eval is None and training.load_best_model_at_end and training.metric_for_best_model in (None, "loss"):
        say("\nThere is no held-out text to tell the best model by: the last one is kept.")
        training.load_best_model_at_end, training.metric_for_best_model = False, None
    split = str.split if data.level == "word" else list
    training.max_length = encoded.max_length
    trainer = AdversarialTrainer(
        model=generator,
        args=training,
        objective=arguments.objective,
        train_dataset=encoded.dataset,
        eval_dataset=held_out,
        processing_class=tokenizer,
        players=players,
        text_metrics=TextMetrics(texts.eval, split, texts.grammar),
    )
    if state.is_main_process:
        write_record(output_dir, describe(arguments))
    sizes = ", ".join(f"{name} {m.num_parameters():,}" for name, m in {"generator": generator, **players}.items())
    say(f"\n{system.name}: {', '.join(f'{p.name} {p.ticks:,} steps' for p in trainer.timetable.phases)}")
    say(f"parameters: {sizes}\n", flush=True)
    return trainer


def _silent(*values: Any, **options: Any) -> None:
    pass


def load_texts(data: DataArguments) -> Texts:
    """The training and held-out lines that the arguments name."""
    if data.dataset_name == "grammar":
        for option in ("train_file", "eval_file"):
            if getattr(data, option) is not None:
                raise ValueError(f"--{option} and --dataset_name grammar are both given; leave one of them out.")
        grammar = CaptionGrammar()
        if data.grammar_train_size < 2 or data.grammar_eval_size < 2:
            raise ValueError(
                f"grammar_train_size is {data.grammar_train_size} and grammar_eval_size {data.grammar_eval_size}; "
                "set both to 2 or more."
            )
        # One stream of captions, cut in two: held-out captions are drawn like the others, not chosen.
        lines = grammar.sample(data.grammar_train_size + data.grammar_eval_size, seed=data.grammar_seed)
        return Texts(lines[: data.grammar_train_size], lines[data.grammar_train_size :], grammar)
    if data.train_file is None:
        raise ValueError("No training text is named; add --train_file FILE or --dataset_name grammar.")
    return Texts(read_lines(data.train_file), read_lines(data.eval_file) if data.eval_file else None)


def load_generator(path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Any causal language model and its tokenizer, in fp32 for training."""
    if not Path(path).is_dir() and (path.count("/") > 1 or path.startswith((".", "/"))):
        raise ValueError(
            f"There is no folder {path}; --generator_name_or_path takes a folder or a repository org/name."
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(path)
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(f"The generator {path} cannot be loaded ({type(error).__name__}: {reason[:300]}).") from error
    return model, tokenizer


def build_players(
    arguments: TrainArguments,
    tokenizer: PreTrainedTokenizerBase,
    encoded: EncodedText,
    generator: PreTrainedModel | None,
) -> dict[str, PreTrainedModel]:
    """The models of the system, sized by the data."""
    bos, eos, pad = special_token_ids(tokenizer)
    from_data = {
        # A pretrained generator may have more symbols than its tokenizer, and may draw them.
        "vocab_size": max(len(tokenizer), generator.config.vocab_size if generator is not None else 0),
        "sequence_length": encoded.max_length,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": pad,
    }
    return {
        name: generator
        if name == "generator" and generator is not None
        else arguments.system.build_player(name, arguments.configs[name], from_data)
        for name in arguments.system.players
    }


def describe(arguments: TrainArguments) -> dict[str, Any]:
    """The record of a run."""
    return {
        "system": arguments.system.name,
        "hf_textgan": __version__,
        "preset": arguments.run.preset,
        "generator_name_or_path": arguments.run.generator_name_or_path,
        "data": vars(arguments.data),
        "max_length": arguments.training.max_length,
        "objective": arguments.objective.hyperparameters(),
        "configs": arguments.configs,
    }
