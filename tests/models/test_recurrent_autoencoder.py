"""The recurrent decoder and the autoencoder against PyTorch's cells, one position at a time."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel

from hf_textgan.models import RecurrentAutoencoder, RecurrentAutoencoderConfig
from hf_textgan.models.modeling_latent_generation_utils import truncate_at_eos
from hf_textgan.models.modeling_recurrent_decoder_utils import RecurrentDecoder
from tests.helpers import BOS, EOS, PAD, chi_square_p, randomize


pytestmark = pytest.mark.usefixtures("one_thread")

VOCAB, LENGTH = 9, 6
LINES = [[3, 4, 5, EOS], [6, 7, 8, 3, 4, EOS], [EOS], [8, EOS]]
GATES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def tiny_decoder(vocab_size: int = 7, seed: int = 2, std: float = 0.8) -> RecurrentDecoder:
    return randomize(RecurrentDecoder(vocab_size, 3, 4, 5, BOS), seed, std).double()


def numbers(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_cells(
    decoder: RecurrentDecoder,
    codes: torch.Tensor,
    length: int,
    next_input: Callable[[int, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Returns the scores, position by position; `next_input` maps a position and its scores to the next input."""
    cell = nn.LSTMCell(decoder.rnn.input_size, decoder.rnn.hidden_size).to(codes.dtype)
    with torch.no_grad():
        for name in GATES:
            getattr(cell, name).copy_(getattr(decoder.rnn, f"{name}_l0"))
    weight, bias = decoder.lm_head.weight.detach(), decoder.lm_head.bias.detach()
    state = (codes.new_zeros(len(codes), cell.hidden_size),) * 2
    previous = decoder.embed_tokens.weight.detach()[torch.full((len(codes),), BOS)]
    scores = []
    for position in range(length):
        state = cell(torch.cat([previous, codes], 1), state)
        scores.append(state[0] @ weight.T + bias)
        previous = next_input(position, scores[-1])
    return torch.stack(scores, 1).detach()


def true_tokens(decoder: RecurrentDecoder, sequences: torch.Tensor) -> Callable[[int, torch.Tensor], torch.Tensor]:
    return lambda position, scores: decoder.embed_tokens.weight.detach()[sequences[:, position]]


# ---- The decoder --------------------------------------------------------------------------------------------------


def test_the_decoder_reads_its_most_probable_tokens():
    decoder, codes = tiny_decoder(), numbers(6, 5)
    table = decoder.embed_tokens.weight.detach()
    expected = by_cells(decoder, codes, 5, lambda position, scores: table[scores.argmax(1)])
    logits, tokens = decoder.free_running(codes, 5, "greedy")
    torch.testing.assert_close(logits, expected)
    assert torch.equal(tokens, expected.argmax(-1))
    assert len({tuple(row) for row in tokens.tolist()}) > 3 and (tokens[:, 1:] != tokens[:, :-1]).any()
    torch.testing.assert_close(decoder.teacher_forced(codes, tokens), logits)


def test_the_decoder_reads_the_mean_of_the_embeddings():
    decoder, codes = tiny_decoder(), numbers(6, 5)
    table = decoder.embed_tokens.weight.detach()

    def mean(position: int, scores: torch.Tensor) -> torch.Tensor:
        probabilities = scores.exp() / scores.exp().sum(1, keepdim=True)
        return sum(probabilities[:, token, None] * table[token] for token in range(len(table)))

    expected = by_cells(decoder, codes, 5, mean)
    logits, tokens = decoder.free_running(codes, 5, "soft")
    torch.testing.assert_close(logits, expected)
    assert torch.equal(tokens, expected.argmax(-1))
    greedy = decoder.free_running(codes, 5, "greedy")[0]
    torch.testing.assert_close(logits[:, 0], greedy[:, 0])  # both read BOS at the first position
    assert ((logits - greedy).abs().amax((0, 2))[1:] > 0.01).all()


def test_the_decoder_reads_the_true_tokens():
    decoder, codes = tiny_decoder(), numbers(4, 5)
    sequences = torch.randint(7, (4, 5), generator=torch.Generator().manual_seed(0))
    logits = decoder.teacher_forced(codes, sequences)
    torch.testing.assert_close(logits, by_cells(decoder, codes, 5, true_tokens(decoder, sequences)))
    changed = sequences.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 7
    after = decoder.teacher_forced(codes, changed)
    assert torch.equal(after[:, :3], logits[:, :3])  # a position does not read its own token
    assert ((after - logits)[:, 3:].abs().amax(-1) > 1e-3).all()


