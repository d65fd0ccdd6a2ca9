"""Categorical draws against exact probabilities and the logits processors of transformers."""

import math

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from hf_textgan.sampling.categorical import _first_above, _race, draw_categorical, draw_from_hidden
from tests.helpers import EOS, chi_square_p, tiny_lstm
from tests.sampling.tools import ALPHA, engine_of, model_of, output_layer


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("temperature", (1.0, 0.5, 3.0))
def test_draws_follow_the_softmax(temperature):
    logits = torch.tensor([2.0, -math.inf, 0.5, -1.0, 0.0, -math.inf])
    weights = [math.exp(value / temperature) for value in logits.tolist()]
    probabilities = torch.tensor([weight / sum(weights) for weight in weights])
    drawn = draw_categorical(logits.expand(100_000, -1), temperature)
    assert drawn.dtype == torch.long and drawn.shape == (100_000,)
    observed = drawn.bincount(minlength=6)
    assert observed[1] == observed[5] == 0
    assert chi_square_p(observed, probabilities) > ALPHA


def test_draws_from_a_large_vocabulary():
    logits = torch.randn(5000) * 2
    impossible = torch.randperm(5000)[:1000]
    logits[impossible] = -math.inf
    logits[[0, -1]] = -math.inf  # the two ends are where rounding shows
    probabilities = logits.double().exp() / logits.double().exp().sum()
    observed = sum(draw_categorical(logits.expand(1000, -1)).bincount(minlength=5000) for _ in range(20))
    assert observed[probabilities == 0].sum() == 0
    assert chi_square_p(observed, probabilities) > ALPHA


def test_only_possible_tokens_are_drawn_at_the_edges_of_rounding():
    # One possible token at the front, in the middle and at the end, or two with one of the smallest weight of a float.
    logits = torch.full((3, 5000), -math.inf)
    logits[torch.arange(3), torch.tensor([0, 2500, 4999])] = 50.0
    for _ in range(200):
        assert draw_categorical(logits).tolist() == [0, 2500, 4999]
    weights = torch.zeros(20_000, 7)
    weights[:, 2], weights[:, 4] = 1.0, 1e-38
    assert set(draw_categorical(weights.log()).tolist()) <= {2, 4}


def test_rows_are_drawn_independently():
    logits = torch.log(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).repeat(20_000, 1)
    pairs = draw_categorical(logits).view(-1, 2)
    observed = (pairs[:, 0] * 2 + pairs[:, 1]).bincount(minlength=4)
    assert chi_square_p(observed, torch.tensor([0.2 * 0.6, 0.2 * 0.4, 0.8 * 0.6, 0.8 * 0.4])) > ALPHA


@pytest.mark.parametrize("draw", (draw_categorical, _race))
def test_both_ways_to_draw(draw):
    weights = torch.tensor([0.0, 3.0, 0.0, 1e-3, 1.0, 0.2, 0.0])  # unnormalised
    drawn = draw(weights.log().expand(25_000, -1), 1.0, 4)
    assert drawn.shape == (25_000, 4)
    for observed in (drawn.flatten(), *drawn.T):
        probabilities = weights / weights.sum()
        assert chi_square_p(observed.bincount(minlength=7), probabilities) > ALPHA
    pairs = (drawn[:, 0] * 7 + drawn[:, 1]).bincount(minlength=49)  # the draws of a row know nothing of each other
    assert chi_square_p(pairs, torch.outer(probabilities, probabilities).flatten()) > ALPHA
    broken = draw(torch.full((4, 7), math.nan), 1.0, 2)
    assert broken.ge(0).all() and broken.lt(7).all()


def test_a_threshold_of_zero_skips_what_cannot_occur():
    cumulative = torch.tensor([[0.0, 1.0, 1.0]])
    assert _first_above(cumulative, torch.tensor([[0.0, 1 - 2.0**-24]])).tolist() == [[1, 1]]


def test_large_logits_and_bfloat16():
    assert set(draw_categorical(torch.tensor([[1e4, 1e4 - 200, -1e30]]).expand(1000, -1)).tolist()) == {0}
    observed = draw_categorical(torch.zeros(30_000, 3, dtype=torch.bfloat16)).bincount(minlength=3)
    assert chi_square_p(observed, torch.full((3,), 1 / 3)) > ALPHA


