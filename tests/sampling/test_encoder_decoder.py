"""Samples, rollouts and likelihoods of language models with an encoder, against enumeration of every sequence."""

import pytest
import torch
from torch import nn

from hf_textgan.sampling.engine import RolloutEngine
from hf_textgan.sampling.reader import Reader
from hf_textgan.sampling.samples import Samples
from tests.helpers import BOS, EOS, PAD, all_sequences, chi_square_p, tiny_bart, tiny_t5
from tests.sampling.tools import ALPHA, RecordingReader, counts


pytestmark = pytest.mark.usefixtures("one_thread")

T, VOCAB_SIZE = 3, 4
BUILDERS = {"t5": tiny_t5, "bart": tiny_bart}
START = {"t5": PAD, "bart": EOS}  # what the decoder reads first, in the place of BOS
every_kind = pytest.mark.parametrize("kind", BUILDERS)
SOURCES = [[3, 3, EOS], [1, EOS], [0, 0, 1, 0, EOS]]  # of three lengths, so that two are padded


def model_of(kind: str, vocab_size: int = VOCAB_SIZE, **options) -> nn.Module:
    model, source = BUILDERS[kind](vocab_size, **options).eval(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:  # layer norms stay, so that the sources matter
                parameter.copy_(torch.randn(parameter.shape, generator=source))
    if kind == "bart":
        model.final_logits_bias.copy_(torch.randn(model.final_logits_bias.shape, generator=source))
    return model


def engine_of(chunk_size: int = 16384) -> RolloutEngine:
    return RolloutEngine(T, BOS, PAD, EOS, chunk_size)


def conditions(rows: list[int], padding: int = PAD) -> dict[str, torch.Tensor]:
    sources = [SOURCES[row] for row in rows]
    width = max(map(len, sources))
    ids = [source + [padding] * (width - len(source)) for source in sources]
    mask = [[1] * len(source) + [0] * (width - len(source)) for source in sources]
    return {"condition_ids": torch.tensor(ids), "condition_mask": torch.tensor(mask)}


def exact_logps(model, kind: str, samples: Samples, source: list[int]) -> torch.Tensor:
    """The model's own scores of one sequence at a time, given one source without padding."""
    rows = []
    for sequence, mask in zip(samples.sequences.tolist(), samples.attention_mask.tolist(), strict=True):
        length = sum(mask)
        read = torch.tensor([[START[kind], *sequence[: length - 1]]])
        logits = model(input_ids=torch.tensor([source]), decoder_input_ids=read).logits[0].double()
        logps = logits.log_softmax(-1)[torch.arange(length), torch.tensor(sequence[:length])]
        rows.append(torch.cat([logps, logps.new_zeros(len(mask) - length)]))
    return torch.stack(rows)


def exact_probabilities(model, kind: str) -> tuple[Samples, torch.Tensor]:
    """Every sequence, and its probability given each source, of shape (sources, sequences)."""
    known = all_sequences(VOCAB_SIZE, T, EOS)
    with torch.no_grad():
        rows = [exact_logps(model, kind, known, source).sum(1).exp() for source in SOURCES]
    probabilities = torch.stack(rows)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(SOURCES)).double(), atol=1e-6, rtol=0)
    # The sources matter, so reading that of another row shows.
    assert (probabilities[0] - probabilities[1]).abs().sum() > 0.2
    return known, probabilities


@every_kind
def test_samples_follow_the_distribution_given_their_sources(kind):
    model, engine = model_of(kind), engine_of()
    known, probabilities = exact_probabilities(model, kind)
    rows = torch.arange(3).repeat(3_000)
    samples = engine.sample(model, len(rows), inputs=conditions(rows.tolist()))
    for source in range(3):
        drawn = counts(samples.sequences[rows == source], known.sequences)
        assert chi_square_p(drawn, probabilities[source]) > ALPHA
        assert chi_square_p(drawn, probabilities[source - 1]) < 1e-9