def test_the_decoder_reads_the_tokens_it_draws():
    decoder, codes = tiny_decoder(), numbers(6, 5)
    logits, tokens = decoder.free_running(codes, 5, "sample", generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(logits, by_cells(decoder, codes, 5, true_tokens(decoder, tokens)))
    assert (tokens != logits.argmax(-1)).any()
    again, other = (
        decoder.free_running(codes, 5, "sample", generator=torch.Generator().manual_seed(seed))[1] for seed in (3, 4)
    )
    assert torch.equal(again, tokens) and not torch.equal(other, tokens)


@pytest.mark.parametrize("temperature", (1.0, 0.5))
def test_frequencies_of_the_draws(temperature):
    decoder, code = tiny_decoder(vocab_size=3, std=1.5), numbers(1, 5)
    sequences = torch.tensor(list(product(range(3), repeat=2)))
    scores = by_cells(decoder, code.expand(9, -1), 2, true_tokens(decoder, sequences))
    logps = (scores / temperature).log_softmax(-1).gather(2, sequences[..., None]).sum((1, 2))
    assert float(logps.exp().sum()) == pytest.approx(1)
    source = torch.Generator().manual_seed(0)
    draws = decoder.free_running(code.expand(20_000, -1), 2, "sample", temperature, source)[1]
    counts = torch.bincount(draws[:, 0] * 3 + draws[:, 1], minlength=9)
    assert chi_square_p(counts, logps.exp()) > 0.001
    # The second token depends on the first and on the temperature: the test detects other distributions.
    table = logps.exp().view(3, 3)
    assert chi_square_p(counts, (table.sum(1, keepdim=True) * table.sum(0)).flatten()) < 1e-6
    assert chi_square_p(counts, logps.div(2).softmax(0)) < 1e-6


def test_gradient_of_the_soft_feedback_against_finite_differences():
    decoder = randomize(RecurrentDecoder(4, 2, 2, 3, BOS), 0, 0.7).double()
    codes = numbers(2, 3).requires_grad_()
    assert gradcheck(lambda *leaves: decoder.free_running(codes, 3, "soft")[0], (codes, *decoder.parameters()))
    # The last position has a gradient with respect to the scores before it: the embeddings of all tokens get one.
    (gradient,) = torch.autograd.grad(
        decoder.free_running(codes, 2, "soft")[0][:, 1].sum(), decoder.embed_tokens.weight
    )
    assert gradient.abs().sum(1).min() > 1e-4


@pytest.mark.parametrize("decoder_input", ("greedy", "sample"))
def test_no_gradient_through_a_token(decoder_input):
    """The gradient is that of a decoder that reads these tokens as given ones."""
    decoder, codes = tiny_decoder(), numbers(6, 5).requires_grad_()
    logits, tokens = decoder.free_running(codes, 4, decoder_input, generator=torch.Generator().manual_seed(0))
    leaves = [codes, *decoder.parameters()]
    found = torch.autograd.grad((logits**2).sum(), leaves)
    expected = torch.autograd.grad((decoder.teacher_forced(codes, tokens) ** 2).sum(), leaves)
    torch.testing.assert_close(found, expected)
    read = {BOS, *tokens[:, :-1].flatten().tolist()}
    rows = found[1].abs().sum(1)
    assert all(bool(rows[token] > 0) == (token in read) for token in range(7)) and len(read) < 7


def test_sequences_end_where_eos_or_padding_comes_first():
    written = torch.tensor([[5, EOS, EOS, PAD, 2], [3, 3, 3, 3, 3], [3, PAD, PAD, EOS, 5], [EOS, 5, 8, 8, 8]])
    ended = [[5, EOS, PAD, PAD, PAD], [3, 3, 3, 3, 3], [3, EOS, PAD, PAD, PAD], [EOS, PAD, PAD, PAD, PAD]]
    assert truncate_at_eos(written, EOS, PAD).tolist() == ended
    assert torch.equal(truncate_at_eos(written, None, PAD), written)
    several = truncate_at_eos(torch.tensor([[5, 8, EOS, 5], [5, EOS, 8, 5], [5, PAD, 8, 5]]), [EOS, 8], PAD)
    assert several.tolist() == [[5, 8, PAD, PAD], [5, EOS, PAD, PAD], [5, EOS, PAD, PAD]]


# ---- The autoencoder: what is read ---------------------------------------------------------------------------------


def config(**options) -> RecurrentAutoencoderConfig:
    sizes = {"vocab_size": VOCAB, "sequence_length": LENGTH, "embedding_size": 3, "hidden_size": 4}
    return RecurrentAutoencoderConfig(**{**sizes, **options})


def autoencoder(seed: int = 5, **options) -> RecurrentAutoencoder:
    return randomize(RecurrentAutoencoder(config(**options)), seed, 0.7).double().eval()


def arae(**options) -> RecurrentAutoencoder:
    return autoencoder(**{"padding": "masked", "decoder_input": "teacher_forcing", "normalize_code": True, **options})


def batch(lines: list[list[int]] = LINES, length: int = LENGTH) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor([line + [PAD] * (length - len(line)) for line in lines])
    return ids, torch.tensor([[1] * len(line) + [0] * (length - len(line)) for line in lines])


def last_hidden(model: RecurrentAutoencoder, line: list[int]) -> torch.Tensor:
    """Returns the last state of a plain LSTM that reads these tokens."""
    lstm = nn.LSTM(model.config.embedding_size, model.config.hidden_size).double()
    lstm.load_state_dict(model.encoder.state_dict())
    with torch.no_grad():
        return lstm(model.embed_tokens.weight[torch.tensor(line)][:, None])[1][0][-1, 0]


def test_padding_is_read_as_a_token():
    model, (ids, mask) = autoencoder(), batch()
    expected = torch.stack([last_hidden(model, row) for row in ids.tolist()])
    torch.testing.assert_close(model.encode(ids), expected)
    torch.testing.assert_close(model(input_ids=ids).codes, expected)
    torch.testing.assert_close(model.encode(ids, mask), expected)
    # Positions without attention become padding, positions that are not there do too.
    garbage = ids.masked_fill(mask == 0, 7)
    torch.testing.assert_close(model.encode(garbage, mask), expected)
    assert ((model.encode(garbage) - expected).norm(dim=1) > 0.01).tolist() == (mask == 0).any(1).tolist()
    short = model(input_ids=ids[[0, 2], :4], labels=ids[[0, 2], :4])
    torch.testing.assert_close(short.codes, expected[[0, 2]])
    assert short.logits.shape == (2, LENGTH, VOCAB)
    whole = model(input_ids=ids[[0, 2]], labels=torch.tensor([[*row[:4], -100, -100] for row in ids[[0, 2]].tolist()]))
    torch.testing.assert_close(short.loss, whole.loss)


def test_bos_and_the_words_are_read():
    model, (ids, mask) = arae(), batch()
    states = torch.stack([last_hidden(model, [BOS, *line[:-1]]) for line in LINES])
    expected = states / states.square().sum(1, keepdim=True).sqrt()
    for attention_mask in (mask, None):
        torch.testing.assert_close(model.encode(ids, attention_mask), expected)
        torch.testing.assert_close(model(input_ids=ids, attention_mask=attention_mask).codes, expected)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(4).double())
    torch.testing.assert_close(arae(normalize_code=False).encode(ids), states)
    assert states.norm(dim=1).max() < 0.95


