"""Texts of others on a terminal and in Markdown."""

import pytest

from hf_textgan.utils.escaping import code_block, code_span, markdown_table, markdown_text, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a man , \u00e9\u4e2d\u0646\u200c\u0627 \U0001f468\u200d\U0001f469", None),  # joiners belong to the script
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("\x9b31m \x7f", "\\x9b31m \\x7f"),
        ("abc\u202edcba\u2066", "abc\\u202edcba\\u2066"),
        ("a\u2028b \ud800", "a\\u2028b \\ud800"),
    ],
)
def test_control_characters_are_shown_and_do_nothing(text, shown):
    assert printable(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("seqgan/pretrained_generator@0.7", None),
        ("x</td><script>alert(1)</script>", "x&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("one\n# two", "one # two"),
        ("[x](http://y) ![z] `c` *b* &amp;", "\\[x\\](http://y) !\\[z\\] \\`c\\` \\*b\\* &amp;amp;"),
        ("\x1b[1m", "\\\\x1b\\[1m"),
    ],
)
def test_markdown_shows_the_text_as_it_is(text, shown):
    assert markdown_text(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("seqgan", "`seqgan`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("`a", "`` `a ``"),
        ("one\n---\r\x00", "`one --- \\x00`"),
        ("<script> www.x.org", "`<script> www.x.org`"),
        ("", "`  `"),
    ],
)
def test_a_code_span_has_a_longer_fence_than_its_text(text, shown):
    assert code_span(text) == shown


def test_a_code_block_ends_at_its_own_fence():
    assert code_block(["a", "```", "``````x"], "text") == "```````text\na\n```\n``````x\n```````"
    assert code_block(["---\n# x"]) == "```\n---\\n# x\n```"


def test_nothing_ends_a_cell_of_a_table():
    table = markdown_table(("a|b", "c"), [("`x|y`", "one\ntwo"), ("already \\|", "twice \\\\|")])
    assert table.splitlines() == [
        "| a\\|b | c |",
        "| --- | --- |",
        "| `x\\|y` | one two |",
        "| already \\| | twice \\\\\\| |",
    ]
