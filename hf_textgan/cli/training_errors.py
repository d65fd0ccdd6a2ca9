"""Errors from outside that end a training, shown as one sentence that says how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from ..utils.lock import FolderLocked
from .errors import UserError


# Words of errors at a full disk that have no number, of PyTorch, safetensors and zip files.
_FULL = ("No space left", "File too large", "PytorchStreamWriter", "unexpected pos", "iostream error")


@contextmanager
def training_errors(output_dir: Path) -> Iterator[None]:
    """Turns what ends a training from outside (a full disk, a folder that is gone, no memory) into [`UserError`]."""
    try:
        yield
    except (FloatingPointError, FolderLocked) as error:
        raise UserError(str(error)) from error
    except (OSError, SafetensorError, RuntimeError, MemoryError) as error:
        # PyTorch raises a plain RuntimeError where the processor's memory is full.
        memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if memory:
            raise UserError(
                f"The device has no memory left ({_one_line(error)}); lower per_device_train_batch_size, "
                "rollout_chunk_size or the sizes of the objective, and add --resume to continue the run."
            ) from error
        reason = _disk_problem(error, output_dir)
        if reason is None:
            raise
        raise UserError(f"{reason} Then add --resume to continue the run from its newest checkpoint.") from error


def _disk_problem(error: BaseException, output_dir: Path) -> str | None:
    """Returns a sentence if an error comes from the disk, else `None`."""
    text = _one_line(error)
    number = getattr(error, "errno", None)
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or any(words in text for words in _FULL):
        return f"The disk of {output_dir} is full ({text}); make room on it."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{output_dir} cannot be written ({text}); give the permission."
    if not output_dir.is_dir():
        return f"{output_dir} is gone ({text}); restore it."
    if isinstance(error, OSError | SafetensorError):
        return f"A file could not be read or written ({text}); mend that."
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


__all__ = ["training_errors"]
