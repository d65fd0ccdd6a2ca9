"""Texts of others (samples, labels, names in files) in a form that cannot act: on a terminal, and in Markdown."""

import html
import re


# What moves the cursor, ends a line or turns the direction of writing, and what no terminal can encode.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKUP = re.compile(r"([\\|*`\[\]])")


def printable(text: str) -> str:
    r"""
    Returns a text in which control characters are shown as escapes and do nothing, on one line.

    ```python
    >>> print(printable("a\x1b[31m red\n dog"))
    a\x1b[31m red\n dog
    ```"""
    return _ACTIVE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def markdown_text(text: str) -> str:
    r"""
    Returns a text that Markdown shows as it is, in a line or a cell of a table: without markup, HTML or line breaks.

    ```python
    >>> print(markdown_text("a|b<script>"))
    a\|b&lt;script&gt;
    ```"""
    return _MARKUP.sub(r"\\\1", html.escape(printable(" ".join(text.split())), quote=False))


__all__ = ["markdown_text", "printable"]
