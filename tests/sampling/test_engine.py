"""Samples and rollouts against exact probabilities, for models with and without a state."""

import pytest
import torch
from torch import nn

from hf_textgan.sampling import engine as engine_module
from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.reader import evaluating, state_bytes
from hf_textgan.sampling.samples import Samples
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
from tests.sampling.tools import (
    ALPHA,
    BUILDERS,
    TemperedModel,
    counts,
    engine_of,
    every_model,
    model_of,
    with_and_without_eos,
)


pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_enumeration_is_complete():
    # 3 tokens, 3 positions: 1 + 2 + 4 * 3 sequences with EOS, 27 without; their probabilities sum to 1.
    for eos, number in ((EOS, 15), (None, 27)):
        known = all_sequences(3, 3, eos)
        assert len(known.sequences) == number
        for build in BUILDERS.values():
            total = exact_logps(model_of(build, eos=eos), known).detach().double().sum(1).exp().sum()
            assert float(total) == pytest.approx(1, abs=1e-6)


@with_and_without_eos
@every_model
@pytest.mark.parametrize(("vocab_size", "temperature"), ((3, 1.0), (4, 1.0), (3, 0.6)))
def test_samples_follow_the_exact_distribution(build, eos, vocab_size, temperature):
    model, engine = model_of(build, vocab_size, eos), engine_of(eos)
    known = all_sequences(vocab_size, 3, eos)
    with torch.no_grad():
        # The temperature divides the logits of every step, so tempered sequences are those of the tempered head.
        tempered = TemperedModel(model, temperature)
        probabilities = exact_logps(tempered, known).sum(1).exp()
    samples = engine.at(temperature).sample(model, 20_000)
    observed = counts(samples.sequences, known.sequences)
    assert chi_square_p(observed, probabilities) > ALPHA
    # Each sequence has the mask of its enumeration.
    order = (samples.sequences[:, None] == known.sequences[None]).all(-1).long().argmax(1)
    assert torch.equal(samples.attention_mask, known.attention_mask[order])


@with_and_without_eos
@every_model
def test_samples_of_a_prompt_follow_the_conditional_distribution(build, eos):
    model, engine = model_of(build, 4, eos), engine_of(eos)
    known = all_sequences(4, 3, eos)
    for prompt in ([3], [1, 3]):
        begins = (known.sequences[:, : len(prompt)] == torch.tensor(prompt)).all(1)
        begins = Samples(known.sequences[begins], known.attention_mask[begins])
        with torch.no_grad():
            probabilities = exact_logps(model, begins)[:, len(prompt) :].sum(1).exp()
        samples = engine.sample(model, 20_000, prompt=prompt)
        assert chi_square_p(counts(samples.sequences, begins.sequences), probabilities) > ALPHA
        order = (samples.sequences[:, None] == begins.sequences[None]).all(-1).long().argmax(1)
        assert torch.equal(samples.attention_mask, begins.attention_mask[order])
    with pytest.raises(ValueError, match="The prompt has 3 tokens and max_length is 3; shorten it, or raise max_leng"):
        engine.sample(model, 1, prompt=[3, 3, 3])
    assert engine.sample(model, 0).sequences.shape == engine.sample(model, 0, prompt=[3]).sequences.shape == (0, 3)


@every_model
def test_sampling_with_top_k_one_is_greedy(build):
    model, engine = model_of(build, 5, None), engine_of(None, max_length=4)
    expected, inputs = [], torch.tensor([[BOS]])
    for _ in range(4):
        expected.append(int(model(input_ids=inputs).logits[0, -1].argmax()))
        inputs = torch.cat([inputs, torch.tensor([[expected[-1]]])], 1)
    assert engine.sample(model, 3, top_k=1).sequences.tolist() == [expected] * 3
    assert engine.sample(model, 3, top_p=1e-6).sequences.tolist() == [expected] * 3


@every_model
def test_fixed_length_and_padding(build):
    model = model_of(build, vocab_size=5)
    fixed = engine_of(None, max_length=6).sample(model, 500)
    assert fixed.attention_mask.all() and (fixed.sequences == EOS).any(), "without EOS, id 2 is an ordinary token"

    samples = RolloutEngine(6, BOS, 4, EOS).sample(model, 500)  # another pad id
    lengths = set()
    for row, mask in zip(samples.sequences.tolist(), samples.attention_mask.tolist(), strict=True):
        length = row.index(EOS) + 1 if EOS in row else 6
        lengths.add(length)
        assert mask == [1] * length + [0] * (6 - length)
        assert row[length:] == [4] * (6 - length)
    assert lengths == {1, 2, 3, 4, 5, 6}


