"""The arguments of a run: dataclasses, and the layers of options that fill them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

from transformers import HfArgumentParser

from .. import models
from ..core.optimizer_arguments import OPTIMIZER_ARGUMENTS
from ..objectives import OBJECTIVES, Objective
from ..systems import SystemSpec, get_system
from ..systems.spec import Copy, player_options
from ..trainer.adversarial_config import UNSUPPORTED, AdversarialConfig
from ..utils.names import unknown_name
from ..utils.numbers import AT_LEAST_ONE, NOT_NEGATIVE, check_numbers
from .data import FOR_NEW_TOKENIZERS, TEXT_OPTIONS, DataArguments
from .option_values import check_types, parse_yaml


@dataclass
class RunArguments:
    """The system's variant, and the limits of the run."""

    preset: str | None = field(default=None, metadata={"help": "A named set of options of the system: laptop, paper."})
    generator_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "A language model, with its tokenizer, to start the generator from: a causal one, or one with an "
            "encoder (T5, BART) for texts with sources."
        },
    )
    discriminator_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "A classifier of sequences, with its tokenizer, to start the discriminator from. "
            "`--discriminator.num_labels 2` replaces the output layer of one with more labels."
        },
    )
    discriminator: str | None = field(
        default=None,
        metadata={"help": "Another discriminator of sequences: cnn, recurrent or bidirectional."},
    )
    generator: str | None = field(
        default=None,
        metadata={"help": "Another latent-variable generator: convolutional or recurrent."},
    )
    word_vectors: str | None = field(
        default=None,
        metadata={"help": "A text file of pretrained word vectors (word2vec, GloVe) that the embeddings start from."},
    )
    word_vector_players: str = field(
        default="generator",
        metadata={"help": "The players whose embeddings start from word_vectors, as in generator,discriminator."},
    )
    max_seconds: float | None = field(
        default=None,
        metadata={"help": "End the training after this many seconds, counting those before an interruption."},
    )
    mle_baseline: bool = field(
        default=False,
        metadata={
            "help": "Then train the same generator by maximum likelihood for as long, and compare the two "
            "(OUTPUT_DIR/report)."
        },
    )
    num_seeds: int = field(
        default=1,
        metadata={
            "help": "Train this many runs with the seeds seed, seed + 1, ..., each in OUTPUT_DIR/seed-N. "
            "`textgan compare OUTPUT_DIR OTHER` takes them as one system; differences between systems need 3 or more."
        },
    )
    resume: bool = field(
        default=False,
        metadata={"help": "Resume from the newest complete checkpoint in output_dir, or start if there is none."},
    )

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds is {self.max_seconds}; set it above 0.")
        if self.num_seeds < 1:
            raise ValueError(f"num_seeds is {self.num_seeds}; set it to 1 or more.")


@dataclass
class OracleArguments:
    """The synthetic task, with `--dataset_name oracle`: an LSTM with known parameters writes the data."""

    oracle_path: str | None = field(
        default=None,
        metadata={"help": "The oracle's parameters: an .npz file or a model folder. Default: a fresh one."},
    )
    oracle_vocab_size: int | None = field(default=None, metadata={"help": "Tokens of a fresh oracle (5000)."})
    oracle_hidden_size: int | None = field(
        default=None, metadata={"help": "Width of a fresh oracle's embeddings and state (32)."}
    )
    oracle_seed: int = field(
        default=0, metadata={"help": "Seed of a fresh oracle and of its sequences, independent of the training seed."}
    )
    oracle_train_size: int = field(default=10000, metadata={"help": "Training sequences drawn from the oracle."})
    oracle_eval_size: int = field(default=10000, metadata={"help": "Held-out sequences drawn from the oracle."})

    def __post_init__(self) -> None:
        sizes = ("oracle_vocab_size", "oracle_hidden_size", "oracle_train_size", "oracle_eval_size")
        check_numbers(self, {**dict.fromkeys(sizes, AT_LEAST_ONE), "oracle_seed": NOT_NEGATIVE})


@dataclass
class TrainArguments:
    """All arguments of a run."""

    system: SystemSpec
    run: RunArguments
    data: DataArguments
    oracle: OracleArguments
    training: AdversarialConfig
    objective: Objective
    configs: dict[str, dict[str, Any]]  # player -> configuration values


# The defaults of a run beside those of AdversarialConfig.
DEFAULTS: dict[str, Any] = {
    "eval_strategy": "steps",
    "eval_steps": 500,
    "save_steps": 500,
    "save_total_limit": 2,
    "report_to": "none",
    "seed": 42,
}
_PLAYER_OPTIMIZERS_FORM = """give arguments by player, such as {"generator": {"learning_rate": 0.001}}"""

# Defaults that belong to the data of a run.
DATASET_DEFAULTS: dict[str, dict[str, Any]] = {
    "oracle": {"max_length": 20, "eval_num_samples": 10000},
}


def option_classes(system: SystemSpec) -> tuple[type, ...]:
    """Returns the dataclasses whose fields are the options of a run of `system`."""
    return (RunArguments, DataArguments, OracleArguments, AdversarialConfig, OBJECTIVES[system.objective[0]])


def replace_players(system: SystemSpec, options: Mapping[str, Any]) -> SystemSpec:
    """
    Returns the system with the players that the options `discriminator` and `generator` name in place of its own.
    """
    for player in ("discriminator", "generator"):
        kind = options.get(player)
        if isinstance(kind, str):
            system = system.with_player(player, kind)
    return system


