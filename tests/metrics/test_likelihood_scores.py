"""Negative log-likelihoods under causal language models, and draws from them."""

import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from hf_textgan.data.collator import collate
from hf_textgan.data.tokenizers import word_tokenizer
from hf_textgan.evaluation.generators import corpus_nll, nll_metrics, sample_nll
from hf_textgan.metrics import likelihood_scores
from hf_textgan.metrics.likelihood_scores import draw_sequences, nll_div, nll_scores, sequence_nll, truncate_at_eos
from hf_textgan.sampling.engine import RolloutEngine
from tests.helpers import (
    BOS,
    EOS,
    PAD,
    all_sequences,
    chi_square_p,
    exact_logps,
    randomize,
    tiny_gpt2,
    tiny_lstm,
    tiny_stateless,
)
from tests.metrics.texts import REAL_TEXT_LABEL, TEXTS


@pytest.mark.parametrize("make", [tiny_lstm, tiny_gpt2, partial(tiny_stateless, dropout=0.5)])
def test_nll_of_all_sequences_by_hand(one_thread, monkeypatch, make):
    model = randomize(make(vocab_size=4)).train()
    samples = all_sequences(4, 3, EOS)
    rows = [
        row[:length]
        for row, length in zip(samples.sequences.tolist(), samples.attention_mask.sum(1).tolist(), strict=True)
    ]
    with torch.no_grad():
        expected = -exact_logps(model.eval(), samples).double().sum(1).numpy()
    model.train()
    for max_logits in (1, 40, 2**24):
        monkeypatch.setattr(likelihood_scores, "_MAX_LOGITS", max_logits)
        np.testing.assert_allclose(sequence_nll(model, rows), expected, rtol=0, atol=1e-5)
    assert model.training
    # The probabilities of all sequences sum to one.
    assert np.exp(-sequence_nll(model, rows)).sum() == pytest.approx(1, abs=1e-5)


def test_nll_by_hand(one_thread):
    model = randomize(tiny_stateless(vocab_size=5))
    torch.nn.init.zeros_(model.lm_head.weight)
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2]).log())
    # The EOS is 2; what follows it does not count. 3 has the probability .2, EOS .3, 0 (which is also padding) .1.
    scores = nll_scores(model, [[3, 2, 0, 0], [0, 3, 2, 3], [0, 0]])
    total = -math.log(0.2 * 0.3) - math.log(0.1 * 0.2 * 0.3) - math.log(0.1 * 0.1)
    assert (scores["num_tokens"], scores["num_sequences"]) == (7, 3)
    assert scores["nll_per_token"] == pytest.approx(total / 7, rel=1e-6)
    assert scores["nll_per_sequence"] == pytest.approx(total / 3, rel=1e-6)
    assert scores["perplexity"] == pytest.approx(math.exp(total / 7), rel=1e-6)
    # Another EOS: nothing is cut at 2.
    assert nll_scores(model, [[3, 2, 0, 4]], eos_token_id=4)["num_tokens"] == 4


@pytest.mark.parametrize("make", [tiny_lstm, tiny_gpt2])
def test_nll_agrees_with_evaluation(one_thread, make):
    model = randomize(make(vocab_size=9))
    engine = RolloutEngine(6, BOS, PAD, EOS)
    source = random.Random(0)
    rows = [[BOS, *source.choices(range(3, 9), k=source.randint(0, 5)), EOS] for _ in range(30)]
    dataset = [{"input_ids": row} for row in rows]
    sums = corpus_nll(model, engine, dataset, lambda part: collate(part, pad_token_id=PAD), batch_size=7)
    scores = nll_scores(model, [row[1:] for row in rows])
    for name, value in nll_metrics(sums).items():
        assert scores[name] == pytest.approx(value, rel=1e-6)
    samples = engine.sample(model, 40)  # padded
    expected = nll_metrics(sample_nll(model, engine, samples))
    scores = nll_scores(model, samples.sequences.tolist())
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-6)
    assert scores["num_tokens"] == int(samples.attention_mask.sum())


def test_first_input_matters(one_thread):
    model = randomize(tiny_gpt2(vocab_size=6))
    rows = [[3, 4], [5]]
    assert not np.allclose(sequence_nll(model, rows), sequence_nll(model, rows, bos_token_id=4))
    model.config.bos_token_id = 4
    np.testing.assert_array_equal(sequence_nll(model, rows), sequence_nll(model, rows, bos_token_id=4))


