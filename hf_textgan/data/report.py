"""A report on training and evaluation text, with warnings."""

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset
from datasets.utils import tqdm
from transformers import PreTrainedTokenizerBase

from .encoding import Tokens, check_lengths, length_without_outliers, outlier_warning
from .lines import check_lines, column_batches


# Shares above which `data_report` warns.
_MAX_UNKNOWN = 0.05
_MAX_DUPLICATES = 0.20
_MAX_OVERLAP = 0.05
_MAX_DROPPED = 0.10


def data_report(
    train: Dataset | Sequence[str],
    eval_: Dataset | Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
    min_length: int | None = None,
    progress: bool = True,
    truncate: bool = False,
    max_condition_length: int | None = None,
) -> dict[str, Any]:
    """
    Describes the training and evaluation text as the trainer will read it, in 8 bytes of memory a line.

    Args:
        train (`datasets.Dataset` or `Sequence[str]`):
            The training sentences: a data set of [`load_text`], or a list.
        eval_ (`datasets.Dataset` or `Sequence[str]`, *optional*):
            The evaluation sentences.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The tokenizer that will encode them.
        max_length (`int`, *optional*):
            As in [`encode_lines`]. Without it only the lines count as dropped that a training leaves out because they
            are far longer than the others.
        min_length (`int`, *optional*):
            As in [`encode_text`].
        progress (`bool`, *optional*, defaults to `True`):
            Whether a progress bar is shown after one second.
        truncate (`bool`, *optional*, defaults to `False`):
            As in [`encode_lines`]. All numbers are still those of the whole lines.
        max_condition_length (`int`, *optional*):
            As in [`encode_text`].

    Returns:
        `dict`: Plain numbers and strings, fit for JSON:

        - `max_length`: the one given, else the length of the longest training line that is not left out.
        - `vocab_size`: number of ids of the tokenizer.
        - `train`, `eval` (`None` without evaluation text): `lines`, `tokens` (without beginning- and end-of-sequence
          tokens), `mean_length`, `median_length`, `longest` (tokens of a line with the end-of-sequence token),
          `dropped` (lines longer than `max_length`; with `truncate` instead `cut`, lines that lose tokens)
          and `unknown_rate` (share of the tokens). All lines count, the dropped ones too. With labels also `labels`
          (class to number of lines), with conditions `condition_mean_length` and `condition_longest` (with the
          end-of-sequence token) and with a `max_condition_length` `long_conditions` (longer ones), and with a
          `min_length` `short` (lines below it).
        - `duplicate_rate`: share of the training lines that repeat an earlier one.
        - `overlap_rate`: share of the evaluation lines that are also training lines (`None` without evaluation text).
        - `warnings`: one sentence for each number that is likely to harm the training or the evaluation.

    Raises:
        [`DataError`]: As [`encode_lines`], but not if every line is too long.
    """
    check_lengths(max_length, min_length, truncate)
    describe = functools.partial(
        _describe,
        tokenizer=tokenizer,
        min_length=min_length,
        max_condition_length=max_condition_length,
        progress=progress,
    )
    train_part, train_hashes, train_lengths = describe(train)
    limit = max_length
    if limit is None and length_without_outliers(train_lengths) < max(train_lengths):
        limit = length_without_outliers(train_lengths)
    parts = [(train_part, train_lengths)]
    eval_part, eval_hashes = None, None
    if eval_ is not None:
        eval_part, eval_hashes, eval_lengths = describe(eval_)
        parts.append((eval_part, eval_lengths))
    for part, lengths in parts:
        part["cut" if truncate else "dropped"] = _count_longer(lengths, limit, truncate)
    train_hashes.sort()
    repeated = int(np.count_nonzero(train_hashes[1:] == train_hashes[:-1]))
    report: dict[str, Any] = {
        "max_length": train_part["longest"] if limit is None else limit,
        "vocab_size": len(tokenizer),
        "train": train_part,
        "eval": eval_part,
        "duplicate_rate": repeated / len(train_hashes),
        "overlap_rate": None,
    }
    if eval_hashes is not None:
        indices = np.searchsorted(train_hashes, eval_hashes)
        indices[indices == len(train_hashes)] = 0
        report["overlap_rate"] = int(np.count_nonzero(train_hashes[indices] == eval_hashes)) / len(eval_hashes)
    report["warnings"] = _warnings(report)
    if max_length is None and limit is not None:
        numbers = (train_part["dropped"], train_part["lines"], train_part["longest"], limit)
        report["warnings"].insert(0, outlier_warning(*numbers))
    return report