def test_eos_may_be_the_padding():
    samples = RolloutEngine(4, BOS, EOS, EOS).sample(model_of(tiny_lstm), 200)
    ends = samples.attention_mask.sum(1)
    first = torch.where(samples.sequences == EOS, torch.arange(4), 3).amin(1) + 1
    assert torch.equal(ends, first)


@every_model
def test_sampling_stops_when_all_have_ended(build):
    model = model_of(build)
    with torch.no_grad():
        if build is tiny_gpt2:
            model.lm_head = nn.Linear(16, 3)
        model.lm_head.bias.copy_(torch.tensor([-1e3, -1e3, 1e3]))
    calls = []
    model.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    samples = engine_of(EOS, max_length=8).sample(model, 20)
    assert samples.sequences.tolist() == [[EOS] + [PAD] * 7] * 20 and samples.attention_mask.sum() == 20
    assert len(calls) == 1


@every_model
def test_dropout_is_off_while_sampling_and_the_mode_comes_back(build):
    options = {"embd_pdrop": 0.9} if build is tiny_gpt2 else {"dropout": 0.9}
    model, known = model_of(build, **options), all_sequences(3, 3, EOS)
    with torch.no_grad():
        probabilities = exact_logps(model, known).sum(1).exp()
    engine = engine_of(EOS)
    for training in (True, False):
        model.train(training)
        samples = engine.sample(model, 20_000)
        assert model.training is training
        assert chi_square_p(counts(samples.sequences, known.sequences), probabilities) > ALPHA
        list(engine.rollout(model, samples, 1))
        assert model.training is training
    model.train()
    with pytest.raises(RuntimeError, match="stop"), evaluating(model):
        raise RuntimeError("stop")
    assert model.training


@every_model
def test_sampling_keeps_no_gradient(build):
    model = model_of(build)
    samples = engine_of(EOS).sample(model, 5)
    assert not samples.sequences.requires_grad and all(p.grad is None for p in model.parameters())


@with_and_without_eos
@every_model
@pytest.mark.parametrize("chunk_size", (1, 40, 16384))
def test_every_proper_prefix_is_completed_equally_often(build, eos, chunk_size):
    model, engine = model_of(build, 4, eos), engine_of(eos, max_length=5, chunk_size=chunk_size)
    samples = engine.sample(model, 30)
    if eos is not None:  # one sequence without a proper prefix
        samples.sequences[7], samples.attention_mask[7] = torch.tensor([EOS] + [PAD] * 4), torch.tensor([1] + [0] * 4)
    lengths = samples.attention_mask.sum(1).tolist()
    expected = {(row, prefix): 3 for row, length in enumerate(lengths) for prefix in range(1, length)}
    seen: dict[tuple[int, int], int] = {}
    for chunk in engine.rollout(model, samples, 3):
        assert len(chunk.row) <= max(chunk_size, 3 * 4)
        for row, prefix, completion in zip(
            chunk.row.tolist(), chunk.prefix_length.tolist(), chunk.sequences.tolist(), strict=True
        ):
            seen[row, prefix] = seen.get((row, prefix), 0) + 1
            assert completion[:prefix] == samples.sequences[row, :prefix].tolist()
            if eos is not None and eos in completion:
                assert set(completion[completion.index(eos) + 1 :]) <= {PAD}
    assert seen == expected


