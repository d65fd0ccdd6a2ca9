"""From a system and a few names to a trainer."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..data.lines import check_batch
from ..data.loading import load_text
from ..evaluation.token_jsd import TokenJSD
from ..sampling.capabilities import capabilities_of
from ..sampling.engine import RolloutEngine
from ..sampling.loading import load_generator
from ..trainer.adversarial_trainer import AdversarialTrainer
from ..trainer.wall_clock import TimeLimit, WallClock
from ..utils.files import writing_folder
from ..utils.names import is_hub_name
from ..utils.version import __version__
from .arguments import TrainArguments, flatten_options, resolve_arguments
from .card import describe_files, write_card
from .data import Texts, label_names
from .folder import ORACLE_FOLDER, check_output_dir, write_record
from .labels import name_classes
from .mle_baseline import SavePretrainedGenerator, check_held_out, validate_baseline
from .tasks import Task, oracle_task, text_task


def build_run(
    system: str,
    dataset: str | Path | Dataset | Sequence[str] | None = None,
    eval_dataset: str | Path | Dataset | Sequence[str] | None = None,
    *,
    output_dir: str | Path,
    preset: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    report: Callable[[str], Any] | None = None,
    **options: Any,
) -> AdversarialTrainer:
    """
    Builds the trainer that `textgan train SYSTEM` would run.

    Args:
        system (`str`):
            A system, such as `"seqgan"` ([`~systems.SYSTEMS`] lists them).
        dataset (`str`, `Path`, `datasets.Dataset` or `Sequence[str]`, *optional*):
            The training text: `"grammar"`, `"oracle"`, a file, a folder, a name on the Hub, a data set with a column
            of text, or sentences.
        eval_dataset (as `dataset`, but no name on the Hub, *optional*):
            Held-out text.
        output_dir (`str` or `Path`):
            The folder of the run.
        preset (`str`, *optional*):
            `"laptop"` (minutes on two cores) or `"paper"` (the published setting, the default).
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            By default one is built from the training text.
        report (`Callable[[str], Any]`, *optional*):
            Called with the description of data and models, for example `print`.
        options:
            Any option of the command line, such as `max_steps=100` or `num_rollouts=8`; values of a player are given
            as `generator={"hidden_size": 64}` or `**{"generator.hidden_size": 64}`.

    Returns:
        [`AdversarialTrainer`]: call its `train()`, then `save_model()`.

    Raises:
        `ValueError`: If an option, the data or the sizes of the models are wrong; the message names the fix.

    Example:

    ```python
    >>> from hf_textgan import build_run

    >>> trainer = build_run("seqgan", dataset="grammar", preset="laptop", output_dir="runs/seqgan")
    >>> trainer.train()
    >>> trainer.save_model()
    ```"""
    named, texts = _name_datasets(dataset, eval_dataset)
    given = {**flatten_options(options), **named, "preset": preset, "output_dir": str(output_dir)}
    if texts is not None:
        given.update({name: None for name in ("train_file", "eval_file", "dataset_name")})
    arguments = resolve_arguments(system, (given, "the options"))
    if arguments.run.num_seeds > 1:
        raise ValueError(
            f"num_seeds is {arguments.run.num_seeds}, but a trainer trains one run; call build_run for each seed."
        )
    return build_trainer(arguments, texts=texts, tokenizer=tokenizer, report=report)


def _name_datasets(dataset: Any, eval_dataset: Any) -> tuple[dict[str, str], Texts | None]:
    """Returns the options that name the data, or the texts themselves where they are given."""
    if isinstance(dataset, str | Path) and isinstance(eval_dataset, str | Path | None):
        named = {"train_file" if Path(dataset).is_file() else "dataset_name": str(dataset)}
        return (named if eval_dataset is None else {**named, "eval_file": str(eval_dataset)}), None
    if dataset is None:
        if eval_dataset is not None:
            raise ValueError("eval_dataset is given and dataset is not; pass the training text as dataset.")
        return {}, None
    train = _load(dataset)
    names = label_names(train)
    held_out = None if eval_dataset is None else _load(eval_dataset, label_names=names)
    return {}, Texts(train, held_out, label_names=names)


def _load(dataset: Any, **options: Any) -> Dataset:
    """Loads text from a name, a data set or sentences."""
    if isinstance(dataset, list | tuple):
        dataset = Dataset.from_dict({"text": list(dataset)})
    return load_text(dataset, **options)


def build_trainer(
    arguments: TrainArguments,
    texts: Texts | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    report: Callable[[str], Any] | None = None,
) -> AdversarialTrainer:
    """
    Builds everything up to the first step, so that an error in data, names or sizes shows before training.

    Args:
        arguments ([`TrainArguments`]):
            The arguments of the run.
        texts ([`Texts`], *optional*):
            Texts in the place of those that the arguments name.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            A tokenizer in the place of the one that the arguments name.
        report (`Callable[[str], Any]`, *optional*):
            Called in the main process with the description of data and models.
    """
    state = PartialState()
    training, system = arguments.training, arguments.system
    output_dir = training.output_path
    resume = arguments.run.resume or training.resume_from_checkpoint is not None
    check_output_dir(output_dir, system.name, resume)
    state.wait_for_everyone()  # before the main process writes to it
    logging.getLogger("httpx").setLevel(logging.WARNING)

    def tell(text: str) -> None:
        if report is not None and state.is_main_process:
            report(text)

    set_seed(training.seed)
    synthetic = arguments.data.dataset_name == "oracle"
    generator = None
    path = arguments.run.generator_name_or_path
    if path is not None:
        generator, own_tokenizer = load_pretrained(path, with_tokenizer=not synthetic)
        if tokenizer is not None:
            raise ValueError(f"tokenizer and generator_name_or_path={path!r} are both given; leave the former out.")
        tokenizer = own_tokenizer
        if arguments.configs["generator"]:
            name = next(iter(arguments.configs["generator"]))
            raise ValueError(
                f"generator.{name} is set, but the generator comes from {path}; leave one of the two out."
            )
    task = oracle_task(arguments) if synthetic else text_task(arguments, tokenizer, texts)
    if arguments.run.mle_baseline:
        validate_baseline(arguments)
        check_held_out(task.eval)
    check_batch(len(task.train), training.per_device_train_batch_size * state.num_processes)
    tell(task.report)

    players = _build_players(arguments, task, generator)
    name_classes(players, task.class_names, task.train, task.eval)
    generator = players.pop("generator")
    if task.eval is None and training.load_best_model_at_end and training.metric_for_best_model in (None, "loss"):
        tell("\nThere is no held-out text to select the best model by: the last one is kept.")
        training.load_best_model_at_end, training.metric_for_best_model = False, None
    training.max_length = task.max_length
    if capabilities_of(generator).likelihood is None and task.sequence_metrics is None:
        bos, eos, pad = (task.sizes[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id"))
        task.sequence_metrics = TokenJSD(task.train, RolloutEngine(task.max_length, bos, pad, eos))
    limit = arguments.run.max_seconds
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
        callbacks=[WallClock(output_dir) if limit is None else TimeLimit(output_dir, limit)],
    )
    trainer.write_card = write_card
    if arguments.run.mle_baseline:
        trainer.add_callback(SavePretrainedGenerator(trainer))
    if state.is_main_process:
        write_record(output_dir, describe(arguments))
        if task.oracle is not None and not (output_dir / ORACLE_FOLDER / "config.json").is_file():
            with writing_folder(output_dir / ORACLE_FOLDER) as folder:
                task.oracle.save_pretrained(folder)
    sizes = ", ".join(f"{name} {m.num_parameters():,}" for name, m in {"generator": generator, **players}.items())
    phases = ", ".join(f"{phase.name} {phase.iterations:,} iterations" for phase in trainer.schedule.phases)
    tell(f"\n{system.name}: {phases}\nparameters: {sizes}\n")
    return trainer


def _build_players(
    arguments: TrainArguments, task: Task, generator: PreTrainedModel | None
) -> dict[str, PreTrainedModel]:
    """Builds the players of the system that the objective needs, in its order."""
    if generator is not None:
        check_generator(generator, task)
        # A pretrained generator may have more tokens than its tokenizer, and may draw them.
        task.sizes["vocab_size"] = max(task.sizes["vocab_size"], generator.config.vocab_size)
    unused = arguments.objective.unused_players  # the system has numbers for them all the same
    training = arguments.training
    training.player_optimizers = {
        key: values for key, values in training.optimizer_options.items() if key.partition("/")[0] not in unused
    }
    return arguments.system.build_players(
        arguments.configs, task.sizes, {} if generator is None else {"generator": generator}, leave_out=unused
    )


def checkpoint_to_resume(trainer: AdversarialTrainer, arguments: TrainArguments) -> str | None:
    """
    Returns the checkpoint from which the run resumes, or `None` for a fresh start.

    `resume_from_checkpoint` names a folder, or is true for the newest complete checkpoint, which must be there; with
    `resume` a run that has no checkpoint yet starts.
    """
    output_dir = arguments.training.output_path
    named = arguments.training.resume_from_checkpoint
    if isinstance(named, str) and named.lower() in ("true", "false"):
        named = named.lower() == "true"
    if not named and not (arguments.run.resume and any(output_dir.glob("checkpoint-*"))):
        return None
    return str(trainer.find_checkpoint(named or True))


def check_generator(generator: PreTrainedModel, task: Task) -> None:
    """Raises `ValueError` if a pretrained generator does not fit the data."""
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


def load_pretrained(
    name_or_path: str, with_tokenizer: bool = True
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """Loads a pretrained generator, in float32 for training, and its tokenizer."""
    if not Path(name_or_path).is_dir() and not is_hub_name(name_or_path):
        raise ValueError(
            f"There is no folder {name_or_path}; --generator_name_or_path takes a folder or a repository org/name."
        )
    try:
        model = load_generator(name_or_path, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False) if with_tokenizer else None
    except Exception as error:  # safetensors, huggingface_hub and json each raise their own
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The generator {name_or_path} cannot be loaded ({type(error).__name__}: {reason[:300]})."
        ) from error
    return model, tokenizer


def describe(arguments: TrainArguments) -> dict[str, Any]:
    """Returns the record of a run."""
    return {
        "system": arguments.system.name,
        "hf_textgan": __version__,
        "preset": arguments.run.preset,
        "discriminator": arguments.run.discriminator,
        "generator": arguments.run.generator,
        "generator_name_or_path": arguments.run.generator_name_or_path,
        "data": vars(arguments.data),
        **({"files": files} if (files := describe_files(arguments.data)) else {}),
        **({"oracle": vars(arguments.oracle)} if arguments.data.dataset_name == "oracle" else {}),
        "max_length": arguments.training.max_length,
        "max_seconds": arguments.run.max_seconds,
        "objective": arguments.objective.hyperparameters(),
        "configs": arguments.configs,
    }


__all__ = ["build_run", "build_trainer", "checkpoint_to_resume", "load_pretrained"]