def test_a_line_that_was_cut_has_all_its_words_read():
    model, line = arae(normalize_code=False), [3, 4, 5, 6, 7, 8]
    ids = torch.tensor([line, [*line[:5], EOS]])
    expected = torch.stack([last_hidden(model, [BOS, *line]), last_hidden(model, [BOS, *line[:5]])])
    torch.testing.assert_close(model.encode(ids), expected)
    torch.testing.assert_close(model.encode(ids, torch.ones_like(ids)), expected)
    without = arae(normalize_code=False, eos_token_id=None)  # then 2 is a word
    torch.testing.assert_close(without.encode(ids)[1], last_hidden(without, [BOS, *line[:5], EOS]))
    several = arae(normalize_code=False, eos_token_id=[EOS, 8])
    torch.testing.assert_close(several.encode(ids)[0], last_hidden(several, [BOS, *line[:5]]))
    torch.testing.assert_close(several.encode(ids)[1], expected[1])


@pytest.mark.parametrize("decoder_input", ("teacher_forcing", "greedy", "soft"))
def test_pad_columns_and_the_order_of_the_lines_change_nothing(decoder_input):
    model, lines = arae(sequence_length=12, decoder_input=decoder_input), [[3, 4, EOS], [5, 6, 7, 8, EOS], [7, EOS]]
    noise, outputs = numbers(3, 4) * 0.1, []
    for length in (5, 6, 12):
        ids, mask = batch(lines, length)
        labels = ids.masked_fill(mask == 0, -100)
        given = model(input_ids=ids, attention_mask=mask, code_noise=noise, labels=labels)
        outputs += [given, model(input_ids=ids, code_noise=noise, labels=labels)]
    for output in outputs[1:]:
        torch.testing.assert_close(output.codes, outputs[0].codes)
        torch.testing.assert_close(output.logits[:, :5], outputs[0].logits)
        torch.testing.assert_close(output.loss, outputs[0].loss)
    order = [2, 0, 1]
    ids, mask = batch([lines[i] for i in order], 5)
    shuffled = model(input_ids=ids, attention_mask=mask, code_noise=noise[order])
    torch.testing.assert_close(shuffled.codes, outputs[0].codes[order])
    torch.testing.assert_close(shuffled.logits, outputs[0].logits[order])
    assert torch.pdist(outputs[0].codes).min() > 0.1