def test_a_chunk_is_bounded_by_the_states_of_its_continuations(monkeypatch):
    """Keys and values of 2 layers: 2 * 2 * 16 numbers a token; h and c of an LSTM: 2 * 6, at most once a token."""
    for build, options, size in ((tiny_gpt2, {"n_layer": 2}, 2 * 2 * 16 * 4), (tiny_lstm, {}, 2 * 6 * 4)):
        model, engine = model_of(build, 600, **options), RolloutEngine(10, BOS, PAD, EOS)
        assert engine._default_chunk_size(model) == 16384
        monkeypatch.setattr(engine_module, "_MAX_STATE_BYTES", size * 10 * 37 + 1)
        assert engine._default_chunk_size(model) == 37
        assert max(len(chunk.row) for chunk in engine.rollout(model, engine.sample(model, 12), 2)) <= 37
        monkeypatch.setattr(engine_module, "_MAX_STATE_BYTES", 1)
        assert engine._default_chunk_size(model) == 1
        monkeypatch.undo()
    stateless = model_of(tiny_stateless, 600)
    assert RolloutEngine(10, BOS, PAD, EOS)._default_chunk_size(stateless) in (16384, 2**22 // 600)
    cyclic = {"keys": torch.zeros(3), "type": dict}
    cyclic["self"] = cyclic
    assert state_bytes(cyclic) == 12


@with_and_without_eos
@every_model
@pytest.mark.parametrize(("chunk_size", "temperature"), ((300, 1.0), (1_000_000, 1.0), (1_000_000, 0.6)))
def test_completions_follow_the_conditional_distribution(build, eos, chunk_size, temperature):
    # Prefixes of several lengths in one batch, so that rows join and leave while others go on.
    model, engine = model_of(build, 3, eos), engine_of(eos, max_length=4, chunk_size=chunk_size)
    rows = [[0, 1, 1, 0], [1, EOS, 0, 0], [1, 0, 0, 1], [EOS, 0, 0, 0], [0, 0, 1, EOS]]
    sequences = torch.tensor(rows)
    lengths = [row.index(EOS) + 1 if eos is not None and EOS in row else 4 for row in rows]
    samples = Samples(sequences, (torch.arange(4) < torch.tensor(lengths)[:, None]).long())
    known = all_sequences(3, 4, eos)
    with torch.no_grad():
        probabilities = exact_logps(TemperedModel(model, temperature), known).double().sum(1).exp()

    chunks = list(engine.at(temperature).rollout(model, samples, 3000))
    row, prefix_length, completions = (
        torch.cat([getattr(chunk, name) for chunk in chunks]) for name in ("row", "prefix_length", "sequences")
    )
    tested = 0
    for index, length in enumerate(lengths):
        for kept in range(1, length):
            drawn = completions[(row == index) & (prefix_length == kept)]
            assert len(drawn) == 3000
            possible = (known.sequences[:, :kept] == sequences[index, :kept]).all(1)
            possible &= known.attention_mask.sum(1) > kept  # the prefix itself has not ended
            conditional = probabilities[possible] / probabilities[possible].sum()
            assert chi_square_p(counts(drawn, known.sequences[possible]), conditional) > ALPHA / 10, (index, kept)
            tested += 1
    assert tested == (3 + 1 + 3 + 0 + 3 if eos is not None else 15)


@every_model
def test_completions_are_independent_of_each_other(build):
    model, engine = model_of(build, 3, None), engine_of(None, max_length=2)
    samples = Samples(torch.tensor([[0, 1], [1, 1]]).repeat(4000, 1), torch.ones(8000, 2, dtype=torch.long))
    drawn = torch.empty(8000, 2, dtype=torch.long)
    chunk = next(engine.rollout(model, samples, 2))
    for row in range(2):
        drawn[row::2] = chunk.sequences[chunk.row % 2 == row][:, 1].view(-1, 2)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[BOS, 0], [BOS, 1]])).logits[:, -1]
    for row, marginal in enumerate(logits.softmax(-1)):
        joint = (drawn[row::2, 0] * 3 + drawn[row::2, 1]).bincount(minlength=9)
        assert chi_square_p(joint, torch.outer(marginal, marginal).flatten()) > ALPHA


@every_model
def test_rollouts_leave_the_samples_alone(build):
    model, engine = model_of(build), engine_of(EOS, max_length=5, chunk_size=20)
    samples = engine.sample(model, 20)
    before = samples.sequences.clone(), samples.attention_mask.clone()
    assert not any(chunk.sequences.requires_grad for chunk in engine.rollout(model, samples, 2))
    assert torch.equal(samples.sequences, before[0]) and torch.equal(samples.attention_mask, before[1])


def test_one_token_has_no_rollouts():
    model, engine = model_of(tiny_lstm), engine_of(EOS, max_length=1)
    samples = engine.sample(model, 10)
    assert samples.attention_mask.all()
    assert sum(len(chunk.row) for chunk in engine.rollout(model, samples, 4)) == 0


def test_a_rollout_reads_each_position_once():
    model, engine = model_of(tiny_lstm, 4, None), engine_of(None, max_length=6)
    samples = engine.sample(model, 7)
    shapes = []
    model.register_forward_pre_hook(
        lambda module, inputs, options: shapes.append(tuple(options["input_ids"].shape)), with_kwargs=True
    )
    list(engine.rollout(model, samples, 2))
    # 7 prefixes are read token by token; after position t, t * 7 * 2 completions go on beside them.
    assert shapes == [(7, 1)] + [(7 + 14 * t, 1) for t in range(5)]