def test_draws_follow_the_model(one_thread):
    model = randomize(tiny_lstm(vocab_size=3))
    samples = all_sequences(3, 3, EOS)
    rows = [
        row[:length]
        for row, length in zip(samples.sequences.tolist(), samples.attention_mask.sum(1).tolist(), strict=True)
    ]
    probabilities = torch.tensor(np.exp(-sequence_nll(model, rows)))
    drawn = draw_sequences(model, 4000, 3, seed=1)
    observed = torch.tensor([drawn.count(row) for row in rows])
    assert observed.sum() == 4000
    assert chi_square_p(observed, probabilities) > 1e-3
    state = torch.get_rng_state()
    assert draw_sequences(model, 300, 3, seed=1) == draw_sequences(model, 300, 3, seed=1)
    assert draw_sequences(model, 300, 3, seed=1) != draw_sequences(model, 300, 3, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    # The entropy per sequence, by enumeration.
    entropy = float(-(probabilities * probabilities.log()).sum())
    scores = nll_div(model, 4000, 3, seed=5)
    assert scores["nll_per_sequence"] == pytest.approx(entropy, rel=0.05)
    assert (scores["num_sequences"], scores["seed"]) == (4000, 5)


def test_truncate_at_eos():
    assert truncate_at_eos([5, 2, 7, 2], [2]) == [5, 2]
    assert truncate_at_eos([5, 2, 7, 3], [7, 3]) == [5, 2, 7]
    assert truncate_at_eos([5, 2], []) == truncate_at_eos([5, 2], [9]) == [5, 2]


def test_nll_of_texts_and_of_a_folder(modules, one_thread, tmp_path):
    tokenizer = word_tokenizer(REAL_TEXT_LABEL)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    model = randomize(tiny_gpt2(vocab_size=len(tokenizer), **special))
    ids = [
        [tokenizer.convert_tokens_to_ids(word) for word in text.split()] + [tokenizer.eos_token_id] for text in TEXTS
    ]
    expected = nll_scores(model, ids)
    assert expected["num_tokens"] == sum(len(text.split()) + 1 for text in TEXTS)
    assert nll_scores(model, TEXTS, tokenizer) == expected
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    for predictions in (TEXTS, ids):
        assert nll_scores(str(tmp_path), predictions) == expected
        assert modules["textgan_nll"].compute(predictions=predictions, model=str(tmp_path)) == expected
    # An empty text costs its EOS.
    assert nll_scores(model, ["", "a"], tokenizer)["num_tokens"] == 3


def test_interval_of_the_nll(one_thread):
    model = randomize(tiny_gpt2(vocab_size=6))
    source = random.Random(0)
    rows = [[*source.choices(range(3, 6), k=source.randint(1, 8)), EOS] for _ in range(100)]
    scores = nll_scores(model, rows, num_bootstrap=400, seed=2)
    tokens = np.array([len(row) for row in rows])
    error = np.std(sequence_nll(model, rows) - scores["nll_per_token"] * tokens) / tokens.mean() / 10
    low, high = scores["nll_per_token_interval"]
    assert low < scores["nll_per_token"] < high
    width = high - low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert (scores["num_bootstrap"], scores["confidence"], scores["seed"]) == (400, 0.95, 2)


@pytest.mark.parametrize(
    ("predictions", "options", "error", "message"),
    [
        ([], {}, ValueError, "0 predictions"),
        ("abc", {}, TypeError, r"one string \('abc'\)"),
        (["a", [1]], {}, TypeError, "mix texts and token ids"),
        (["a"], {}, ValueError, "pass tokenizer, or token ids"),
        ([[3], []], {}, ValueError, "Sequence 1 has no tokens"),
        ([[3, 6]], {}, ValueError, "Sequence 0 has the id 6; the ids of the model are 0 to 5"),
        ([[-1, 3]], {}, ValueError, "Sequence 0 has the id -1"),
        ([[3] * 33], {}, ValueError, "33 tokens and the model 32 positions"),
        ([[3]], {"num_bootstrap": -2}, ValueError, "num_bootstrap=-2"),
    ],
)
def test_errors_of_the_nll(predictions, options, error, message):
    with pytest.raises(error, match=message):
        nll_scores(tiny_gpt2(vocab_size=6), predictions, **options)


def test_errors_of_models_and_draws(modules):
    model = tiny_gpt2(vocab_size=6, bos_token_id=None)
    with pytest.raises(ValueError, match="no bos_token_id"):
        nll_scores(model, [[3]])
    with pytest.raises(ValueError, match="no bos_token_id"):
        draw_sequences(model, 2, 3)
    with pytest.raises(ValueError, match="max_length=0"):
        draw_sequences(tiny_gpt2(), 2, 0)
    with pytest.raises(TypeError, match="is a string"):
        sequence_nll(tiny_gpt2(), ["ab"])
    with pytest.raises(TypeError, match="model is missing"):
        modules["textgan_nll"].compute(predictions=[[1]])
