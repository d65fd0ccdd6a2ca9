"""Values of options: read from YAML, and checked against the type of their field."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from os import PathLike
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses keys that are no words, and keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ValueError(f"{key!r} is no name of an option; write one `option: value` a line.")
            if key in seen:
                raise ValueError(f"{key!r} stands twice; leave one of the two.")
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 1e-4 as a word; everybody means the number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def parse_yaml(text: str, what: str) -> Any:
    """
    Parses YAML to plain values.

    Args:
        text (`str`):
            The YAML.
        what (`str`):
            What it is, for messages: a file or an option with its value.

    Raises:
        `ValueError`: If it is no YAML, or a mapping has a key twice or one that is no word.
    """
    try:
        return yaml.load(text, _Loader)  # a subclass of SafeLoader: plain values only
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ValueError(
            f"{what} is not YAML ({problem}{where}); quote a value that holds brackets, colons or quotes."
        ) from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


# What a value of a type may be, and its words. Strings are parsed with the command line's rules, so they fit always.
_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    float: ((Real,), "a number"),
    int: ((Integral,), "a whole number"),
    bool: ((bool,), "true or false"),
    str: ((PathLike,), "a word, in quotes"),
    list: ((list, tuple), "a list"),
    dict: ((Mapping,), "a mapping of names to values"),
}


def check_types(values: Mapping[str, Any], classes: Iterable[type]) -> None:
    """Raises `ValueError` if a value is empty or does not fit its field's annotation in one of the dataclasses."""
    for option_class in classes:
        hints = get_type_hints(option_class)
        for field in dataclasses.fields(option_class):
            if field.name not in values:
                continue
            value, hint = values[field.name], hints[field.name]
            if value == "" != field.default:
                raise ValueError(f"{field.name} is empty; give it a value, or leave it out.")
            if not isinstance(value, str) and value != field.default and not _fits(value, hint):
                raise ValueError(f"{field.name} is {value!r}; set it to {_words(hint)}, or leave it out.")


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if hint is NoneType:
        return value is None
    if (origin or hint) in _KINDS:
        types, _ = _KINDS[origin or hint]
        return isinstance(value, types) and (bool in types or not isinstance(value, bool))
    return True


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(part) for part in get_args(hint) if part is not NoneType))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    return _KINDS[origin or hint][1] if (origin or hint) in _KINDS else "a word"


__all__ = ["check_types", "parse_yaml"]
