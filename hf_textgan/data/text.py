"""Reading text files, encoding them for the trainer, and reporting what is in them."""

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase


logger = logging.getLogger(__name__)

_ENCODE_BATCH = 10_000  # lines tokenized at once; bounds the memory that the tokenizer's own results take

# Shares above which `data_report` warns.
_MAX_UNKNOWN = 0.05
_MAX_DUPLICATES = 0.20
_MAX_OVERLAP = 0.05
_MAX_DROPPED = 0.10


class DataError(ValueError):
    """The training or evaluation text cannot be used as it is; the message is one sentence that names the fix."""


@dataclass
class EncodedText:
    """
    Lines as token ids, ready for training.

    Args:
        dataset (`datasets.Dataset`):
            One row per kept line with the column `input_ids`: the beginning-of-sequence token, the line's tokens, the
            end-of-sequence token; between 3 and `max_length + 1` ids. Held in memory, no file behind it.
        max_length (`int`):
            Largest number of generated tokens of a line, the end-of-sequence token included and the
            beginning-of-sequence token not.
        num_dropped (`int`):
            Lines left out because they are longer than `max_length`.
        num_lines (`int`):
            Lines given, the dropped ones included.
        num_tokens (`int`):
            Tokens of the kept lines without the beginning- and end-of-sequence tokens.
        num_unknown (`int`):
            How many of these tokens are the unknown token (0 for a tokenizer that has none).
    """

    dataset: Dataset
    max_length: int
    num_dropped: int
    num_lines: int
    num_tokens: int
    num_unknown: int


