"""The words of `textgan train`: options, a YAML file and dotted names."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..runs.arguments import (
    OptionParser,
    TrainArguments,
    flatten_options,
    option_classes,
    replace_players,
    resolve_arguments,
)
from ..runs.option_values import parse_yaml
from ..systems import get_system
from ..utils.names import unknown_name


def parse_train_arguments(argv: list[str]) -> TrainArguments:
    """
    Parses the arguments of a run, each value from the first of: command line, YAML file, preset, system. Unknown names
    are errors, wherever they stand.
    """
    words = list(argv)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    from_file = read_yaml(value_of(words, "config"))
    name_in_file = from_file.pop("system", None)
    if name_in_file is not None and not isinstance(name_in_file, str):
        raise ValueError(f"system is {name_in_file!r}; name one system, as in `system: seqgan`.")
    system_name = name or name_in_file
    if system_name is None:
        raise ValueError(
            "No system is named; say which, as in `textgan train seqgan`, or `system: seqgan` in the file."
        )
    words, dotted = _split_dotted(words)
    kinds = {player: value_of(words, player) or from_file.get(player) for player in ("discriminator", "generator")}
    system = replace_players(get_system(system_name), kinds)
    parser = given_options_parser(option_classes(system), prog=f"textgan train {system.name}")
    parser.add_argument("--config")
    given, rest = parser.parse_known_args(words)
    known = {f.name for option_class in option_classes(system) for f in fields(option_class)}
    for word in rest:
        if word.startswith("--"):
            option = word[2:].partition("=")[0]
            raise ValueError(unknown_name(f"option of `textgan train {system.name}`", option, known))
        raise ValueError(f"The word {word!r} belongs to no option; put it behind one, or quote a value with blanks.")
    options = {key: value for key, value in vars(given).items() if key != "config"}
    return resolve_arguments(system_name, (from_file, "the file"), ({**options, **dotted}, "the command line"))


def given_options_parser(classes: tuple[type, ...], **options: Any) -> OptionParser:
    """Returns a parser of the fields of dataclasses whose namespace holds the given options only."""
    parser = OptionParser(classes, add_help=False, allow_abbrev=False, **options)
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
    return parser


def read_yaml(path: str | None) -> dict[str, Any]:
    """Reads a YAML file with options; without a path there are none."""
    if path is None:
        return {}
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"There is no file {path}; --config takes a YAML file with options.")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error}); write one `option: value` a line.") from error
    content = parse_yaml(text, path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no options; write one `option: value` a line.")
    return flatten_options(content)


def value_of(words: list[str], option: str) -> str | None:
    """Returns the value of `--option VALUE` or `--option=VALUE`, or `None`."""
    for index, word in enumerate(words):
        if word == f"--{option}":
            if index + 1 == len(words):
                raise ValueError(f"--{option} has no value; give one.")
            return words[index + 1]
        if word.startswith(f"--{option}="):
            return word.partition("=")[2]
    return None


def _split_dotted(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Takes `--player.name value` out of the words."""
    rest, dotted = [], {}
    index = 0
    while index < len(words):
        word = words[index]
        head, equals, value = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        if "." in head:
            if not equals:
                index += 1
                if index == len(words):
                    raise ValueError(f"--{head} has no value; give one.")
                value = words[index]
            dotted[head] = parse_yaml(value, f"--{head} {value}")
        else:
            rest.append(word)
        index += 1
    return rest, dotted


__all__ = ["given_options_parser", "parse_train_arguments", "read_yaml", "value_of"]
