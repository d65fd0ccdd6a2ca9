"""Checks of numbers: finite, within their range, and of a size that memory can hold."""

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


# A range: the smallest and the largest value, and whether the smallest itself is allowed.
Range = tuple[float, float, bool]

POSITIVE: Range = (0.0, math.inf, False)
NOT_NEGATIVE: Range = (0.0, math.inf, True)
AT_LEAST_ONE: Range = (1.0, math.inf, True)
PROBABILITY: Range = (0.0, 1.0, True)


def check_numbers(owner: Any, ranges: Mapping[str, Range] | None = None) -> None:
    """
    Raises `ValueError` if a number among the fields of a dataclass is NaN or infinite, or outside of its range.

    Args:
        owner:
            An instance of a dataclass.
        ranges (`Mapping[str, Range]`, *optional*):
            The ranges of fields by name; `None` as a value is in every range.
    """
    for f in fields(owner):
        value = getattr(owner, f.name)
        check_number(f.name, value, (ranges or {}).get(f.name))


def check_number(name: str, value: Any, bounds: Range | None = None) -> None:
    """Raises `ValueError` if a value is a number that is NaN, infinite or outside of its range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        if bounds is not None and value is not None:
            raise ValueError(f"{name} is {value!r}; set it to a number.")
        return
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; set it to a finite number.")
    if bounds is None:
        return
    low, high, with_low = bounds
    if value < low or value > high or (value == low and not with_low):
        if math.isfinite(high):
            fix = f"to a value from {low:g} to {high:g}" if with_low else f"above {low:g} and to at most {high:g}"
        else:
            fix = f"to {low:g} or more" if with_low else f"above {low:g}"
        raise ValueError(f"{name} is {value}; set it {fix}.")


def check_memory(what: str, num_bytes: int, fix: str = "lower one of these numbers") -> None:
    """
    Raises `ValueError` if something takes more than the memory of the machine.

    Args:
        what (`str`):
            What takes the memory, for the message: a name with its value, such as "eval_num_samples=1000000000".
        num_bytes (`int`):
            An estimate of its size.
        fix (`str`, *optional*):
            What to do instead.
    """
    if not hasattr(os, "sysconf"):  # not on Windows
        return
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_bytes > total:
        raise ValueError(
            f"{what} would take about {num_bytes / 2**30:,.0f} GiB, and this machine has {total / 2**30:,.0f} GiB; "
            f"{fix}."
        )


__all__ = [
    "AT_LEAST_ONE",
    "NOT_NEGATIVE",
    "POSITIVE",
    "PROBABILITY",
    "check_memory",
    "check_number",
    "check_numbers",
]
