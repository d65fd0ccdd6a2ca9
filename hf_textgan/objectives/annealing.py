"""Annealing of a temperature over a phase: pure functions of the iteration."""

import math
from collections.abc import Callable
from typing import Literal, get_args


Annealing = Literal["none", "exponential", "linear", "logarithmic", "sigmoid", "quadratic", "square_root"]

# The fraction of the way after `i` of `n` iterations, of the inverse temperature; that of "exponential" is that of its
# logarithm. They are those of RelGAN's reference code.
_FRACTIONS: dict[str, Callable[[float, float], float]] = {
    "none": lambda i, n: 1.0,
    "exponential": lambda i, n: i / n,
    "linear": lambda i, n: i / max(1.0, n - 1),
    "logarithmic": lambda i, n: math.log(i + 1) / math.log(max(2.0, n)),
    "sigmoid": lambda i, n: 1 / (1 + math.exp((n / 2 - i) * 20 / n)),
    "quadratic": lambda i, n: (i / max(1.0, n - 1)) ** 2,
    "square_root": lambda i, n: math.sqrt(i / max(1.0, n - 1)),
}


def annealed_temperature(annealing: str, start: float, end: float, iteration: float, num_iterations: float) -> float:
    """
    Returns a temperature on its way from `start` to `end`.

    It is the inverse temperature ``beta`` that goes there: ``beta = b0 + (b1 - b0) f(i, N)``, or for `"exponential"`
    ``beta = b0 (b1 / b0)^(i / N)`` (RelGAN, Nie et al. 2019, OpenReview rJedV3R5tm, and its reference code).

    Args:
        annealing (`str`):
            `"none"` (always `end`), `"exponential"`, `"linear"`, `"logarithmic"`, `"sigmoid"`, `"quadratic"` or
            `"square_root"`.
        start, end (`float`):
            Positive temperatures.
        iteration (`float`):
            Number of iterations before this one, ``i``.
        num_iterations (`float`):
            Number of iterations of the way, ``N``; after them the temperature is `end`.
    """
    if iteration >= num_iterations:
        return end
    fraction = min(1.0, _FRACTIONS[annealing](iteration, num_iterations))
    if annealing == "exponential":
        return start * (end / start) ** fraction
    return 1 / (1 / start + (1 / end - 1 / start) * fraction)


def check_annealing(annealing: str) -> None:
    """Raises `ValueError` for an unknown kind of annealing."""
    if annealing not in get_args(Annealing):
        raise ValueError(f"annealing is {annealing!r}; set it to one of {', '.join(map(repr, get_args(Annealing)))}.")


__all__ = ["Annealing", "annealed_temperature", "check_annealing"]