def test_logits_that_are_not_finite_give_an_index_all_the_same():
    # The loss of such samples is not finite either, and a trainer reports that; an index error would hide it.
    rows = torch.tensor([[0.0, math.nan, 0.0], [math.inf, 0.0, 0.0], [-math.inf] * 3])
    drawn = draw_categorical(rows)
    assert drawn.ge(0).all() and drawn.lt(3).all()


@pytest.mark.parametrize("temperature", (0.0, -1.0))
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=f"temperature is {temperature}; set it above 0"):
        draw_categorical(torch.zeros(1, 2), temperature)


@pytest.mark.parametrize("vocab_size", (5, 70, 600))
@pytest.mark.parametrize("spread", (0.2, 3.0), ids=("flat", "peaked"))
@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    ((1.0, 3, None), (0.7, 1000, None), (1.0, None, 0.5), (0.6, None, 0.97), (1.0, 20, 0.4), (2.0, 4, 0.9), (1, 1, 1)),
)
def test_top_k_and_top_p_are_those_of_generate(vocab_size, spread, temperature, top_k, top_p):
    """Against the logits processors of transformers, with nuclei of fewer and of more than 256 tokens."""
    logits = torch.randn(2, vocab_size) * spread
    warped = TemperatureLogitsWarper(temperature)(None, logits) if temperature != 1 else logits
    warped = TopKLogitsWarper(top_k)(None, warped) if top_k else warped
    warped = TopPLogitsWarper(top_p)(None, warped) if top_p and top_p < 1 else warped
    probabilities = warped.double().softmax(-1)
    number = 20_000 if vocab_size < 600 else 5_000  # each row is sorted
    for drawn in (
        draw_categorical(logits, temperature, 20_000, top_k, top_p),
        draw_categorical(logits.repeat(number, 1), temperature, None, top_k, top_p).view(-1, 2).T,
        draw_from_hidden(torch.eye(2), output_layer(logits.T), temperature, 20_000, top_k, top_p),
    ):
        for row, expected in zip(drawn, probabilities, strict=True):
            observed = row.bincount(minlength=vocab_size)
            assert observed[expected == 0].sum() == 0
            if (expected > 0).sum() > 1:
                assert chi_square_p(observed, expected) > ALPHA


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"top_k": 0}, "top_k is 0; set it to 1 or more tokens, or to None for all."),
        ({"top_p": 0.0}, "top_p is 0.0; set it above 0 and at most to 1, or to None for all tokens."),
        ({"top_p": 1.5}, "top_p is 1.5; set it above 0 and at most to 1, or to None for all tokens."),
        ({"temperature": math.nan}, "temperature is nan; set it above 0"),
    ),
)
def test_options_of_a_draw_without_meaning(options, message):
    options = dict(options)
    with pytest.raises(ValueError, match=message):
        draw_categorical(torch.zeros(1, 2), **options)
    with pytest.raises(ValueError, match=message):
        draw_from_hidden(torch.zeros(1, 2), output_layer(torch.zeros(5, 2)), **options)
    with pytest.raises(ValueError, match=message):
        temperature = options.pop("temperature", 1.0)
        engine_of(EOS).at(temperature).sample(model_of(tiny_lstm), 1, **options)


@pytest.mark.parametrize("vocab_size", (2, 63, 64, 65, 128, 130, 5000))
@pytest.mark.parametrize("spread", (0.3, 3.0), ids=("flat", "peaked"))
def test_draws_follow_the_softmax_at_the_edges_of_blocks(vocab_size, spread):
    logits = torch.randn(vocab_size) * spread
    # Neighbours are counted together: each token of a large vocabulary is too rare for a test.
    number, widths = (30_000, (1, 50, 64)) if vocab_size < 5000 else (8_000, (10, 50, 64))
    for temperature in (0.5, 1.0, 2.0):
        expected = (logits.double() / temperature).softmax(-1)
        observed = draw_categorical(logits.expand(number, -1), temperature).bincount(minlength=vocab_size)
        assert len(observed) == vocab_size
        for width in widths:
            groups = torch.arange(vocab_size) // width
            if groups[-1] > 0:
                nothing = torch.zeros(int(groups[-1]) + 1, dtype=torch.float64)
                sums = [nothing.index_add(0, groups, values) for values in (observed.double(), expected)]
                assert chi_square_p(*sums) > ALPHA


