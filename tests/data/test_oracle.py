"""The LSTM oracle and its measures, against exact enumeration, hand-written recurrences and published values."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM

from hf_textgan.cli.main import main
from hf_textgan.data.errors import DataError
from hf_textgan.data.oracle import build_oracle, dataset_samples, load_oracle, make_oracle, sample_oracle
from hf_textgan.evaluation.generators import nll_metrics, sample_nll
from hf_textgan.evaluation.oracle import OracleMetrics
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples
from hf_textgan.utils.random import fork_rng
from tests.helpers import all_sequences


torch.set_num_threads(1)

ENGINE = RolloutEngine(20, 0, 0)
TINY = RolloutEngine(3, 0, 0)


def nll_div(model, engine, samples, temperature=1.0) -> float:
    return nll_metrics(sample_nll(model, engine.at(temperature), samples))["nll_per_token"]


@pytest.fixture(scope="module")
def released() -> Path:
    folder = os.environ.get("TEXTGAN_DATA_DIR")
    path = Path(folder or "") / "seqgan_oracle" / "target_params.npz"
    if folder is None or not path.is_file():
        pytest.skip("TEXTGAN_DATA_DIR names no folder with seqgan_oracle/target_params.npz")
    return path


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


def test_released_parameters_are_the_papers_recurrence(released):
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


# ---- The corpus ---------------------------------------------------------------------------------------------------


def test_corpus_depends_on_seed_and_split_only():
    oracle = build_oracle(0, vocab_size=20, embedding_size=4, hidden_size=4)
    rows = sample_oracle(oracle, 300, 6, seed=1)["input_ids"][:]
    assert {len(row) for row in rows} == {7} and {row[0] for row in rows} == {0}
    assert any(0 in row[1:] for row in rows)  # BOS is a symbol like the others
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


# ---- The measures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    """Two different tiny models, and the exact probabilities of all sequences under both, `(27,)` in nats."""
    oracle, generator = (build_oracle(seed, vocab_size=3, embedding_size=4, hidden_size=4) for seed in (5, 6))
    everything = all_sequences(3, 3, None)
    logps = [TINY.score(model, everything).double().sum(1) for model in (oracle, generator)]
    return oracle, generator, everything, *logps


def test_nll_oracle_is_the_exact_expectation(pair):
    oracle, generator, everything, log_p, log_g = pair
    exact = float(-(log_g.exp() * log_p).sum() / 3)
    with fork_rng("test", 0):
        samples = TINY.sample(generator, 20_000)
    logps = TINY.score(oracle, samples).double().sum(1) / 3
    standard_error = float(logps.std()) / math.sqrt(20_000)
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(exact, abs=4 * standard_error)
    assert standard_error < 0.01
    # ... and the mean over given sequences is nothing but that.
    some = Samples(everything.sequences[3:9], everything.attention_mask[3:9])
    assert OracleMetrics(oracle)(some)["nll_oracle"] == pytest.approx(float(-log_p[3:9].mean() / 3), abs=1e-6)


def test_decomposition(pair):
    """NLL-oracle - NLL-div = KL(G || oracle) / T, and NLL-test - H(oracle) = KL(oracle || G) / T, both above 0."""
    oracle, generator, everything, log_p, log_g = pair
    p, g = log_p.exp(), log_g.exp()
    nll_oracle, entropy_g = -(g * log_p).sum() / 3, -(g * log_g).sum() / 3
    nll_test, entropy_p = -(p * log_g).sum() / 3, -(p * log_p).sum() / 3
    assert float(nll_oracle - entropy_g) == pytest.approx(float((g * (log_g - log_p)).sum() / 3), abs=1e-9)
    assert nll_oracle > entropy_g and nll_test > entropy_p
    with fork_rng("test", 1):
        samples, real = TINY.sample(generator, 20_000), TINY.sample(oracle, 20_000)
    assert nll_div(generator, TINY, samples) == pytest.approx(float(entropy_g), abs=0.02)
    assert nll_div(generator, TINY, real) == pytest.approx(float(nll_test), abs=0.02)


def test_sharpening_games_nll_oracle(pair):
    """Of the oracle's own distribution raised to alpha: NLL-oracle falls with alpha, NLL-test has its minimum at 1."""
    oracle, _, everything, log_p, _ = pair
    sharpened = {}
    for alpha in (0.5, 1.0, 1.5, 2.5):
        log_g = TINY.at(1 / alpha).per_token_logps(oracle, everything).detach().double().sum(1)
        nll_oracle, nll_test = -(log_g.exp() * log_p).sum() / 3, -(log_p.exp() * log_g).sum() / 3
        sharpened[alpha] = float(nll_oracle), float(nll_test)
        with fork_rng("test", 2):
            samples = TINY.at(1 / alpha).sample(oracle, 10_000)
        assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(float(nll_oracle), abs=0.03)
    assert sharpened[0.5][0] > sharpened[1.0][0] > sharpened[1.5][0] > sharpened[2.5][0]
    assert sharpened[0.5][1] > sharpened[1.0][1] < sharpened[1.5][1] < sharpened[2.5][1]


