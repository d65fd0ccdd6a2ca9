"""Seeds, and blocks with random numbers of their own."""

import random

import numpy as np
import pytest
import torch

from hf_textgan.utils.random import derive_seed, fork_rng, seed_iteration


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_an_iteration_has_the_same_draws_whatever_came_before():
    seed_iteration(3, 5, 0)
    expected = draws()
    draws()
    seed_iteration(3, 5, 0)
    assert draws() == expected
    others = []
    for parts in ((4, 5, 0), (3, 6, 0), (3, 5, 1), (5, 3, 0)):
        seed_iteration(*parts)
        others.append(draws())
    for generator in range(3):  # each of the three generators is seeded
        assert len({draw[generator] for draw in (expected, *others)}) == 5


def test_a_block_has_its_own_draws_and_changes_none_after_it():
    seed_iteration(0, 0, 0)
    expected = [draws(), draws()]
    seed_iteration(0, 0, 0)
    first = draws()
    with fork_rng(7, "eval"):
        inside = draws()
    assert [first, draws()] == expected
    with pytest.raises(RuntimeError, match="stop"), fork_rng(7, "eval"):
        assert draws() == inside
        raise RuntimeError("stop")
    after = draws()
    with fork_rng(7, "test"):
        assert draws() != inside
    seed_iteration(0, 0, 0)
    assert [draws(), draws(), draws()][2] == after


def test_derived_seeds():
    seeds = [derive_seed(*parts) for parts in ((1, "a"), (1, "b"), (2, "a"), ("a", 1), (1,))]
    assert len(set(seeds)) == 5 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, "a") == seeds[0]
