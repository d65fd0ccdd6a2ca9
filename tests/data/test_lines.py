"""Lines and words: what ends the one and separates the other is the same wherever text is read or written."""

import sys

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_textgan.data.errors import DataError
from hf_textgan.data.lines import read_lines
from hf_textgan.data.loading import load_text
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.data.white_space import one_line
from hf_textgan.evaluation.generators import decode
from hf_textgan.metrics.sentences import tokenize
from hf_textgan.runs.data import DataArguments
from tests.data.files import write


pytestmark = pytest.mark.usefixtures("cache")

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
WITHIN_LINES = [space for space in SPACES if space not in "\n\r"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_line_ends(tmp_path, end):
    path = write(tmp_path / "a.txt", f"a dog{end}{end} a cat {end}b{end}")
    assert read_lines(path) == load_text(path)["text"][:] == ["a dog", "a cat", "b"]
    path = write(tmp_path / "a.csv", f'text,label{end}"a, dog",0{end}b,1{end}')
    assert load_text(path)[:] == {"text": ["a, dog", "b"], "label": [0, 1]}
    path = write(tmp_path / "a.jsonl", f'{{"text": "a dog"}}{end}{{"text": "b"}}{end}')
    assert load_text(path)["text"][:] == ["a dog", "b"]


def test_line_ends_at_the_border_of_a_block(tmp_path, monkeypatch):
    content = "ab\r\ncd\re\n\r\r\nfgh"
    path = write(tmp_path / "a.txt", content)
    for size in range(1, len(content) + 1):
        monkeypatch.setattr("hf_textgan.data.lines._BLOCK_BYTES", size)
        assert read_lines(path) == ["ab", "cd", "e", "fgh"], size


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_textgan.data.lines._MAX_LINE_BYTES", 1 << 20)
    path = write(tmp_path / "a.txt", "a\n" + "b" * (1 << 21))
    with pytest.raises(DataError, match="^Line 2 of '.*' has more than 1 MiB; write one sentence "):
        read_lines(path)


def test_white_space_separates_the_same_words_everywhere(tmp_path):
    text = "".join(f"w{index}{space}" for index, space in enumerate(WITHIN_LINES)) + "."
    words = [*(f"w{index}" for index in range(len(WITHIN_LINES))), "."]
    path = write(tmp_path / "a.txt", f"{text}\n\u00a0 b\u3000\n")
    assert one_line(text).split(" ") == words
    for lines in (read_lines(path), load_text(path)["text"][:]):
        assert lines == [" ".join(words), "b"]
    for line in (text, " ".join(words)):  # also where text comes from a list
        assert word_tokenizer([text]).tokenize(line) == words
        assert tokenize([line], "predictions") == [words]
        assert DataArguments().split(line) == words
    assert word_tokenizer([" ".join(words)]).get_vocab() == word_tokenizer([text]).get_vocab()
    for space in "\n\r":
        assert word_tokenizer(["a b"]).tokenize(f"a{space}b") == tokenize([f"a{space}b"], "x")[0] == ["a", "b"]


def test_replaced_white_space_is_counted_at_every_load(tmp_path, caplog):
    path = write(tmp_path / "a.csv", "text,source\na\u00a0dog,x\u2028y\n\u3000a  cat ,z\n")
    for _ in range(2):
        dataset = load_text(path, text_column="text", source_column="source")
        assert dataset[:] == {"text": ["a dog", "a  cat"], "condition": ["x y", "z"]}, "blanks stay as they are"
        assert caplog.messages == [
            "White space other than blanks (tabs, no-break spaces, line separators) became blanks in 2 texts of "
            f"{str(path)!r}."
        ]
        caplog.clear()


def test_a_line_break_in_a_text_is_refused_whichever_it_is(tmp_path):
    for end in ("\\n", "\\r", "\\r\\n"):
        path = write(tmp_path / "a.jsonl", f'{{"text": "a{end}b"}}\n{{"text": "c"}}\n')
        with pytest.raises(DataError, match="^Line 1 of '.*' has a line break within the text of the column 'text'"):
            load_text(path)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Returns a tokenizer whose ids are <e> and the 256 bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["<e>", *alphabet])}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<e>", eos_token="<e>")


def test_a_sample_is_one_line_that_can_be_read_again(tmp_path, caplog):
    tokenizer = byte_tokenizer()
    texts = ["a\nb", "\r\n", "c\r\td\u2028e", "\x1b[31mred\0", "\x85x\x9by", "f  g "]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    samples = decode(tokenizer, ids)
    assert samples == ["a b", "", "c  d e", "\ufffd[31mred\ufffd", "x\ufffdy", "f  g"]
    path = write(tmp_path / "samples.txt", "".join(f"{sample}\n" for sample in samples))
    assert path.read_bytes().count(b"\n") == len(texts)
    assert read_lines(path) == [sample for sample in samples if sample]
    assert caplog.messages[-1] == f"Skipped 1 blank lines of {str(path)!r}."