def flatten_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Returns options with dotted names: `{"generator": {"hidden_size": 64}}` becomes `{"generator.hidden_size": 64}`.
    """
    flat: dict[str, Any] = {}
    for key, value in options.items():
        nested = isinstance(value, dict) and key != "player_optimizers" and not key.endswith("_kwargs")
        flat.update({f"{key}.{name}": item for name, item in value.items()} if nested else {key: value})
    return flat


class OptionParser(HfArgumentParser):
    """An argument parser whose errors are a `ValueError` of one sentence."""

    def __init__(self, *args: Any, help_command: str = "textgan train SYSTEM --help", **kwargs: Any):
        self.help_command = help_command
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}; see `{self.help_command}`.")


def resolve_arguments(system_name: str, *layers: tuple[Mapping[str, Any], str]) -> TrainArguments:
    """
    Builds the arguments of a run. The value of an option is that of the last layer that sets it; before all layers
    come the system, its preset and its data set.

    Args:
        system_name (`str`):
            A system of [`~systems.SYSTEMS`].
        layers (`tuple[Mapping, str]`):
            Options by name, and their origin for messages, such as "the file". Dotted names reach into a player:
            `generator.hidden_size` is a value of its configuration, `discriminator.learning_rate` one of its
            optimizer, `generator/adversarial.learning_rate` one of its optimizer in a phase.

    Raises:
        `ValueError`: If an option is unknown, wherever it stands, or a value has no meaning.
    """
    given: dict[str, Any] = {}
    for options, _ in layers:
        given.update(options)
    system = replace_players(get_system(system_name), given)
    classes = option_classes(system)
    known = {f.name for option_class in classes for f in fields(option_class)}

    # The text options of a system have no meaning for other data, or for a tokenizer that brings its own units.
    dataset_name, preset = given.get("dataset_name"), given.get("preset")
    foreign: set[str] = set()
    if dataset_name == "oracle":
        foreign = set(TEXT_OPTIONS)
    elif given.get("tokenizer_name_or_path"):
        foreign = set(FOR_NEW_TOKENIZERS)

    # Nor have the sizes of its players for pretrained ones.
    pretrained = {player for player in system.players if given.get(f"{player}_name_or_path")}

    def applying(options: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in options.items() if key not in foreign and not is_size(key)}

    def is_size(key: str) -> bool:
        player, _, name = key.partition(".")
        return player in pretrained and name != "" and name not in OPTIMIZER_ARGUMENTS

    values: dict[str, Any] = {}
    configs: dict[str, dict[str, Any]] = {player: {} for player in system.players}
    optimizers: dict[str, dict[str, Any]] = {}
    own_layers: list[tuple[Mapping[str, Any], str]] = [
        ({**DEFAULTS, **system.training, **applying(system.data), **system.objective[1]}, f"the system {system.name}"),
        (applying(system.preset(preset)), f"the preset {preset}"),
        (DATASET_DEFAULTS.get(dataset_name or "", {}), f"the data {dataset_name}"),
    ]
    for options, origin in (*own_layers, *layers):
        for key, value in options.items():
            if key == "player_optimizers":
                parsed = parse_yaml(value, f"{key}={value!r}") if isinstance(value, str) else value
                if parsed is not None and not isinstance(parsed, Mapping):
                    raise ValueError(f"{key} is {parsed!r}; {_PLAYER_OPTIMIZERS_FORM}.")
                for player, arguments in (parsed or {}).items():
                    if not isinstance(arguments, Mapping):
                        raise ValueError(f"{key}[{player!r}] is {arguments!r}; {_PLAYER_OPTIMIZERS_FORM}.")
                    optimizers.setdefault(player, {}).update(arguments)
            elif key == "num_train_epochs":  # 3 is its default, which the configuration cannot tell from a wish
                raise ValueError(f"{key} is {value!r} in {origin}, but {UNSUPPORTED[key]}.")
            elif key in known:
                values[key] = value
            else:
                _set_player_option(key, value, system, configs, optimizers, origin, known)
    if values.get("output_dir") is None:
        raise ValueError("No output folder is named; add --output_dir DIR.")

    check_types(values, classes)
    parser = OptionParser(classes, allow_abbrev=False)
    parser.set_defaults(**values, player_optimizers=json.dumps(optimizers))
    run, data, oracle, training, objective = parser.parse_args_into_dataclasses([], look_for_args_file=False)
    return TrainArguments(system, run, data, oracle, training, objective, configs)


def _set_player_option(
    key: str,
    value: Any,
    system: SystemSpec,
    configs: dict[str, dict[str, Any]],
    optimizers: dict[str, dict[str, Any]],
    origin: str,
    known: set[str],
) -> None:
    """Files `player.name` (or `player/phase.name`) under the player's configuration or its optimizer."""
    player, dot, name = key.partition(".")
    if not dot:
        raise ValueError(unknown_name(f"option in {origin}", key, known))
    if player.partition("/")[0] not in system.players:
        raise ValueError(unknown_name(f"player of {system.name}", player, system.players))
    if isinstance(system.players[player.partition("/")[0]], Copy):
        raise ValueError(system.copy_has_no_options(player.partition("/")[0], name))
    if name in OPTIMIZER_ARGUMENTS:
        optimizers.setdefault(player, {})[name] = value
        return
    config = player_options(getattr(models, system.player(player)[0]))
    if name not in config:
        options = config | set(OPTIMIZER_ARGUMENTS)
        raise ValueError(unknown_name(f"option of the {player} of {system.name}", name, options))
    configs[player][name] = value


__all__ = [
    "DATASET_DEFAULTS",
    "DEFAULTS",
    "OptionParser",
    "OracleArguments",
    "RunArguments",
    "TrainArguments",
    "flatten_options",
    "option_classes",
    "replace_players",
    "resolve_arguments",
]
