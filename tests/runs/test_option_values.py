"""Values of options: the YAML that is refused, and values that do not fit their field."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from hf_textgan.runs.option_values import check_types, parse_yaml


@dataclass
class Options:
    rate: float = 0.1
    steps: int = 3
    length: int | None = None
    name: str | None = None
    folder: str = "out"
    exact: bool = False
    sizes: list[int] | None = None
    extra: dict | str | None = None
    kind: Literal["mean", "sum"] = "mean"


def test_yaml_gives_plain_values():
    assert parse_yaml("[1e-4, -2E3, 1.5e2, 1e, 2]", "f") == [1e-4, -2000.0, 150.0, "1e", 2]
    assert parse_yaml("a: {b: [1, 2.5]}\nc: null", "f") == {"a": {"b": [1, 2.5]}, "c": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml: 'a' stands twice; leave one of the two."),
        ("a: {b: 2, b: 3}", "f.yaml: 'b' stands twice; leave one of the two."),
        ("5: 6", "f.yaml: 5 is no name of an option; write one `option: value` a line."),
        ("[1]: 6", "f.yaml: [1] is no name of an option; write one `option: value` a line."),
        ("a: 1\nb: [x", "f.yaml is not YAML (expected ',' or ']', but got '<stream end>' in line 2); quote a value"),
        ("!!python/object/apply:os.getcwd []", "f.yaml is not YAML (could not determine a constructor"),
    ],
)
def test_yaml_that_is_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_yaml(text, "f.yaml")


def test_values_that_fit():
    check_types(
        {"rate": 1, "steps": 4, "length": None, "folder": Path("x"), "exact": True, "sizes": (1, 2)}, [Options]
    )
    check_types({"rate": "1e-3", "extra": {"a": 1}, "kind": "sum", "unknown": object()}, [Options])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name is empty; give it a value, or leave it out."),
        ({"rate": None}, "rate is None; set it to a number, or leave it out."),
        ({"rate": [1]}, "rate is [1]; set it to a number, or leave it out."),
        ({"rate": True}, "rate is True; set it to a number, or leave it out."),
        ({"steps": 2.5}, "steps is 2.5; set it to a whole number, or leave it out."),
        ({"length": 2.5}, "length is 2.5; set it to a whole number, or leave it out."),
        ({"name": 5}, "name is 5; set it to a word, in quotes, or leave it out."),
        ({"folder": {"a": 1}}, "folder is {'a': 1}; set it to a word, in quotes, or leave it out."),
        ({"exact": 2}, "exact is 2; set it to true or false, or leave it out."),
        ({"sizes": 3}, "sizes is 3; set it to a list, or leave it out."),
        ({"extra": 3}, "extra is 3; set it to a mapping of names to values or a word, in quotes, or leave it out."),
        ({"kind": 3}, "kind is 3; set it to 'mean' or 'sum', or leave it out."),
    ],
)
def test_values_that_do_not_fit(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_types(values, [Options])
