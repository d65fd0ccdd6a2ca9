"""The help of `textgan train SYSTEM`: its options in groups, with the defaults of the system."""

import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from .. import models
from ..objectives import OBJECTIVES
from ..runs.arguments import DEFAULTS, OracleArguments, RunArguments
from ..runs.data import DataArguments
from ..systems import SystemSpec
from ..systems.spec import FROM_DATA, Copy, Of, config_fields
from ..trainer.adversarial_config import UNSUPPORTED, AdversarialConfig
from ..utils.docstrings import argument_descriptions


# Arguments of training by group; everything else comes last.
_SCHEDULE = (
    "pretrain_generator_steps pretrain_discriminator_steps max_steps max_length temperature "
    "per_device_train_batch_size gradient_accumulation_steps learning_rate lr_scheduler_type warmup_steps optim "
    "weight_decay max_grad_norm player_optimizers max_skipped_steps on_collapse rollout_chunk_size seed data_seed "
    "bf16 use_cpu"
).split()
_EVALUATION = (
    "eval_strategy eval_steps eval_num_samples eval_seed per_device_eval_batch_size metric_for_best_model "
    "greater_is_better load_best_model_at_end logging_steps report_to run_name disable_tqdm"
).split()
_SAVING = (
    "output_dir save_strategy save_steps save_total_limit save_only_model resume_from_checkpoint push_to_hub "
    "hub_model_id hub_private_repo hub_token"
).split()
_PLAYERS = ("generator", "discriminator", "generator_name_or_path")


def train_help(system: SystemSpec, all_options: bool = False) -> str:
    """
    Returns the help of `textgan train SYSTEM`.

    Args:
        system ([`SystemSpec`]):
            The system.
        all_options (`bool`, *optional*, defaults to `False`):
            Whether to list the remaining arguments of `transformers.TrainingArguments`, too.
    """
    defaults = {**DEFAULTS, **system.training, **system.data, **system.objective[1]}
    run, data = _options(RunArguments, defaults), _options(DataArguments, defaults)
    training = _options(AdversarialConfig, defaults)
    objective_class = OBJECTIVES[system.objective[0]]
    descriptions = argument_descriptions(objective_class)
    hyperparameters = {
        f.name: (descriptions.get(f.name, ""), defaults.get(f.name, _default(f))) for f in fields(objective_class)
    }
    grouped = {*_SCHEDULE, *_EVALUATION, *_SAVING}
    rest = {name: option for name, option in training.items() if name not in grouped}
    sections = [
        ("data", data),
        ("data, with --dataset_name oracle", _options(OracleArguments, defaults)),
        ("models", {name: run[name] for name in _PLAYERS if _has_player(system, name)}),
        *((f"models: --{name}.OPTION", _player_options(system, name)) for name in _own_models(system)),
        (f"objective ({objective_class.__name__})", hyperparameters),
        ("schedule and optimizers", {name: training[name] for name in _SCHEDULE}),
        ("evaluation and logging", {name: training[name] for name in _EVALUATION}),
        ("saving and resuming", {"resume": run["resume"], **{name: training[name] for name in _SAVING}}),
        ("the run", {name: run[name] for name in ("preset", "max_seconds", "mle_baseline", "num_seeds")}),
    ]
    if all_options:
        sections.append(("everything else of transformers.TrainingArguments", rest))
    width = min(shutil.get_terminal_size().columns, 120)
    lines = [
        f"usage: textgan train {system.name} --output_dir DIR (--train_file FILE | --dataset_name NAME) [OPTIONS]",
        "",
        f"Trains {system.name} ({system.paper.title}).",
        f"Presets: {', '.join(system.presets)}. Options of a player's optimizer: --PLAYER.learning_rate and so on, or "
        "--PLAYER/PHASE.learning_rate for one phase.",
        "--config FILE reads options from YAML.",
    ]
    for title, options in sections:
        lines += ["", f"{title}:"]
        for name, (description, default) in options.items():
            lines.append(f"  --{name}")
            shown = f" (default: {_shown(default)})" if default not in (None, "", MISSING) else ""
            lines += textwrap.wrap(f"{description}{shown}", width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    if not all_options:
        lines += ["", f"{len(rest)} more arguments of transformers.TrainingArguments: add --help-all."]
    return "\n".join(lines)


def _options(option_class: type, defaults: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Returns description and default of each field that is supported."""
    return {
        f.name: (
            " ".join(str(f.metadata.get("help", "")).replace("%%", "%").split()),
            defaults.get(f.name, _default(f)),
        )
        for f in fields(option_class)
        if f.name not in UNSUPPORTED
    }


def _default(f: Field) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _shown(value: Any) -> str:
    if isinstance(value, Of):
        return f"that of {value}"
    return str(getattr(value, "value", value))


def _has_player(system: SystemSpec, option: str) -> bool:
    return option.partition("_")[0] in system.players


def _own_models(system: SystemSpec) -> list[str]:
    """Returns the players that are no copies, which have no options."""
    return [name for name, player in system.players.items() if not isinstance(player, Copy)]


def _player_options(system: SystemSpec, player: str) -> dict[str, tuple[str, Any]]:
    """Returns the configuration values of a player; those that follow from the data are left out."""
    class_name, values = system.player(player)
    config_class = getattr(models, class_name)
    descriptions = argument_descriptions(config_class)
    names = sorted(config_fields(config_class) - FROM_DATA - {"model_type"})
    return {
        f"{player}.{name}": (descriptions.get(name, ""), values.get(name, getattr(config_class, name, None)))
        for name in names
    }


__all__ = ["train_help"]
