"""The error of unusable texts."""


class DataError(ValueError):
    """The training or evaluation text cannot be used as it is; the message is one sentence that names the fix."""


__all__ = ["DataError"]