@pytest.mark.parametrize("padding", ("token", "masked"))
def test_longer_lines_are_an_error(padding):
    model, ids = autoencoder(padding=padding), torch.full((1, LENGTH + 1), 3)
    message = "input_ids has 7 positions and the autoencoder 6; shorten it, or build the model with a larger"
    for call in (model, model.encode, lambda ids: model.interpolate(ids[0], ids[0])):
        with pytest.raises(ValueError, match=message):
            call(ids)


# ---- The autoencoder: what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder_input", ("teacher_forcing", "greedy", "soft"))
@pytest.mark.parametrize("padding", ("token", "masked"))
def test_codes_with_noise_are_decoded(padding, decoder_input):
    model, (ids, _) = autoencoder(padding=padding, decoder_input=decoder_input, normalize_code=True), batch()
    noise, decoder = numbers(4, 4), model.decoder
    output = model(input_ids=ids, code_noise=noise)
    table = decoder.embed_tokens.weight.detach()
    next_input = {
        "teacher_forcing": true_tokens(decoder, ids),
        "greedy": lambda position, scores: table[scores.argmax(1)],
        "soft": lambda position, scores: scores.softmax(1) @ table,
    }[decoder_input]
    # The noise comes after the normalization, is not normalized, and is not part of the codes.
    expected = by_cells(decoder, model.encode(ids).detach() + noise, LENGTH, next_input)
    torch.testing.assert_close(output.logits, expected)
    torch.testing.assert_close(output.codes.norm(dim=1), torch.ones(4).double())
    silent = model(input_ids=ids)
    torch.testing.assert_close(silent.logits, by_cells(decoder, model.encode(ids).detach(), LENGTH, next_input))
    assert (silent.logits - output.logits).abs().max() > 0.1


def test_the_noise_on_the_decoded_codes_has_the_radius_of_the_paper():
    """E ||c~ - c||^2 = H r^2, here 300 * 0.05^2 = 0.75, as the decoder receives it."""
    sizes = {"vocab_size": 5, "sequence_length": 2, "embedding_size": 2, "hidden_size": 300}
    model = RecurrentAutoencoder(
        config(padding="masked", decoder_input="teacher_forcing", normalize_code=True, **sizes)
    )
    received = []
    decode = model.decoder.teacher_forced
    model.decoder.teacher_forced = lambda codes, sequences: received.append(codes) or decode(codes, sequences)
    ids = torch.randint(3, 5, (200, 2), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = model(input_ids=ids, code_noise=0.05 * numbers(200, 300).float()).codes
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(200))
    squares = (received[0] - codes).square().sum(1)
    # A squared radius has the deviation r^2 * sqrt(2 H).
    assert float(squares.mean()) == pytest.approx(0.75, abs=4 * 0.05**2 * math.sqrt(2 * 300 / 200))


