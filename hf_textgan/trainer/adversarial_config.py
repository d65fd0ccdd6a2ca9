"""The arguments of adversarial training."""

import copy
import inspect
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments, get_scheduler
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
from transformers.trainer_utils import HubStrategy, SchedulerType
from transformers.training_args import OptimizerNames

from ..core.optimizer_arguments import OPTIMIZER_ARGUMENTS
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Range, check_number, check_numbers


# Arguments of TrainingArguments that several players leave without a meaning, and the reason. Any other value than the
# default is an error, and the help of the command line does not list them.
UNSUPPORTED: dict[str, str] = {
    "num_train_epochs": "adversarial training counts iterations; set max_steps and pretrain_generator_steps instead",
    "fp16": "its loss scaling is shared by all optimizers and breaks with several players; use bf16",
    "fp16_full_eval": "evaluation samples and scores in the dtype of the models; leave it out",
    "bf16_full_eval": "it would leave the models in bfloat16 for the training that follows; use bf16",
    "auto_find_batch_size": "a run cannot start again with other batches; set per_device_train_batch_size",
    "ignore_data_skip": "a resumed run reads the data of its iteration without skipping; leave it out",
    "deepspeed": "training with several players does not support it; leave it out",
    "fsdp": "training with several players does not support it; leave it out",
    "fsdp_config": "training with several players does not support FSDP; leave it out",
    "parallelism_config": "training with several players supports data parallelism only; leave it out",
    "torch_compile": "sampling calls the models with a new length at each position; leave it out",
    "torch_compile_backend": "sampling calls the models with a new length at each position; leave it out",
    "torch_compile_mode": "sampling calls the models with a new length at each position; leave it out",
    "use_liger_kernel": "the losses of the objectives do not use its kernels; leave it out",
    "liger_kernel_config": "the losses of the objectives do not use its kernels; leave it out",
    "neftune_noise_alpha": "no objective adds noise to embeddings; leave it out",
    "label_smoothing_factor": "the losses are those of the objective; leave it out",
    "average_tokens_across_devices": "a step always divides by the tokens of all processes; leave it out",
    "torch_empty_cache_steps": "an iteration has the steps of several players; set PYTORCH_CUDA_ALLOC_CONF instead",
    "optim_target_modules": "the optimizers that need it are not supported; leave it out",
    "prediction_loss_only": "an evaluation measures likelihood and samples; leave it out",
    "eval_do_concat_batches": "an evaluation measures likelihood and samples; leave it out",
    "eval_use_gather_object": "an evaluation measures likelihood and samples; leave it out",
    "eval_accumulation_steps": "an evaluation measures likelihood and samples; leave it out",
    "include_for_metrics": "an evaluation measures likelihood and samples; pass text_metrics or sequence_metrics",
    "batch_eval_metrics": "an evaluation measures likelihood and samples; leave it out",
    "include_num_input_tokens_seen": "the real and the generated tokens of several players have no common count; "
    "leave it out",
    "restore_callback_states_from_checkpoint": "the schedule of a resumed run is that of its arguments; leave it out",
    "enable_jit_checkpoint": "a checkpoint within an iteration could not be resumed exactly; lower save_steps",
    "dataloader_drop_last": "the batches of a player follow one another across epochs and are always full; "
    "leave it out",
    "train_sampling_strategy": "each player reads permutations of the data; leave it out",
    "length_column_name": "each player reads permutations of the data; leave it out",
    "remove_unused_columns": "the rows are read by this library and not by the model's forward; leave it out",
    "label_names": "a generator has no labels; leave it out",
    "do_train": "the Trainer does not read it; call train()",
    "do_eval": "the Trainer does not read it; set eval_strategy",
    "do_predict": "a generator has no predictions; sample from it",
}