@every_kind
@pytest.mark.parametrize("vocab_size", (VOCAB_SIZE, 600), ids=("scores", "output-layer"))
def test_a_sample_is_scored_as_it_was_drawn(kind, vocab_size, monkeypatch):
    model, engine = model_of(kind, vocab_size), engine_of()
    monkeypatch.setattr("hf_textgan.sampling.engine.Reader", RecordingReader)
    RecordingReader.records = []
    samples = engine.sample(model, 30, inputs=conditions([0, 1, 2] * 10))
    recorded = torch.zeros(30, T)
    for position, (rows, logps) in enumerate(RecordingReader.records[-1]):
        recorded[rows, position] = logps
    monkeypatch.undo()
    scores = engine.score(model, samples)
    torch.testing.assert_close(scores, recorded * samples.attention_mask, atol=2e-5, rtol=0)
    assert torch.equal(engine.score(model, samples), scores)
    with torch.no_grad():
        for row in range(30):
            alone = exact_logps(model, kind, samples[row : row + 1], SOURCES[row % 3])
            torch.testing.assert_close(scores[row : row + 1].double(), alone, atol=2e-5, rtol=0)


@every_kind
def test_the_gradient_of_a_likelihood_is_that_of_the_model(kind):
    model, engine = model_of(kind, 600), engine_of()
    samples = Samples(torch.tensor([[5, 7, EOS], [9, EOS, PAD]]), torch.tensor([[1, 1, 1], [1, 1, 0]]))
    samples.inputs = conditions([1, 2])
    gradients = []
    for loss in (
        lambda: engine.per_token_logps(model, samples).sum(),
        lambda: sum(exact_logps(model, kind, samples[i : i + 1], SOURCES[i + 1]).sum() for i in range(2)),
    ):
        model.zero_grad()
        loss().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=2e-4, rtol=1e-3)
    assert gradients[0]["shared.weight" if kind == "t5" else "model.shared.weight"].abs().max() > 0


@every_kind
def test_the_padding_of_a_source_is_not_read(kind):
    model, engine = model_of(kind), engine_of()
    sequences = all_sequences(VOCAB_SIZE, T, EOS)
    number = len(sequences)
    scores = [
        engine.score(model, Samples(sequences.sequences, sequences.attention_mask, inputs))
        for inputs in (
            conditions([1] * number),
            {name: value[:number] for name, value in conditions([1] * number + [2], padding=3).items()},
        )
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=0)


@every_kind
@pytest.mark.parametrize("chunk_size", (4_000, 1_000_000))
def test_rollouts_follow_the_conditional_distribution(kind, chunk_size):
    model, engine = model_of(kind), engine_of(chunk_size)
    known, probabilities = exact_probabilities(model, kind)
    sequences = torch.tensor([[3, 1, 0], [1, EOS, 0], [3, 3, EOS], [1, 0, 1], [EOS, 0, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 0, 0]])
    sources = [2, 0, 1, 0, 1]
    samples = Samples(sequences, mask, conditions(sources))
    seen = 0
    for chunk in engine.rollout(model, samples, 700):
        for name, value in chunk.samples.inputs.items():
            assert torch.equal(value, samples.inputs[name][chunk.row])
        for row in chunk.row.unique().tolist():
            for kept in chunk.prefix_length[chunk.row == row].unique().tolist():
                drawn = chunk.sequences[(chunk.row == row) & (chunk.prefix_length == kept)]
                agree = (known.sequences[:, :kept] == sequences[row, :kept]).all(1)
                agree &= known.attention_mask.sum(1) > kept
                exact = probabilities[sources[row]] * agree
                assert len(drawn) == 700
                assert chi_square_p(counts(drawn, known.sequences), exact / exact.sum()) > ALPHA / 10
                seen += 1
    assert seen == 2 + 1 + 2 + 2 + 0