def read_lines(path: str | Path) -> list[str]:
    """
    Reads a UTF-8 text file with one sentence a line. A byte order mark, line ends and white space around a sentence
    are removed, the sentence itself is left as it is. Blank lines are skipped, and a warning says how many.

    Args:
        path (`str` or `Path`):
            The file.

    Returns:
        `list[str]`: The sentences in the order of the file, at least 2.

    Raises:
        [`DataError`]: If the file is missing or a folder, is not valid UTF-8, contains a NUL byte, or holds fewer than
            2 sentences.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; give the path of a text file with one sentence a line.")
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{str(path)!r} is not valid UTF-8 at byte offset {error.start} (line {_line_number(data, error.start)}); "
            "convert the file to UTF-8."
        ) from None
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{str(path)!r} contains a NUL byte at byte offset {nul} (line {_line_number(data, nul)}); give a plain "
            "text file in UTF-8."
        )
    # Only "\n" ends a line: `str.splitlines` would also break sentences at form feeds and Unicode separators.
    raw_lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    lines = [line for line in map(str.strip, raw_lines) if line]
    if not lines:
        raise DataError(f"{str(path)!r} has no line with text; give a file with at least 2 sentences, one a line.")
    if len(lines) == 1:
        raise DataError(f"{str(path)!r} has only 1 line with text; give a file with at least 2 sentences, one a line.")
    if len(lines) < len(raw_lines):
        logger.warning("Skipped %d blank lines of %r.", len(raw_lines) - len(lines), str(path))
    return lines


def encode_lines(
    lines: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> EncodedText:
    """
    Encodes sentences as `[bos] + tokens + [eos]`. Lines that are too long are dropped, not cut, because a cut line
    would teach the generator sentences without an end. Special tokens written out in a line are read as plain text.

    Args:
        lines (`Sequence[str]`):
            The sentences.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Needs an `eos_token`, which also begins a line where there is no `bos_token`.
        max_length (`int`, *optional*):
            Largest number of generated tokens of a line: its tokens and the end-of-sequence token, without the
            beginning-of-sequence token. Without it the longest line sets it and no line is dropped.

    Returns:
        [`EncodedText`]: The rows, at most `max_length + 1` ids each, and their counts.

    Raises:
        [`DataError`]: If there is no line, the tokenizer has no `eos_token`, a line has no token or holds the
            end-of-sequence token, `max_length` is less than 2, or every line is too long.
    """
    tokens = _tokenize(lines, tokenizer)
    eos = tokenizer.eos_token_id
    bos = eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if max_length is None:
        max_length = max(map(len, tokens)) + 1
    elif max_length < 2:
        raise DataError(f"max_length={max_length} leaves no room for a token and the end of the line; use 2 or more.")
    kept = [line for line in tokens if len(line) < max_length]
    if not kept:
        shortest = min(map(len, tokens)) + 1
        raise DataError(
            f"All {len(tokens)} lines are longer than max_length={max_length}; the shortest has {shortest} tokens "
            f"with the end of the line, so use a max_length of at least {shortest}."
        )
    return EncodedText(
        dataset=Dataset.from_dict({"input_ids": [[bos, *line, eos] for line in kept]}),
        max_length=max_length,
        num_dropped=len(tokens) - len(kept),
        num_lines=len(tokens),
        num_tokens=sum(map(len, kept)),
        num_unknown=_count_unknown(kept, tokenizer),
    )


def collate(examples: Sequence[Mapping[str, Any]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """
    Makes a batch of rows, padded on the right to the longest of them. The mask comes from the lengths, so
    `pad_token_id` may be an id that the rows use, such as the end-of-sequence token.

    Args:
        examples (`Sequence[Mapping]`):
            Rows with `input_ids` (a list or a 1-D tensor of ids) and, in all or none of them, `labels` (an integer).
        pad_token_id (`int`):
            The id to fill up with.

    Returns:
        `dict[str, torch.Tensor]`: `input_ids` and `attention_mask` of shape `(batch, longest)`, and `labels` of shape
        `(batch,)` if the rows have them; all `torch.int64`.

    Raises:
        `ValueError`: If there is no row, or only some of the rows have `labels`.
    """
    if len(examples) == 0:
        raise ValueError("There are 0 rows to make a batch of; pass at least 1.")
    rows = [torch.as_tensor(example["input_ids"], dtype=torch.int64) for example in examples]
    longest = max(row.numel() for row in rows)
    input_ids = torch.full((len(rows), longest), pad_token_id, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    for index, row in enumerate(rows):
        input_ids[index, : row.numel()] = row
        attention_mask[index, : row.numel()] = 1
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    labels = [int(example["labels"]) for example in examples if "labels" in example]
    if labels:
        if len(labels) < len(rows):
            raise ValueError(f"Only {len(labels)} of {len(rows)} rows have 'labels'; give them to all or to none.")
        batch["labels"] = torch.tensor(labels, dtype=torch.int64)
    return batch


def data_report(
    train: Sequence[str],
    eval_: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
) -> dict[str, Any]:
    """
    Describes the training and evaluation text as the trainer will see it.

    Args:
        train (`Sequence[str]`):
            The training sentences.
        eval_ (`Sequence[str]`, *optional*):
            The evaluation sentences.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The tokenizer that will encode them.
        max_length (`int`, *optional*):
            As in [`encode_lines`]. Without it no line counts as dropped.

    Returns:
        `dict`: Plain numbers and strings, fit for JSON:

        - `max_length`: the one given, else the length of the longest training line.
        - `vocab_size`: number of ids of the tokenizer.
        - `train`, `eval` (`None` without evaluation text): `lines`, `tokens` (without beginning- and end-of-sequence
          tokens), `mean_length`, `median_length`, `longest` (tokens of a line with the end-of-sequence token),
          `dropped` (lines longer than the given `max_length`) and `unknown_rate` (share of the tokens). All lines
          count, the dropped ones too.
        - `duplicate_rate`: share of the training lines that repeat an earlier one.
        - `overlap_rate`: share of the evaluation lines that are also training lines (`None` without evaluation text).
        - `warnings`: one sentence for each number that is likely to spoil the training or its evaluation.

    Raises:
        [`DataError`]: As [`encode_lines`], but not if every line is too long.
    """
    report: dict[str, Any] = {
        "max_length": max_length,
        "vocab_size": len(tokenizer),
        "train": _describe(train, tokenizer, max_length),
        "eval": None if eval_ is None else _describe(eval_, tokenizer, max_length),
        "duplicate_rate": (len(train) - len(set(train))) / len(train),
        "overlap_rate": None,
    }
    if max_length is None:
        report["max_length"] = report["train"]["longest"]
    if eval_ is not None:
        known = set(train)
        report["overlap_rate"] = sum(line in known for line in eval_) / len(eval_)
    report["warnings"] = _warnings(report)
    return report


def format_report(report: Mapping[str, Any]) -> str:
    """
    Writes a [`data_report`] as aligned plain text.

    Args:
        report (`Mapping`):
            What [`data_report`] returned.

    Returns:
        `str`: One line per number with a column for the training and one for the evaluation text, then the warnings;
        no newline at the end.
    """
    columns = [report["train"]] if report["eval"] is None else [report["train"], report["eval"]]
    rows = [["", "train", "eval"][: len(columns) + 1]]
    for label, key, form in (
        ("lines", "lines", "{:,}"),
        ("tokens", "tokens", "{:,}"),
        ("mean length", "mean_length", "{:.1f}"),
        ("median length", "median_length", "{:g}"),
        ("longest line", "longest", "{:,}"),
        ("dropped lines", "dropped", "{:,}"),
        ("unknown tokens", "unknown_rate", "{:.2%}"),
    ):
        rows.append([label, *(form.format(column[key]) for column in columns)])
    rows.append(["duplicate lines", f"{report['duplicate_rate']:.2%}"])
    if report["overlap_rate"] is not None:
        rows.append(["also in train", "", f"{report['overlap_rate']:.2%}"])
    rows.append(["vocabulary", f"{report['vocab_size']:,}"])
    rows.append(["max_length", f"{report['max_length']:,}"])
    label_width = max(len(row[0]) for row in rows)
    width = max(len(cell) for row in rows for cell in row[1:])
    text = ["  ".join([row[0].ljust(label_width), *(cell.rjust(width) for cell in row[1:])]).rstrip() for row in rows]
    text.append("(lengths count the end-of-sequence token)")
    text.extend(f"Warning: {warning}" for warning in report["warnings"])
    return "\n".join(text)


def check_batch(num_lines: int, batch_size: int) -> None:
    """
    Makes sure that there are lines enough for one full batch.

    Args:
        num_lines (`int`):
            Lines to train on.
        batch_size (`int`):
            Lines in a batch.

    Raises:
        [`DataError`]: If `batch_size` is less than 1 or greater than `num_lines`.
    """
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size} is not a number of lines; use 1 or more.")
    if num_lines < batch_size:
        raise DataError(
            f"The {num_lines} training lines do not fill one batch of batch_size={batch_size}; use a batch_size of at "
            f"most {num_lines}, or give more lines."
        )


def _line_number(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def _tokenize(lines: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The bare token ids of every line, checked."""
    if isinstance(lines, str):
        raise DataError(f"The lines are one string ({lines[:20]!r}...); pass a list of sentences instead.")
    if len(lines) == 0:
        raise DataError("There are 0 lines; pass at least 1 sentence.")
    eos = tokenizer.eos_token_id
    if eos is None:
        raise DataError(
            "The tokenizer has no eos_token, which ends every line; set tokenizer.eos_token to a token of its "
            "vocabulary."
        )
    lines = list(lines)
    tokens: list[list[int]] = []
    for start in range(0, len(lines), _ENCODE_BATCH):
        encoded = tokenizer(
            lines[start : start + _ENCODE_BATCH],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # model_max_length does not apply: the length is checked against max_length
        )
        tokens.extend(encoded["input_ids"])
    for number, line in enumerate(tokens, start=1):
        if not line:
            raise DataError(f"Line {number} ({lines[number - 1]!r}) has no token; remove blank lines from the text.")
        if eos in line:
            raise DataError(
                f"Line {number} contains the tokenizer's end-of-sequence token {tokenizer.eos_token!r}; remove or "
                "replace it in the text."
            )
    return tokens


