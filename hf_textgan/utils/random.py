"""Seeds: every draw of a run depends on the run's seed and on its iteration, not on earlier draws."""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_iteration(seed: int, iteration: int, rank: int) -> None:
    """
    Seeds every random number generator for one iteration of one process.

    The draws of an iteration do not depend on anything before it. They are the same in a resumed run, and an
    evaluation or a callback between two iterations does not change them.
    """
    _seed_everything(seed, iteration, rank)


def derive_seed(*parts: int | str) -> int:
    """Returns a seed below 2**63 derived from several numbers and names."""
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in parts]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] % 2**63)


def _seed_everything(*parts: int) -> None:
    seed = int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])
    random.seed(seed)
    np.random.seed(seed % 2**32)
    # Without an accelerator, `torch.manual_seed` takes a stack trace at every call, for devices initialised later.
    seed_torch = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    seed_torch(seed % 2**63)


@contextmanager
def fork_rng(*seed: int | str) -> Iterator[None]:
    """Runs a block under a given seed and restores the state of every random number generator after it."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    _seed_everything(*(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in seed))
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


__all__ = ["derive_seed", "fork_rng", "seed_iteration"]