@every_kind
def test_prefixes_are_completed_and_inputs_mixed_given_their_sources(kind):
    model, engine = model_of(kind), engine_of()
    known, probabilities = exact_probabilities(model, kind)
    real = Samples(torch.tensor([[3, 1, EOS], [1, 3, EOS]]), torch.ones(2, T).long(), conditions([0, 2]))
    completed = engine.complete(model, real, torch.tensor([0, 1]), 2_000)
    for row, (source, kept) in enumerate(((0, 0), (2, 1))):
        exact = probabilities[source] * (known.sequences[:, :kept] == real.sequences[row, :kept]).all(1)
        exact = exact * (known.attention_mask.sum(1) > kept)
        drawn = counts(completed.sequences[row * 2_000 : (row + 1) * 2_000], known.sequences)
        assert chi_square_p(drawn, exact / exact.sum()) > ALPHA / 10
    # Under scheduled sampling a draw in the place of the first token follows its distribution given the source.
    many = real[torch.tensor([0, 1]).repeat_interleave(2_000)]
    read = engine.mix_inputs(model, many, 1.0)
    assert (read[:, 0] == BOS).all()
    for row, source in enumerate((0, 2)):
        first = torch.zeros(VOCAB_SIZE).double().index_add_(0, known.sequences[:, 0], probabilities[source])
        drawn = read[row * 2_000 : (row + 1) * 2_000, 1].bincount(minlength=VOCAB_SIZE)
        assert chi_square_p(drawn, first) > ALPHA / 10
    # The likelihood reads these tokens in the place of the true ones.
    read = torch.tensor([[BOS, 0, 3], [BOS, 1, 3]])
    logps = engine.per_token_logps(model, real, read)
    for row, source in enumerate((0, 2)):
        ids = torch.cat([torch.tensor([[START[kind]]]), read[row : row + 1, 1:]], dim=1)
        logits = model(input_ids=torch.tensor([SOURCES[source]]), decoder_input_ids=ids).logits[0]
        exact = logits.log_softmax(-1)[torch.arange(T), real.sequences[row]]
        torch.testing.assert_close(logps[row], exact, atol=1e-5, rtol=0)


@every_kind
def test_sources_are_encoded_once(kind):
    model, engine = model_of(kind), engine_of()
    shapes: list[tuple[int, ...]] = []
    model.get_encoder().register_forward_pre_hook(
        lambda _, args, options: shapes.append(tuple(options["input_ids"].shape)), with_kwargs=True
    )
    samples = engine.sample(model, 6, inputs=conditions([0, 1, 2, 0, 1, 2]))
    assert shapes == [(6, 5)]
    shapes.clear()
    list(engine.rollout(model, samples, 4))
    assert shapes == [(6, 5)]


@every_kind
@pytest.mark.parametrize("bias", (None, 0.0, 1.0))
def test_what_comes_after_the_output_layer_is_not_skipped(kind, bias):
    """BART adds a bias to the scores, zeros at first; T5 scales what its output layer reads, which is skipped."""
    if kind == "t5" and bias is not None:
        pytest.skip("T5 has no such bias")
    model = model_of(kind, 600)
    if bias is not None:
        model.final_logits_bias.copy_(torch.linspace(-1, 1, 600)[None] * bias)
    reader = Reader(model, inputs=conditions([0, 1]))
    with torch.no_grad():
        reader.read(torch.tensor([BOS, BOS]))
        reader.read(torch.tensor([3, 4]))
    assert (reader.head is not None) == (kind == "t5")
    engine, samples = engine_of(), Samples(torch.tensor([[3, 4, 5]]), torch.ones(1, T).long(), conditions([0]))
    exact = exact_logps(model, kind, samples, SOURCES[0])
    torch.testing.assert_close(engine.per_token_logps(model, samples).double(), exact, atol=1e-4, rtol=0)


def test_a_bias_that_is_added_in_place_is_not_skipped():
    class InPlace(type(tiny_t5())):
        def forward(self, *args, **options):
            output = super().forward(*args, **options)
            output.logits.add_(torch.zeros(output.logits.shape[-1]))
            return output

    model = InPlace(tiny_t5(VOCAB_SIZE).config).eval()
    reader = Reader(model, inputs=conditions([0]))
    with torch.no_grad():
        reader.read(torch.tensor([BOS]))
    assert reader.head is None


def test_without_a_start_of_its_own_a_decoder_reads_bos():
    model, engine = model_of("t5", decoder_start_token_id=None), engine_of()
    model.generation_config.decoder_start_token_id = None
    samples = Samples(torch.tensor([[3, EOS, PAD]]), torch.tensor([[1, 1, 0]]), conditions([0]))
    logits = model(input_ids=torch.tensor([SOURCES[0]]), decoder_input_ids=torch.tensor([[BOS, 3]])).logits[0]
    expected = logits.log_softmax(-1)[[0, 1], [3, EOS]]
    torch.testing.assert_close(engine.per_token_logps(model, samples)[0, :2], expected, atol=1e-5, rtol=0)


def test_a_source_cannot_be_drawn():
    message = "A T5ForConditionalGeneration reads condition_ids, condition_mask, which it cannot draw; give them in"
    with pytest.raises(ValueError, match=message):
        engine_of().sample(model_of("t5"), 2)
