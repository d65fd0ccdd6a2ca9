"""What a run learns from its data before the first step, and the engine that follows."""

import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np

from ..data.tokenizers import special_token_ids
from ..sampling import RolloutEngine
from .adversarial_config import AdversarialConfig


def survey(dataset: Sequence[dict[str, Any]]) -> tuple[int, int, int]:
    """The number of ids of the shortest and of the longest row, and a checksum of all rows."""
    shortest, longest, checksum = sys.maxsize, 0, 0
    for lengths, ids in batches_of_ids(dataset):
        shortest, longest = min(shortest, int(lengths.min())), max(longest, int(lengths.max()))
        for part in (lengths, ids):
            checksum = zlib.crc32(part.astype(np.int64).tobytes(), checksum)
    return shortest, longest, checksum


def batches_of_ids(dataset: Sequence[dict[str, Any]], size: int = 10_000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The lengths and the ids of `size` rows at a time; of a memory-mapped data set without making objects of them."""
    if isinstance(dataset, datasets.Dataset) and dataset.format["type"] is None:
        for table in dataset.select_columns(["input_ids"]).with_format("arrow").iter(size):
            column = table["input_ids"].combine_chunks()
            yield np.diff(column.offsets.to_numpy()), column.flatten().to_numpy()
        return
    for start in range(0, len(dataset), size):
        rows = [np.asarray(dataset[i]["input_ids"]) for i in range(start, min(start + size, len(dataset)))]
        yield np.array([len(row) for row in rows]), np.concatenate(rows)


def build_engine(model, tokenizer, args: AdversarialConfig, longest_row: int) -> RolloutEngine:
    longest = longest_row - 1  # without BOS
    if tokenizer is None and model.config.eos_token_id is None:
        return _build_fixed_length_engine(model, args, longest)
    bos, eos, pad = special_token_ids(tokenizer if tokenizer is not None else model.config)
    max_length = args.max_length if args.max_length is not None else longest
    if longest > max_length:
        raise ValueError(
            f"max_length is {max_length}, but the longest training text has {longest} tokens with EOS; leave the "
            "longer texts out (encode_lines does) or raise max_length."
        )
    return RolloutEngine(max_length, bos, pad, eos, args.rollout_chunk_size)


def _build_fixed_length_engine(model, args: AdversarialConfig, longest: int) -> RolloutEngine:
    """Without a tokenizer and without EOS every sequence has the same length, as in the field's synthetic tasks."""
    bos, pad = model.config.bos_token_id, model.config.pad_token_id
    if bos is None:
        raise ValueError(
            "The generator has no bos_token_id, so nothing begins a sequence; set it in its configuration."
        )
    if args.max_length not in (None, longest):
        raise ValueError(
            f"max_length is {args.max_length}, but the training sequences have {longest} tokens and no EOS; leave "
            "max_length out."
        )
    return RolloutEngine(longest, bos, bos if pad is None else pad, None, args.rollout_chunk_size)


__all__ = ["batches_of_ids", "build_engine", "survey"]