def test_the_oracle_itself_has_one_value():
    oracle = build_oracle(0, vocab_size=300)
    real = dataset_samples(sample_oracle(oracle, 4000, 20))
    with fork_rng("test", 3):
        samples = ENGINE.sample(oracle, 4000)
    entropy = nll_div(oracle, ENGINE, samples)
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(entropy, abs=1e-6)
    assert nll_div(oracle, ENGINE, real) == pytest.approx(entropy, abs=0.05)


def test_uniform_generator_and_uniform_tokens():
    oracle = build_oracle(0)
    uniform = build_oracle(1)
    with torch.no_grad():
        uniform.lm_head.weight.zero_(), uniform.lm_head.bias.zero_()
    real = dataset_samples(sample_oracle(oracle, 256, 20))
    assert nll_div(uniform, ENGINE, real) == pytest.approx(math.log(5000), abs=1e-5)
    tokens = torch.randint(5000, (2000, 20), generator=torch.Generator().manual_seed(0))
    assert 10.9 < OracleMetrics(oracle)(Samples(tokens, torch.ones_like(tokens)))["nll_oracle"] < 11.5


def test_batches_change_nothing():
    oracle = build_oracle(0, vocab_size=300)
    samples = dataset_samples(sample_oracle(oracle, 64, 20))
    together = ENGINE.score(oracle, samples)
    one = torch.cat([ENGINE.per_token_logps(oracle, Samples(row[None], torch.ones_like(row)[None])).detach()
                     for row in samples.sequences])  # fmt: skip
    torch.testing.assert_close(together, one, atol=1e-5, rtol=0)


def entropy_along(oracle, samples: Samples) -> torch.Tensor:
    """The mean entropy of the softmax along each sequence, `(num_samples,)`."""
    inputs = torch.nn.functional.pad(samples.sequences, (1, 0))[:, :-1]
    rows = []
    with torch.no_grad():
        for part in inputs.split(64):
            logps = oracle(input_ids=part).logits.log_softmax(-1)
            rows.append(-(logps.exp() * logps).sum(-1).mean(1))
    return torch.cat(rows)