def format_report(report: Mapping[str, Any]) -> str:
    """
    Writes a [`data_report`] as aligned plain text.

    Args:
        report (`Mapping`):
            The result of [`data_report`].

    Returns:
        `str`: One line per number with a column for the training and one for the evaluation text, then the warnings;
        no newline at the end.
    """
    columns = [report["train"]] if report["eval"] is None else [report["train"], report["eval"]]
    rows = [["", "train", "eval"][: len(columns) + 1]]
    numbers = [
        ("lines", "lines", "{:,}"),
        ("tokens", "tokens", "{:,}"),
        ("mean length", "mean_length", "{:.1f}"),
        ("median length", "median_length", "{:g}"),
        ("longest line", "longest", "{:,}"),
        ("dropped lines", "dropped", "{:,}"),
        ("cut lines", "cut", "{:,}"),
        ("unknown tokens", "unknown_rate", "{:.2%}"),
        ("short lines", "short", "{:,}"),
        ("mean condition", "condition_mean_length", "{:.1f}"),
        ("longest condition", "condition_longest", "{:,}"),
        ("long conditions", "long_conditions", "{:,}"),
    ]
    for label, key, form in numbers:
        if any(key in column for column in columns):
            rows.append([label, *(form.format(column[key]) if key in column else "-" for column in columns)])
    classes = dict.fromkeys(name for column in columns for name in column.get("labels", ()))
    for name in classes:
        counts = [f"{column['labels'].get(name, 0):,}" if "labels" in column else "-" for column in columns]
        rows.append([f"label {name}", *counts])
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


def _describe(
    lines: Dataset | Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    min_length: int | None,
    max_condition_length: int | None,
    progress: bool,
) -> tuple[dict[str, Any], np.ndarray, Counter[int]]:
    """Returns the numbers of one text, a hash of each line, and the number of lines of each length."""
    check_lines(lines)
    tokenize, tokenize_condition = Tokens(tokenizer), Tokens(tokenizer, "The condition of line")
    lengths: Counter[int] = Counter()
    conditions: Counter[int] = Counter()
    labels: Counter[int] = Counter()
    hashes = np.empty(len(lines), dtype=np.uint64)
    unknown = 0
    with tqdm(total=len(lines), unit=" lines", desc="Measuring", delay=1, disable=not progress) as bar:
        for batch in column_batches(lines):
            tokens = tokenize(batch["text"])
            # A hash of the content: the same in every process, unlike hash().
            digests = (hashlib.blake2b(line.encode(), digest_size=8).digest() for line in batch["text"])
            hashes[tokenize.num_read - len(tokens) : tokenize.num_read] = np.frombuffer(b"".join(digests), dtype="<u8")
            lengths.update(len(line) + 1 for line in tokens)
            unknown += tokenize.count_unknown(tokens)
            labels.update(batch.get("label", ()))
            if "condition" in batch:
                conditions.update(len(line) + 1 for line in tokenize_condition(batch["condition"]))
            bar.update(len(tokens))
    total = sum(length * count for length, count in lengths.items())
    num_tokens = total - len(lines)
    part: dict[str, Any] = {
        "lines": len(lines),
        "tokens": num_tokens,
        "mean_length": total / len(lines),
        "median_length": _median(lengths),
        "longest": max(lengths),
        "unknown_rate": unknown / num_tokens,
    }
    if min_length is not None:
        part["short"] = sum(n for length, n in lengths.items() if length <= min_length)
    if labels:
        feature = lines.features["label"] if isinstance(lines, Dataset) else None
        names = feature.names if isinstance(feature, ClassLabel) else None
        ids = sorted(labels) if names is None else range(len(names))
        part["labels"] = {str(i) if names is None else names[i]: labels[i] for i in ids}
    if conditions:
        part["condition_mean_length"] = sum(length * n for length, n in conditions.items()) / len(lines)
        part["condition_longest"] = max(conditions)
        if max_condition_length is not None:
            part["long_conditions"] = sum(n for length, n in conditions.items() if length > max_condition_length)
    return part, hashes, lengths


def _count_longer(lengths: Mapping[int, int], max_length: int | None, truncate: bool) -> int:
    """Returns the number of lines that are dropped, or cut."""
    if max_length is None:
        return 0
    # A cut line has no end, so a line that exceeds `max_length` by its end only loses nothing.
    return sum(count for length, count in lengths.items() if length > max_length + int(truncate))


def _median(counts: Mapping[int, int]) -> float:
    """Returns the median of numbers, given the count of each."""
    total = sum(counts.values())
    middle, below = [], 0
    for value in sorted(counts):
        # The indices (total - 1) // 2 and total // 2 are equal if the total is odd.
        middle += [value] * sum(below <= index < below + counts[value] for index in ((total - 1) // 2, total // 2))
        below += counts[value]
    return sum(middle) / 2


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
        dropped = part.get("dropped", 0) / part["lines"]
        if dropped > _MAX_DROPPED:
            warnings.append(
                f"{dropped:.1%} of the {label} lines are longer than max_length={report['max_length']} and are "
                f"dropped; a max_length of {part['longest']} keeps them all."
            )
    if report["train"]["median_length"] <= 2:  # a token and the end
        warnings.append(
            "At least half of the training lines are a single token; if the text has no blanks between its words, use "
            "characters (--level character)."
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


__all__ = ["data_report", "format_report"]
