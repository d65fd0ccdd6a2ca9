"""White space of texts. Needs no library of data, so that sampling does not wait for one."""

import re


_OTHER_SPACE = re.compile(r"[^\S ]")  # the white space of `str.split`, but for the blank


def one_line(text: str) -> str:
    """
    Returns a text as one line whose words are separated by blanks: white space around it is removed, and all other
    white space of `str.split` (line breaks, tabs, no-break spaces) becomes a blank.
    """
    text = text.strip()
    # Among white space only the blank is printable, and this test is ten times as fast as the replacement.
    return text if text.isprintable() else _OTHER_SPACE.sub(" ", text)


__all__ = ["one_line"]
