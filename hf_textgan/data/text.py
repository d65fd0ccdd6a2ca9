"""Text files, token ids and batches."""

import functools
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from datasets.utils import tqdm
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from .cache import cached_dataset, fingerprint, write_arrow


logger = logging.getLogger(__name__)

BATCH = 10_000  # lines read, tokenized and written at once; bounds the memory, whatever the size of the text
_LONGEST_LINE = 1 << 24  # bytes; a file without line ends is not read into memory as one line


class DataError(ValueError):
    """The training or evaluation text cannot be used as it is; the message is one sentence that names the fix."""


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
            Largest number of generated tokens of a line, the end-of-sequence token included and the
            beginning-of-sequence token not.
        num_dropped (`int`):
            Lines left out because they, or their conditions, are too long.
        num_lines (`int`):
            Lines given, the dropped ones included.
        num_tokens (`int`):
            Tokens of the kept lines without the beginning- and end-of-sequence tokens.
        num_unknown (`int`):
            How many of these tokens are the unknown token (0 for a tokenizer that has none).
        num_short (`int`, *optional*, defaults to 0):
            Lines left out because they are shorter than `min_length`.
        max_condition_length (`int`, *optional*):
            Largest number of ids of a condition, if there are conditions.
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
    lines, blank = [], 0
    for raw in decoded_lines(path):
        line = raw.strip()
        if line:
            lines.append(line)
        else:
            blank += 1
    check_amount(str(path), "line", len(lines), blank)
    return lines


def decoded_lines(path: str | Path) -> Iterator[str]:
    """The lines of a UTF-8 file with their ends, read one by one; the first byte that is wrong is an error."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; give the path of a text file with one sentence a line.")
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}; give the path of a text file with one sentence a line.")
    offset = 0
    with path.open("rb") as file:
        # Only "\n" ends a line: `str.splitlines` would also break sentences at form feeds and Unicode separators.
        for number, raw in enumerate(iter(functools.partial(file.readline, _LONGEST_LINE), b""), start=1):
            if len(raw) == _LONGEST_LINE:
                raise DataError(
                    f"Line {number} of {str(path)!r} has more than {_LONGEST_LINE >> 20} MiB; write one sentence (or "
                    "row) a line."
                )
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{str(path)!r} is not valid UTF-8 at byte offset {offset + error.start} (line {number}); convert "
                    "the file to UTF-8."
                ) from None
            if "\0" in line:
                raise DataError(
                    f"{str(path)!r} contains a NUL byte at byte offset {offset + raw.index(0)} (line {number}); give "
                    "a plain text file in UTF-8."
                )
            offset += len(raw)
            yield line.removeprefix("\ufeff") if number == 1 else line


def check_amount(name: str, unit: str, kept: int, blank: int) -> None:
    """Too little text is an error, blank texts that were skipped are worth a warning."""
    fix = "give a file with at least 2 sentences, one a line." if unit == "line" else "give at least 2 sentences."
    if kept < 2:
        raise DataError(f"{name!r} has {'only 1' if kept else 'no'} {unit} with text; {fix}")
    if blank:
        logger.warning("Skipped %d blank %ss of %r.", blank, unit, name)


def encode_lines(
    lines: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
    truncate: bool = False,
) -> EncodedText:
    """
    Encodes sentences as `[bos] + tokens + [eos]`. Lines that are too long are dropped, not cut, because a cut line
    would teach the generator sentences without an end; where a window of text is what it shall learn, `truncate` cuts
    them. Special tokens written out in a line are read as plain text.

    Args:
        lines (`Sequence[str]`):
            The sentences.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Needs an `eos_token`, which also begins a line where there is no `bos_token`.
        max_length (`int`, *optional*):
            Largest number of generated tokens of a line: its tokens and the end-of-sequence token, without the
            beginning-of-sequence token. Without it the longest line sets it and no line is dropped.
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
    return EncodedText(Dataset.from_dict({"input_ids": rows}), **encoder.result())


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
            What [`load_text`] returns: the column `text`, and where there are such, `label` and `condition`.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            As in [`encode_lines`].
        max_length (`int`, *optional*):
            As in [`encode_lines`].
        min_length (`int`, *optional*):
            Fewest tokens of a line, the end-of-sequence token not included. Shorter lines are dropped.
        max_condition_length (`int`, *optional*):
            Largest number of tokens of a condition, the end-of-sequence token included. Rows with longer ones are
            dropped, also with `truncate`.
        cache_dir (`str` or `Path`, *optional*):
            Where the result is kept; by default the folder `hf_textgan` in the cache of 🤗 Datasets.
        progress (`bool`, *optional*, defaults to `True`):
            Whether a bar is shown for what takes more than a second.
        truncate (`bool`, *optional*, defaults to `False`):
            As in [`encode_lines`].

    Returns:
        [`EncodedText`]: The rows `input_ids`, and `labels` and `condition_ids` where there are such.

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