@pytest.mark.parametrize(
    "options", ({}, {"padding": "masked", "decoder_input": "teacher_forcing"}, {"decoder_input": "soft"}), ids=str
)
def test_loss_by_hand(options):
    model, (ids, mask) = autoencoder(**options), batch()
    labels = ids.masked_fill(mask == 0, -100)
    output = model(input_ids=ids, attention_mask=mask, labels=labels)
    logits, terms = output.logits.detach().numpy(), []
    for row, line in zip(logits, LINES, strict=True):
        terms += [math.log(np.exp(row[t]).sum()) - row[t][token] for t, token in enumerate(line)]
    assert len(terms) == 4 + 6 + 1 + 2
    assert float(output.loss.detach()) == pytest.approx(sum(terms) / len(terms), abs=1e-5)
    everything = F.nll_loss(output.logits.log_softmax(-1).transpose(1, 2), ids)
    torch.testing.assert_close(model(input_ids=ids, labels=ids).loss.double(), everything, atol=1e-5, rtol=0)
    assert float((everything - output.loss).abs().detach()) > 0.01
    loss, other, codes = model(input_ids=ids, labels=labels, return_dict=False)
    torch.testing.assert_close((loss, other, codes), (output.loss, output.logits, output.codes))


def test_without_decoding():
    model, (ids, mask) = arae(), batch()
    model.decoder = None
    output = model(input_ids=ids, attention_mask=mask, labels=ids, decode=False)
    assert output.loss is None and output.logits is None
    torch.testing.assert_close(output.codes, model.encode(ids))
    output.codes.sum().backward()
    assert model.encoder.weight_hh_l0.grad.any() and model.embed_tokens.weight.grad.any()


@pytest.mark.parametrize("decoder_input", ("teacher_forcing", "greedy", "soft"))
def test_decode_writes_what_is_most_probable_and_ends(decoder_input):
    model = autoencoder(decoder_input=decoder_input, sequence_length=8)
    codes, table = numbers(200, 4) * 2, model.decoder.embed_tokens.weight.detach()
    next_input = {True: lambda _, scores: scores.softmax(1) @ table, False: lambda _, scores: table[scores.argmax(1)]}
    written = by_cells(model.decoder, codes, 8, next_input[decoder_input == "soft"]).argmax(-1).tolist()
    kinds, expected = set(), []
    for row in written:
        stops = [t for t, token in enumerate(row) if token in (EOS, PAD)]
        kinds.add(row[stops[0]] if stops else None)
        expected.append(row[: stops[0]] + [EOS] + [PAD] * (7 - stops[0]) if stops else row)
    assert kinds == {EOS, PAD, None}, "all three kinds of end should be tested"
    decoded = model.decode(codes.requires_grad_())
    assert decoded.tolist() == expected and not decoded.requires_grad


@pytest.mark.parametrize("normalize", (False, True))
def test_interpolation(normalize):
    model = autoencoder(normalize_code=normalize, padding="masked", decoder_input="teacher_forcing")
    received, decode = [], model.decode
    model.decode = lambda codes: received.append(codes) or decode(codes)
    first, second = torch.tensor([3, 4, 5, EOS]), torch.tensor([8, EOS])
    sequences = model.interpolate(first, second, num_steps=5)
    (codes,) = received
    assert sequences.shape == (5, LENGTH)
    ends = torch.cat([model.encode(first[None]), model.encode(second[None])]).detach()
    torch.testing.assert_close(codes[[0, -1]], ends)
    assert torch.equal(sequences[[0, -1]], decode(ends))
    line = torch.stack([(1 - share) * ends[0] + share * ends[1] for share in (0, 0.25, 0.5, 0.75, 1)])
    if normalize:
        assert line[2].norm() < 0.95
        line = line / line.norm(dim=1, keepdim=True)
    torch.testing.assert_close(codes, line)
    assert model.interpolate(first, second).shape == (7, LENGTH)
    # As a tokenizer returns them, with a dimension of the batch.
    assert torch.equal(model.interpolate(first[None], second[None], num_steps=5), sequences)
    with pytest.raises(
        ValueError, match=r"A sequence has the shape \(2, 4\); pass ids of shape \(length,\), one text."
    ):
        model.interpolate(torch.stack([first, first]), second)


