"""The ways of a temperature from its start to its end."""

import pytest

from hf_textgan.objectives.annealing import annealed_temperature


WAYS = ("none", "exponential", "linear", "logarithmic", "sigmoid", "quadratic", "square_root")

# The inverse temperature of RelGAN from 1 to 100 after 0, 1200 and 2400 of 5000 iterations.
BY_HAND = {
    "none": (100.0, 100.0, 100.0),
    "exponential": (1.0, 100**0.24, 100**0.48),  # 3.02, 9.12
    "linear": (1.0, 1 + 99 * 1200 / 4999, 1 + 99 * 2400 / 4999),
    "logarithmic": (1.0, 1 + 99 * 7.090910 / 8.517193, 1 + 99 * 7.783641 / 8.517193),  # ln 1201, ln 2401, ln 5000
    "sigmoid": (1 + 99 * 4.5398e-5, 1 + 99 / (1 + 181.272242), 1 + 99 / (1 + 1.491825)),  # e^10, e^5.2, e^.4
    "quadratic": (1.0, 1 + 99 * 0.2400480**2, 1 + 99 * 0.4800960**2),
    "square_root": (1.0, 1 + 99 * 0.4899469, 1 + 99 * 0.6928896),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_by_hand(way):
    for iteration, expected in zip((0, 1200, 2400), BY_HAND[way], strict=True):
        beta = 1 / annealed_temperature(way, 1.0, 0.01, iteration, 5000)
        assert beta == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [1, 2, 7, 5000, 2.5])
def test_ways_end_and_never_turn_back(way, length):
    values = [annealed_temperature(way, 5.0, 0.5, i, length) for i in range(int(length) + 3)]
    assert values[-1] == values[-2] == 0.5 and all(0.5 <= value <= 5.0 + 1e-9 for value in values)
    assert all(later <= earlier + 1e-12 for earlier, later in zip(values, values[1:], strict=False))


def test_the_hard_wired_length_of_the_official_code_leaves_the_way_unfinished():
    """After 2000 of 5000 iterations the inverse temperature is 100^0.4 = 6.3."""
    assert 1 / annealed_temperature("exponential", 1.0, 0.01, 2000, 5000) == pytest.approx(6.3096, rel=1e-4)
