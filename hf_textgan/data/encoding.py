"""Lines of text as token ids."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from datasets.utils import tqdm
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from .cache import cached_dataset, fingerprint, write_arrow
from .errors import DataError
from .lines import check_lines, column_batches
from .statistics import iterate_ids


logger = logging.getLogger(__name__)

# A line is an outlier if it has more tokens than this, and than so many times the 99.5th percentile of the lengths.
_MIN_OUTLIER_LENGTH = 100
_OUTLIER_FACTOR = 3
_MIN_LINES = 100  # fewer lines have no outliers, which are so at most 1 in 100


@dataclass
class EncodedText:
    """
    Lines as token ids, ready for training.

    Args:
        dataset (`datasets.Dataset`):
            One row per kept line with the column `input_ids`: the beginning-of-sequence token, the line's tokens, the
            end-of-sequence token, which is missing where `truncate` cut the line or its tokens alone fill
            `max_length`; between 3 and `max_length + 1` ids. Where the lines have them, also `labels` and
            `condition_ids` (the condition's tokens and the end-of-sequence token). In memory if it comes from
            [`encode_lines`], memory-mapped from the cache if it comes from [`encode_text`].
        max_length (`int`):
            Maximum number of generated tokens of a line, the end-of-sequence token included and the
            beginning-of-sequence token not.
        num_dropped (`int`):
            Lines left out because they, or their conditions, are too long.
        num_lines (`int`):
            Lines given, the dropped ones included.
        num_tokens (`int`):
            Tokens of the kept lines without the beginning- and end-of-sequence tokens.
        num_unknown (`int`):
            The number of unknown tokens among them (0 for a tokenizer without an unknown token).
        num_short (`int`, *optional*, defaults to 0):
            Lines left out because they are shorter than `min_length`.
        max_condition_length (`int`, *optional*):
            Maximum number of ids of a condition, if there are conditions.
        num_cut (`int`, *optional*, defaults to 0):
            Kept lines that lost tokens, because they have more than `max_length`.
    """

    dataset: Dataset
    max_length: int
    num_dropped: int
    num_lines: int
    num_tokens: int
    num_unknown: int
    num_short: int = 0
    max_condition_length: int | None = None
    num_cut: int = 0


def encode_lines(
    lines: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
    truncate: bool = False,
) -> EncodedText:
    """
    Encodes sentences as `[bos] + tokens + [eos]`. Lines that are too long are dropped, not cut, because a cut line
    would teach the generator sentences without an end; for a generator of windows of text, `truncate` cuts them.
    Special tokens written out in a line are read as plain text.

    Args:
        lines (`Sequence[str]`):
            The sentences.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Needs an `eos_token`, which also begins a line where there is no `bos_token`.
        max_length (`int`, *optional*):
            Maximum number of generated tokens of a line: its tokens and the end-of-sequence token, without the
            beginning-of-sequence token. By default that of the longest line, so that no line is dropped; a warning
            says if it is far longer than the others.
        truncate (`bool`, *optional*, defaults to `False`):
            Whether a line of `max_length` or more tokens becomes `[bos]` and its first `max_length` tokens, without
            an end-of-sequence token, instead of being dropped. Needs `max_length`.

    Returns:
        [`EncodedText`]: The rows, at most `max_length + 1` ids each, and their counts.

    Raises:
        [`DataError`]: If there is no line, the tokenizer has no `eos_token`, a line has no token or holds the
            end-of-sequence token, `max_length` is less than 2 or missing with `truncate`, or every line is too long.
    """
    check_lines(lines)
    encoder = _Encoder(tokenizer, max_length, truncate=truncate)
    rows = [row for batch in column_batches(lines) for row in encoder(batch)["input_ids"]]
    encoded = EncodedText(Dataset.from_dict({"input_ids": rows}), **encoder.result())
    lengths = _lengths(encoded.dataset)
    limit = length_without_outliers(lengths)
    if max_length is None and limit < encoded.max_length:
        number = sum(count for length, count in lengths.items() if length > limit)
        logger.warning(
            "%d of %d lines are far longer than the others: they have up to %d tokens, the others at most %d, and the "
            "longest decides the cost of all; pass max_length=%d to leave them out.",
            *(number, encoded.num_lines, encoded.max_length, limit, limit),
        )
    return encoded


def encode_text(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
    min_length: int | None = None,
    max_condition_length: int | None = None,
    cache_dir: str | Path | None = None,
    progress: bool = True,
    truncate: bool = False,
) -> EncodedText:
    """
    Encodes a data set of text as [`encode_lines`] does a list, but from disk to disk: the memory that it takes does
    not grow with the text. The result is kept in the cache and found again for the same text, tokenizer and options.

    Args:
        dataset (`datasets.Dataset`):
            A data set of [`load_text`]: the column `text`, and optionally `label` and `condition`.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            As in [`encode_lines`].
        max_length (`int`, *optional*):
            As in [`encode_lines`].
        min_length (`int`, *optional*):
            Minimum number of tokens of a line, the end-of-sequence token not included. Shorter lines are dropped.
        max_condition_length (`int`, *optional*):
            Maximum number of tokens of a condition, the end-of-sequence token included. Rows with longer ones are
            dropped, also with `truncate`.
        cache_dir (`str` or `Path`, *optional*):
            The folder of the result; by default the folder `hf_textgan` in the cache of 🤗 Datasets.
        progress (`bool`, *optional*, defaults to `True`):
            Whether a progress bar is shown after one second.
        truncate (`bool`, *optional*, defaults to `False`):
            As in [`encode_lines`].

    Returns:
        [`EncodedText`]: The rows `input_ids`, and `labels` and `condition_ids` if the data set has them.

    Raises:
        [`DataError`]: As [`encode_lines`], or if the lengths contradict each other.
    """
    check_lines(dataset)
    encoder = _Encoder(tokenizer, max_length, min_length, max_condition_length, truncate)
    features = {"input_ids": List(Value("int32"))}
    if "label" in dataset.column_names:
        features["labels"] = dataset.features["label"]
    if "condition" in dataset.column_names:
        features["condition_ids"] = List(Value("int32"))

    def batches() -> Iterator[dict[str, list]]:
        with tqdm(total=len(dataset), unit=" lines", desc="Encoding", delay=1, disable=not progress) as bar:
            for batch in column_batches(dataset):
                yield encoder(batch)
                bar.update(len(batch["text"]))

    key = fingerprint(
        "encode_text",
        dataset._fingerprint,
        str(dataset.features),
        _tokenizer_state(tokenizer),
        [max_length, min_length, max_condition_length, truncate],
    )
    encoded, counts = cached_dataset(
        key, lambda path: write_arrow(path, Features(features), batches()) or encoder.result(), cache_dir
    )
    return EncodedText(encoded, **counts)


def encode_training_text(
    dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None, **options: Any
) -> EncodedText:
    """
    Encodes text as [`encode_text`], but without `max_length` leaves out lines that are far longer than nearly all
    others, because the longest line decides the memory and the time that a training takes. A warning says so.

    Args:
        dataset, tokenizer, max_length, options:
            As in [`encode_text`].
    """
    encoded = encode_text(dataset, tokenizer, max_length, **options)
    if max_length is not None:
        return encoded
    limit = length_without_outliers(_lengths(encoded.dataset))
    if limit == encoded.max_length:
        return encoded
    shorter = encode_text(dataset, tokenizer, limit, **options)
    number = shorter.num_dropped - encoded.num_dropped
    logger.warning("%s", outlier_warning(number, shorter.num_lines, encoded.max_length, limit))
    return shorter


def length_without_outliers(counts: Mapping[int, int]) -> int:
    """Returns the largest of the lengths, given the number of lines of each, or of those that are no outliers."""
    number = sum(counts.values())
    if number < _MIN_LINES:
        return max(counts)
    longer = 0
    for percentile in sorted(counts, reverse=True):
        longer += counts[percentile]
        if longer > max(1, number // 200):
            bound = max(_MIN_OUTLIER_LENGTH, _OUTLIER_FACTOR * percentile)
            return max(length for length in counts if length <= bound)
    return max(counts)


def outlier_warning(number: int, num_lines: int, longest: int, limit: int) -> str:
    """Returns the sentence that says which lines of the training text are left out as outliers."""
    return (
        f"{number:,} of {num_lines:,} training lines are left out, because they are far longer than the others (up to "
        f"{longest:,} tokens, the others at most {limit:,}); set --max_length {longest} to keep them."
    )


def _lengths(dataset: Dataset) -> Counter[int]:
    """Returns the number of rows with each number of tokens, BOS not included."""
    counts: Counter[int] = Counter()
    for lengths, _ in iterate_ids(dataset):
        values, numbers = np.unique(lengths, return_counts=True)
        counts.update(dict(zip((values - 1).tolist(), numbers.tolist(), strict=True)))
    return counts


def truncate_texts(texts: Dataset | Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[str]:
    """
    Cuts texts where `truncate` of [`encode_lines`] cuts their tokens, for a comparison with generated texts.

    Args:
        texts (`datasets.Dataset` or `Sequence[str]`):
            The sentences: a data set of [`load_text`], or a list.
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            A fast tokenizer, which gives the positions of its tokens in a text.
        max_length (`int`):
            Maximum number of tokens of a text.

    Returns:
        `list[str]`: The texts in their order. One with more tokens ends with the last character of its token number
        `max_length` (a character of several tokens, as byte-level tokenizers have them, stays whole), blanks before
        the cut removed; the others are as they were.

    Raises:
        [`DataError`]: If there is no text, the tokenizer is not a fast one, or `max_length` is less than 1.
    """
    check_lines(texts)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise DataError(
            f"A {type(tokenizer).__name__} is not a fast tokenizer and does not say where its tokens end in a text; "
            "load it as a PreTrainedTokenizerFast instead."
        )
    if max_length < 1:
        raise DataError(f"max_length={max_length} leaves no token of a text; use 1 or more.")
    cut = []
    for batch in column_batches(texts, ["text"]):
        encoded = tokenizer(
            batch["text"],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        for text, offsets in zip(batch["text"], encoded["offset_mapping"], strict=True):
            cut.append(text[: offsets[max_length - 1][1]].rstrip() if len(offsets) > max_length else text)
    return cut


def check_lengths(max_length: int | None, min_length: int | None, truncate: bool) -> None:
    """Raises [`DataError`] if the lengths of lines are out of range or contradict each other."""
    if max_length is not None and max_length < 2:
        raise DataError(f"max_length={max_length} leaves no room for a token and the end of the line; use 2 or more.")
    if truncate and max_length is None:
        raise DataError(
            "truncate is set and max_length is not; set max_length to the tokens to keep, or leave truncate out."
        )
    if min_length is not None and min_length < 1:
        raise DataError(f"min_length={min_length} is not a number of tokens; use 1 or more.")
    if min_length is not None and max_length is not None:
        if truncate and min_length > max_length:
            raise DataError(
                f"min_length={min_length} is more than max_length={max_length}, at which lines are cut; use a "
                f"min_length of at most {max_length}."
            )
        if not truncate and min_length >= max_length:
            raise DataError(
                f"min_length={min_length} and the end of the line do not fit into max_length={max_length}; use a "
                f"min_length of at most {max_length - 1}."
            )


class Tokens:
    """The checked token ids of texts, without special tokens, one batch after another; `unit` begins the errors."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, unit: str = "Line"):
        if tokenizer.eos_token_id is None:
            raise DataError(
                "The tokenizer has no eos_token, which ends every line; set tokenizer.eos_token to a token of its "
                "vocabulary."
            )
        self.tokenizer = tokenizer
        self.unit = unit
        self.num_read = 0

    def __call__(self, lines: list[str]) -> list[list[int]]:
        encoded = self.tokenizer(
            lines,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # model_max_length does not apply: the length is checked against max_length
        )
        tokens: list[list[int]] = encoded["input_ids"]
        eos = self.tokenizer.eos_token_id
        for number, (line, ids) in enumerate(zip(lines, tokens, strict=True), start=self.num_read + 1):
            if not ids:
                raise DataError(f"{self.unit} {number} ({line!r}) has no token; remove blank lines from the text.")
            if eos in ids:
                raise DataError(
                    f"{self.unit} {number} contains the tokenizer's end-of-sequence token "
                    f"{self.tokenizer.eos_token!r}; remove or replace it in the text."
                )
        self.num_read += len(lines)
        return tokens

    def count_unknown(self, tokens: Iterable[Sequence[int]]) -> int:
        """Returns the number of unknown tokens."""
        unknown = self.tokenizer.unk_token_id
        return 0 if unknown is None else sum(line.count(unknown) for line in tokens)


class _Encoder:
    """An encoder of batches of text as rows of ids, which counts the kept and dropped lines."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
        min_length: int | None = None,
        max_condition_length: int | None = None,
        truncate: bool = False,
    ):
        self.tokens = Tokens(tokenizer)
        self.condition_tokens = Tokens(tokenizer, "The condition of line")
        check_lengths(max_length, min_length, truncate)
        if max_condition_length is not None and max_condition_length < 2:
            raise DataError(
                f"max_condition_length={max_condition_length} leaves no room for a token and the end of the condition;"
                " use 2 or more."
            )
        self.eos = tokenizer.eos_token_id
        self.bos = self.eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self.max_length, self.min_length = max_length, min_length
        self.max_condition_length = max_condition_length
        self.window = max_length if truncate else None  # lines are cut at this number of tokens
        self.kept = self.dropped = self.short = self.cut = self.num_tokens = self.unknown = 0
        self.shortest, self.longest, self.longest_kept, self.longest_condition = sys.maxsize, 0, 0, 0

    def __call__(self, batch: Mapping[str, list]) -> dict[str, list]:
        tokens = self.tokens(batch["text"])
        conditions = self.condition_tokens(batch["condition"]) if "condition" in batch else None
        limit = sys.maxsize if self.max_length is None or self.window is not None else self.max_length
        condition_limit = sys.maxsize if self.max_condition_length is None else self.max_condition_length
        indices = []
        for index, line in enumerate(tokens):
            self.shortest, self.longest = min(self.shortest, len(line)), max(self.longest, len(line))
            if len(line) >= limit or (conditions is not None and len(conditions[index]) >= condition_limit):
                self.dropped += 1
            elif self.min_length is not None and len(line) < self.min_length:
                self.short += 1
            else:
                indices.append(index)
        self.kept += len(indices)
        kept = [tokens[index] for index in indices]
        self.longest_kept = max([self.longest_kept, *map(len, kept)])
        if self.window is not None:
            self.cut += sum(len(line) > self.window for line in kept)
            kept = [line[: self.window] for line in kept]
        self.num_tokens += sum(map(len, kept))
        self.unknown += self.tokens.count_unknown(kept)
        rows: dict[str, list] = {"input_ids": [[self.bos, *line, self.eos] for line in kept]}
        if self.window is not None:  # no end where the tokens fill the window
            rows["input_ids"] = [row[: self.window + 1] for row in rows["input_ids"]]
        if "label" in batch:
            rows["labels"] = [batch["label"][index] for index in indices]
        if conditions is not None:
            rows["condition_ids"] = [[*conditions[index], self.eos] for index in indices]
            self.longest_condition = max([self.longest_condition, *map(len, rows["condition_ids"])])
        return rows

    def result(self) -> dict[str, Any]:
        """Returns the counts of [`EncodedText`]; raises [`DataError`] if no line is kept."""
        lines = self.kept + self.dropped + self.short
        too_long = self.window is None and self.max_length is not None and self.shortest >= self.max_length
        if self.kept == 0 and too_long:
            raise DataError(
                f"All {lines} lines are longer than max_length={self.max_length}; the shortest has "
                f"{self.shortest + 1} tokens with the end of the line, so use a max_length of at least "
                f"{self.shortest + 1}."
            )
        if self.kept == 0:
            limits = [f"max_length={self.max_length}"] if self.max_length is not None else []
            limits += [f"min_length={self.min_length}"] if self.min_length is not None else []
            if self.max_condition_length is not None:
                limits.append(f"max_condition_length={self.max_condition_length}")
            raise DataError(
                f"None of the {lines} lines, which have {self.shortest} to {self.longest} tokens, is kept with "
                f"{' and '.join(limits)}; widen the limits."
            )
        return {
            "max_length": self.longest_kept + 1 if self.max_length is None else self.max_length,
            "num_dropped": self.dropped,
            "num_lines": lines,
            "num_tokens": self.num_tokens,
            "num_unknown": self.unknown,
            "num_short": self.short,
            "max_condition_length": self.longest_condition or None,
            "num_cut": self.cut,
        }


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> list:
    """Returns everything but the text that the ids of a text depend on."""
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        backend["padding"] = backend["truncation"] = None  # left over from the last call
    else:
        backend = [sorted(tokenizer.get_vocab().items()), repr(sorted(tokenizer.init_kwargs.items()))]
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    return [type(tokenizer).__name__, backend, ids]


__all__ = [
    "EncodedText",
    "check_lengths",
    "encode_lines",
    "encode_text",
    "encode_training_text",
    "length_without_outliers",
    "outlier_warning",
    "truncate_texts",
]
