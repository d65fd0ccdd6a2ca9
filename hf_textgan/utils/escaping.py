"""Texts of others (samples, labels, names in files) in a form that cannot act: on a terminal, and in Markdown."""

import html
import re
from collections.abc import Iterable, Sequence


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


def code_span(text: str) -> str:
    r"""
    Returns a text as code within a line of Markdown, where it is neither markup nor HTML nor a link.

    ```python
    >>> print(code_span("a`b<script>"))
    `` a`b<script> ``
    ```"""
    text = printable(" ".join(text.split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    # Markdown strips one blank from each side; without any, a backtick at an end would join the fence.
    return f"{fence} {text} {fence}" if "`" in text or not text else f"{fence}{text}{fence}"


def code_block(lines: Iterable[str], language: str = "") -> str:
    """Returns lines as a block of code of Markdown, with a fence that is longer than any run of backticks in them."""
    lines = [printable(line) for line in lines]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of Markdown; its cells are Markdown, of which only what would end a cell is escaped."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(cell: str) -> str:
    return re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\|", " ".join(cell.split()))


__all__ = ["code_block", "code_span", "markdown_table", "markdown_text", "printable"]