@pytest.mark.parametrize("num_samples", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_released_parameters(released, num_samples):
    """Published for the oracle itself: 5.750 (LeakGAN, arXiv 1709.08624, table 1); uniform tokens: 11.4."""
    oracle = load_oracle(released)
    samples = dataset_samples(sample_oracle(oracle, num_samples, 20, seed=1))
    nll = -ENGINE.score(oracle, samples).double().mean(1)
    entropy = entropy_along(oracle, samples).double()
    assert OracleMetrics(oracle)(samples)["nll_oracle"] == pytest.approx(float(nll.mean()), abs=1e-6)
    error = float((nll - entropy).std()) / math.sqrt(num_samples)
    assert float(nll.mean() - entropy.mean()) == pytest.approx(0, abs=3 * error)
    # 5.753 over 160,000 samples; the standard error of 20,000 is .004, of the entropy along them .0015.
    scale = math.sqrt(20_000 / num_samples)
    assert float(nll.mean()) == pytest.approx(5.753, abs=0.01 * scale)
    assert float(entropy.mean()) == pytest.approx(5.753, abs=0.006 * scale)
    tokens = torch.randint(5000, (num_samples, 20), generator=torch.Generator().manual_seed(0))
    uniform = OracleMetrics(oracle)(Samples(tokens, torch.ones_like(tokens)))["nll_oracle"]
    assert uniform == pytest.approx(11.43, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("hidden_size", "low", "high"), [(32, 5.7, 6.2), (64, 4.0, 4.35)])
def test_fresh_oracles_of_both_sizes(hidden_size, low, high):
    """The published value for 40 tokens, 4.071, belongs to an oracle of width 64."""
    oracle = make_oracle(seed=1, hidden_size=hidden_size)
    samples = dataset_samples(sample_oracle(oracle, 2000, 40, seed=1))
    assert low < OracleMetrics(oracle)(samples)["nll_oracle"] < high


@pytest.mark.slow
def test_six_epochs_of_maximum_likelihood(released, tmp_path):
    """The reference code's log: 10.17 after an epoch, 9.43 after five."""
    words = f"""train rnnlm --dataset_name oracle --oracle_path {released} --output_dir {tmp_path / "run"}
        --pretrain_generator_steps 936 --eval_steps 156 --save_strategy no --eval_num_samples 2000
        --oracle_eval_size 2000 --disable_tqdm true --load_best_model_at_end false"""
    assert main(words.split()) == 0
    evaluations = json.loads((tmp_path / "run" / "metrics.json").read_text())["evaluations"]
    curve = [entry["eval_nll_oracle"] for entry in evaluations]
    assert 9.9 < curve[0] < 10.5 and curve[-1] < 9.5
    assert evaluations[-1]["eval_nll_per_token"] < 8.2 < math.log(5000)


# ---- Runs ---------------------------------------------------------------------------------------------------------


def words(output_dir: Path, system: str = "rnnlm", **options) -> list[str]:
    values = {
        "dataset_name": "oracle",
        "output_dir": output_dir,
        "oracle_vocab_size": 40,
        "oracle_hidden_size": 6,
        "oracle_train_size": 64,
        "oracle_eval_size": 32,
        "max_length": 5,
        "eval_num_samples": 48,
        "per_device_train_batch_size": 8,
        "eval_steps": 4,
        "save_steps": 4,
        "disable_tqdm": True,
        "pretrain_generator_steps": 8,
        **options,
    }
    chosen = {name: value for name, value in values.items() if value is not None}
    return ["train", system, *(word for name, value in chosen.items() for word in (f"--{name}", str(value)))]


def test_run_on_an_oracle(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(run)) == 0
    oracle = load_oracle(run / "oracle")
    held_out = dataset_samples(sample_oracle(oracle, 32, 5, split="test"))
    printed = capsys.readouterr().out
    value = OracleMetrics(oracle)(held_out)["nll_oracle"]
    assert f"64 to train on, 32 held out, with {value:.3f} nats a token under the oracle itself" in printed

    logged = json.loads((run / "metrics.json").read_text())["evaluations"][-1]
    samples = [[int(word) for word in line.split()] for line in (run / "samples.txt").read_text().splitlines()]
    assert len(samples) == 48 and {len(row) for row in samples} == {5}
    drawn = torch.tensor(samples)
    drawn = Samples(drawn, torch.ones_like(drawn))
    assert logged["eval_nll_oracle"] == pytest.approx(OracleMetrics(oracle)(drawn)["nll_oracle"], abs=1e-6)
    # The run keeps the model with the best likelihood of held-out sequences: the one that lies in its folder.
    best = json.loads((run / "best" / "pretrain_generator" / "metrics.json").read_text())
    assert main(["evaluate", str(run), "--num_samples", "48"]) == 0
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    for key in ("nll_oracle", "nll_div", "nll_per_token"):
        assert metrics[key] == pytest.approx(best[f"eval_{key}"], abs=1e-6)
    capsys.readouterr()
    assert main(["generate", str(run), "--num_samples", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(0 <= int(word) < 40 for line in lines for word in line.split())


@pytest.mark.slow
def test_seqgan_starts_from_a_trained_generator_and_resumes(tmp_path):
    start = tmp_path / "start"
    assert main(words(start)) == 0
    tiny = {
        "system": "seqgan",
        "generator_name_or_path": start,
        "pretrain_generator_steps": 0,
        "pretrain_discriminator_steps": 3,
        "num_rollouts": 2,
        "discriminator_steps": 1,
        "discriminator.window_sizes": "[1,2]",
        "discriminator.num_filters": "[3,3]",
    }
    assert main(words(tmp_path / "straight", max_steps=6, **tiny)) == 0
    assert main(words(tmp_path / "stopped", max_steps=2, **tiny)) == 0
    assert main([*words(tmp_path / "stopped", max_steps=6, **tiny), "--resume"]) == 0
    for folder in (".", "discriminator"):
        straight, stopped = (AutoModel.from_pretrained(tmp_path / run / folder) for run in ("straight", "stopped"))
        for expected, resumed in zip(straight.parameters(), stopped.parameters(), strict=True):
            assert torch.equal(expected, resumed)
    trained = AutoModel.from_pretrained(tmp_path / "straight")
    assert not torch.equal(trained.lm_head.weight, AutoModel.from_pretrained(start).lm_head.weight)


@pytest.mark.parametrize(
    "discriminator", ["cnn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("recurrent", "bidirectional"))]
)
def test_discriminators_on_sequences_without_eos(tmp_path, discriminator):
    options = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": 2, "max_steps": 1, "num_rollouts": 2}
    assert main(words(tmp_path / "run", "seqgan", discriminator=discriminator, preset="laptop", **options)) == 0
    model = AutoModel.from_pretrained(tmp_path / "run", subfolder="discriminator")
    assert getattr(model.config, "bidirectional", None) == {"recurrent": False, "bidirectional": True}.get(
        discriminator
    )


@pytest.mark.parametrize("reward", ["bleu", "constant"])
def test_rewards_without_a_discriminator(tmp_path, capsys, reward):
    run = tmp_path / "run"
    options = {"pretrain_generator_steps": 2, "pretrain_discriminator_steps": None, "max_steps": 4, "num_rollouts": 2}
    assert main(words(run, "seqgan", reward=reward, preset="laptop", **options)) == 0
    assert "seqgan: pretrain_generator 2 iterations, adversarial 4 iterations" in capsys.readouterr().out
    assert not (run / "discriminator").exists() and (run / "checkpoint-6").is_dir()
    log = json.loads((run / "checkpoint-6" / "trainer_state.json").read_text())["log_history"]
    rewards = [entry["reward/mean"] for entry in log if "reward/mean" in entry]
    assert rewards == [1.0] if reward == "constant" else 0 < rewards[0] < 1


# ---- What is refused ----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"oracle_path": "x.npz"}, "oracle_vocab_size is 40, but the oracle is read from x.npz; leave one"),
        ({"eval_file": "x.txt"}, "--eval_file and --dataset_name oracle are both given; leave one of them out."),
        ({"lowercase": True}, "--lowercase and --dataset_name oracle are both given; leave one of them out."),
        ({"oracle_train_size": 1}, "The train split of the oracle has 1 sequences; use 2 or more."),
        ({"oracle_hidden_size": 0}, "is 0; set it to 1 or more."),
        ({"max_length": 0}, "max_length is 0; set it to 1 or more"),
        ({"oracle_train_size": 6}, "do not fill one batch of batch_size=8"),
        ({"oracle_sed": 3}, "called 'oracle_sed'; did you mean 'oracle_seed'?"),
    ],
)
def test_options_that_are_refused(tmp_path, capsys, options, message):
    assert main(words(tmp_path / "run", **options)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_models_that_do_not_fit_are_refused(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(run)) == 0
    other = words(tmp_path / "other", generator_name_or_path=run, oracle_vocab_size=50)
    assert main(other) == 2
    assert "The generator has vocab_size 40 and the oracle 50; start from" in capsys.readouterr().err
    assert main(["generate", str(run), "--prompt", "a dog"]) == 2
    assert "The prompt 'a dog' is text, but" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--eval_file", "x.txt"]) == 2
    assert "writes ids, so --eval_file cannot be measured; leave it out." in capsys.readouterr().err
    assert main(words(tmp_path / "third", "rnnlm", discriminator="cnn")) == 2
    assert "rnnlm has no discriminator of sequences to replace; leave discriminator out." in (capsys.readouterr().err)
    assert main(words(tmp_path / "third", "seqgan", discriminator="cmn")) == 2
    assert "There is no discriminator called 'cmn'; did you mean 'cnn'?" in capsys.readouterr().err
