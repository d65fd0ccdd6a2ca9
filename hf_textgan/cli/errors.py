"""Errors that are the user's to mend, shown as one sentence without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One sentence with the offending value and the fix."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns the library's errors about values into [`UserError`]; anything else is a fault and keeps its traceback."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except StrictDataclassError as error:
        message = " ".join(str(error.__cause__ or error).split())
        fix = "" if message.endswith(".") else "; give it a value of that kind."
        raise UserError(f"{message}{fix}") from error
    except (ValueError, FloatingPointError, OSError) as error:
        raise UserError(" ".join(str(error).split())) from error


class Interrupted(Exception):
    """The end of a command by a signal; its message says how to go on."""

    def __init__(self, number: int | None, message: str):
        super().__init__(message)
        self.exit_status = 128 + int(number if number is not None else 2)


__all__ = ["Interrupted", "UserError", "user_errors"]
