"""Generators that read more than tokens: what they read is drawn, kept, replayed and completed."""

import pytest
import torch
from torch import nn

from hf_textgan.sampling.checks import check_causal
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.samples import Samples, concatenate_samples
from tests.helpers import BOS, EOS, PAD, all_sequences, chi_square_p, tiny_lstm
from tests.labelled import LABELLED, Labelled, LabelledRecurrentLM, joint, labelled
from tests.sampling.tools import ALPHA, BUILDERS, counts, engine_of, model_of, recorded_samples, with_and_without_eos


pytestmark = pytest.mark.usefixtures("one_thread")

every_labelled = pytest.mark.parametrize("kind", LABELLED.values(), ids=LABELLED)
T = 3


# ---- Scores ---------------------------------------------------------------------------------------------------------


@with_and_without_eos
@pytest.mark.parametrize("temperature", (1.0, 0.7))
@pytest.mark.parametrize("build", (*BUILDERS, *LABELLED))
def test_a_score_is_what_was_recorded_while_the_sample_was_drawn(build, temperature, eos, monkeypatch):
    """For any generator: scored twice, a sample has the log-probabilities of its draws."""
    model = labelled(LABELLED[build], 4, eos) if build in LABELLED else model_of(BUILDERS[build], 4, eos)
    engine = engine_of(eos, max_length=5).at(temperature)
    samples, recorded = recorded_samples(engine, model, 60, monkeypatch)
    first, second = engine.score(model, samples), engine.score(model, samples)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, recorded, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(engine.per_token_logps(model, samples), recorded, atol=1e-5, rtol=1e-5)
    # Some rows, in another order, have the same scores.
    rows = torch.tensor([7, 3, 59])
    torch.testing.assert_close(engine.score(model, samples[rows]), recorded[rows], atol=1e-5, rtol=1e-5)


def test_the_output_layer_is_skipped_with_inputs_too():
    model = labelled(LabelledRecurrentLM, 600, std=0.3)
    engine = engine_of(EOS, max_length=5)
    samples = engine.sample(model, 20)
    assert engine._head_to_skip(model, samples) is model.lm_head
    fast = engine.score(model, samples)
    engine._heads[model] = None
    torch.testing.assert_close(fast, engine.score(model, samples), atol=1e-5, rtol=1e-5)


# ---- Samples --------------------------------------------------------------------------------------------------------


@with_and_without_eos
@every_labelled
def test_samples_follow_the_exact_marginal(kind, eos):
    model, engine = labelled(kind, eos=eos), engine_of(eos)
    known, probabilities = joint(model, T, eos)
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    samples = engine.sample(model, 20_000)
    assert chi_square_p(counts(samples.sequences, known.sequences), probabilities.sum(0)) > ALPHA
    # The first token alone: one draw of the inputs for the whole batch would give another distribution.
    marginal = torch.stack([probabilities.sum(0)[known.sequences[:, 0] == token].sum() for token in range(3)])
    assert chi_square_p(samples.sequences[:, 0].bincount(minlength=3), marginal) > ALPHA
    # Of each label by itself, drawn or given.
    for label in (0, 1):
        conditional = probabilities[known.inputs["class_labels"] == label].sum(0)
        of_label = samples[samples.inputs["class_labels"] == label]
        assert chi_square_p(counts(of_label.sequences, known.sequences), conditional / conditional.sum()) > ALPHA
        given = engine.sample(model, 5_000, inputs={"class_labels": torch.full((5_000,), label)})
        assert (given.inputs["class_labels"] == label).all() and given.inputs["noise"].shape == (5_000, T)
        assert chi_square_p(counts(given.sequences, known.sequences), conditional / conditional.sum()) > ALPHA


@every_labelled
def test_samples_of_a_prompt_with_inputs_given(kind):
    model, engine = labelled(kind), engine_of(EOS)
    known, probabilities = joint(model, T, EOS)
    case = 5  # label 0, noise (1, -1, 1)
    inputs = {name: value[case].expand(8_000, *value[case].shape) for name, value in known.inputs.items()}
    samples = engine.sample(model, 8_000, prompt=[0], inputs=inputs)
    begins = known.sequences[:, 0] == 0
    conditional = probabilities[case, begins]
    assert chi_square_p(counts(samples.sequences, known.sequences[begins]), conditional / conditional.sum()) > ALPHA


def test_the_seed_decides_inputs_and_tokens():
    model, engine, drawn = labelled(LabelledRecurrentLM), engine_of(EOS), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(engine.sample(model, 50))
    assert torch.equal(drawn[0].sequences, drawn[1].sequences)
    assert torch.equal(drawn[0].inputs["noise"], drawn[1].inputs["noise"])
    assert not torch.equal(drawn[0].inputs["noise"], drawn[2].inputs["noise"])
    assert engine.sample(model, 0).inputs["noise"].shape == (0, T)


