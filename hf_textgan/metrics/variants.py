"""The definitions of BLEU, of Self-BLEU and of the divergence of n-grams that tools and papers use, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .sentences import LEVELS


_IWGAN_PADDING = "`"  # an ordinary character of IWGAN's alphabet

T = TypeVar("T")


@dataclass(frozen=True)
class BleuVariant:
    """
    The definition of BLEU or of Self-BLEU of a tool.

    Args:
        max_predictions (`int`, *optional*):
            The number of predictions that are scored, the first ones; by default all.
        max_references (`int`, *optional*):
            The number of references that count, the first ones; by default all.
        against (`str`, *optional*, defaults to `"references"`):
            The sentences that a prediction is compared with: `"references"`, `"others"` (the other scored predictions)
            or `"all"` (all predictions, including itself).
        orders (`tuple[int, ...]`, *optional*, defaults to `(2, 3, 4, 5)`):
            The N of BLEU-N.
        cumulative (`bool`, *optional*, defaults to `True`):
            Whether BLEU-N is the mean over the orders 1 to N, or the precision of the N-grams alone.
        brevity_penalty (`bool`, *optional*, defaults to `True`):
            Whether short sentences have a lower score.
        lower_case (`bool`, *optional*, defaults to `False`):
            Whether both sides are lower-cased.
        digits (`int`, *optional*):
            The number of decimal places that scores are rounded to; by default they are not rounded.
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
    The definition of the divergence of n-grams of a paper.

    Args:
        level (`str`, *optional*):
            `"word"` or `"character"`, where the variant prescribes it.
        max_predictions (`int`, *optional*):
            The number of predictions that count, the first ones; by default all.
        length (`int`, *optional*):
            The number of tokens that both sides are cut and padded to; n-grams with padding count.
    """

    level: str | None = None
    max_predictions: int | None = None
    length: int | None = None


JSD_VARIANTS = {
    "standard": JsdVariant(),
    "iwgan": JsdVariant(level="character", max_predictions=640, length=32),
}


def choose(variants: Mapping[str, T], variant: str) -> T:
    """Returns the variant of a name."""
    if variant not in variants:
        raise ValueError(f"There is no variant {variant!r}; use one of {', '.join(variants)}.")
    return variants[variant]


def choose_level(level: str | None, options: JsdVariant) -> str:
    """Returns the level that the caller gives or the variant prescribes."""
    if level is not None and level not in LEVELS:
        raise ValueError(f"There is no level {level!r}; use one of {', '.join(LEVELS)}.")
    if options.level and level and level != options.level:
        raise ValueError(f"level={level!r} contradicts the variant, which has {options.level!r}; leave the level out.")
    return options.level or level or "word"


def fix_length(sentences: Sequence[Sequence[str]], length: int) -> list[list[str]]:
    """Cuts and pads all sentences to one length."""
    return [[*sentence[:length], *[_IWGAN_PADDING] * (length - len(sentence))] for sentence in sentences]


__all__ = [
    "BLEU_VARIANTS",
    "JSD_VARIANTS",
    "SELF_BLEU_VARIANTS",
    "BleuVariant",
    "JsdVariant",
    "choose",
    "choose_level",
    "fix_length",
]