def truncate_texts(texts: Dataset | Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[str]:
    """
    Cuts texts where `truncate` of [`encode_lines`] cuts their tokens, as text to compare generated texts with.

    Args:
        texts (`datasets.Dataset` or `Sequence[str]`):
            The sentences: what [`load_text`] returns, or a list.
        tokenizer ([`~transformers.PreTrainedTokenizerFast`]):
            A fast tokenizer, which knows where its tokens stand in a text.
        max_length (`int`):
            Largest number of tokens of a text.

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


def iterate_texts(dataset: Dataset) -> Iterator[str]:
    """The texts of a data set one by one, for a tokenizer; faster than its rows and with no more memory."""
    for batch in column_batches(dataset, ["text"]):
        yield from batch["text"]


def collate(examples: Sequence[Mapping[str, Any]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """
    Makes a batch of rows, padded on the right to the longest of them. The mask comes from the lengths, so
    `pad_token_id` may be an id that the rows use, such as the end-of-sequence token.

    Args:
        examples (`Sequence[Mapping]`):
            Rows with `input_ids` (a list or a 1-D tensor of ids) and, in all or none of them, `labels` (an integer)
            and `condition_ids` (as `input_ids`).
        pad_token_id (`int`):
            The id to fill up with.

    Returns:
        `dict[str, torch.Tensor]`: `input_ids` and `attention_mask` of shape `(batch, longest)`, and if the rows have
        them `labels` of shape `(batch,)`, `condition_ids` and `condition_mask` of shape `(batch, longest condition)`;
        all `torch.int64`.

    Raises:
        `ValueError`: If there is no row, or only some of the rows have `labels` or `condition_ids`.
    """
    if len(examples) == 0:
        raise ValueError("There are 0 rows to make a batch of; pass at least 1.")
    for name in ("labels", "condition_ids"):
        given = sum(name in example for example in examples)
        if given not in (0, len(examples)):
            raise ValueError(f"Only {given} of {len(examples)} rows have {name!r}; give them to all or to none.")
    input_ids, attention_mask = _pad([example["input_ids"] for example in examples], pad_token_id)
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    if "labels" in examples[0]:
        batch["labels"] = torch.tensor([int(example["labels"]) for example in examples], dtype=torch.int64)
    if "condition_ids" in examples[0]:
        conditions = [example["condition_ids"] for example in examples]
        batch["condition_ids"], batch["condition_mask"] = _pad(conditions, pad_token_id)
    return batch


def _pad(rows: Sequence[Any], pad_token_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids side by side, filled up on the right, and where they are real."""
    # NumPy, because filling rows of tensors takes three times as long.
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), pad_token_id, dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row.cpu() if isinstance(row, torch.Tensor) else row
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


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


def column_batches(texts: Dataset | Sequence[str], columns: Sequence[str] | None = None) -> Iterator[dict[str, list]]:
    """[`BATCH`] rows of text at a time, as lists, from a data set or a list (whose only column is `text`)."""
    if isinstance(texts, Dataset):
        data = texts if columns is None else texts.select_columns(list(columns))
        for table in data.with_format("arrow").iter(BATCH):
            yield table.to_pydict()
    else:
        for start in range(0, len(texts), BATCH):
            yield {"text": list(texts[start : start + BATCH])}


def check_lines(lines: Dataset | Sequence[str]) -> None:
    if isinstance(lines, str):
        raise DataError(f"The lines are one string ({lines[:20]!r}...); pass a list of sentences instead.")
    if isinstance(lines, Dataset) and "text" not in lines.column_names:
        raise DataError(
            f"The data set has the columns {', '.join(lines.column_names)} and no 'text'; make it with load_text, or "
            "rename the column of the text."
        )
    if len(lines) == 0:
        raise DataError("There are 0 lines; pass at least 1 sentence.")


def check_truncate(truncate: bool, max_length: int | None) -> None:
    if truncate and max_length is None:
        raise DataError(
            "truncate is set and max_length is not; set max_length to the tokens to keep, or leave truncate out."
        )


