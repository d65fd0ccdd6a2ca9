"""The divergence between the token n-grams of samples and of all training rows."""

import math

import numpy as np
import pytest
import torch
from datasets import Dataset

from hf_textgan.data.encoding import encode_lines
from hf_textgan.data.tokenizers import character_tokenizer
from hf_textgan.evaluation import token_jsd
from hf_textgan.evaluation.token_jsd import TokenJSD
from hf_textgan.metrics.ngrams import ngram_jsd
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples


PAD, BOS, EOS = 0, 1, 2


def engine(max_length):
    return RolloutEngine(max_length, BOS, PAD, EOS)


def rows(*texts):
    """Training rows of texts without BOS."""
    return [{"input_ids": [BOS, *text]} for text in texts]


def samples(*sequences):
    return engine(len(sequences[0])).as_samples(torch.tensor(sequences))


def random_texts(number, max_length, tokens, seed):
    """Texts of any length, those below `max_length` with EOS."""
    random = np.random.default_rng(seed)
    texts = []
    for length in random.integers(1, max_length + 1, number):
        text = random.choice(tokens, length).tolist()
        texts.append(text if length == max_length else [*text, EOS])
    return texts


def padded(texts, max_length):
    return [[*(s for s in text if s != EOS), *[PAD] * (max_length - sum(s != EOS for s in text))] for text in texts]


def filled(texts, max_length):
    return samples(*([*text, *[PAD] * (max_length - len(text))] for text in texts))


def test_by_hand():
    # P(4) = 1; Q(4) = Q(5) = 1/2; M(4) = 3/4, M(5) = 1/4. The pairs 44 and 45 have nothing in common.
    metrics = TokenJSD(rows([4, 5], [4, 5]), engine(2))(samples([4, 4]))
    assert list(metrics) == ["jsd_1", "jsd_2", "jsd_3", "jsd_4"]
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) / 2
    assert metrics["jsd_1"] == pytest.approx(expected, abs=1e-15)
    assert metrics["jsd_2"] == 1
    assert math.isnan(metrics["jsd_3"]) and math.isnan(metrics["jsd_4"]), "no window has three tokens"


def test_padding_is_a_token_and_the_end_is_padding():
    # Train 4 _ _ and sample 4 4 _: frequencies 1/3, 2/3 and 2/3, 1/3, so that the divergence is 1 - H(1/3).
    metric = TokenJSD(rows([4, EOS]), engine(3), max_order=1)
    entropy = -(math.log2(1 / 3) + 2 * math.log2(2 / 3)) / 3
    assert metric(samples([4, 4, EOS])) == {"jsd_1": pytest.approx(1 - entropy, abs=1e-15)}
    # A full line has no end, and one that ends at the last position has one padding token.
    metric = TokenJSD(rows([4, 5, 6], [4, 5, EOS]), engine(3), max_order=3)
    assert metric(samples([4, 5, EOS], [4, 5, 6])) == {"jsd_1": 0, "jsd_2": 0, "jsd_3": 0}
    assert metric(samples([4, 5, PAD], [4, 5, 6])) == {"jsd_1": 0, "jsd_2": 0, "jsd_3": 0}


def test_where_the_end_is_the_padding_token():
    metric = TokenJSD(rows([4, EOS], [5, 4, EOS]), RolloutEngine(4, EOS, EOS, EOS), max_order=2)
    sequences = torch.tensor([[5, 4, EOS, EOS], [4, EOS, EOS, EOS]])
    assert metric(Samples(sequences, torch.ones_like(sequences))) == {"jsd_1": 0, "jsd_2": 0}


def test_sequences_without_an_end():
    metric = TokenJSD(rows([4, EOS, 5]), RolloutEngine(3, BOS, BOS), max_order=2)
    assert metric(samples([4, EOS, 5])) == {"jsd_1": 0, "jsd_2": 0}, "2 is a token"
    assert metric(samples([5, 4, EOS]))["jsd_2"] == pytest.approx(0.5)  # 1 of 2 pairs on either side


@pytest.mark.parametrize("max_length", [3, 9])
def test_against_the_measure_of_sentences(max_length):
    train = random_texts(300, max_length, [4, 5, 6, 7, 8], seed=0)
    generated = random_texts(40, max_length, [4, 5, 6, 9, 10], seed=1)  # 9 and 10 are in no training row
    metrics = TokenJSD(rows(*train), engine(max_length))(filled(generated, max_length))
    expected = ngram_jsd(padded(generated, max_length), padded(train, max_length))
    assert metrics == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert 0 < metrics["jsd_1"] < metrics["jsd_2"] < metrics["jsd_3"] < 1