def fits(observed: torch.Tensor, probabilities: torch.Tensor) -> bool:
    """Whether counts come from these probabilities; about twenty such tests belong together."""
    if int((probabilities > 0).sum()) == 1:
        return bool((observed[probabilities == 0] == 0).all())
    return chi_square_p(observed, probabilities) > ALPHA / 10


# ---- Completions ----------------------------------------------------------------------------------------------------


def conditional(known: Samples, probabilities: torch.Tensor, samples: Samples, row: int, kept: int) -> torch.Tensor:
    """The probabilities of the sequences given `kept` tokens of a sample, its label and the noise that drew them."""
    agree = (known.sequences[:, :kept] == samples.sequences[row, :kept]).all(1)
    if kept:
        # A prefix that is no whole sequence has no end in it.
        proper = int(samples.attention_mask[row].sum()) > kept
        agree &= (known.attention_mask.sum(1) > kept) if proper else (known.attention_mask.sum(1) >= kept)
    same = known.inputs["class_labels"] == samples.inputs["class_labels"][row]
    same &= (known.inputs["noise"][:, :kept] == samples.inputs["noise"][row, :kept]).all(1)
    weights = probabilities[same].sum(0) * agree
    return weights / weights.sum()


@with_and_without_eos
@every_labelled
@pytest.mark.parametrize("chunk_size", (2_000, 60_000))
def test_rollouts_follow_the_exact_conditional_distribution(kind, eos, chunk_size):
    model, engine = labelled(kind, eos=eos), engine_of(eos, chunk_size=chunk_size)
    known, probabilities = joint(model, T, eos)
    samples = engine.sample(model, 12)
    logps = engine.score(model, samples)
    seen = 0
    for chunk in engine.rollout(model, samples, 1_500):
        completions = chunk.samples
        assert torch.equal(completions.inputs["class_labels"], samples.inputs["class_labels"][chunk.row])
        kept = torch.arange(T) < chunk.prefix_length[:, None]
        noise = completions.inputs["noise"]
        assert torch.equal(noise[kept], samples.inputs["noise"][chunk.row][kept])
        if len(chunk.row):
            assert noise[~kept].mean().abs() < 0.1, "later noise is drawn anew"
        scores = engine.score(model, completions)
        torch.testing.assert_close(scores[kept], logps[chunk.row][kept], atol=1e-5, rtol=1e-5)
        for row in chunk.row.unique().tolist():
            for prefix in chunk.prefix_length[chunk.row == row].unique().tolist():
                drawn = completions.sequences[(chunk.row == row) & (chunk.prefix_length == prefix)]
                exact = conditional(known, probabilities, samples, row, prefix)
                assert len(drawn) == 1_500
                assert fits(counts(drawn, known.sequences), exact)
                seen += 1
    assert seen == int((samples.attention_mask.sum(1) - 1).sum())


@with_and_without_eos
@every_labelled
def test_prefixes_of_any_lengths_are_completed(kind, eos):
    model, engine = labelled(kind, eos=eos), engine_of(eos, chunk_size=5_000)
    known, probabilities = joint(model, T, eos)
    samples = engine.sample(model, 12)
    longest = samples.attention_mask.sum(1)
    lengths = torch.minimum(torch.arange(12) % (T + 1), longest)
    completed = engine.complete(model, samples, lengths, 1_500)
    assert len(completed) == 12 * 1_500
    for row, length in enumerate(lengths.tolist()):
        group = completed[slice(row * 1_500, (row + 1) * 1_500)]
        assert (group.inputs["class_labels"] == samples.inputs["class_labels"][row]).all()
        assert (group.inputs["noise"][:, :length] == samples.inputs["noise"][row, :length]).all()
        if length == longest[row]:
            assert (group.sequences == samples.sequences[row]).all()
            assert (group.attention_mask == samples.attention_mask[row]).all()
        exact = conditional(known, probabilities, samples, row, length)
        assert fits(counts(group.sequences, known.sequences), exact)
    order = (completed.sequences[:, None] == known.sequences[None]).all(-1).long().argmax(1)
    assert torch.equal(completed.attention_mask, known.attention_mask[order])
    assert torch.isfinite(engine.score(model, completed)).all()


