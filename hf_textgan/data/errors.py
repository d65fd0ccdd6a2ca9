"""The error of unusable texts."""


class DataError(ValueError):
    """An error of training or evaluation text; the message is one sentence that names the fix."""


__all__ = ["DataError"]
