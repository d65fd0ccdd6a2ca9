"""The type of encoded data."""

from typing import Any, Protocol


class Rows(Protocol):
    """
    Encoded data: rows of `input_ids` and, where there are such, `labels` and `condition_ids`, by index. A
    `datasets.Dataset` or a list of `dict` is one.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


__all__ = ["Rows"]