@pytest.mark.parametrize("build", (*BUILDERS, *LABELLED))
def test_completions_are_the_rollouts_of_the_same_prefixes(build):
    """Sequences of two tokens have one proper prefix, so both draw the same."""
    model = labelled(LABELLED[build]) if build in LABELLED else model_of(BUILDERS[build])
    engine = engine_of(EOS)
    samples = engine.sample(model, 400)
    samples = samples[samples.attention_mask.sum(1) == 2]
    assert len(samples) > 20
    torch.manual_seed(5)
    (chunk,) = engine.rollout(model, samples, 7)
    torch.manual_seed(5)
    completed = engine.complete(model, samples, torch.ones(len(samples), dtype=torch.long), 7)
    assert torch.equal(completed.sequences, chunk.sequences)  # of one prefix length, so also in the same order
    assert torch.equal(completed.attention_mask, chunk.samples.attention_mask)
    for name, value in chunk.samples.inputs.items():
        assert torch.equal(completed.inputs[name], value)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_completions_of_generators_of_tokens_alone(build):
    model, engine = model_of(build), engine_of(EOS)
    known = all_sequences(3, T, EOS)
    with torch.no_grad():
        probabilities = engine.score(model, known).double().sum(1).exp()
    lengths = torch.arange(len(known)) % 4
    lengths = torch.minimum(lengths, known.attention_mask.sum(1))
    completed = engine.complete(model, known, lengths, 2_000)
    for row, length in enumerate(lengths.tolist()):
        agree = (known.sequences[:, :length] == known.sequences[row, :length]).all(1)
        if 0 < length < known.attention_mask[row].sum():
            agree &= known.attention_mask.sum(1) > length
        drawn = counts(completed.sequences[row * 2_000 : (row + 1) * 2_000], known.sequences)
        assert fits(drawn, probabilities * agree / (probabilities * agree).sum())


def test_prompts_shorter_than_max_length_are_completed():
    model, engine = labelled(LabelledRecurrentLM, eos=None), engine_of(None, max_length=4)
    sequences = torch.tensor([[1, 2], [0, PAD]])
    inputs = {"class_labels": torch.tensor([0, 1]), "noise": torch.tensor([[1.0, -1.0], [1.0, 1.0]])}
    prompts = Samples(sequences, torch.tensor([[1, 1], [1, 0]]), inputs)
    completed = engine.complete(model, prompts, prompts.attention_mask.sum(1), 50)
    assert completed.sequences.shape == (100, 4) and completed.attention_mask.all()
    assert (completed.sequences[:50, :2] == sequences[0]).all() and (completed.sequences[50:, 0] == 0).all()
    assert completed.inputs["noise"].shape == (100, 4) and completed.inputs["noise"].abs().min() == 1
    assert len(engine.complete(model, prompts[:0], torch.zeros(0, dtype=torch.long), 3)) == 0
    # An EOS within a prompt, which other programs write between two texts, does not end it.
    engine = RolloutEngine(4, BOS, PAD, EOS)
    prompts = Samples(torch.tensor([[EOS, 1]]), torch.ones(1, 2, dtype=torch.long), prompts[:1].inputs)
    completed = engine.complete(model, prompts, torch.tensor([2]), 50)
    assert (completed.attention_mask.sum(1) >= 3).all()


def test_lengths_that_no_prefix_has():
    model, engine = model_of(tiny_lstm), engine_of(EOS)
    samples = Samples(torch.tensor([[1, EOS, PAD]]), torch.tensor([[1, 1, 0]]))
    for length in (-1, 3):
        with pytest.raises(
            ValueError, match=f"The length {length} of prefix 0 is not between 0 and the 2 tokens of it"
        ):
            engine.complete(model, samples, torch.tensor([length]))
    with pytest.raises(ValueError, match="num_completions is 0; set it to 1 or more"):
        engine.complete(model, samples, torch.tensor([1]), 0)
    with pytest.raises(
        ValueError, match="The sequences have 3 positions and max_length is 2; cut them, or raise max_"
    ):
        engine_of(EOS, max_length=2).complete(model, samples, torch.tensor([1]))


# ---- Real text ------------------------------------------------------------------------------------------------------


