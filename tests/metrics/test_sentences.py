"""Checks of sentences, and their tokens."""

import pytest

from hf_textgan.metrics.sentences import (
    check_not_empty,
    check_sentences,
    flatten_references,
    show,
    split_texts,
    tokenize,
)


def test_forms():
    texts, tokens = ["a b", ""], [["a", "b"], []]
    assert check_sentences(texts, "x") == check_sentences(iter(texts), "x", "texts") == texts
    assert check_sentences(tokens, "x") == check_sentences(tuple(tokens), "x", "tokens") == tokens
    assert check_sentences([[1, 2], (3,)], "x", "tokens") == [[1, 2], (3,)], "tokens may be ids"
    assert split_texts(["a  b", " c"], "x") == [["a", "b"], ["c"]]


def test_tokens():
    assert tokenize(["A b", "c"], "x") == [["A", "b"], ["c"]]
    assert tokenize(["A b"], "x", "character", lower_case=True) == [["a", " ", "b"]]
    assert tokenize([("A", "b")], "x", lower_case=True) == [["a", "b"]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_sentences(None, "x"), TypeError, "x is missing; pass x=[...], a list of sentences."),
        (lambda: check_sentences("a b", "x"), TypeError, "x='a b' is not a list; pass a list of sentences."),
        (lambda: check_sentences(3, "x"), TypeError, "x=3 is not a list; pass a list of sentences."),
        (lambda: check_sentences([], "x"), ValueError, "x has 0 sentences; pass at least 1."),
        (lambda: check_sentences(["a", ["b"]], "x", "texts"), TypeError, "x[1]=['b'] is not a string; pass strings."),
        (
            lambda: check_sentences([["b"], "a"], "x", "tokens"),
            TypeError,
            "x[1]='a' is not a list of tokens; pass lists of tokens, such as text.split().",
        ),
        (
            lambda: check_sentences(["a", 7], "x"),
            TypeError,
            "x[1]=7 is not a string; pass only strings or only lists of tokens.",
        ),
        (
            lambda: check_sentences([["a"], None], "x"),
            TypeError,
            "x[1]=None is not a list of tokens; pass only strings or only lists of tokens.",
        ),
        (lambda: check_sentences([["a", 7]], "x"), TypeError, "x[0] has the token 7; pass tokens as strings."),
        (
            lambda: check_not_empty([["a"], [], []], "x"),
            ValueError,
            "x has sentences without tokens (2 of 3, the first at index 1); drop them and report how many there were.",
        ),
        (lambda: split_texts([["a"]], "x"), TypeError, "x[0]=['a'] is not a string; pass strings."),
        (
            lambda: tokenize([["a"]], "x", "character"),
            TypeError,
            "x[0]=['a'] is not a string; pass strings to count characters.",
        ),
        (
            lambda: tokenize([" "], "x"),
            ValueError,
            "x has sentences without tokens (1 of 1, the first at index 0); drop them and report how many there were.",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_long_values_are_cut():
    assert show("a" * 50) == "'" + "a" * 39 + "..."
    assert show("a") == "'a'"


@pytest.mark.parametrize(
    ("references", "as_texts", "flat"),
    [
        ([["b a", "c"], ["b a"], []], True, ["b a", "c"]),  # a list for each prediction
        ([[["b", "a"], ["c"]], [("b", "a")]], False, [["b", "a"], ["c"]]),
        (["a b", "a b"], True, ["a b", "a b"]),
        ([["a", "b"], ["a", "b"]], False, [["a", "b"], ["a", "b"]]),
        ([["a b", "c"]], False, [["a b", "c"]]),  # tokens with a blank
        ([["a", "b"], ["c"]], True, [["a", "b"], ["c"]]),  # tokens, compared with those of strings
        ([["a b", 3]], True, [["a b", 3]]),  # an error elsewhere
        ([], True, []),
        (None, True, None),
    ],
)
def test_references_of_each_prediction(references, as_texts, flat):
    assert flatten_references(references, as_texts) == flat