_RANGES: dict[str, Range] = {
    "learning_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "adam_beta1": (0.0, 0.9999999, True),
    "adam_beta2": (0.0, 0.9999999, True),
    "adam_epsilon": NOT_NEGATIVE,
    "max_grad_norm": NOT_NEGATIVE,
    "warmup_steps": NOT_NEGATIVE,
    "logging_steps": NOT_NEGATIVE,
    "eval_steps": NOT_NEGATIVE,
    "eval_delay": NOT_NEGATIVE,
    "save_steps": NOT_NEGATIVE,
    "save_total_limit": NOT_NEGATIVE,
    "dataloader_num_workers": (0.0, 1024.0, True),
    "gradient_accumulation_steps": AT_LEAST_ONE,
    "per_device_train_batch_size": AT_LEAST_ONE,
    "per_device_eval_batch_size": AT_LEAST_ONE,
    "temperature": POSITIVE,
    "max_length": AT_LEAST_ONE,
    "rollout_chunk_size": AT_LEAST_ONE,
    "eval_num_samples": AT_LEAST_ONE,
    "max_skipped_steps": AT_LEAST_ONE,
    "seed": NOT_NEGATIVE,
    "data_seed": NOT_NEGATIVE,
    "eval_seed": NOT_NEGATIVE,
}