@every_labelled
def test_real_text_brings_its_labels(kind):
    model, engine = labelled(kind), engine_of(EOS)
    batch = {
        "input_ids": torch.tensor([[BOS, 0, EOS], [BOS, EOS, PAD]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
        "labels": torch.tensor([1, 0]),
        "condition_ids": torch.tensor([[1], [1]]),  # not read by this model
    }
    real = engine.real_samples(model, batch)
    assert real.sequences.tolist() == [[0, EOS], [EOS, PAD]] and real.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert real.inputs["class_labels"].tolist() == [1, 0] and real.inputs["noise"].shape == (2, 2)
    assert set(real.inputs) == {"class_labels", "noise"}
    assert engine.real_samples(model_of(tiny_lstm), batch).inputs == {}
    # Without draws, the tokens read under scheduled sampling are the true ones; with them, those of the label.
    assert engine.mix_inputs(model, real, 0.0).tolist() == [[BOS, 0], [BOS, EOS]]
    many = real[torch.zeros(20_000, dtype=torch.long)]
    many.inputs["noise"] = torch.ones(20_000, 2)
    drawn = engine.mix_inputs(model, many, 1.0)[:, 1].bincount(minlength=3)
    one = {"class_labels": torch.tensor([1]), "noise": torch.ones(1, 1)}
    exact = model(input_ids=torch.tensor([[BOS]]), **one).logits[0, 0].softmax(-1).detach()
    assert chi_square_p(drawn, exact) > ALPHA


def test_samples_are_selected_and_joined_with_their_inputs():
    inputs = {"class_labels": torch.tensor([0, 1]), "condition_ids": torch.tensor([[5, 6], [7, 8]])}
    first = Samples(torch.tensor([[1, 2], [2, 0]]), torch.tensor([[1, 1], [1, 0]]), inputs)
    second = Samples(
        torch.tensor([[0, 0]]),
        torch.tensor([[1, 1]]),
        {k: v[:1, ..., :1] if v.dim() == 2 else v[:1] for k, v in inputs.items()},
    )
    both = concatenate_samples([first, second])
    assert len(both) == 3 and both.sequences.tolist() == [[1, 2], [2, 0], [0, 0]]
    assert both.inputs["class_labels"].tolist() == [0, 1, 0]
    assert both.inputs["condition_ids"].tolist() == [[5, 6], [7, 8], [5, 0]]
    chosen = both[torch.tensor([2, 1])].to("cpu")
    assert chosen.inputs["condition_ids"].tolist() == [[5, 0], [7, 8]] and chosen.attention_mask.tolist() == [
        [1, 1],
        [1, 0],
    ]


# ---- Errors ---------------------------------------------------------------------------------------------------------


class Conditional(LabelledRecurrentLM):
    row_inputs = ("class_labels", "condition_ids")


def test_inputs_that_are_wrong_or_missing():
    model, engine = labelled(LabelledRecurrentLM), engine_of(EOS)
    cases = {
        "latents is given, but a LabelledRecurrentLM reads class_labels, noise beside tokens; leave it out": {
            "latents": torch.zeros(2, 4)
        },
        "class_labels has 3 rows for 2 sequences; give one row each": {"class_labels": torch.zeros(3).long()},
        "noise has 2 positions for sequences of 3; give one each": {"noise": torch.zeros(2, 2)},
    }
    for message, inputs in cases.items():
        with pytest.raises(ValueError, match=message):
            engine.sample(model, 2, inputs=inputs)
    with pytest.raises(
        ValueError, match="but a RecurrentGeneratorForCausalLM reads nothing beside tokens; leave it o"
    ):
        engine.sample(model_of(tiny_lstm), 2, inputs={"latents": torch.zeros(2, 4)})
    with pytest.raises(
        ValueError, match="A Conditional reads condition_ids, which it cannot draw; give them in inputs"
    ):
        engine.sample(labelled(Conditional), 2)
    samples = engine.sample(model, 2)
    with pytest.raises(ValueError, match="The sequences come without class_labels, noise, which the generator reads;"):
        engine.score(model, engine.as_samples(samples.sequences))
    # Another generator scores the same sequences by the tokens alone.
    assert engine.score(model_of(tiny_lstm), samples).shape == (2, T)


class ReadsAhead(LabelledRecurrentLM):
    def forward(self, input_ids, class_labels, noise, **kwargs):
        return super().forward(input_ids.flip(1), class_labels, noise, **kwargs)


def test_causality_is_checked_with_inputs():
    check_causal(labelled(LabelledRecurrentLM, 5))
    check_causal(labelled(Conditional, 5))  # what it reads is not known before there are data
    with pytest.raises(ValueError, match="whose scores of a token depend on the tokens after it"):
        check_causal(labelled(ReadsAhead, 5))


def test_the_declaration_is_found_within_data_parallelism():
    model, engine = labelled(LabelledRecurrentLM), engine_of(EOS)
    samples = engine.sample(model, 4)

    class Wrapper(nn.parallel.DistributedDataParallel):
        def __init__(self, module):  # without the processes
            nn.Module.__init__(self)
            self.module = module

        def forward(self, **inputs):
            return self.module(**inputs)

    assert isinstance(model, Labelled)
    wrapped = engine.per_token_logps(Wrapper(model), samples)
    assert torch.equal(wrapped, engine.per_token_logps(model, samples))
