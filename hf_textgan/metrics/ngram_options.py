"""
What the n-gram modules share besides counting: how sentences are checked and split into tokens, the variants of BLEU
and of the divergence that tools use, and the bootstrap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .module_helpers import check_sentences, show


LEVELS = ("word", "character")
_IWGAN_PADDING = "`"  # an ordinary symbol of IWGAN's alphabet

T = TypeVar("T")


@dataclass(frozen=True)
class BleuVariant:
    """
    How a tool computes BLEU or Self-BLEU.

    Args:
        max_predictions (`int`, *optional*):
            Only so many predictions are scored, the first ones.
        max_references (`int`, *optional*):
            Only so many references count, the first ones.
        against (`str`, *optional*, defaults to `"references"`):
            What a prediction is compared with: `"references"`, `"others"` (the other ones of the scored predictions)
            or `"all"` (all predictions, itself among them).
        orders (`tuple[int, ...]`, *optional*, defaults to `(2, 3, 4, 5)`):
            The N of BLEU-N.
        cumulative (`bool`, *optional*, defaults to `True`):
            Whether BLEU-N is the mean over the orders 1 to N, or the precision of the N-grams alone.
        brevity_penalty (`bool`, *optional*, defaults to `True`):
            Whether short sentences lose.
        lower_case (`bool`, *optional*, defaults to `False`):
            Whether both sides are lower-cased.
        digits (`int`, *optional*):
            The scores are rounded to so many decimal places.
    """

    max_predictions: int | None = None
    max_references: int | None = None
    against: str = "references"
    orders: tuple[int, ...] = (2, 3, 4, 5)
    cumulative: bool = True
    brevity_penalty: bool = True
    lower_case: bool = False
    digits: int | None = None


BLEU_VARIANTS = {
    "standard": BleuVariant(),
    "texygen": BleuVariant(max_references=500),
    "textgan-pytorch": BleuVariant(max_predictions=200, lower_case=True, digits=3),
    "relgan": BleuVariant(max_predictions=100),
    "textbox": BleuVariant(cumulative=False),
    "vgan": BleuVariant(orders=(2,)),
    "textkd-gan": BleuVariant(max_predictions=640, orders=(2, 3, 4), brevity_penalty=False),
}

SELF_BLEU_VARIANTS = {
    "standard": BleuVariant(against="others"),
    "texygen": BleuVariant(against="others", max_predictions=500),
    "textgan-pytorch": BleuVariant(max_predictions=200, orders=(2, 3, 4), lower_case=True, digits=3),
    "relgan": BleuVariant(against="all", max_predictions=200),
    "textbox": BleuVariant(against="others", cumulative=False),
}


@dataclass(frozen=True)
class JsdVariant:
    """
    How a paper computes the divergence of n-grams.

    Args:
        level (`str`, *optional*):
            `"word"` or `"character"` where the variant prescribes it.
        max_predictions (`int`, *optional*):
            Only so many predictions count, the first ones.
        length (`int`, *optional*):
            Both sides are cut and padded to so many tokens, and n-grams with padding count.
    """

    level: str | None = None
    max_predictions: int | None = None
    length: int | None = None


JSD_VARIANTS = {
    "standard": JsdVariant(),
    "iwgan": JsdVariant(level="character", max_predictions=640, length=32),
}


def choose(variants: Mapping[str, T], variant: str) -> T:
    """The variant of this name."""
    if variant not in variants:
        raise ValueError(f"There is no variant {variant!r}; use one of {', '.join(variants)}.")
    return variants[variant]


def choose_level(level: str | None, options: JsdVariant) -> str:
    """The level that the caller wants or the variant prescribes."""
    if level is not None and level not in LEVELS:
        raise ValueError(f"There is no level {level!r}; use one of {', '.join(LEVELS)}.")
    if options.level and level and level != options.level:
        raise ValueError(f"level={level!r} contradicts the variant, which has {options.level!r}; leave the level out.")
    return options.level or level or "word"


def tokenize(sentences: Any, name: str, level: str = "word", lower_case: bool = False) -> list[list[str]]:
    """
    The tokens of sentences: what stands between blanks of a string, or its characters; lists of tokens stay.

    Raises:
        `TypeError`: If the sentences are something else, or lists where characters are wanted.
        `ValueError`: If there are none, or some are empty.
    """
    sentences = check_sentences(sentences, name)
    if level == "character" and not isinstance(sentences[0], str):
        raise TypeError(f"{name}[0]={show(sentences[0])} is not a string; pass strings to count characters.")
    if not isinstance(sentences[0], str):
        tokens = list(map(list, sentences))
    else:
        tokens = list(map(list if level == "character" else str.split, sentences))
    if lower_case:
        tokens = [[token.lower() for token in sentence] for sentence in tokens]
    empty = [index for index, sentence in enumerate(tokens) if not sentence]
    if empty:
        raise ValueError(
            f"{len(empty)} of {len(tokens)} {name} have no token, the first at index {empty[0]}; "
            "drop them and report how many there were."
        )
    return tokens


def fix_length(sentences: Sequence[Sequence[str]], length: int) -> list[list[str]]:
    """Cuts and pads all sentences to one length."""
    return [[*sentence[:length], *[_IWGAN_PADDING] * (length - len(sentence))] for sentence in sentences]


class CheckedSentences:
    """
    A mixin for modules of evaluate that checks sentences before evaluate stores them, since its own errors do not name
    the wrong one. It stands behind [`FreeReferences`] in the list of base classes.
    """

    def compute(self, *, predictions=None, corpus=None, **kwargs):
        """Computes the metric.

        Args:
            predictions (`list[str]` or `list[list[str]]`, *optional*):
                The generated sentences, unless they were added before.
            corpus (`list[str]` or `list[list[str]]`, *optional*):
                The real sentences, any number of them.
            kwargs:
                The metric's own arguments.
        """
        if predictions is None and not len(self):
            raise ValueError("There are no predictions; pass predictions=, a list of sentences.")
        if corpus is not None:
            kwargs["corpus"] = check_sentences(corpus, "references")
        return super().compute(predictions=predictions, **kwargs)

    def add_batch(self, *, predictions=None, **kwargs):
        """Adds predictions.

        Args:
            predictions (`list[str]` or `list[list[str]]`):
                Generated sentences.
        """
        super().add_batch(predictions=check_sentences(predictions, "predictions"), **kwargs)


@dataclass(frozen=True)
class Bootstrap:
    """
    Intervals by drawing as many sentences as there are, with replacement.

    A drawn set repeats sentences, which by itself lowers distinct-n and drives two sets apart. So the values of the
    drawn sets are shifted to have that of the whole set as their mean before their quantiles are taken; for a mean of
    scores of single sentences the shift is next to nothing.

    Args:
        num_bootstrap (`int`):
            The number of drawn sets, 0 for no interval.
        confidence (`float`):
            The share of drawn sets whose values lie in the interval, between 0 and 1.
        seed (`int`):
            The seed of the draws.

    Raises:
        `ValueError`: If a number is out of its range.
        `TypeError`: If `num_bootstrap` or `seed` is no whole number.
    """

    num_bootstrap: int
    confidence: float
    seed: int

    def __post_init__(self):
        for name in ("num_bootstrap", "seed"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name}={value!r} is no whole number; use 0 or more.")
            if value < 0:
                raise ValueError(f"{name}={value} is negative; use 0 or more.")
        if not isinstance(self.confidence, float | int) or not 0 < self.confidence < 1:
            raise ValueError(
                f"confidence={self.confidence!r} is no share; use a number between 0 and 1, such as 0.95."
            )

    def report(
        self,
        measure: Callable[[np.ndarray], dict[str, float]],
        num_predictions: int,
        digits: int | None = None,
    ) -> dict[str, Any]:
        """
        The values of the whole set, and their intervals as `<name>_interval`.

        Args:
            measure (`Callable[[numpy.ndarray], dict[str, float]]`):
                The values of a set in which the i-th prediction occurs as many times as the i-th weight says.
            num_predictions (`int`):
                The number of predictions.
            digits (`int`, *optional*):
                Decimal places to round to.
        """
        values = measure(np.ones(num_predictions, np.int64))
        result: dict[str, Any] = dict(values)
        if self.num_bootstrap:
            for name, interval in self._intervals(measure, values, num_predictions).items():
                result[f"{name}_interval"] = interval
        if digits is not None:
            result = {name: np.round(value, digits).tolist() for name, value in result.items()}
        if self.num_bootstrap:
            result |= {"num_bootstrap": self.num_bootstrap, "confidence": self.confidence, "seed": self.seed}
        return result

    def _intervals(self, measure, values: dict[str, float], num_predictions: int) -> dict[str, list[float]]:
        if num_predictions < 2:
            raise ValueError("There is only 1 prediction to draw from; pass at least 2 or num_bootstrap=0.")
        random = np.random.default_rng(self.seed)
        draws = [
            measure(np.bincount(random.integers(num_predictions, size=num_predictions), minlength=num_predictions))
            for _ in range(self.num_bootstrap)
        ]
        tail = (1 - self.confidence) / 2
        intervals = {}
        for name, value in values.items():
            drawn = np.array([draw[name] for draw in draws])
            drawn = drawn[~np.isnan(drawn)]  # a set without a sentence long enough has no value
            if math.isnan(value) or not len(drawn):
                intervals[name] = [math.nan, math.nan]
                continue
            low, high = value - drawn.mean() + np.quantile(drawn, [tail, 1 - tail])
            # Shares end at 0 and 1; a mean number of tokens may lie beyond.
            intervals[name] = [float(max(low, 0.0)), float(min(high, max(1.0, drawn.max())))]
        return intervals
