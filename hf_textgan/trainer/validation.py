"""Validation of the arguments before the first step."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from accelerate import Accelerator, DistributedType
from accelerate.utils import DynamoBackend
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..core.objective import Objective
from ..core.schedule import Phase, PhaseSchedule
from ..data.collator import collate
from ..data.lines import check_batch
from ..data.rows import Rows
from ..data.statistics import iterate_ids
from ..evaluation import NLL_BOUND_METRICS, NLL_METRICS
from ..sampling import RolloutEngine, capabilities_of
from ..sampling.checks import check_causal, check_finite
from ..sampling.inputs import draw_missing, inputs_of_columns, unread_columns
from ..utils.numbers import check_memory
from ..utils.random import fork_rng
from .adversarial_config import UNSUPPORTED, AdversarialConfig
from .weights import check_adapter


logger = logging.get_logger(__name__)

_MIN_ENDED = 0.01  # the share of the rows that end with EOS


def check_data(
    args: AdversarialConfig,
    objective: Objective,
    phases: Sequence[Phase],
    train_dataset: Rows,
    eval_dataset: Rows | None,
    engine: RolloutEngine,
) -> None:
    """Raises `ValueError` if the data do not fill a step or show where texts end, or a step is larger than memory."""
    check_batch(len(train_dataset), args.per_device_train_batch_size)
    rows = args.gradient_accumulation_steps * args.per_device_train_batch_size
    for phase in phases:
        repeats = sum(update.repeat for update in phase.updates)
        what = f"An iteration of {repeats} steps of {rows} texts each ({phase.name})"
        check_memory(what, repeats * rows * len(train_dataset[0]["input_ids"]) * 8)
    objective.check_step_size(args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size)
    if eval_dataset is not None and len(eval_dataset) == 0:
        raise ValueError("eval_dataset has 0 rows; give held-out text, or leave eval_dataset out.")
    if objective.couples_batch and args.gradient_accumulation_steps > 1:
        raise ValueError(
            f"gradient_accumulation_steps is {args.gradient_accumulation_steps}, but {type(objective).__name__} "
            "compares the examples of a batch with each other; set it to 1 and raise the batch size."
        )
    if objective.couples_batch and args.world_size > 1 and not objective.several_processes:
        raise ValueError(
            f"This run has {args.world_size} processes, but {type(objective).__name__} compares the examples of a "
            "batch with each other; start 1 process and raise the batch size."
        )
    if engine.eos_token_id is not None:
        _check_ends(train_dataset, engine.eos_token_id, args.max_length)


def _check_ends(dataset: Rows, eos: int, max_length: int | None) -> None:
    """
    Raises `ValueError` if hardly a row ends with EOS. Rows that fill a given `max_length` do not count: those that
    `truncate` of [`encode_lines`] has cut have no end.
    """
    lengths, ids = next(iterate_ids(dataset))
    ends = ids[np.cumsum(lengths) - 1] == eos
    if max_length is not None:
        ends = ends[lengths <= max_length]
    if len(ends) and ends.mean() < _MIN_ENDED:
        number = int(ends.sum())
        raise ValueError(
            f"{number or 'None'} of {len(ends):,} training rows end with the end-of-sequence token (id {eos}), so the "
            "generator would not learn to end a text; make the rows with encode_lines(texts, tokenizer), or set "
            "max_length to the number of their tokens after BOS if they are windows of text."
        )


def check_players(
    generator: PreTrainedModel,
    others: dict[str, PreTrainedModel],
    args: AdversarialConfig,
    objective: Objective,
    phases: Sequence[Phase],
    engine: RolloutEngine,
    tokenizer: PreTrainedTokenizerBase | None,
) -> None:
    """
    Raises `ValueError` if an updated player or a loss is missing, the models do not fit the texts and each other, or a
    player cannot do its job.
    """
    if "generator" in others:
        raise ValueError('players has a "generator", but the generator is passed as model; leave it out of players.')
    named = {"generator": generator, **others}
    schedule = PhaseSchedule(phases)
    for player, optimizer in schedule.optimizers():
        if player not in named:
            raise ValueError(
                f"{type(objective).__name__} updates the player {player!r}, but this run has {', '.join(named)}; pass "
                "it in players."
            )
        _check_part(named[player], player, schedule.part_of(player, optimizer))
    for phase in phases:
        for update in phase.updates:
            objective.loss_of(update)
    optimizers = {f"{update.player}/{phase.optimizer_of(update)}" for phase in phases for update in phase.updates}
    for key in args.optimizer_options:
        if key not in {*named, *optimizers}:
            raise ValueError(
                f"player_optimizers names {key!r}; this run has {', '.join([*named, *sorted(optimizers)])}."
            )
    objective.check_players(named, engine)
    for name, player in named.items():
        check_finite(name, player)
        check_adapter(name, player)
        if getattr(player, "retokenizer", None) is not None:
            continue  # it reads its own tokens
        vocab_size = getattr(player.config, "vocab_size", None)
        if tokenizer is not None and vocab_size is not None and vocab_size < len(tokenizer):
            raise ValueError(
                f"The {name} has vocab_size {vocab_size} and the tokenizer {len(tokenizer)} tokens; build the "
                f"{name} with vocab_size={len(tokenizer)}."
            )
        for option in ("sequence_length", "max_position_embeddings"):
            positions = getattr(player.config, option, None)
            if positions is not None and positions < engine.max_length:
                raise ValueError(
                    f"The {name} reads {positions} tokens and max_length is {engine.max_length}; build it with "
                    f"{option}={engine.max_length}, or lower max_length and leave longer texts out."
                )
    check_causal(generator)


def _check_part(model: PreTrainedModel, player: str, part: str | None) -> None:
    """Raises `ValueError` if the part of a player that an update trains has no parameters to train."""
    parts = {name: any(p.requires_grad for p in module.parameters()) for name, module in model.named_modules()}
    if part is not None and not parts.get(part):
        trainable = ", ".join(name for name, some in parts.items() if name and some)
        raise ValueError(
            f"An update of the {player} trains its part {part!r}, which is no submodule with parameters to train; "
            f"choose one of {trainable}."
        )


def check_accelerator(accelerator: Accelerator) -> None:
    """
    Raises `ValueError` if the launcher or its configuration file asks for what the arguments of the run refuse: only
    the accelerator knows. Warns if the launcher started one process in the place of several.
    """
    state = accelerator.state
    precision, kind = accelerator.mixed_precision, DistributedType(accelerator.distributed_type).value
    if precision not in ("no", "bf16"):
        raise ValueError(f"mixed_precision is {precision!r} in the launch of accelerate, but {UNSUPPORTED['fp16']}.")
    if kind in ("DEEPSPEED", "FSDP", "MEGATRON_LM") or getattr(state, "fsdp_plugin", None) is not None:
        raise ValueError(
            f"The launch of accelerate asks for {kind if kind != 'NO' else 'FSDP'}, but training with several players "
            "supports data parallelism only; leave it out."
        )
    dynamo = getattr(state, "dynamo_plugin", None)
    if dynamo is not None and dynamo.backend != DynamoBackend.NO:
        raise ValueError(
            f"dynamo_backend is {dynamo.backend.value.lower()!r} in the launch of accelerate, but "
            f"{UNSUPPORTED['torch_compile']}."
        )
    # `accelerate launch --cpu` with several processes sets their address, but starts one without a world.
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if launched and accelerator.num_processes == 1 and "WORLD_SIZE" not in os.environ:
        logger.warning(
            "The launch of accelerate asks for several processes, but this is the only one; on CPU start them with "
            "ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2."
        )


def check_columns(
    generator: PreTrainedModel,
    others: dict[str, PreTrainedModel],
    engine: RolloutEngine,
    train_dataset: Rows,
    eval_dataset: Rows | None,
) -> None:
    """
    Raises `ValueError` if a data set has no conditions and the generator needs them, or if they are longer than a
    player reads. Warns if the data have labels or conditions that the generator does not read: it is trained as
    without them.
    """
    if "condition_ids" in capabilities_of(generator).row_inputs:
        longest = 0
        for name, dataset in (("held-out", eval_dataset), ("training", train_dataset)):
            if dataset is None:
                continue
            if "condition_ids" not in dataset[0]:
                raise ValueError(
                    f"A {type(generator).__name__} writes a text given its source, but the {name} data have no "
                    "condition_ids; name the columns (--source_column and --target_column), or take a causal language "
                    "model."
                )
            longest = max(int(lengths.max()) for lengths, _ in iterate_ids(dataset, column="condition_ids"))
            _check_positions("generator", generator, longest, f"a {name} source")
        discriminator = others.get("discriminator")
        if discriminator is not None and getattr(discriminator, "retokenizer", None) is None:
            length = longest + engine.max_length
            _check_positions("discriminator", discriminator, length, "a training source with its text")
    unread = unread_columns(generator, train_dataset[0])
    if unread:
        logger.warning_once(
            f"The training data have {' and '.join(unread)}, which a {type(generator).__name__} does not read: it "
            "learns the text alone; choose a system that uses them, or leave the column out."
        )


def _check_positions(name: str, model: PreTrainedModel, length: int, what: str) -> None:
    for option in ("sequence_length", "max_position_embeddings"):
        positions = getattr(model.config, option, None)
        if positions is not None and positions < length:
            raise ValueError(
                f"The {name} reads {positions} tokens and {what} has up to {length}; leave longer ones out, or build "
                f"the {name} with {option}={length}."
            )


def check_held_out_lengths(eval_dataset: Rows | None, generator: PreTrainedModel) -> None:
    """Raises `ValueError` if a held-out text has more tokens than the generator reads."""
    positions = getattr(generator.config, "max_position_embeddings", None)
    if eval_dataset is not None and positions is not None:
        longest = max(len(eval_dataset[index]["input_ids"]) for index in range(len(eval_dataset)))
        if longest - 1 > positions:  # the last token is predicted, not read
            raise ValueError(
                f"A held-out text has {longest} tokens with BOS and EOS, and the generator reads {positions}; cut the "
                f"held-out texts, or leave out those of more than {positions + 1}."
            )


def check_metric(
    args: AdversarialConfig,
    model: PreTrainedModel,
    engine: RolloutEngine,
    train_dataset: Rows,
    has_text: bool,
    measure: Callable[..., dict[str, float]] | None,
) -> None:
    """Raises `ValueError` if `metric_for_best_model` is not among the metrics that the evaluations will have."""
    name = args.metric_for_best_model
    if name is None or args.eval_strategy == "no":
        return
    kind = capabilities_of(model).likelihood
    likelihood = kind == "exact"
    nll_names = NLL_METRICS if likelihood else NLL_BOUND_METRICS
    names = {*nll_names, "loss"} if has_text and kind is not None else set()
    if measure is not None and name.removeprefix("eval_") not in names:
        rows = [train_dataset[i] for i in range(min(8, len(train_dataset)))]
        batch = collate(rows, engine.pad_token_id)
        sequences = engine.real_sequences(batch)
        names |= {"nll_div"} if likelihood else set()
        with fork_rng("metrics"):
            inputs = draw_missing(model, inputs_of_columns(model, batch), len(rows), engine.max_length)
        names |= set(measure(engine.as_samples(sequences, inputs), given=rows))
    if name.removeprefix("eval_") not in names:
        raise ValueError(
            f"metric_for_best_model is {name!r}, but the evaluations of this run have "
            f"{', '.join(sorted(names)) or 'no metrics'}; choose one of them, or None to keep no best models."
        )


__all__ = [
    "check_accelerator",
    "check_columns",
    "check_data",
    "check_held_out_lengths",
    "check_metric",
    "check_players",
]