@pytest.mark.parametrize(
    "options",
    (
        {"padding": "masked", "decoder_input": "teacher_forcing", "normalize_code": True},
        {"padding": "token", "decoder_input": "soft"},
        {"padding": "token", "decoder_input": "greedy"},
    ),
    ids=lambda options: options["decoder_input"],
)
def test_it_learns_to_write_what_it_read(options):
    lines = [
        [3, 4, 5, EOS],
        [5, 4, 3, EOS],
        [3, EOS],
        [6, 7, 8, 3, 4, EOS],
        [EOS],
        [8, 8, EOS],
        [8, 8, 8, EOS],
        [7] * 6,
    ]
    ids, mask = batch(lines)
    model = RecurrentAutoencoder(config(embedding_size=16, hidden_size=48, **options)).train()
    labels = ids if options["padding"] == "token" else ids.masked_fill(mask == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(500):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        if loss < 0.01:  # at most 48 tokens: each has a probability above 0.6
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
    assert torch.equal(model.decode(model.encode(ids, mask)), ids)


def test_autocast_does_not_round_the_states():
    for model in (arae().float(), autoencoder(decoder_input="soft").float()):
        ids, mask = batch()
        full = model(input_ids=ids, attention_mask=mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model(input_ids=ids, attention_mask=mask, labels=ids)
        torch.testing.assert_close(mixed.codes, full.codes, atol=1e-6, rtol=0)
        torch.testing.assert_close(mixed.logits.float(), full.logits, atol=0.05, rtol=0.03)
        assert mixed.loss.dtype == torch.float32


# ---- Sizes, initial weights, files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sizes", "total"),
    [
        ({}, (100, 128, 512), 3_755_108),  # the teacher of TextKD-GAN
        ({"vocab_size": 11_004, "embedding_size": 300, "hidden_size": 300}, (11_004, 300, 300), 11_719_404),  # ARAE
    ],
)
def test_number_of_parameters(options, sizes, total):
    v, e, h = sizes
    expected = 2 * v * e + 4 * h * (e + h + 2) + 4 * h * (e + h + h + 2) + v * (h + 1)
    with torch.device("meta"):
        model = RecurrentAutoencoder(RecurrentAutoencoderConfig(**options))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == total


@pytest.mark.parametrize("bound", (0.1, 0.3))
def test_initial_weights(bound):
    sizes = {"vocab_size": 40, "embedding_size": 30, "hidden_size": 50}
    model = RecurrentAutoencoder(RecurrentAutoencoderConfig(initializer_range=bound, **sizes))
    seen = dict(model.named_parameters())
    assert len(seen) == 2 + 4 + 4 + 2 and not seen.pop("decoder.lm_head.bias").any()
    for name, parameter in seen.items():
        values, n = parameter.detach().double(), parameter.numel()
        assert 0.95 * bound < float(values.abs().max()) <= bound * (1 + 1e-6), name
        # A uniform variable has the variance 1/3, its square the mean 1/3 and the deviation 2 / sqrt(45).
        assert float(values.mean()) == pytest.approx(0, abs=4 * bound / math.sqrt(3 * n)), name
        square = float((values / bound).square().mean())
        assert square == pytest.approx(1 / 3, abs=4 * 2 / math.sqrt(45 * n)), name


@pytest.mark.parametrize(
    "options", ({}, {"padding": "masked", "decoder_input": "teacher_forcing", "normalize_code": True}), ids=str
)
def test_save_and_load(options, tmp_path):
    model = randomize(RecurrentAutoencoder(config(**options)), 1, 0.7).eval()
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    loaded, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is RecurrentAutoencoder and type(loaded.config) is RecurrentAutoencoderConfig
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids, mask = batch()
    actual, reference = (m(input_ids=ids, attention_mask=mask, labels=ids) for m in (model, loaded))
    torch.testing.assert_close(
        (reference.loss, reference.logits, reference.codes), (actual.loss, actual.logits, actual.codes)
    )
    assert torch.equal(loaded.decode(actual.codes), model.decode(actual.codes))
    for name in ("padding", "decoder_input", "normalize_code", "sequence_length", "initializer_range"):
        assert getattr(loaded.config, name) == getattr(model.config, name)
    assert AutoConfig.from_pretrained(tmp_path).model_type == "textgan_recurrent_autoencoder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocab_size is 0; set it to 1 or more."),
        ({"sequence_length": 0}, "sequence_length is 0; set it to 1 or more."),
        ({"embedding_size": -1}, "embedding_size is -1; set it to 1 or more."),
        ({"hidden_size": 0}, "hidden_size is 0; set it to 1 or more."),
        ({"bos_token_id": None}, "bos_token_id is None; set it to an id from 0 to 8."),
        ({"bos_token_id": 9}, "bos_token_id is 9; set it to an id from 0 to 8."),
        ({"pad_token_id": -1}, "pad_token_id is -1; set it to an id from 0 to 8."),
        ({"padding": "none"}, "padding.*expected one of.*token"),
        ({"decoder_input": "sample"}, "decoder_input.*expected one of.*greedy"),
    ],
)
def test_configuration_errors(options, message):
    with pytest.raises(Exception, match=f"(?is){message}"):
        config(**options)