class Tokens:
    """The bare token ids of texts, batch after batch, checked; `what` begins the error messages."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, what: str = "Line"):
        if tokenizer.eos_token_id is None:
            raise DataError(
                "The tokenizer has no eos_token, which ends every line; set tokenizer.eos_token to a token of its "
                "vocabulary."
            )
        self.tokenizer = tokenizer
        self.what = what
        self.seen = 0

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
        for number, (line, ids) in enumerate(zip(lines, tokens, strict=True), start=self.seen + 1):
            if not ids:
                raise DataError(f"{self.what} {number} ({line!r}) has no token; remove blank lines from the text.")
            if eos in ids:
                raise DataError(
                    f"{self.what} {number} contains the tokenizer's end-of-sequence token "
                    f"{self.tokenizer.eos_token!r}; remove or replace it in the text."
                )
        self.seen += len(lines)
        return tokens

    def count_unknown(self, tokens: Iterable[Sequence[int]]) -> int:
        unknown = self.tokenizer.unk_token_id
        return 0 if unknown is None else sum(line.count(unknown) for line in tokens)


class _Encoder:
    """Makes rows of ids of batches of text; knows in the end what it has kept and dropped."""

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
        if max_length is not None and max_length < 2:
            raise DataError(
                f"max_length={max_length} leaves no room for a token and the end of the line; use 2 or more."
            )
        check_truncate(truncate, max_length)
        if min_length is not None and min_length < 1:
            raise DataError(f"min_length={min_length} is not a number of tokens; use 1 or more.")
        if truncate and min_length is not None and min_length > max_length:
            raise DataError(
                f"min_length={min_length} is more than max_length={max_length}, at which lines are cut; use a "
                f"min_length of at most {max_length}."
            )
        if not truncate and None not in (min_length, max_length) and min_length >= max_length:
            raise DataError(
                f"min_length={min_length} and the end of the line do not fit into max_length={max_length}; use a "
                f"min_length of at most {max_length - 1}."
            )
        if max_condition_length is not None and max_condition_length < 2:
            raise DataError(
                f"max_condition_length={max_condition_length} leaves no room for a token and the end of the condition;"
                " use 2 or more."
            )
        self.eos = tokenizer.eos_token_id
        self.bos = self.eos if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self.max_length, self.min_length = max_length, min_length
        self.max_condition_length = max_condition_length
        self.truncate = truncate
        self.kept = self.dropped = self.short = self.cut = self.num_tokens = self.unknown = 0
        self.shortest, self.longest, self.longest_condition = sys.maxsize, 0, 0

    def __call__(self, batch: Mapping[str, list]) -> dict[str, list]:
        tokens = self.tokens(batch["text"])
        conditions = self.condition_tokens(batch["condition"]) if "condition" in batch else None
        most = sys.maxsize if self.max_length is None or self.truncate else self.max_length
        most_condition = sys.maxsize if self.max_condition_length is None else self.max_condition_length
        places = []
        for place, line in enumerate(tokens):
            self.shortest, self.longest = min(self.shortest, len(line)), max(self.longest, len(line))
            if len(line) >= most or (conditions is not None and len(conditions[place]) >= most_condition):
                self.dropped += 1
            elif self.min_length is not None and len(line) < self.min_length:
                self.short += 1
            else:
                places.append(place)
        self.kept += len(places)
        kept = [tokens[place] for place in places]
        if self.truncate:
            self.cut += sum(len(line) > self.max_length for line in kept)
            kept = [line[: self.max_length] for line in kept]
        self.num_tokens += sum(map(len, kept))
        self.unknown += self.tokens.count_unknown(kept)
        rows: dict[str, list] = {"input_ids": [[self.bos, *line, self.eos] for line in kept]}
        if self.truncate:  # no end where the tokens fill the window
            rows["input_ids"] = [row[: self.max_length + 1] for row in rows["input_ids"]]
        if "label" in batch:
            rows["labels"] = [batch["label"][place] for place in places]
        if conditions is not None:
            rows["condition_ids"] = [[*conditions[place], self.eos] for place in places]
            self.longest_condition = max([self.longest_condition, *map(len, rows["condition_ids"])])
        return rows

    def result(self) -> dict[str, Any]:
        """The counts of [`EncodedText`]; an error if nothing is kept."""
        lines = self.kept + self.dropped + self.short
        too_long = not self.truncate and self.max_length is not None and self.shortest >= self.max_length
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
            "max_length": self.longest + 1 if self.max_length is None else self.max_length,
            "num_dropped": self.dropped,
            "num_lines": lines,
            "num_tokens": self.num_tokens,
            "num_unknown": self.unknown,
            "num_short": self.short,
            "max_condition_length": self.longest_condition or None,
            "num_cut": self.cut,
        }


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> list:
    """What the ids of a text depend on, apart from the text."""
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        backend["padding"] = backend["truncation"] = None  # left over from the last call
    else:
        backend = [sorted(tokenizer.get_vocab().items()), repr(sorted(tokenizer.init_kwargs.items()))]
    ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    return [type(tokenizer).__name__, backend, ids]