def test_engine_errors():
    with pytest.raises(ValueError, match="max_length is 0; set it to 1 or more generated tokens"):
        RolloutEngine(0, BOS, PAD)
    with pytest.raises(ValueError, match="chunk_size is 0; set it to 1 or more"):
        RolloutEngine(3, BOS, PAD, chunk_size=0)
    engine, model = engine_of(EOS), model_of(tiny_lstm)
    with pytest.raises(ValueError, match="num_rollouts is 0; set it to 1 or more"):
        next(engine.rollout(model, engine.sample(model, 2), 0))
    with pytest.raises(ValueError, match="temperature is 0; set it above 0"):
        engine.at(0)


# ---- Temperatures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocab_size", (5, 600), ids=("scores", "output-layer"))
@every_model
def test_every_engine_keeps_its_own_temperature_on_the_same_model(build, vocab_size):
    """With 600 tokens the engines share the output layer that they found, which must not carry a temperature."""
    model = model_of(build, vocab_size, None)
    engine = engine_of(None, max_length=2)
    engines = {temperature: engine.at(temperature) for temperature in (0.5, 2.0)} | {1.0: engine}
    prefix = Samples(torch.tensor([[3, 4]]), torch.ones(1, 2, dtype=torch.long))
    with torch.no_grad():
        first, second = model(input_ids=torch.tensor([[BOS, 3]])).logits[0].double()
    for temperature in (1.0, 0.5, 2.0, 1.0):
        bound, other = engines[temperature], 2.0 if temperature == 0.5 else 0.5
        # The log-probabilities come first, since they look for the output layer.
        expected = sum((logits / temperature).log_softmax(-1)[token] for logits, token in ((first, 3), (second, 4)))
        for score in (bound.per_token_logps(model, prefix), bound.score(model, prefix)):
            assert float(score.detach().sum()) == pytest.approx(float(expected), abs=1e-4)
        sampled = bound.sample(model, 20_000).sequences[:, 0]
        completed = next(bound.rollout(model, prefix, 10_000)).sequences[:, 1]
        mixed = bound.mix_inputs(model, prefix[torch.arange(len(prefix)).repeat(10_000)], 1.0)[:, 1]
        for drawn, logits in ((sampled, first), (completed, second), (mixed, first)):
            observed = drawn.bincount(minlength=vocab_size)
            assert chi_square_p(observed, (logits / temperature).softmax(-1)) > ALPHA / 10  # 12 tests
            assert chi_square_p(observed, (logits / other).softmax(-1)) < 1e-9
    assert {name: bound.temperature for name, bound in engines.items()} == {0.5: 0.5, 2.0: 2.0, 1.0: 1.0}


def test_a_bound_engine_has_the_settings_of_the_first_and_changes_nothing_in_it():
    engine = RolloutEngine(7, BOS, PAD, EOS, chunk_size=11, temperature=0.7)
    bound = engine.at(0.3)
    settings = ("max_length", "bos_token_id", "pad_token_id", "eos_token_id", "chunk_size")
    assert [getattr(bound, name) for name in settings] == [getattr(engine, name) for name in settings]
    bound.max_length, bound.chunk_size = 3, 5
    assert (engine.max_length, engine.chunk_size, engine.temperature, bound.temperature) == (7, 11, 0.7, 0.3)


def test_a_bound_engine_reads_an_output_layer_that_was_replaced():
    model = model_of(tiny_lstm, 600)
    engine, samples = RolloutEngine(3, BOS, PAD, EOS), Samples(torch.tensor([[3, 4, 5]]), torch.ones(1, 3).long())
    before = engine.per_token_logps(model, samples).detach()
    model.set_output_embeddings(randomize(nn.Linear(6, 600), seed=5))
    bound = engine.at(0.5)
    expected = exact_logps(TemperedModel(model, 0.5), samples)
    torch.testing.assert_close(bound.per_token_logps(model, samples), expected, atol=1e-5, rtol=0)
    after = engine.per_token_logps(model, samples).detach()
    torch.testing.assert_close(after, exact_logps(model, samples).detach(), atol=1e-5, rtol=0)
    assert not torch.allclose(before, after)