def test_equal_disjoint_and_doubled_sets():
    train = random_texts(50, 6, [4, 5, 6], seed=2)
    metric = TokenJSD(rows(*train), engine(6))
    assert metric(filled(train, 6)) == dict.fromkeys(("jsd_1", "jsd_2", "jsd_3", "jsd_4"), 0)
    generated = random_texts(20, 6, [4, 5, 6], seed=3)
    once = metric(filled(generated, 6))
    assert metric(filled(generated * 2, 6)) == once
    assert TokenJSD(rows(*train, *train), engine(6))(filled(generated, 6)) == once
    others = [[7, 8, 9, 7, 8, 9], [9, 9, 9, 7, 7, 7]]
    full = TokenJSD(rows([4, 5, 6, 4, 5, 6], [6, 6, 6, 4, 4, 4]), engine(6))
    assert full(samples(*others)) == dict.fromkeys(("jsd_1", "jsd_2", "jsd_3", "jsd_4"), 1)


def test_the_order_of_rows_and_the_kind_of_data_set_do_not_matter(monkeypatch):
    train = random_texts(200, 7, [4, 5, 6, 7], seed=4)
    generated = random_texts(30, 7, [4, 5, 6, 7], seed=5)
    once = TokenJSD(rows(*train), engine(7))(filled(generated, 7))
    monkeypatch.setattr(token_jsd, "_TOKEN_BATCH_SIZE", 21)  # 3 rows, and many merged tables
    for data in (rows(*train[::-1]), Dataset.from_list(rows(*train)), Dataset.from_list(rows(*train)).shuffle(seed=0)):
        assert TokenJSD(data, engine(7))(filled(generated[::-1], 7)) == once


def test_vocabularies_whose_ngrams_exceed_integers(monkeypatch):
    monkeypatch.setattr(token_jsd, "_TOKEN_BATCH_SIZE", 80)
    # Up to 3 tokens fit into 63 bits, then prefixes are ranked, twice; then from the first pair on.
    for largest in (200_000, 2**33):
        tokens = [4, 5, 150_000, largest]
        train = random_texts(100, 8, tokens, seed=6)
        generated = random_texts(30, 8, [*tokens[:3], largest + 7], seed=7)
        metrics = TokenJSD(rows(*train), engine(8), max_order=5)(filled(generated, 8))
        assert metrics == pytest.approx(ngram_jsd(padded(generated, 8), padded(train, 8), max_order=5), abs=1e-12)
        metric = TokenJSD(rows(*train), engine(8), max_order=5)
        assert set(metric(filled(train, 8)).values()) == {0}


def test_windows_of_cut_lines():
    lines = ["abcab", "ab", "abca"]
    tokenizer = character_tokenizer(lines)
    encoded = encode_lines(lines, tokenizer, max_length=4, truncate=True)
    pad, bos, eos = (tokenizer.convert_tokens_to_ids(f"<{name}>") for name in ("pad", "bos", "eos"))
    sampler = RolloutEngine(4, bos, pad, eos)
    a, b, c = tokenizer.convert_tokens_to_ids(["a", "b", "c"])
    drawn = sampler.as_samples(torch.tensor([[a, b, c, a], [a, b, eos, pad], [a, b, c, a]]))
    assert set(TokenJSD(encoded.dataset, sampler)(drawn).values()) == {0}


def test_errors():
    with pytest.raises(ValueError, match="^There are 0 training rows to compare samples with; pass at least 1.$"):
        TokenJSD([], engine(3))
    with pytest.raises(ValueError, match="^max_order=0 is too small; use 1 or more.$"):
        TokenJSD(rows([4]), engine(3), max_order=0)
    with pytest.raises(
        ValueError,
        match="^A training row has 4 tokens after BOS, which are more than max_length=3; encode the rows with "
        "max_length=3.$",
    ):
        TokenJSD(rows([4, EOS], [4, 5, 6, EOS]), engine(3))
    metric = TokenJSD(rows([4, EOS]), engine(3))
    with pytest.raises(
        ValueError,
        match="^The samples have 4 positions and the training rows 3; draw them with max_length=3.$",
    ):
        metric(samples([4, 5, 6, 7]))
    nothing = torch.empty(0, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="^There are 0 samples to compare with the training rows; pass at least 1.$"):
        metric(Samples(nothing, nothing))
