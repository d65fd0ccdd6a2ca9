"""
JSDGAN against enumeration: three tokens and three positions make 15 sequences, of 1 to 3 tokens. The gradients are
those of real updates.
"""

import copy
import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from transformers.optimization import get_constant_schedule

from hf_textgan import AdversarialConfig, AdversarialTrainer, JSDGANObjective, RolloutEngine, StepContext, Update
from hf_textgan.core.players import Players
from hf_textgan.core.step import PlayerOptimizer, take_step
from hf_textgan.data.collator import collate
from hf_textgan.models import ConvGenerator, ConvGeneratorConfig
from hf_textgan.objectives.jsdgan import (
    SequenceFrequencies,
    jensen_shannon_terms,
    likelihood_weights,
    rescaled_log_ratio,
)
from tests.helpers import BOS, EOS, PAD, all_sequences, exact_logps, randomize, tiny_gpt2, tiny_lstm


pytestmark = pytest.mark.usefixtures("one_thread")

V, T = 3, 3
STEP = 1e-6  # of plain SGD: far too small to change the densities, and parameters have double precision
KNOWN = all_sequences(V, T, EOS)
every_model = pytest.mark.parametrize("build", (tiny_lstm, tiny_gpt2), ids=("lstm", "gpt2"))
every_density = pytest.mark.parametrize("density", ("exact", "normalized", "min-max"))

# Seven distinct sequences of every length, one of them cut before its end, some of them repeated.
TEXTS = [[EOS]] * 3 + [[0, EOS]] * 2 + [[1, EOS], [0, 0, EOS], [1, 0, EOS]] + [[1, 1, EOS]] * 3 + [[0, 1, 1]]
ROWS = [{"input_ids": [BOS, *text]} for text in TEXTS]


def generator(build=tiny_lstm, seed: int = 1) -> PreTrainedModel:
    return randomize(build(V), seed=seed, std=0.7).double().eval()


def uniform_generator(build=tiny_lstm) -> PreTrainedModel:
    """Every token has probability 1/3: `[EOS]` 9/27, those of two tokens 3/27 each, and the 12 others 1/27 each."""
    model = generator(build)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
        if model.get_output_embeddings().bias is not None:
            model.get_output_embeddings().bias.zero_()
    return model


UNIFORM_ROWS = [
    {"input_ids": [BOS, *sequence[:length]]}
    for sequence, length in zip(KNOWN.sequences.tolist(), KNOWN.attention_mask.sum(1).tolist(), strict=True)
    for _ in range(3 ** (T - length))
]


# ---- The exact values -----------------------------------------------------------------------------------------------


def data_probabilities(rows=ROWS) -> torch.Tensor:
    """The frequency of each of the 15 sequences."""
    texts = [row["input_ids"][1:] for row in rows]
    pairs = zip(KNOWN.sequences.tolist(), KNOWN.attention_mask.sum(1).tolist(), strict=True)
    counts = torch.tensor([texts.count(sequence[:length]) for sequence, length in pairs], dtype=torch.float64)
    assert counts.sum() == len(rows)
    return counts / counts.sum()


def gan_value(p: torch.Tensor, p_data: torch.Tensor) -> torch.Tensor:
    """J as it stands in the paper, over the training sequences alone."""
    seen = p_data > 0
    p, p_data = p[seen], p_data[seen]
    d, not_d = p_data / (p_data + p), p / (p_data + p)
    return (p_data * d.log() + p * not_d.log()).sum()


def divergence(p: torch.Tensor, p_data: torch.Tensor) -> torch.Tensor:
    """The Jensen-Shannon divergence over all sequences, by its definition."""
    m = (p + p_data) / 2
    return (torch.special.xlogy(p_data, p_data / m).sum() + (p * (p / m).log()).sum()) / 2


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).clone()


def gradient_of(value: torch.Tensor, model: nn.Module) -> torch.Tensor:
    return flat(torch.autograd.grad(value, list(model.parameters())))


def log_probabilities(model: nn.Module) -> torch.Tensor:
    return exact_logps(model, KNOWN).sum(1)


