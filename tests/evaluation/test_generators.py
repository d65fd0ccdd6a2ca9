"""Samples and likelihoods of generators that read more than tokens, and of those that read tokens alone."""

import functools

import datasets
import pytest
import torch

from hf_textgan.data.collator import collate
from hf_textgan.data.statistics import scan_dataset
from hf_textgan.evaluation.descriptions import describe_metric
from hf_textgan.evaluation.generators import corpus_nll, importance_weighted_nll, nll_metrics, sample_sequences
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import concatenate_samples
from tests.helpers import BOS, EOS, PAD, randomize, tiny_lstm
from tests.labelled import Labelled, LabelledRecurrentLM, all_inputs, labelled
from tests.models.test_variational_generator import exact_nll as integrated_nll
from tests.models.test_variational_generator import variational


pytestmark = pytest.mark.usefixtures("one_thread")

ENGINE = RolloutEngine(4, BOS, PAD, EOS)
ROWS = [
    {"input_ids": [BOS, 0, EOS], "labels": 1},
    {"input_ids": [BOS, 1, 1, 0, EOS], "labels": 0},
    {"input_ids": [BOS, EOS], "labels": 1},
]
COLLATE = functools.partial(collate, pad_token_id=PAD)


class LabelsOnly(LabelledRecurrentLM):
    """Its likelihood is exact, given the label."""

    step_inputs = ()

    def forward(self, input_ids, class_labels, **kwargs):
        return super().forward(input_ids, class_labels, torch.zeros(input_ids.shape), **kwargs)


class Bounded(LabelledRecurrentLM):
    likelihood = "bound"


class WithBound(Bounded):
    def nll_bound(self, input_ids, attention_mask, class_labels):
        assert not self.training
        return attention_mask[:, 1:].sum(1) * 2.0 + class_labels + torch.rand(len(input_ids))


def test_samples_have_the_labels_of_the_rows():
    model = labelled(LabelsOnly)
    samples = sample_sequences(model, ENGINE, 300, seed=3, given=ROWS)
    labels = torch.tensor([row["labels"] for row in ROWS])
    assert len(samples) == 512 and torch.equal(samples.inputs["class_labels"], labels[torch.arange(512) % 3])
    # Without such data the model draws them, and a generator of tokens alone does not look at the data.
    drawn = sample_sequences(model, ENGINE, 300, seed=3, given=[{"input_ids": [BOS, EOS]}])
    assert drawn.inputs["class_labels"].float().mean() == pytest.approx(0.5, abs=0.1)
    plain = randomize(tiny_lstm()).eval()
    assert torch.equal(
        sample_sequences(plain, ENGINE, 300, given=ROWS).sequences, sample_sequences(plain, ENGINE, 300).sequences
    )


def test_samples_do_not_depend_on_the_number_of_processes():
    model = labelled(LabelledRecurrentLM)
    whole = sample_sequences(model, ENGINE, 600, seed=1, given=ROWS)
    parts = [sample_sequences(model, ENGINE, 600, 1, rank, 3, ROWS) for rank in range(3)]
    again = concatenate_samples(parts)
    assert torch.equal(whole.sequences, again.sequences)
    for name, value in whole.inputs.items():
        assert torch.equal(value, again.inputs[name])
    empty = sample_sequences(model, ENGINE, 600, 1, 3, 4, ROWS)
    assert empty.sequences.shape == (0, 4) and empty.inputs["noise"].shape == (0, 4)
    assert set(empty.inputs) == set(whole.inputs)


def exact_nll(model: Labelled, row: dict, label: int, noise: torch.Tensor | None = None) -> float:
    ids, targets = torch.tensor([row["input_ids"][:-1]]), row["input_ids"][1:]
    inputs = {"class_labels": torch.tensor([label])}
    if noise is not None:
        inputs["noise"] = noise[None, : len(targets)]
    with torch.no_grad():
        logps = model(input_ids=ids, **inputs).logits[0].log_softmax(-1)
    return -float(logps[torch.arange(len(targets)), targets].sum())


