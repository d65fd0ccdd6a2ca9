"""`textgan data`, and the data that the options name."""

import json

import pytest

from hf_textgan.cli.data import main
from hf_textgan.cli.errors import UserError
from hf_textgan.data.caption_grammar import CaptionGrammar
from hf_textgan.data.errors import DataError
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.runs.data import TEXT_OPTIONS, DataArguments, load_texts, make_tokenizer


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text("A dog sits .\na cat sits .\na dog sits .\n")
    (tmp_path / "test.txt").write_text("a dog sits .\na bird .\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/train.csv").write_text("text,label\na,x\nb,y\nc,x\n")
    (tmp_path / "folder/validation.csv").write_text("text,label\nd,y\na,y\n")
    (tmp_path / "numbers.csv").write_text("text,label\na,0\nb,1\n")
    return tmp_path


def test_train_and_eval_files():
    texts = load_texts(DataArguments(train_file="train.txt", eval_file="test.txt", lowercase=True))
    assert texts.train["text"][:] == ["a dog sits .", "a cat sits .", "a dog sits ."]
    assert texts.eval["text"][:] == ["a dog sits .", "a bird ."]
    assert (texts.grammar, texts.label_names) == (None, None)
    assert load_texts(DataArguments(train_file="train.txt")).eval is None


def test_a_folder_brings_its_held_out_split_and_its_labels():
    texts = load_texts(DataArguments(dataset_name="folder"))
    assert texts.train[:] == {"text": ["a", "b", "c"], "label": [0, 1, 0]}
    assert texts.eval[:] == {"text": ["d", "a"], "label": [1, 1]}, "numbered as the training labels"
    assert texts.label_names == ["x", "y"]
    texts = load_texts(DataArguments(dataset_name="folder", dataset_train_split="validation", label_column=""))
    assert texts.train[:] == {"text": ["d", "a"]}
    assert texts.eval is None, "train is no held-out text"
    assert load_texts(DataArguments(dataset_name="folder", eval_file="test.txt")).eval.num_rows == 2


def test_the_grammar_draws_as_ever():
    data = DataArguments(dataset_name="grammar", grammar_train_size=5, grammar_eval_size=3, grammar_seed=7)
    texts = load_texts(data)
    assert [*texts.train["text"], *texts.eval["text"]] == CaptionGrammar().sample(8, seed=7)
    assert isinstance(texts.grammar, CaptionGrammar)


def test_make_tokenizer(tmp_path):
    data = DataArguments(train_file="train.txt", vocab_size=6)
    texts = load_texts(data)
    assert make_tokenizer(data, texts).get_vocab() == word_tokenizer(texts.train["text"][:], 6).get_vocab()
    data = DataArguments(train_file="train.txt", level="character")
    assert make_tokenizer(data, texts).tokenize("dog") == ["d", "o", "g"]
    word_tokenizer(["x y"]).save_pretrained(tmp_path / "tokenizer")
    data = DataArguments(train_file="train.txt", tokenizer_name_or_path=str(tmp_path / "tokenizer"))
    assert make_tokenizer(data, texts)("x")["input_ids"] == [1, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "No training text is named; add --train_file FILE or --dataset_name grammar."),
        (
            {"train_file": "train.txt", "dataset_name": "folder"},
            "--dataset_name and --train_file are both given; leave one of them out.",
        ),
        (
            {"train_file": "train.txt", "dataset_name": "grammar"},
            "--train_file and --dataset_name grammar are both given; leave one of them out.",
        ),
        (
            {"dataset_name": "grammar", "text_column": "x"},
            "--text_column and --dataset_name grammar are both given; leave one of them out.",
        ),
        (
            {"train_file": "train.txt", "streaming": True},
            "--streaming and --train_file are both given; leave one of them out.",
        ),
        (
            {"dataset_name": "folder", "eval_file": "test.txt", "dataset_eval_split": "test"},
            "--dataset_eval_split and --eval_file are both given; leave one of them out.",
        ),
        (
            {"train_file": "train.txt", "tokenizer_name_or_path": "x", "vocab_size": 9},
            "--vocab_size and --tokenizer_name_or_path are both given; leave one of them out.",
        ),
        (
            {"train_file": "train.txt", "tokenizer_name_or_path": "x", "level": "character"},
            "--level and --tokenizer_name_or_path are both given; leave one of them out.",
        ),
        (
            {"dataset_name": "folder", "dataset_eval_split": "train"},
            "The split 'train' is named for training and for evaluation; name another one.",
        ),
        ({"dataset_name": "gramar"}, "There is no data set called 'gramar'; did you mean 'grammar'?"),
        (
            {"dataset_name": "imdb"},
            "There is no data set called 'imdb'; take grammar, oracle, a folder, or one on the Hub as org/name.",
        ),
        ({"dataset_name": "./train.txt"}, "--dataset_name ./train.txt is a file; give it as --train_file."),
        (
            {"train_file": "folder"},
            "'folder' is a folder; give a file, or a folder with a data set as --dataset_name.",
        ),
        (
            {"train_file": "org/none"},
            "There is no file 'org/none'; give the path of a text file with one sentence a line.",
        ),
        (
            {"dataset_name": "grammar", "grammar_eval_size": 1},
            "grammar_train_size is 10000 and grammar_eval_size 1; set both to 2 or more.",
        ),
        (
            {"train_file": "numbers.csv", "eval_file": "folder/train.csv"},
            "The training labels are numbers and the held-out labels names such as 'x'; use one kind in both.",
        ),
        (
            {"train_file": "folder/train.csv", "eval_file": "numbers.csv"},
            "Line 2 of 'numbers.csv' has the label 0, which is not one of x, y; use the names of the training data.",
        ),
        (
            {"dataset_name": "oracle"},
            "The data set oracle holds sequences of numbers and no text; leave it to a command for it.",
        ),
    ],
)
def test_contradictions_are_errors(options, message):
    with pytest.raises(ValueError) as caught:
        load_texts(DataArguments(**options))
    assert str(caught.value) == message


