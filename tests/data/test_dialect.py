"""The delimiter and the first line of CSV files."""

import logging

import pytest

from hf_textgan.data.dialect import find_delimiter
from hf_textgan.data.errors import DataError
from hf_textgan.data.loading import load_text
from hf_textgan.runs.data import DataArguments, load_eval, load_texts
from tests.data.files import write


pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize(
    ("content", "default", "delimiter"),
    [
        ("text;label\na dog runs .;0\na cat sits .;1\n", ",", ";"),
        ("text\tlabel\na, b\t0\n", ",", "\t"),
        ("text|label\na, b|0\n", ",", "|"),
        ("text,label\na,0\n", "\t", ","),
        ("text;label\na , dog;0\nthe cat , old;1\n", ",", ";"),
        ('text;label\n"a;b;c";0\n"d;e";1\n', ",", ";"),  # within quotes
        ('text;label\n"a\nb";0\n"c;d\n', ",", ";"),  # up to the quotes that the sample cuts
        ("text,label\na;b,0\nc;d,1\n", ",", ","),
        ("a;b,c;d\ne;f,g;h\n", ",", ","),  # two agree as well: the usual one
        ("text\na ; b\nc\n", ",", ","),  # one column
        ("a ; b\nc\nd\n", ",", ","),  # one column without a name
        ("text;label\na;0\nb;1;2\nc;0\n", ",", ";"),  # a broken row, which is an error later
        ("\n\ntext;label\n\na;0\n", ",", ";"),
        ("", "\t", "\t"),
    ],
)
def test_find_delimiter(content, default, delimiter):
    assert find_delimiter(content.splitlines(keepends=True), default) == delimiter


def test_how_a_file_is_read_is_said(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "text;label\na dog runs .;0\na cat sits .;1\n")
    for _ in range(2):  # the second time from the cache
        assert load_text(path)[:] == {"text": ["a dog runs .", "a cat sits ."], "label": [0, 1]}
        assert caplog.messages == [f"{str(path)!r} is read as CSV separated by ';' with the columns text, label."]
        caplog.clear()
    with caplog.at_level(logging.INFO, "hf_textgan"):
        path = write(tmp_path / "b.csv", "text\na;b\nc\n")
        assert load_text(path)["text"][:] == ["a;b", "c"]
        assert caplog.messages == [f"{str(path)!r} is read as CSV separated by ',' with the columns text."]


def test_a_first_line_that_may_be_a_row_is_said(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "a dog runs .,0\na cat sits .,1\na bird .,1\n")
    assert load_text(path)["text"][:] == ["a cat sits .", "a bird ."]
    assert caplog.messages == [
        f"The first line of {str(path)!r} names its columns (a dog runs ., 0); if it is a row like the others, set "
        "no_header, else set text_column to 'a dog runs .'."
    ]
    caplog.clear()
    assert load_text(path, no_header=True)[:] == {"text": ["a dog runs .", "a cat sits .", "a bird ."]}
    assert load_text(path, no_header=True, text_column="0", label_column="1")["label"][:] == [0, 1, 1]
    assert load_text(path, text_column="a dog runs .")["text"][:] == ["a cat sits .", "a bird ."]
    assert load_text(write(tmp_path / "b.csv", "Caption\na\nb\n"))["text"][:] == ["a", "b"]
    assert caplog.messages == []


def test_a_run_keeps_the_dialect_of_its_files(tmp_path):
    write(tmp_path / "a.csv", "a|b:0\nc|d:1\n")
    write(tmp_path / "b.csv", "e|f:0\ng|h:1\n")
    write(tmp_path / "c.txt", "i\nj\n")
    eval_file = str(tmp_path / "b.csv")
    data = DataArguments(
        train_file=str(tmp_path / "a.csv"),
        eval_file=eval_file,
        delimiter=":",
        no_header=True,
        text_column="0",
    )
    texts = load_texts(data)
    assert texts.eval is not None
    assert (texts.train["text"][:], texts.eval["text"][:]) == (["a|b", "c|d"], ["e|f", "g|h"])
    assert load_eval(data, eval_file)["text"][:] == ["e|f", "g|h"]
    assert load_eval(data, str(tmp_path / "c.txt"))["text"][:] == ["i", "j"]
    with pytest.raises(DataError, match="^delimiter=':' is for .csv and .tsv files, not for '.*c.txt'; leave it out"):
        load_texts(DataArguments(train_file=str(tmp_path / "c.txt"), delimiter=":"))
    with pytest.raises(ValueError, match="^--no_header and --dataset_name grammar are both given"):
        load_texts(DataArguments(dataset_name="grammar", no_header=True))


def test_a_tab_can_be_typed(tmp_path):
    path = write(tmp_path / "a.csv", "text\tn\na,b\t0\nc,d\t1\n")
    for delimiter in ("tab", "\\t", "\t", None):
        assert load_text(path, delimiter=delimiter)["text"][:] == ["a,b", "c,d"]
