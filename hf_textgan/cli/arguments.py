"""The options of `textgan train`: dataclasses, YAML and dotted names."""

import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser

from ..objectives import OBJECTIVES, Objective
from ..systems import SystemSpec, get_system
from ..systems.spec import config_fields, unknown
from ..trainer.adversarial_config import OPTIMIZER_ARGUMENTS, AdversarialConfig
from .data import FOR_NEW_TOKENIZERS, TEXT_OPTIONS, DataArguments


@dataclass
class RunArguments:
    """What to train and from where."""

    preset: str | None = field(default=None, metadata={"help": "A named set of options of the system: laptop, paper."})
    config: str | None = field(default=None, metadata={"help": "A YAML file with options; the command line wins."})
    generator_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A causal language model, with its tokenizer, to start the generator from."},
    )
    discriminator: str | None = field(
        default=None,
        metadata={"help": "Another discriminator of whole sequences: cnn, recurrent or bidirectional."},
    )
    generator: str | None = field(
        default=None,
        metadata={"help": "Another generator of whole sequences from noise: convolutional or recurrent."},
    )
    max_seconds: float | None = field(
        default=None,
        metadata={"help": "End the training after so many seconds, those before an interruption counted."},
    )
    mle_twin: bool = field(
        default=False,
        metadata={
            "help": "Then train the same generator by maximum likelihood for as long, and compare the two "
            "(OUTPUT_DIR/report)."
        },
    )
    resume: bool = field(
        default=False,
        metadata={"help": "Go on from the newest complete checkpoint in output_dir, or start if there is none."},
    )

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds is {self.max_seconds}; set it above 0.")


@dataclass
class OracleArguments:
    """The synthetic task, with `--dataset_name oracle`: an LSTM with known parameters writes the data."""

    oracle_path: str | None = field(
        default=None,
        metadata={"help": "The oracle's parameters: an .npz file or a model folder. Default: a fresh one."},
    )
    oracle_vocab_size: int | None = field(default=None, metadata={"help": "Symbols of a fresh oracle (5000)."})
    oracle_hidden_size: int | None = field(
        default=None, metadata={"help": "Width of a fresh oracle's embeddings and state (32)."}
    )
    oracle_seed: int = field(
        default=0, metadata={"help": "Seed of a fresh oracle and of its sequences, independent of the training seed."}
    )
    oracle_train_size: int = field(default=10000, metadata={"help": "Training sequences drawn from the oracle."})
    oracle_eval_size: int = field(default=10000, metadata={"help": "Held-out sequences drawn from the oracle."})


@dataclass
class TrainArguments:
    """All that a run needs."""

    system: SystemSpec
    run: RunArguments
    data: DataArguments
    oracle: OracleArguments
    training: AdversarialConfig
    objective: Objective
    configs: dict[str, dict[str, Any]]  # player -> configuration values


