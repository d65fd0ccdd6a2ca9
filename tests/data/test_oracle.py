"""The LSTM oracle and its corpus, against hand-written recurrences and exact enumeration."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM

from hf_textgan.data.errors import DataError
from hf_textgan.data.oracle import build_oracle, dataset_samples, load_oracle, make_oracle, sample_oracle
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples
from tests.data.files import released_oracle
from tests.helpers import all_sequences


pytestmark = pytest.mark.usefixtures("one_thread")

ENGINE = RolloutEngine(20, 0, 0)
TINY = RolloutEngine(3, 0, 0)


def random_arrays(vocab_size=7, embedding_size=4, hidden_size=5, seed=0) -> list[np.ndarray]:
    source = np.random.default_rng(seed)
    gate = [(embedding_size, hidden_size), (hidden_size, hidden_size), (hidden_size,)]
    shapes = [(vocab_size, embedding_size), *gate * 4, (hidden_size, vocab_size), (vocab_size,)]
    return [source.normal(size=shape).astype(np.float32) for shape in shapes]


def save(path: Path, arrays: list[np.ndarray]) -> Path:
    np.savez(path, **{f"p{number:02d}": array for number, array in enumerate(arrays)})
    return path


# ---- The network --------------------------------------------------------------------------------------------------


def recurrence(arrays: list[np.ndarray], tokens: list[int]) -> np.ndarray:
    """`log p(y_t | y_<t)` of one sequence by the equations of the paper, gate by gate, in double precision."""
    arrays = [array.astype(np.float64) for array in arrays]
    embedding, (out_w, out_b) = arrays[0], arrays[13:]
    gates = [arrays[1 + 3 * g : 4 + 3 * g] for g in range(4)]
    h = c = np.zeros(gates[0][1].shape[0])
    result, before = [], 0
    for token in tokens:
        x = embedding[before]
        i, f, o, g = (x @ w + h @ u + b for w, u, b in gates)
        i, f, o = (1 / (1 + np.exp(-value)) for value in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        logits = h @ out_w + out_b
        result.append(logits[token] - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
        before = token
    return np.array(result)


def test_arrays_become_the_papers_recurrence(tmp_path):
    arrays = random_arrays()
    oracle = load_oracle(save(tmp_path / "oracle.npz", arrays))
    sequences = torch.randint(7, (6, 20), generator=torch.Generator().manual_seed(0))
    logps = ENGINE.score(oracle, Samples(sequences, torch.ones_like(sequences)))
    expected = np.stack([recurrence(arrays, row) for row in sequences.tolist()])
    np.testing.assert_allclose(logps.numpy(), expected, atol=2e-5)


def test_released_parameters_are_the_papers_recurrence():
    released = released_oracle()
    with np.load(released) as file:
        arrays = [file[name] for name in sorted(file.files)]
    sequences = dataset_samples(sample_oracle(load_oracle(released), 3, seed=5)).sequences
    logps = ENGINE.score(load_oracle(released), Samples(sequences, torch.ones_like(sequences)))
    expected = np.stack([recurrence(arrays, row) for row in sequences.tolist()])
    np.testing.assert_allclose(logps.numpy(), expected, atol=1e-4)


def test_fresh_oracle_has_standard_normal_parameters():
    oracle = build_oracle(3, vocab_size=400, embedding_size=16, hidden_size=16)
    for name, parameter in oracle.named_parameters():
        values = parameter.detach().flatten()
        if name == "rnn.bias_hh_l0":  # PyTorch adds two biases; the first has the distribution
            assert (values == 0).all()
            continue
        assert abs(float(values.mean())) < 4 / math.sqrt(len(values)), name
        assert abs(float(values.var()) - 1) < 4 * math.sqrt(2 / len(values)), name
    again, other = (build_oracle(seed, 400, 16, 16).lm_head.weight for seed in (3, 4))
    assert torch.equal(oracle.lm_head.weight, again) and not torch.equal(oracle.lm_head.weight, other)


def test_oracle_leaves_the_callers_randomness_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    sample_oracle(build_oracle(1, 20, 4, 4), 5, 4)
    assert torch.equal(torch.rand(3), expected)


def test_it_is_a_generator_like_the_others(tmp_path):
    oracle = make_oracle(seed=1, vocab_size=30, hidden_size=6)
    assert oracle.config.embedding_size == oracle.config.hidden_size == 6
    oracle.save_pretrained(tmp_path)
    for auto in (AutoModel, AutoModelForCausalLM):
        assert torch.equal(auto.from_pretrained(tmp_path).lm_head.weight, oracle.lm_head.weight)
    assert torch.equal(load_oracle(tmp_path).lm_head.weight, oracle.lm_head.weight)
    ids = oracle.generate(torch.zeros(4, 1, dtype=torch.long), do_sample=True, top_k=0, max_new_tokens=9)
    assert ids.shape == (4, 10)


def test_parameter_files_that_are_refused(tmp_path):
    arrays = random_arrays()
    wrong_shape = [*arrays]
    wrong_shape[5] = arrays[5][:, :-1]
    np.savez(tmp_path / "pickled.npz", np.array([{"a": 1}], dtype=object))
    (tmp_path / "text.npz").write_text("no arrays")
    refused = {
        save(
            tmp_path / "few.npz", arrays[:3]
        ): r"holds 3 arrays \(\(7, 4\), .*\); an oracle has 15, the embedding first",
        save(tmp_path / "shape.npz", wrong_shape): r"Array 5 of .* has the shape \(5, 4\); an oracle has \(5, 5\)\.",
        tmp_path / "pickled.npz": r"pickled\.npz cannot be read as an \.npz file \(Object arrays cannot be loaded",
        tmp_path / "text.npz": r"text\.npz cannot be read as an \.npz file",
        tmp_path / "absent.npz": r"There is no file .*absent\.npz; name the \.npz file",
        tmp_path / "oracle.pkl": r"is neither a model folder nor an \.npz file",
    }
    for path, message in refused.items():
        with pytest.raises(DataError, match=message):
            load_oracle(path)


# ---- The corpus ---------------------------------------------------------------------------------------------------


def test_corpus_depends_on_seed_and_split_only():
    oracle = build_oracle(0, vocab_size=20, embedding_size=4, hidden_size=4)
    rows = sample_oracle(oracle, 300, 6, seed=1)["input_ids"][:]
    assert {len(row) for row in rows} == {7} and {row[0] for row in rows} == {0}
    assert any(0 in row[1:] for row in rows)  # BOS is a token like the others
    assert sample_oracle(oracle, 10, 6, seed=1)["input_ids"][:] == rows[:10]
    assert sample_oracle(oracle, 300, 6, seed=2)["input_ids"][:] != rows
    assert sample_oracle(oracle, 300, 6, seed=1, split="test")["input_ids"][:] != rows


def test_samples_follow_the_oracle():
    """V = 3, T = 3: the frequency of each of the 27 sequences against its exact probability."""
    oracle = build_oracle(5, vocab_size=3, embedding_size=4, hidden_size=4)
    everything = all_sequences(3, 3, None)
    probabilities = TINY.score(oracle, everything).double().sum(1).exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-6)
    drawn = dataset_samples(sample_oracle(oracle, 20_000, 3)).sequences
    counts = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(1), minlength=27).double()
    order = (everything.sequences * torch.tensor([9, 3, 1])).sum(1)
    expected = torch.zeros(27, dtype=torch.float64).scatter_(0, order, probabilities) * 20_000
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 26 + 5 * math.sqrt(52)