@pytest.mark.parametrize(
    "possible",
    [
        {129},
        {128, 129},
        {0},
        {63, 64},
        set(range(64, 128)),
        {3, 63, 128, 129},
        set(range(1, 129)),
    ],
    ids=["last", "last-block", "first", "a-border", "middle-block", "no-middle-block", "no-ends"],
)
@pytest.mark.parametrize("shift", (0.0, -80.0, 1e4))
def test_impossible_blocks_are_never_drawn(possible, shift):
    logits = torch.full((130,), -math.inf)
    indices = torch.tensor(sorted(possible))
    logits[indices] = torch.randn(len(indices)) + shift
    observed = draw_categorical(logits.expand(20_000, -1)).bincount(minlength=130)
    assert set(observed.nonzero().squeeze(1).tolist()) <= possible
    if len(possible) > 1:
        assert chi_square_p(observed, logits.double().softmax(-1)) > ALPHA


def test_thresholds_at_the_edges_of_rounding():
    # The second and the fourth token are impossible; the largest uniform number leaves the total unreached.
    for total in (1.0, 1.0 + 2.0**-23, 1.7, 2.0 - 2.0**-23, 1e-30, 3e38):
        cumulative = total * torch.tensor([[0.25, 0.25, 1.0, 1.0]] * 5)
        thresholds = torch.tensor([[0.0], [0.2], [0.25], [0.9], [1 - 2.0**-24]]) * cumulative[:, -1:]
        assert _first_above(cumulative, thresholds).squeeze(1).tolist() == [0, 0, 2, 2, 2]


@pytest.mark.parametrize("number", (0, 1, 255, 256, 257, 600))
def test_rows_beyond_the_buffer_are_rows_of_their_own(number):
    vocab_size = 130
    expected = torch.randint(vocab_size, (number,))
    logits = torch.full((number, vocab_size), -math.inf)
    logits[torch.arange(number), expected] = torch.randn(number) * 50
    logits[7:300:13] = math.nan  # must not change the other rows
    sound = ~logits.isnan().any(1)
    drawn = draw_categorical(logits)
    assert torch.equal(drawn[sound], expected[sound])
    assert drawn.ge(0).all() and drawn.lt(vocab_size).all()


def test_rows_of_several_buffers_follow_their_own_distributions():
    logits = torch.randn(3, 70)
    drawn = draw_categorical(logits.repeat(12_000, 1)).view(-1, 3)
    for column, row in enumerate(logits):
        assert chi_square_p(drawn[:, column].bincount(minlength=70), row.double().softmax(-1)) > ALPHA
    # A row and the row of the same index in the next buffer.
    few = torch.tensor([0.2, 0.3, 0.5]).log().expand(256 * 80, -1)
    pairs = draw_categorical(few).view(40, 2, 256)
    joint = (pairs[:, 0] * 3 + pairs[:, 1]).flatten().bincount(minlength=9)
    assert chi_square_p(joint, torch.outer(few[0].exp(), few[0].exp()).flatten()) > ALPHA


FORMS = {
    "bfloat16": lambda logits: logits.bfloat16(),
    "float16": lambda logits: logits.half(),
    "float64": lambda logits: logits.double(),
    "transposed": lambda logits: logits.T.contiguous().T,
    "strided": lambda logits: logits.repeat_interleave(2, dim=1)[:, ::2],
    "offset": lambda logits: torch.cat([logits + 9, logits], dim=1)[:, logits.shape[1] :],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", (1.0, 0.5))
def test_logits_of_any_form_are_read_and_left_alone(form, temperature):
    logits = FORMS[form]((torch.randn(70) * 1.5).repeat(20_000, 1))
    before = logits.clone()
    observed = draw_categorical(logits, temperature).bincount(minlength=70)
    assert torch.equal(logits, before)
    assert chi_square_p(observed, (logits[0].double() / temperature).softmax(-1)) > ALPHA


def test_plain_logits_are_left_alone():
    logits = torch.randn(300, 130)
    before = logits.clone()
    draw_categorical(logits, 0.5)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("vocab_size", (2, 64, 65, 5000))
def test_rows_that_are_not_finite_give_a_token(vocab_size):
    rows = torch.randn(6, vocab_size)
    rows[0], rows[1], rows[2] = math.nan, -math.inf, math.inf
    rows[3, 0], rows[4, -1], rows[5, -1] = math.nan, math.inf, math.nan
    for _ in range(50):
        drawn = draw_categorical(rows)
        assert drawn.ge(0).all() and drawn.lt(vocab_size).all()