# ---- Real updates ---------------------------------------------------------------------------------------------------


def trainer_of(model, density, folder, rows=None, **options) -> AdversarialTrainer:
    rows = ROWS if rows is None else rows
    arguments = {
        "output_dir": str(folder),
        "max_steps": 1,
        "per_device_train_batch_size": len(rows),  # a batch is the data, in some order
        "optim": "sgd",
        "learning_rate": STEP,
        "max_grad_norm": 0.0,
        "max_length": T,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
        **options,
    }
    objective = JSDGANObjective(density=density)
    return AdversarialTrainer(model, AdversarialConfig(**arguments), objective, train_dataset=rows)


def gradient_of_update(model, density, folder, rows=None, **options) -> torch.Tensor:
    """The gradient of a real update: plain SGD changes the parameters by minus the gradient."""
    model = copy.deepcopy(model)
    before = flat(model.parameters())
    trainer_of(model, density, folder, rows, **options).train()
    return (before - flat(model.parameters())) / STEP


@every_model
@pytest.mark.parametrize("parts", (1, 2, 3))
def test_an_update_follows_the_gradient_of_the_divergence(build, parts, tmp_path):
    model, p_data = generator(build), data_probabilities()
    p = log_probabilities(model).exp()
    assert float(p.detach().sum()) == pytest.approx(1, abs=1e-12)
    value = gan_value(p, p_data)
    value_by_divergence = 2 * float(divergence(p.detach(), p_data)) - 2 * math.log(2)
    assert float(value.detach()) == pytest.approx(value_by_divergence, abs=1e-12)
    expected = gradient_of(value, model)

    options = {"per_device_train_batch_size": len(ROWS) // parts, "gradient_accumulation_steps": parts}
    found = gradient_of_update(model, "exact", tmp_path, **options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert expected.norm() > 0.01


@every_model
def test_the_closed_form_of_the_gradient(build):
    model, p_data = generator(build), data_probabilities()
    logps = log_probabilities(model)
    p = logps.exp().detach()
    seen = p_data > 0
    closed = (p * (p / (p_data + p)).log() * logps)[seen].sum()
    expected = gradient_of(gan_value(log_probabilities(model).exp(), p_data), model)
    torch.testing.assert_close(gradient_of(closed, model), expected, rtol=1e-9, atol=1e-12)


@every_model
def test_the_normalized_update_by_enumeration(build, tmp_path):
    # - sum_x p_d r^(1/T) log(1 + r^(-1/T)) grad log p, with T tokens in x and r = p / p_d
    model, p_data = generator(build), data_probabilities()
    logps = log_probabilities(model)
    seen = p_data > 0
    roots = (logps.exp().detach()[seen] / p_data[seen]) ** (1 / KNOWN.attention_mask.sum(1)[seen])
    expected = gradient_of(-(p_data[seen] * roots * (1 + 1 / roots).log() * logps[seen]).sum(), model)
    for parts in (1, 2):
        options = {"per_device_train_batch_size": len(ROWS) // parts, "gradient_accumulation_steps": parts}
        found = gradient_of_update(model, "normalized", tmp_path, **options)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@every_model
def test_the_rescaled_update_by_the_formula_of_the_reimplementation(build, tmp_path):
    model = generator(build)
    batch = collate(ROWS, PAD)
    engine = RolloutEngine(T, BOS, PAD, EOS)
    logps = exact_logps(model, engine.as_samples(engine.real_sequences(batch))).sum(1)
    p = logps.detach().exp()
    p = ((p - p.min()) / (p.max() - p.min())).clamp(min=1e-10)
    p_data = 1 / len(ROWS)
    expected = gradient_of((p * (1 - p_data / (p_data + p)).log() * logps).sum(), model)
    found = gradient_of_update(model, "min-max", tmp_path)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_temperature_of_the_samples_does_not_matter(tmp_path):
    first = gradient_of_update(generator(), "normalized", tmp_path)
    second = gradient_of_update(generator(), "normalized", tmp_path, temperature=0.5)
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


@every_model
@pytest.mark.parametrize("density", ("exact", "normalized"))
def test_the_distribution_of_the_data_is_a_fixed_point(build, density, tmp_path):
    model, p_data = uniform_generator(build), data_probabilities(UNIFORM_ROWS)
    torch.testing.assert_close(log_probabilities(model).exp(), p_data, rtol=1e-12, atol=0)
    assert float(gan_value(log_probabilities(model).exp(), p_data).detach()) == pytest.approx(-2 * math.log(2))
    assert gradient_of_update(model, density, tmp_path, UNIFORM_ROWS).norm() < 1e-6
    # Other frequencies of the same sequences give it a gradient.
    assert gradient_of_update(model, density, tmp_path, [*UNIFORM_ROWS, UNIFORM_ROWS[-1]]).norm() > 1e-3


def test_logged_values(tmp_path):
    model, p_data = generator(), data_probabilities()
    p = log_probabilities(model).exp().detach()
    trainer = trainer_of(copy.deepcopy(model), "exact", tmp_path)
    trainer.train()
    logged = next(entry for entry in trainer.state.log_history if "generator/jsd" in entry)
    assert logged["generator/jsd"] == pytest.approx(float(divergence(p, p_data)), abs=1e-6)
    ratio = p / p_data
    weights = (p_data * ratio * (1 + 1 / ratio).log())[p_data > 0]
    assert logged["generator/weight"] == pytest.approx(float(weights.sum()), abs=1e-6)
    tokens = sum(map(len, TEXTS)) / len(TEXTS)
    nll = -float((p_data * p.log()).sum()) / tokens
    assert logged["generator/nll_per_token"] == pytest.approx(nll, abs=1e-6)


# ---- The objective --------------------------------------------------------------------------------------------------


def test_the_divergence_has_bounds():
    p_data = data_probabilities()
    for seed in range(20):
        value = float(gan_value(log_probabilities(generator(seed=seed)).exp(), p_data).detach())
        assert -2 * math.log(2) < value < 0
    # The terms over the rows give it, repeats counted.
    p = log_probabilities(generator()).exp().detach()
    terms = jensen_shannon_terms((p / p_data).log()[p_data > 0])
    assert float((p_data[p_data > 0] * terms).sum()) == pytest.approx(float(divergence(p, p_data)), abs=1e-12)


def test_weights_by_hand():
    log_ratio = torch.tensor([-800.0, math.log(1 / 3), 0.0, 30.0], dtype=torch.float64)
    weights = likelihood_weights(log_ratio)
    assert weights.tolist() == pytest.approx([0.0, math.log(4) / 3, math.log(2), 1.0], abs=1e-12)
    terms = jensen_shannon_terms(log_ratio[:3])
    # With r = 1/3: (log 3/4 + 1/3 log 1/4) / 2 + log 2
    assert terms.tolist() == pytest.approx(
        [math.log(2), (math.log(3 / 4) + math.log(1 / 4) / 3) / 2 + math.log(2), 0.0], abs=1e-12
    )


def test_rescaled_densities_by_hand():
    p = torch.tensor([0.1, 0.3, 0.5, 0.2], dtype=torch.float64)
    expected = torch.tensor([1e-10, 0.5, 1.0, 0.25], dtype=torch.float64)
    for shift in (0.0, -5000.0):  # of densities that are too small for a float
        ratio = rescaled_log_ratio(p.log() + shift, p.log() + shift)
        torch.testing.assert_close(ratio.exp() / 4, expected, rtol=1e-9, atol=1e-12)
        weights = likelihood_weights(ratio)
        assert float(weights[0]) < 1e-8 and float(weights[2]) == pytest.approx(-4 * math.log(1 / (1 + 1 / 4)))
    ratio = rescaled_log_ratio(p[1:2].log(), p.log())  # the others are in other processes
    assert float(ratio) == pytest.approx(math.log(4 * 0.5))
    equal = rescaled_log_ratio(torch.zeros(3).double(), torch.zeros(3).double())
    assert bool((likelihood_weights(equal) < 1e-7).all())


class RecordingEngine(RolloutEngine):
    """Keeps the log-probabilities that it returned last."""

    def at(self, temperature):
        return self

    def per_token_logps(self, model, samples, inputs=None):
        self.returned = super().per_token_logps(model, samples, inputs)
        return self.returned


@every_density
def test_no_training_sequence_gets_less_likely(density):
    objective, engine = JSDGANObjective(density=density), RecordingEngine(T, BOS, PAD, EOS)
    objective.prepare(ROWS, engine, {})
    for seed in range(10):
        players = Players({"generator": generator(seed=seed)})
        loss = objective.generator_loss(players, engine, collate(ROWS, PAD), StepContext()).loss
        derivatives = torch.autograd.grad(loss, engine.returned)[0][:, 0] * len(ROWS)
        assert -1 <= float(derivatives.min()) < -0.1 and float(derivatives.max()) < 0


def distant_generator(score: float) -> PreTrainedModel:
    """Writes the token 0, and any other with a probability of about e^-score at each position."""
    model = uniform_generator()
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.tensor([score, 0.0, 0.0]))
    return model


def test_the_exact_gradient_vanishes_far_from_the_data(tmp_path, caplog, monkeypatch):
    rows = [{"input_ids": [BOS, 1, EOS]}, {"input_ids": [BOS, 1, 1, EOS]}]
    model = distant_generator(15.0)
    assert -1e-11 < float(gan_value(log_probabilities(model).exp(), data_probabilities(rows)).detach()) < 0
    monkeypatch.setattr(logging.getLogger("hf_textgan"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        assert gradient_of_update(model, "exact", tmp_path, rows, max_steps=3).norm() < 1e-10
        assert gradient_of_update(model, "normalized", tmp_path, rows).norm() > 1e-6
    warnings = [r.getMessage() for r in caplog.records if "hardly learns; set pretrain_generator_" in r.getMessage()]
    # Of e^-30 / p_d for one and e^-45 for the other, p_d = 1/2: the mean of r log(1 + 1/r).
    assert len(warnings) == 1 and "density='exact' weights them by 2.7e-12 on average" in warnings[0]


class TabularLM(nn.Module):
    """A score for each token after each prefix of up to three of five tokens."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(1 + 5 + 25 + 125, 5))

    def forward(self, input_ids, use_cache=None):
        prefixes, index = [], torch.zeros_like(input_ids[:, 0])
        for position in range(input_ids.shape[1]):
            if position:
                index = 5 * index + 1 + input_ids[:, position]
            prefixes.append(index)
        return CausalLMOutput(logits=self.scores[torch.stack(prefixes, 1)])


def test_a_table_learns_its_training_sequences():
    draws = torch.randperm(625, generator=torch.Generator().manual_seed(0))[:20]
    ids = torch.stack([draws // 125, draws // 25 % 5, draws // 5 % 5, draws % 5], 1)
    batch = {"input_ids": torch.cat([torch.full((20, 1), BOS), ids], 1), "attention_mask": torch.ones(20, 5).long()}
    model, engine, objective = TabularLM(), RolloutEngine(4, BOS, PAD, None), JSDGANObjective(density="exact")
    objective.prepare([{"input_ids": row} for row in batch["input_ids"]], engine, {})
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    optimizer, players = PlayerOptimizer(adam, get_constant_schedule(adam)), Players({"generator": model})
    values = []
    for _ in range(200):
        result = take_step(
            Accelerator(cpu=True),
            players,
            optimizer,
            Update("generator", "generator_loss"),
            [batch],
            objective,
            engine,
            StepContext(),
        )
        values.append(2 * result.metrics["generator/jsd"] - 2 * math.log(2))
    # 20 sequences of p_d = 1/20 and p = 1/625.
    assert values[0] == pytest.approx(math.log(1 / (1 + 20 / 625)) + 20 / 625 * math.log(1 / (1 + 625 / 20)), abs=1e-6)
    assert -2 * math.log(2) < values[-1] < -1.37
    # ln 20 / 4 nats per token are the entropy of the data.
    assert result.metrics["generator/nll_per_token"] == pytest.approx(math.log(20) / 4, abs=0.01)


# ---- Frequencies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", (list, datasets.Dataset.from_list))
def test_frequencies(kind):
    texts = [[3, 4], [3, 4, 0], [3, 4], [0], [300, 4], [3, 4]]  # 0 is the padding, too
    rows = [{"input_ids": [BOS, *text]} for text in texts]
    frequencies = SequenceFrequencies(kind(rows))
    assert len(frequencies) == 4
    wide = {
        key: torch.nn.functional.pad(value, (0, 3), value=0) for key, value in collate(rows[::-1], PAD).items()
    }  # order and padding do not matter
    found = frequencies.log_probs(wide).exp().tolist()
    assert found == pytest.approx([3 / 6, 1 / 6, 1 / 6, 3 / 6, 1 / 6, 3 / 6])
    with pytest.raises(ValueError, match="Row 1 of the batch is not among the 4 distinct training sequences; call"):
        frequencies.log_probs(collate([rows[0], {"input_ids": [BOS, 3]}], PAD))


# ---- Errors ---------------------------------------------------------------------------------------------------------


def test_a_density_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="density is 'minmax'; set it to 'normalized', 'exact' or 'min-max'."):
        JSDGANObjective(density="minmax")


def test_a_loss_without_data_is_refused():
    players, engine = Players({"generator": generator()}), RolloutEngine(T, BOS, PAD, EOS)
    with pytest.raises(ValueError, match=r"but prepare was not called; call it first"):
        JSDGANObjective().generator_loss(players, engine, collate(ROWS, PAD), StepContext())


def test_rescaled_densities_need_the_whole_batch(tmp_path):
    for density in ("normalized", "exact", "min-max"):
        assert JSDGANObjective(density=density).couples_batch == (density == "min-max")
    with pytest.raises(ValueError, match="gradient_accumulation_steps is 2, but JSDGANObjective compares the example"):
        trainer_of(generator(), "min-max", tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=6)
    with pytest.raises(ValueError, match="A step has 1 sequence, but density='min-max' compares .* to 2 or more"):
        trainer_of(generator(), "min-max", tmp_path, per_device_train_batch_size=1)


def test_a_generator_without_likelihood_is_refused(tmp_path):
    config = ConvGeneratorConfig(vocab_size=V, sequence_length=T, hidden_size=4, num_blocks=1)
    with pytest.raises(ValueError, match="A ConvGenerator cannot be trained by JSDGANObjective, which needs the prob"):
        trainer_of(ConvGenerator(config), "exact", tmp_path)


# ---- Two processes --------------------------------------------------------------------------------------------------


def gradients_by_density(folder: Path, world_size: int) -> dict[str, list[float]]:
    """The gradients of an update by each density, of the rows split over the processes."""
    size = len(ROWS) // world_size
    gradients = {}
    for density in ("exact", "normalized", "min-max"):
        found = gradient_of_update(generator(), density, folder / density, per_device_train_batch_size=size)
        gradients[density] = found.tolist()
    return gradients


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.timeout(120)
def test_two_processes_take_the_step_of_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.objectives.test_jsdgan", str(tmp_path)]
    root = Path(__file__).parents[2]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(root)}
    result = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stderr[-4000:]
    whole = gradients_by_density(tmp_path / "single", 1)
    for rank in range(2):
        found = json.loads((tmp_path / f"rank-{rank}.json").read_text())
        for density, expected in whole.items():
            gradients = torch.tensor(found[density]), torch.tensor(expected)
            torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6, msg=lambda m, d=density: d + m)


if __name__ == "__main__":
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    report = gradients_by_density(Path(sys.argv[1]) / "run", 2)
    (Path(sys.argv[1]) / f"rank-{accelerator.process_index}.json").write_text(json.dumps(report))
    accelerator.end_training()