def test_the_likelihood_is_that_given_the_labels():
    model = labelled(LabelsOnly)
    expected = [exact_nll(model, row, row["labels"]) for row in ROWS]
    sums = corpus_nll(model, ENGINE, ROWS, COLLATE)
    assert sums.tolist() == pytest.approx([sum(expected), 7, 3], rel=1e-5)
    assert abs(expected[0] - exact_nll(model, ROWS[0], 0)) > 0.1, "the label matters"
    parts = sum(corpus_nll(model, ENGINE, ROWS, COLLATE, 2, rank, 2) for rank in range(2))
    assert parts.tolist() == pytest.approx(sums.tolist(), rel=1e-5)


def test_a_bound_is_the_same_at_every_call_and_lies_above_the_nll():
    model, rows = labelled(Bounded), ROWS * 60
    first = corpus_nll(model, ENGINE, rows, COLLATE)
    state = torch.get_rng_state()
    assert torch.equal(corpus_nll(model, ENGINE, rows, COLLATE), first)
    assert torch.equal(torch.get_rng_state(), state)
    # -E log p(x | noise), over all noise, is the bound; -log E p(x | noise) the NLL.
    bound = nll = 0.0
    for row in ROWS:
        values = torch.tensor([exact_nll(model, row, row["labels"], noise) for noise in all_inputs(4)["noise"][:16]])
        bound += float(values.mean())
        nll -= float((-values).exp().mean().log())
    assert float(first[0]) / 60 == pytest.approx(bound, rel=0.05) and bound > nll
    assert nll_metrics(first, bound=True) == {
        "nll_bound_per_token": float(first[0] / first[1]),
        "nll_bound_per_sequence": float(first[0] / first[2]),
    }
    assert set(nll_metrics(first)) == {"nll_per_token", "nll_per_sequence", "perplexity"}


def test_a_model_may_have_a_bound_of_its_own():
    model = labelled(WithBound)
    model.train()
    sums = corpus_nll(model, ENGINE, ROWS, COLLATE)
    assert 2 * 7 + 2 < float(sums[0]) < 2 * 7 + 2 + 3 and sums[1:].tolist() == [7, 3]
    assert torch.equal(sums, corpus_nll(model, ENGINE, ROWS, COLLATE)) and model.training


def test_the_checksum_covers_labels_and_conditions():
    plain = [{"input_ids": row["input_ids"]} for row in ROWS]
    paired = [{**row, "condition_ids": [1, number]} for number, row in enumerate(ROWS)]
    changed = [{**row, "labels": 0} for row in ROWS]
    moved = [{**row, "condition_ids": ids} for row, ids in zip(ROWS, ([1], [0, 1, 1], [1, 2]), strict=True)]
    checksums = [scan_dataset(rows)[2] for rows in (plain, ROWS, paired, changed, moved)]
    assert len(set(checksums)) == 5
    for rows, checksum in ((ROWS, checksums[1]), (paired, checksums[2])):  # in whatever form they are held
        dataset = datasets.Dataset.from_list(rows)
        assert scan_dataset(dataset)[2] == scan_dataset(dataset.with_format("torch"))[2] == checksum


def test_the_importance_weighted_likelihood_lies_between_the_bound_and_the_likelihood():
    model = variational(4, latent_size=1, std=0.6)
    rows = [{"input_ids": ids} for ids in ([BOS, 3, 1, EOS], [BOS, 0, EOS], [BOS, EOS])] * 100
    bound = nll_metrics(corpus_nll(model, ENGINE, rows, COLLATE), bound=True)
    state = torch.get_rng_state()
    weighted = importance_weighted_nll(model, ENGINE, rows, COLLATE, num_draws=20)
    assert torch.equal(torch.get_rng_state(), state)
    assert weighted == importance_weighted_nll(model, ENGINE, rows, COLLATE, num_draws=20)
    exact = sum(integrated_nll(model.double(), row["input_ids"]) for row in rows[:3])
    assert set(weighted) == {"nll_iw_20_per_token", "nll_iw_20_per_sequence"}
    assert weighted["nll_iw_20_per_sequence"] == pytest.approx(exact / 3, abs=0.03)
    assert weighted["nll_iw_20_per_token"] == pytest.approx(weighted["nll_iw_20_per_sequence"] * 3 / 6)
    assert exact / 3 < weighted["nll_iw_20_per_sequence"] < bound["nll_bound_per_sequence"] - 0.03
    for name in (*weighted, *bound):
        described = describe_metric(name)
        assert described is not None and described.higher_is_better is False
    assert "by 20 importance-weighted draws" in describe_metric("nll_iw_20_per_token").meaning
