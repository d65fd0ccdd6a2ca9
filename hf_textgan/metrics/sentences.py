"""Checks of the sentences that metrics are given, and their tokens."""

from collections.abc import Iterable, Sequence
from typing import Any


LEVELS = ("word", "character")
_FORMS = {
    "texts": ("a string", "pass strings"),
    "tokens": ("a list of tokens", "pass lists of tokens, such as text.split()"),
}


def check_sentences(sentences: Any, name: str, form: str = "either") -> list:
    """
    Returns sentences as a list, and refuses what is not a list of sentences. Empty sentences are allowed, see
    [`check_not_empty`].

    Args:
        sentences (`Iterable`):
            The sentences.
        name (`str`):
            The name of the argument that they were given as, for the message.
        form (`str`, *optional*, defaults to `"either"`):
            `"texts"` for strings, `"tokens"` for lists of tokens of any type, `"either"` for only strings or only
            lists of strings.

    Raises:
        `TypeError`: If the sentences are missing or have another form.
        `ValueError`: If there are none.
    """
    if sentences is None:
        raise TypeError(f"{name} is missing; pass {name}=[...], a list of sentences.")
    if isinstance(sentences, str) or not isinstance(sentences, Iterable):
        raise TypeError(f"{name}={show(sentences)} is not a list; pass a list of sentences.")
    sentences = list(sentences)
    if not sentences:
        raise ValueError(f"{name} has 0 sentences; pass at least 1.")
    as_texts = isinstance(sentences[0], str) if form == "either" else form == "texts"
    expected, fix = _FORMS["texts" if as_texts else "tokens"]
    if form == "either":
        fix = "pass only strings or only lists of tokens"
    for index, sentence in enumerate(sentences):
        if isinstance(sentence, str) != as_texts or not isinstance(sentence, Iterable):
            raise TypeError(f"{name}[{index}]={show(sentence)} is not {expected}; {fix}.")
        if form == "either" and not as_texts:
            for token in sentence:
                if not isinstance(token, str):
                    raise TypeError(f"{name}[{index}] has the token {show(token)}; pass tokens as strings.")
    return sentences


def flatten_references(references: Any, as_texts: bool) -> Any:
    """
    Returns references as one list: of a list of references for each prediction, the form of evaluate, the distinct
    ones in their order. References of any other form are returned as they are.

    Args:
        references (`Sequence`):
            The references, in either form.
        as_texts (`bool`):
            Whether the predictions are strings and not lists of tokens. References to strings may be lists of tokens
            all the same; they are lists of strings if one of these has several words.
    """
    nested = isinstance(references, Sequence) and all(isinstance(one, list | tuple) for one in references)
    flat = [one for several in references for one in several] if nested else []
    if as_texts and all(isinstance(one, str) for one in flat) and any(len(one.split()) > 1 for one in flat):
        return list(dict.fromkeys(flat))
    if not as_texts and flat and all(isinstance(one, list | tuple) for one in flat):
        return list(map(list, dict.fromkeys(map(tuple, flat))))
    return references


def check_not_empty(sentences: Sequence[Sequence], name: str) -> None:
    """
    Refuses sentences without tokens.

    Args:
        sentences (`Sequence[Sequence]`):
            The sentences as lists of tokens.
        name (`str`):
            The name of the argument that they were given as, for the message.

    Raises:
        `ValueError`: If a sentence has no token.
    """
    empty = [index for index, sentence in enumerate(sentences) if len(sentence) == 0]
    if empty:
        raise ValueError(
            f"{name} has sentences without tokens ({len(empty)} of {len(sentences)}, the first at index {empty[0]}); "
            "drop them and report how many there were."
        )


def split_texts(texts: Any, name: str) -> list[list[str]]:
    """Returns the words of texts, split at blanks. See [`check_sentences`] for the errors."""
    return [text.split() for text in check_sentences(texts, name, "texts")]


def tokenize(sentences: Any, name: str, level: str = "word", lower_case: bool = False) -> list[list[str]]:
    """
    Returns the tokens of sentences: the words of a string, split at blanks, or its characters. Lists of tokens stay.

    Args:
        sentences (`Sequence[str]` or `Sequence[Sequence[str]]`):
            The sentences.
        name (`str`):
            The name of the argument that they were given as, for messages.
        level (`str`, *optional*, defaults to `"word"`):
            `"word"` or `"character"`.
        lower_case (`bool`, *optional*, defaults to `False`):
            Whether the tokens are lower-cased.

    Raises:
        `TypeError`: If the sentences have another form, or are lists at the level of characters.
        `ValueError`: If there are none, or some are empty.
    """
    sentences = check_sentences(sentences, name)
    if not isinstance(sentences[0], str):
        if level == "character":
            raise TypeError(f"{name}[0]={show(sentences[0])} is not a string; pass strings to count characters.")
        tokens = list(map(list, sentences))
    else:
        tokens = list(map(list if level == "character" else str.split, sentences))
    if lower_case:
        tokens = [[token.lower() for token in sentence] for sentence in tokens]
    check_not_empty(tokens, name)
    return tokens


def show(value: Any) -> str:
    """Returns a value as an error message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


__all__ = ["LEVELS", "check_not_empty", "check_sentences", "flatten_references", "show", "split_texts", "tokenize"]
