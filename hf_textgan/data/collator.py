"""Batches of token ids."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def collate(examples: Sequence[Mapping[str, Any]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """
    Makes a batch of rows, padded on the right to the longest of them. The mask comes from the lengths, so
    `pad_token_id` may be an id that the rows use, such as the end-of-sequence token.

    Args:
        examples (`Sequence[Mapping]`):
            Rows with `input_ids` (a list or a 1-D tensor of ids) and, in all or none of them, `labels` (an integer)
            and `condition_ids` (as `input_ids`).
        pad_token_id (`int`):
            The id of the padding.

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
    """Returns rows of ids as one tensor, padded on the right, and its mask."""
    # NumPy, because filling rows of tensors takes three times as long.
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), pad_token_id, dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row.cpu() if isinstance(row, torch.Tensor) else row
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


__all__ = ["collate"]
