"""Samples of a trained generator."""

import logging
from collections.abc import Sequence
from typing import Any

from ..data.white_space import one_line
from ..evaluation.classes import class_number, reads_labels, reads_sources
from ..evaluation.generators import decode, sample_sequences
from ..sampling.categorical import check_sampling
from .folder import Run, load_run


logger = logging.getLogger(__name__)


def generate_texts(
    name_or_path: str,
    num_samples: int = 10,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    prompt: str | None = None,
    max_length: int | None = None,
    label: str | int | None = None,
    sources: Sequence[str] | None = None,
    revision: str | None = None,
) -> list[str]:
    """
    Draws texts from a trained generator, as `textgan generate` prints them.

    Args:
        name_or_path (`str`):
            The folder of a run, a checkpoint, any causal language model, or a repository on the Hub.
        num_samples (`int`, *optional*, defaults to `10`):
            Number of texts, for each source if there are sources.
        temperature, top_k, top_p:
            See [`~sampling.draw_categorical`].
        seed (`int`, *optional*, defaults to `0`):
            Decides the texts.
        prompt (`str`, *optional*):
            The beginning of each text.
        max_length (`int`, *optional*):
            Largest number of tokens, EOS included; by default that of the training.
        label (`str` or `int`, *optional*):
            The class of all texts, by its name in the data or by its number, for a generator that reads labels. By
            default it draws the class of each text.
        sources (`Sequence[str]`, *optional*):
            The texts to write from, which a generator that reads sources needs.
        revision (`str`, *optional*):
            A branch, a tag or a commit of a repository.

    Returns:
        `list[str]`: The texts; with sources first all those of the first one.

    Raises:
        `ValueError`: If an argument has no meaning for the generator, or a class or a token of the prompt is unknown.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; set it to 1 or more.")
    check_sampling(temperature, top_k, top_p)
    run = load_run(name_or_path, max_length, revision)
    ids = _prompt_ids(run, name_or_path, prompt) if prompt else ()
    given = _given_rows(run, name_or_path, num_samples, label, sources)
    number = num_samples * (len(sources) if sources is not None else 1)
    options = {"top_k": top_k, "top_p": top_p, "prompt": ids}
    samples = sample_sequences(run.model, run.engine.at(temperature), number, seed, given=given, **options)
    return decode(run.tokenizer, samples[:number].sequences)


def _given_rows(
    run: Run, name: str, num_samples: int, label: str | int | None, sources: Sequence[str] | None
) -> list[dict[str, Any]] | None:
    """Returns rows with the label and the sources of the samples; `None` if the generator draws all that it reads."""
    if label is not None and not reads_labels(run.model):
        raise ValueError(f"label is {label!r}, but {name} reads no labels; leave it out.")
    if sources is not None and not reads_sources(run.model):
        raise ValueError(f"A source is given, but {name} reads no sources; leave it out.")
    if sources is None and reads_sources(run.model):
        raise ValueError(f"{name} writes texts from sources; give one with --source, or several with --source_file.")
    if label is None and sources is None:
        return None
    row: dict[str, Any] = {"input_ids": [run.engine.bos_token_id]}
    if label is not None:
        row["labels"] = class_number(run.model, label)
    if sources is None:
        return [row]
    conditions = _source_ids(run, name, sources)
    return [{**row, "condition_ids": ids} for ids in conditions for _ in range(num_samples)]


def _source_ids(run: Run, name: str, sources: Sequence[str]) -> list[list[int]]:
    """Returns the token ids of sources, encoded as those of the training."""
    if isinstance(sources, str) or not len(sources):
        raise ValueError(f"sources is {sources!r}; pass a list of at least 1 text.")
    if run.tokenizer is None:
        raise ValueError(f"A source is given, but {name} has no tokenizer; leave it out.")
    from ..data.encoding import Tokens  # loads a library of data, which other samples do not need

    data = run.record.get("data") or {}
    lines = [one_line(source.lower() if data.get("lowercase") else source) for source in sources]
    tokens = Tokens(run.tokenizer, "Source")
    encoded = tokens(lines)
    limit = data.get("max_condition_length")
    for number, ids in enumerate(encoded, 1):
        if limit is not None and len(ids) >= limit:
            raise ValueError(
                f"Source {number} has {len(ids) + 1} tokens with its end and {name} was trained on {limit} or less; "
                "shorten it."
            )
    unknown = tokens.count_unknown(encoded)
    if unknown:
        logger.warning(
            "%d of %d tokens of the sources are unknown to %s.", unknown, sum(len(ids) for ids in encoded), name
        )
    eos = tokens.tokenizer.eos_token_id
    assert isinstance(eos, int)
    return [[*ids, eos] for ids in encoded]


def read_sources(path: str) -> list[str]:
    """
    Returns the lines of a file of sources.

    Raises:
        `ValueError`: If there is none, or a line is blank, because samples belong to lines by their order.
    """
    from ..data.lines import decoded_lines

    lines = [one_line(line) for line in decoded_lines(path)]
    blank = lines.index("") + 1 if "" in lines else None
    if not lines or blank:
        what = "holds no source" if not lines else f"has no source in line {blank}"
        raise ValueError(f"{path} {what}; write one source a line.")
    return lines


def _prompt_ids(run: Run, name: str, prompt: str) -> list[int]:
    if run.tokenizer is None:
        raise ValueError(f"The prompt {prompt!r} is text, but {name} writes ids; leave it out.")
    ids = run.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if run.tokenizer.unk_token_id is not None and run.tokenizer.unk_token_id in ids:
        raise ValueError(f"The prompt {prompt!r} has tokens that the model does not know; use words of its text.")
    return ids


__all__ = ["generate_texts", "read_sources"]
