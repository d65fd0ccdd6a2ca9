"""The modules of evaluate, each loaded once."""

import pytest

from hf_textgan.metrics import load


class Modules(dict):
    """Loads a module at its first use. In memory, modules wait for no locks of cache files."""

    def __missing__(self, name):
        self[name] = load(name, keep_in_memory=True)
        return self[name]


@pytest.fixture(scope="session")
def modules():
    return Modules()
