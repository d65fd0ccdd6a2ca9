"""The errors of text that cannot be read, each in one sentence."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from hf_textgan.data.errors import DataError
from hf_textgan.data.loading import _Labels, load_text, split_names
from tests.data.files import as_file, write


pytestmark = pytest.mark.usefixtures("cache")


UTF = "convert the file to UTF-8."
PLAIN = "give a plain text file in UTF-8."
NO_CLASS = (
    "which is no class; number the classes 0, 1, 2 and so on, or leave the labels out with an empty label_column."
)
ONE = "has only 1 line with text; give a file with at least 2 sentences, one a line."
NONE = "has no line with text; give a file with at least 2 sentences, one a line."


BAD = [
    ("a.txt", b"", {}, f"'{{}}' {NONE}"),
    ("a.txt", b"a dog\n \n", {}, f"'{{}}' {ONE}"),
    ("a.txt", b"a\nb\xff", {}, "'{}' is not valid UTF-8 at byte offset 3 (line 2); " + UTF),
    ("a.txt", b"a\n\0b", {}, "'{}' contains a NUL byte at byte offset 2 (line 2); " + PLAIN),
    (
        "a.txt",
        b"a\nb\n",
        {"text_column": "x"},
        "'{}' has lines and no column 'x'; give a .csv or .jsonl file, or name no column.",
    ),
    (
        "a.md",
        b"a\nb\n",
        {},
        "'{}' ends in '.md'; give a file of the kinds .txt, .csv, .tsv, .jsonl, .json, .parquet, or rename it.",
    ),
    ("a.csv", b"", {}, f"'{{}}' {NONE}"),
    ("a.csv", b"text\n", {}, f"'{{}}' {NONE}"),
    ("a.csv", b"text\na\n", {}, f"'{{}}' {ONE}"),
    ("a.csv", b"text\na\n\xff\n", {}, "'{}' is not valid UTF-8 at byte offset 7 (line 3); " + UTF),
    (
        "a.csv",
        b"te\0xt\na\n",
        {},
        "'{}' contains a NUL byte at byte offset 2 (line 1); " + PLAIN,
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,1,2\n",
        {},
        "Line 3 of '{}' has 3 fields, but the first line names 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.tsv",
        b"text\tlabel\na\n",
        {},
        "Line 2 of '{}' has 1 fields, but the first line names 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.csv",
        b'text\na\n"b\nc"\n',
        {},
        "Line 3 of '{}' has a line break within the text of the column 'text', but a sentence is one line of plain "
        "text; replace it by a blank.",
    ),
    (
        "a.csv",
        b'text\na\n"b\n',
        {},
        "Line 3 of '{}' is not CSV (unexpected end of data); check its quotes and delimiters.",
    ),
    (
        "a.csv",
        b"text,text\na,b\n",
        {},
        "'{}' has two columns called 'text'; rename one in its first line, or set no_header if that is a row like the "
        "others.",
    ),
    (
        "a.csv",
        b"text,score\na,1\nb,2\n",
        {"label_column": "scor"},
        "There is no column of '{}' (it has text, score) called 'scor'; did you mean 'score'?",
    ),
    (
        "a.csv",
        b"one,two\na,x\nb,y\n",
        {},
        "'{}' has several columns of text (one, two); name the one to use with text_column, or set no_header if these "
        "are a row.",
    ),
    (
        "a.csv",
        b"n,m\n1,2\n3,4\n",
        {},
        "'{}' has no column of text left among n, m; name it with text_column.",
    ),
    (
        "a.csv",
        b"text,label\na,pos\nb,\n",
        {},
        "Line 3 of '{}' has no label in the column 'label'; fill it in, or remove the row.",
    ),
    (
        "a.csv",
        b"text,label\na,pos\nb,1\n",
        {},
        "Line 3 of '{}' has the label 1, but an earlier row has 'pos'; use only names or only integers.",
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,-1\n",
        {},
        "Line 3 of '{}' has the label -1, " + NO_CLASS,
    ),
    (
        "a.csv",
        b"text,label\na,0\nb,1.5\n",
        {},
        "Line 3 of '{}' has the label 1.5, " + NO_CLASS,
    ),
    (
        "a.csv",
        b"text;label\na;0\nb;1;2\nc;0\n",
        {},
        "Line 3 of '{}' has 3 fields, but the first line names 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.csv",
        b"a,0\nb,1,2\nc,0\n",
        {"no_header": True},
        "Line 2 of '{}' has 3 fields, but the first line has 2 columns; put fields with delimiters into quotes, or "
        "repair the line.",
    ),
    (
        "a.csv",
        b"text\na\n",
        {"delimiter": "::"},
        "delimiter='::' cannot separate the fields of a CSV file; set it to one character such as ';', or to tab.",
    ),
    (
        "a.txt",
        b"a\nb\n",
        {"delimiter": ";"},
        "delimiter=';' is for .csv and .tsv files, not for '{}'; leave it out.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n',
        {"no_header": True},
        "no_header=True is for .csv and .tsv files, not for '{}'; leave it out.",
    ),
    ("a.jsonl", b"\n", {}, f"'{{}}' {NONE}"),
    ("a.jsonl", b'{"text": "a"}\n', {}, f"'{{}}' {ONE}"),
    (
        "a.jsonl",
        b'{"text": "\xff"}',
        {},
        "'{}' is not valid UTF-8 at byte offset 10 (line 1); " + UTF,
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": }\n',
        {},
        "Line 2 of '{}' is not JSON (Expecting value at character 10); write one JSON object a line.",
    ),
    (
        "a.json",
        b'[{"text": "a"}]\n',
        {},
        "Line 1 of '{}' holds a JSON array and no object; write one JSON object a line, such as "
        '{{"text": "a dog ."}}.',
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": null}\n',
        {},
        "Line 2 of '{}' has no text in the column 'text'; fill it in, or remove the row.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n\n{"other": "b"}\n',
        {},
        "Line 3 of '{}' has no text in the column 'text'; fill it in, or remove the row.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": 5}\n',
        {},
        "Line 2 of '{}' has the int 5 in the column 'text' and no text; name another column, or make it text.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "b\\u0000"}\n',
        {},
        "Line 2 of '{}' has a NUL byte within the text of the column 'text', but a sentence is one line of plain "
        "text; remove it.",
    ),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "b\\ud800"}\n',
        {},
        "Line 2 of '{}' has half of a surrogate pair ('\\ud800') in the column 'text'; repair the escapes "
        "of the text.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b", "label": "0"}\n',
        {},
        "Line 2 of '{}' has the label '0', but an earlier row has 0; use only names or only integers.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b", "label": true}\n',
        {},
        "Line 2 of '{}' has the label True, which is neither an integer nor a name; change it, or leave the labels "
        "out with an empty label_column.",
    ),
    (
        "a.jsonl",
        b'{"text": "a", "label": 0}\n{"text": "b"}\n',
        {},
        "Line 2 of '{}' has no label in the column 'label'; fill it in, or remove the row.",
    ),
    ("a.parquet", b"", {}, "'{}' is empty; give a Parquet file with at least 2 sentences."),
    (
        "a.jsonl",
        b'{"a": "x", "b": "y"}\n{"a": "x", "b": "y"}\n',
        {"target_column": "a", "text_column": "b"},
        "target_column='a' and text_column='b' both name the text; leave one of them out.",
    ),
    (
        "a.jsonl",
        b'{"a": "x"}\n',
        {"target_column": "a"},
        "target_column='a' has no source_column beside it; name that too, or use text_column.",
    ),
    (
        "a.txt",
        b"a\nb\n",
        {"split": "test"},
        "split='test' is for folders and data sets on the Hub, not for '{}'; leave it out.",
    ),
    (
        "a.txt",
        b"a\nb\n",
        {"streaming": True},
        "streaming=True is for data sets on the Hub, not for '{}'; leave it out.",
    ),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD)
def test_bad_input_is_refused_in_one_sentence(tmp_path, cache, name, content, options, message):
    path = write(tmp_path / name, content)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load_text(path, **options)
        assert str(caught.value) == message.format(path)
    assert not cache.exists() or list(cache.iterdir()) == [], "nothing is left in the cache"


def test_bad_parquet_files(tmp_path):
    path = as_file("parquet", tmp_path)
    whole = path.read_bytes()
    for content in (b"no parquet at all", whole[:-20], whole[:8] + b"\xff" * 60 + whole[68:]):
        with pytest.raises(DataError, match="^'.*text.parquet' is not a readable Parquet file .*; write it again"):
            load_text(write(path, content))
    pq.write_table(pa.table({"text": ["a", None], "n": [1, 2], "l": [["a"], ["b"]]}), path)
    for column, message in [
        ("text", "^Row 2 of '.*' has no text in the column 'text'; fill it in, or remove the row.$"),
        ("n", "^Row 1 of '.*' has the int 1 in the column 'n' and no text; name another column, or make it text.$"),
        ("l", r"^Row 1 of '.*' has the list \['a'\] in the column 'l' and no text; join the tokens of each row to a"),
        ("txt", r"^There is no column of '.*' \(it has text, n, l\) called 'txt'; did you mean 'text'\?$"),
    ]:
        with pytest.raises(DataError, match=message):
            load_text(path, text_column=column)
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(DataError, match="has only 1 row with text; give at least 2 sentences.$"):
        load_text(path)


def test_missing_files_and_folders_without_data(tmp_path):
    with pytest.raises(DataError, match="^There is no file '.*nothing.csv'; give the path of a text file"):
        load_text(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="^There is no file 'nothing'; "):
        load_text("nothing")
    with pytest.raises(DataError, match="^'.*' is a folder without a data set; give a file, a folder written"):
        load_text(tmp_path)
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(DataError, match="^'.*x.txt' is a folder without a data set; "):
        load_text(tmp_path / "x.txt")
    write(tmp_path / "saved/state.json", "{")
    with pytest.raises(DataError, match="^The data set in '.*saved' cannot be read .*; save it again with save_to_"):
        load_text(tmp_path / "saved")


def test_too_many_names_are_no_classes(monkeypatch):
    monkeypatch.setattr("hf_textgan.data.loading._MAX_CLASSES", 2)
    labels = _Labels("id", None, None, False)
    assert [labels(name, str, 0) for name in "baab"] == [0, 1, 1, 0]
    with pytest.raises(
        DataError, match="^7 has one label more than the 2 that the column 'id' may have; name the col"
    ):
        labels("c", str, 7)


def test_lists_of_tokens_are_named(tmp_path):
    message = (
        r"^{} has no column of text, and lists in tokens; join the tokens of each row to a text, as in "
        r"' '.join\(tokens\), and save them as the column text.$"
    )
    rows = [{"id": 1, "tokens": ["a", "dog"]}, {"id": 2, "tokens": []}]
    with pytest.raises(DataError, match=message.format("'.*a.jsonl'")):
        load_text(write(tmp_path / "a.jsonl", rows))
    with pytest.raises(DataError, match=message.format("'the data set'")):
        load_text(Dataset.from_list(rows))


def test_a_clone_of_a_data_set_on_the_hub(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "train-00000-of-00001.parquet")
    content = (tmp_path / "train-00000-of-00001.parquet").read_bytes()
    (tmp_path / "train-00000-of-00001.parquet").unlink()
    clone = tmp_path / "clone"
    write(clone / ".git/config", "")
    write(clone / "README.md", "card")
    write(clone / "data/train-00000-of-00001-0123456789abcdef.parquet", content)
    write(clone / "data/test-00000-of-00001.parquet", content)
    assert split_names(clone) == ["test", "train"]
    assert load_text(clone)["text"][:] == ["a", "b"]
    write(clone / "data/test-00000-of-00001.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match="test-.*' is a pointer of Git LFS and not the data; run git lfs pull in its"):
        load_text(clone, split="test")
    (clone / "data").rename(clone / "plain")
    with pytest.raises(
        DataError, match="clone' holds data sets in the folders plain; give one of them, such as '.*pl"
    ):
        load_text(clone)
    write(clone / "plain/deep/notes.md", "no data")
    assert load_text(clone / "plain")["text"][:] == ["a", "b"]