def _count_unknown(tokens: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> int:
    unknown = tokenizer.unk_token_id
    return 0 if unknown is None else sum(line.count(unknown) for line in tokens)


def _describe(lines: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> dict[str, Any]:
    tokens = _tokenize(lines, tokenizer)
    lengths = [len(line) + 1 for line in tokens]
    num_tokens = sum(map(len, tokens))
    return {
        "lines": len(lengths),
        "tokens": num_tokens,
        "mean_length": statistics.fmean(lengths),
        "median_length": statistics.median(lengths),
        "longest": max(lengths),
        "dropped": 0 if max_length is None else sum(length > max_length for length in lengths),
        "unknown_rate": _count_unknown(tokens, tokenizer) / num_tokens,
    }


def _warnings(report: Mapping[str, Any]) -> list[str]:
    warnings = []
    for name, label in (("train", "training"), ("eval", "evaluation")):
        part = report[name]
        if part is None:
            continue
        if part["unknown_rate"] > _MAX_UNKNOWN:
            warnings.append(
                f"{part['unknown_rate']:.1%} of the {label} tokens are unknown to the tokenizer; build it from more "
                "text or with a larger vocabulary."
            )
        dropped = part["dropped"] / part["lines"]
        if dropped > _MAX_DROPPED:
            warnings.append(
                f"{dropped:.1%} of the {label} lines are longer than max_length={report['max_length']} and are "
                f"dropped; a max_length of {part['longest']} keeps them all."
            )
    if report["duplicate_rate"] > _MAX_DUPLICATES:
        warnings.append(
            f"{report['duplicate_rate']:.1%} of the training lines repeat an earlier one; remove duplicates, or the "
            "generator will favour them."
        )
    if report["overlap_rate"] is not None and report["overlap_rate"] > _MAX_OVERLAP:
        warnings.append(
            f"{report['overlap_rate']:.1%} of the evaluation lines are also training lines; remove them from one "
            "side, or copying the training text will look like quality."
        )
    return warnings