def test_the_report(capsys):
    assert main(["report", "train.txt", "--eval_file", "test.txt", "--max_length", "5", "--min_length", "4"]) == 0
    assert capsys.readouterr().out.split("\n")[:10] == [
        "                  train    eval",
        "lines                 3       2",
        "tokens               12       7",
        "mean length         5.0     4.5",
        "median length         5     4.5",
        "longest line          5       5",
        "dropped lines         0       0",
        "unknown tokens    0.00%  14.29%",
        "short lines           0       1",
        "duplicate lines   0.00%",
    ]
    assert main(["report", "folder", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["train"]["labels"], report["eval"]["labels"]) == ({"x": 2, "y": 1}, {"x": 0, "y": 2})
    assert main(["report", "grammar", "--grammar_train_size", "50", "--grammar_eval_size", "50"]) == 0
    assert "Warning" not in capsys.readouterr().out


def test_the_report_of_cut_lines(capsys):
    assert main(["report", "train.txt", "--eval_file", "test.txt", "--max_length", "3", "--truncate"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[6] == "cut lines             3       1"
    assert not any("dropped" in line for line in lines)
    words = ["report", "train.txt", "--max_length", "4", "--truncate", "--metric_level", "character", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["train"]["cut"] == 0, "four tokens fill the window"


def test_units_of_metrics():
    for options, split, join in [
        ({}, ["a", "dog"], "a dog"),
        ({"level": "character"}, ["a", " ", "d", "o", "g"], "a dog"),
        ({"metric_level": "character"}, ["a", " ", "d", "o", "g"], "a dog"),
        ({"level": "character", "metric_level": "word"}, ["a", "dog"], "a dog"),
    ]:
        data = DataArguments(**options)
        assert (data.split("a dog"), data.join(split)) == (split, join)
    assert {"truncate", "metric_level"} < set(TEXT_OPTIONS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "report train.txt --truncate",
            "truncate is set and max_length is not; set max_length to the tokens to keep, or leave truncate out.",
        ),
        ("reprot train.txt", "There is no command of `textgan data` called 'reprot'; did you mean 'report'?"),
        (
            "report train.txt --max_lenght 3",
            "There is no option of `textgan data report` called 'max_lenght'; did you mean 'max_length'?",
        ),
        (
            "report train.txt test.txt",
            "The word 'test.txt' belongs to no option; put FILE first, or quote a value with blanks.",
        ),
        (
            "report train.txt --train_file test.txt",
            "--train_file and the file train.txt are both given; leave one of them out.",
        ),
        (
            "report train.txt --max_length -1",
            "max_length=-1 leaves no room for a token and the end of the line; use 2 or more.",
        ),
        ("report train.txt --min_length 0", "min_length=0 is not a number of tokens; use 1 or more."),
        (
            "report train.txt --max_length x",
            "Argument --max_length/--max-length: invalid int value: 'x'; see `textgan data report --help`.",
        ),
        ("report", "No training text is named; add --train_file FILE or --dataset_name grammar."),
        ("report none.csv", "There is no file 'none.csv'; give the path of a text file with one sentence a line."),
    ],
)
def test_errors_of_the_command(words, message):
    with pytest.raises(UserError) as caught:
        main(words.split())
    assert str(caught.value) == message


def test_help(capsys):
    assert main([]) == main(["--help"]) == 0
    assert "textgan data report FILE" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    assert "--label_column" in capsys.readouterr().out


def test_unreadable_text_is_a_data_error(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match=r"not valid UTF-8 at byte offset 2 \(line 2\)"):
        load_texts(DataArguments(train_file="bad.txt"))