def _number(value: Any) -> Any:
    """Returns the number that a word of JSON or the command line means; other words as they are."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# They step after an evaluation; the schedule of a player steps with its optimizer.
_SCHEDULES_OF_A_METRIC = {"reduce_lr_on_plateau", "greedy"}


def _check_schedule_name(owner: str, kind: Any) -> None:
    """Raises `ValueError` if there is no such schedule."""
    schedules = sorted({str(kind.value) for kind in SchedulerType} - _SCHEDULES_OF_A_METRIC)
    if kind not in schedules:
        raise ValueError(f"{owner}lr_scheduler_type is {kind!r}; use one of {', '.join(schedules)}.")


def _check_schedule(owner: str, kind: Any, options: Any) -> None:
    """Raises `ValueError` if there is no such schedule, or it does not take the options."""
    _check_schedule_name(owner, kind)
    options = options or {}
    if not isinstance(options, dict):
        raise ValueError(f'{owner}lr_scheduler_kwargs is {options!r}; give a mapping, such as {{"num_cycles": 2}}.')
    known = inspect.signature(TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(kind)]).parameters
    for name in options:
        if name not in known:
            raise ValueError(
                f"{owner}lr_scheduler_kwargs has the name {name!r}, which the {SchedulerType(kind).value} schedule "
                f"does not take; it takes {', '.join(known)}."
            )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    try:
        get_scheduler(kind, optimizer, 1, 10, scheduler_specific_kwargs=options)
    except (TypeError, ValueError) as error:  # an option that is missing, or has no meaning
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{owner}lr_scheduler_kwargs is {options!r}, of which the {SchedulerType(kind).value} schedule cannot be "
            f"made ({reason}); change it."
        ) from error


@dataclass
class AdversarialConfig(TrainingArguments):
    r"""
    Arguments of [`AdversarialTrainer`], beside those of [`~transformers.TrainingArguments`].

    > Steps

    max_steps (`int`, *optional*, defaults to `0`):
        Iterations of adversarial training.
    pretrain_generator_steps (`int`, *optional*, defaults to `0`):
        Iterations of maximum-likelihood pre-training of the generator before them.
    pretrain_discriminator_steps (`int`, *optional*, defaults to `0`):
        Iterations of pre-training of the discriminator between the two.

    > Optimizers

    player_optimizers (`dict[str, dict]`, *optional*):
        Optimizer arguments of a player (`{"discriminator": {"learning_rate": 1e-4}}`) or of one of its phases
        (`{"generator/pretrain_generator": {...}}`), where they differ from the arguments of the run. Each phase of a
        player has an optimizer and a schedule of its own.
    max_skipped_steps (`int`, *optional*, defaults to `10`):
        Training stops when this many steps in a row of one player had a NaN or infinite loss or gradient.

    on_collapse (`"warn"`, `"stop"` or `"rollback"`, *optional*, defaults to `"warn"`):
        What follows when an evaluation shows that the generator writes few different texts, against the start of the
        phase: a warning; the end of the run; or its end with the best models of the phase.

    > Sampling

    max_length (`int`, *optional*):
        Generated tokens, EOS included. Defaults to the longest training text that is no outlier.
    temperature (`float`, *optional*, defaults to `1.0`):
        Sampling temperature of the generator in training and evaluation.
    rollout_chunk_size (`int`, *optional*):
        Continuations that advance together; bounds the memory of rollouts. By default little memory.

    > Evaluation

    eval_num_samples (`int`, *optional*, defaults to `1000`):
        Samples drawn for the metrics of an evaluation.
    eval_seed (`int`, *optional*, defaults to `0`):
        Seed of these samples.

    Other defaults that differ from `TrainingArguments`: batch size 64, learning rate 1e-3 constant, gradient norm
    clipped at 5, `use_cache=True`, `hub_strategy="end"`. Without `metric_for_best_model` the likelihood of the
    held-out text decides each phase's best models.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "player_optimizers"]

    max_steps: int = field(default=0, metadata={"help": "Iterations of adversarial training."})
    pretrain_generator_steps: int = field(
        default=0, metadata={"help": "Iterations of maximum-likelihood training before adversarial training."}
    )
    pretrain_discriminator_steps: int = field(
        default=0, metadata={"help": "Iterations of discriminator training before adversarial training."}
    )

    player_optimizers: dict | str | None = field(
        default=None,
        metadata={
            "help": 'Optimizer arguments of a player or phase, as in \'{"discriminator": {"weight_decay": 0.1}}\'.'
        },
    )
    max_skipped_steps: int = field(
        default=10,
        metadata={"help": "Stop after this many steps in a row with a NaN or infinite loss or gradient."},
    )

    on_collapse: Literal["warn", "stop", "rollback"] = field(
        default="warn",
        metadata={
            "help": "When the samples of an evaluation collapse to few different texts: warn, stop the run, or stop "
            "it and go back to the best models of the phase (rollback)."
        },
    )

    max_length: int | None = field(
        default=None,
        metadata={
            "help": "Generated tokens, EOS included; longer training texts are left out. Default: the longest, or "
            "less where a few are far longer than all others."
        },
    )
    temperature: float = field(default=1.0, metadata={"help": "Sampling temperature in training and evaluation."})
    rollout_chunk_size: int | None = field(
        default=None, metadata={"help": "Continuations that advance together; bounds the memory of rollouts."}
    )

    eval_num_samples: int = field(default=1000, metadata={"help": "Samples drawn for the metrics of an evaluation."})
    eval_seed: int = field(default=0, metadata={"help": "Seed of the samples of an evaluation."})

    per_device_train_batch_size: int = field(default=64, metadata={"help": "The batch size per device for training."})
    per_device_eval_batch_size: int = field(
        default=256, metadata={"help": "The batch size per device for evaluation."}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "The initial learning rate of every optimizer."})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "The learning rate schedule."})
    max_grad_norm: float = field(default=5.0, metadata={"help": "Bound on each player's gradient norm; 0 for none."})
    logging_steps: float = field(default=10, metadata={"help": "Log every this many steps."})
    hub_strategy: str = field(
        default="end",
        metadata={"help": 'Push when the training is over ("end"), or at every save ("every_save").'},
    )
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={"help": "A checkpoint to resume, or true for the newest complete one in output_dir."},
    )
    use_cache: bool = field(default=True, metadata={"help": "The saved generators keep a state in `generate`."})

    def __post_init__(self) -> None:
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            smaller = ("loss", "nll", "self_bleu", "jsd", "error")
            self.greater_is_better = not any(word in self.metric_for_best_model for word in smaller)
        self._check_unsupported()  # before TrainingArguments fills in what is not set
        check_numbers(self, _RANGES)
        _check_schedule_name("", self.lr_scheduler_type)
        try:
            super().__post_init__()
        except TypeError as error:  # an unknown name in one of the mappings
            raise ValueError(f"The arguments cannot be used ({error}); correct that name or leave it out.") from error
        self._check_values()
        self._check_player_optimizers()

    def _check_unsupported(self) -> None:
        for f in fields(self):
            if f.name in UNSUPPORTED:
                default = f.default_factory() if f.default_factory is not MISSING else f.default
                if getattr(self, f.name) not in (default, None, False, ""):
                    raise ValueError(f"{f.name} is {getattr(self, f.name)!r}, but {UNSUPPORTED[f.name]}.")

    def _check_values(self) -> None:
        for name in TrainingArguments._VALID_DICT_FIELDS:
            value = getattr(self, name)
            if isinstance(value, str) and value:
                raise ValueError(f'{name} is {value!r}; give a mapping, such as {{"name": 1}}.')
        _check_schedule("", self.lr_scheduler_type, self.lr_scheduler_kwargs)
        for part in (self.optim_args or "").split(","):
            if part and "=" not in part:
                raise ValueError(f"optim_args is {self.optim_args!r}; write it as name=value,name=value.")
        for name in ("eval_strategy", "save_strategy", "logging_strategy"):
            if getattr(self, name) in ("epoch", "best"):
                raise ValueError(
                    f'{name} is "{getattr(self, name).value}", but a run has no epochs and keeps its best models by '
                    'itself; set it to "steps" or "no".'
                )
        if self.push_to_hub and self.hub_strategy not in (HubStrategy.END, HubStrategy.EVERY_SAVE):
            raise ValueError(
                f"hub_strategy is {HubStrategy(self.hub_strategy).value!r}, but a push never has the state of "
                'optimizers; set it to "end" or "every_save".'
            )
        if self.on_collapse not in ("warn", "stop", "rollback"):
            raise ValueError(f"on_collapse is {self.on_collapse!r}; set it to 'warn', 'stop' or 'rollback'.")

    def _check_player_optimizers(self) -> None:
        if self.player_optimizers is None:
            self.player_optimizers = {}
        form = """give arguments by player, such as {"generator": {"learning_rate": 0.001}}"""
        if not isinstance(self.player_optimizers, dict):
            raise ValueError(f"player_optimizers is {self.player_optimizers!r}; {form}.")
        for player, arguments in self.optimizer_options.items():
            if not isinstance(arguments, dict):
                raise ValueError(f"player_optimizers[{player!r}] is {arguments!r}; {form}.")
            for name, value in arguments.items():
                if name not in OPTIMIZER_ARGUMENTS:
                    raise ValueError(
                        f"player_optimizers[{player!r}] has the unknown argument {name!r}; use one of "
                        f"{', '.join(OPTIMIZER_ARGUMENTS)}."
                    )
                if name in _RANGES:
                    check_number(f"{player}.{name}", _number(value), _RANGES[name])
                if name == "optim" and value not in set(OptimizerNames):
                    raise ValueError(f"{player}.optim is {value!r}; use one of {', '.join(OptimizerNames)}.")
            own = {**vars(self), **arguments}
            _check_schedule(f"{player}.", own["lr_scheduler_type"], own["lr_scheduler_kwargs"])

    @property
    def output_path(self) -> Path:
        """The folder of the run."""
        return Path(self.output_dir or ".")

    @property
    def optimizer_options(self) -> dict[str, dict[str, Any]]:
        """The arguments that differ by player or optimizer, `player_optimizers` as it is after initialization."""
        return self.player_optimizers if isinstance(self.player_optimizers, dict) else {}

    def optimizer_arguments(self, player: str, optimizer: str) -> dict[str, Any]:
        """Returns the arguments of one optimizer of one player, as JSON holds them."""
        arguments = self.for_optimizer(player, optimizer).to_dict()
        return {name: arguments[name] for name in OPTIMIZER_ARGUMENTS}

    def for_optimizer(self, player: str, optimizer: str) -> "AdversarialConfig":
        """Returns these arguments with those of one optimizer of one player in place of the run's."""
        arguments = copy.copy(self)
        types = {f.name: f.type for f in fields(self)}
        for key in (player, f"{player}/{optimizer}"):
            for name, value in self.optimizer_options.get(key, {}).items():
                # JSON and the command line give numbers as strings where YAML reads "1e-4" as one.
                value = OptimizerNames(value) if name == "optim" else value
                setattr(arguments, name, float(value) if types[name] is float else value)
        return arguments


__all__ = ["AdversarialConfig", "UNSUPPORTED"]