class _Parser(HfArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise ValueError(f"{message[:1].upper()}{message[1:]}; see `textgan train SYSTEM --help`.")


def parse_train_arguments(argv: list[str]) -> TrainArguments:
    """
    The arguments of a run, each value from the first of: command line, YAML file, preset, system.

    Unknown names are errors, wherever they stand.
    """
    words = list(argv)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    yaml_values = _read_yaml(_value_of(words, "config"))
    in_file = yaml_values.pop("system", None)
    if name is None and in_file is None:
        raise ValueError(
            "No system is named; say which, as in `textgan train seqgan`, or `system: seqgan` in the file."
        )
    system = get_system(name or in_file)

    for player in ("discriminator", "generator"):
        kind = _value_of(words, player) or yaml_values.get(player)
        if isinstance(kind, str):
            system = system.with_player(player, kind)

    objective_class = OBJECTIVES[system.objective[0]]
    classes = (RunArguments, DataArguments, OracleArguments, AdversarialConfig, objective_class)
    parser = _Parser(
        classes,
        prog=f"textgan train {system.name}",
        description=f"Trains {system.name} ({system.paper.title}).",
        allow_abbrev=False,
    )
    known = {f.name for c in classes for f in fields(c)}
    words, dotted = _split_dotted(words, system)
    preset = _value_of(words, "preset") or yaml_values.get("preset")
    dataset_name = _value_of(words, "dataset_name") or yaml_values.get("dataset_name")

    # What a system says of text says nothing of other data, or of a tokenizer that comes with its own units.
    tokenizer = _value_of(words, "tokenizer_name_or_path") or yaml_values.get("tokenizer_name_or_path")
    theirs = set(TEXT_OPTIONS if dataset_name == "oracle" else FOR_NEW_TOKENIZERS if tokenizer else ())
    texts = {key: value for key, value in system.data.items() if key not in theirs}

    configs: dict[str, dict[str, Any]] = {player: {} for player in system.players}
    optimizers: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    layers = [
        ({**DEFAULTS, **system.training, **texts, **system.objective[1]}, f"the system {system.name}"),
        ({k: v for k, v in system.preset(preset).items() if k not in theirs}, f"the preset {preset}"),
        (DATASET_DEFAULTS.get(dataset_name, {}), f"the data {dataset_name}"),
        (yaml_values, "the file"),
        (dotted, "the command line"),
    ]
    for layer, where in layers:
        for key, value in layer.items():
            if key == "player_optimizers":
                for player, arguments in (yaml.safe_load(value) if isinstance(value, str) else value).items():
                    optimizers.setdefault(player, {}).update(arguments)
            elif key in known:
                values[key] = value
            else:
                _dotted_value(key, value, system, configs, optimizers, where, known)

    parser.set_defaults(**{key: value for key, value in values.items()})
    run, data, oracle, training, objective, rest = parser.parse_args_into_dataclasses(
        _with_optimizers(words, optimizers), return_remaining_strings=True, look_for_args_file=False
    )
    for word in rest:
        if word.startswith("--"):
            raise ValueError(unknown(f"option of `textgan train {system.name}`", word[2:].partition("=")[0], known))
        raise ValueError(f"The word {word!r} belongs to no option; put it behind one, or quote a value with blanks.")
    if values.get("output_dir") is None and not _given(words, "output_dir"):
        raise ValueError("No output folder is named; add --output_dir DIR.")
    return TrainArguments(system, run, data, oracle, training, objective, configs)


# What training on the command line does beside the defaults of AdversarialConfig.
DEFAULTS: dict[str, Any] = {
    "eval_strategy": "steps",
    "eval_steps": 500,
    "save_steps": 500,
    "save_total_limit": 2,
    "report_to": "none",
    "seed": 42,
}
# ... and what the data say about a run.
DATASET_DEFAULTS: dict[str, dict[str, Any]] = {
    "oracle": {"max_length": 20, "eval_num_samples": 10000},
}


def _read_yaml(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"There is no file {path}; --config takes a YAML file with options.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not YAML ({' '.join(str(error).split())}); write one `option: value` a line."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no options; write one `option: value` a line.")
    flat: dict[str, Any] = {}
    for key, value in content.items():
        # `generator: {hidden_size: 64}` is `generator.hidden_size: 64`.
        nested = isinstance(value, dict) and key != "player_optimizers" and not key.endswith("_kwargs")
        flat.update({f"{key}.{k}": v for k, v in value.items()} if nested else {key: value})
    return flat


def _given(words: list[str], option: str) -> bool:
    return any(word == f"--{option}" or word.startswith(f"--{option}=") for word in words)


def _value_of(words: list[str], option: str) -> str | None:
    for place, word in enumerate(words):
        if word == f"--{option}":
            if place + 1 == len(words):
                raise ValueError(f"--{option} has no value; give one.")
            return words[place + 1]
        if word.startswith(f"--{option}="):
            return word.partition("=")[2]
    return None


def _split_dotted(words: list[str], system: SystemSpec) -> tuple[list[str], dict[str, Any]]:
    """Takes `--player.name value` out of the words."""
    rest, dotted = [], {}
    place = 0
    while place < len(words):
        word = words[place]
        head, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        if "." in head:
            if not equals:
                place += 1
                if place == len(words):
                    raise ValueError(f"--{head} has no value; give one.")
                value = words[place]
            dotted[head] = yaml.safe_load(value)
        else:
            rest.append(word)
        place += 1
    return rest, dotted


def _dotted_value(
    key: str,
    value: Any,
    system: SystemSpec,
    configs: dict[str, dict[str, Any]],
    optimizers: dict[str, dict[str, Any]],
    where: str,
    known: set[str],
) -> None:
    """Files `player.name` (or `player/phase.name`) under the player's configuration or its optimizer."""
    from .. import models

    player, dot, name = key.partition(".")
    if not dot:
        raise ValueError(unknown(f"option in {where}", key, known))
    if player.partition("/")[0] not in system.players:
        raise ValueError(unknown(f"player of {system.name}", player, system.players))
    if name in OPTIMIZER_ARGUMENTS:
        optimizers.setdefault(player, {})[name] = value
        return
    config = config_fields(getattr(models, system.players[player][0]))
    if name not in config:
        raise ValueError(unknown(f"option of the {player} of {system.name}", name, config | set(OPTIMIZER_ARGUMENTS)))
    configs[player][name] = value


def _with_optimizers(words: list[str], optimizers: dict[str, dict[str, Any]]) -> list[str]:
    """A `--player_optimizers` on the command line is merged into those of the other layers."""
    import json

    given = _value_of(words, "player_optimizers")
    if given is not None:
        for player, arguments in yaml.safe_load(given).items():
            optimizers.setdefault(player, {}).update(arguments)
    return [*words, "--player_optimizers", json.dumps(optimizers)]


__all__ = ["OracleArguments", "RunArguments", "TrainArguments", "parse_train_arguments"]
