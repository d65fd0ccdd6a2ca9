"""The tests, and the processes they start, keep encoded data and modules in a folder of their own, and know no Hub but
a server on this machine."""

import atexit
import os
import shutil
import tempfile

import pytest

from tests.hub_server import WRITER, HubServer


# Several workers share the cores; with one thread each they do not wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Read at the first import of `datasets` and `evaluate`, so they are set before any test module is imported.
_cache = tempfile.mkdtemp(prefix="hf_textgan-tests-")
os.environ["HF_DATASETS_CACHE"] = _cache
os.environ["HF_MODULES_CACHE"] = os.path.join(_cache, "modules")
os.environ["HF_METRICS_CACHE"] = os.path.join(_cache, "metrics")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)

# So is the address of the Hub, at the first import of `huggingface_hub`. Without a token, which no test but those of
# the Hub needs.
_hub = HubServer()
for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"):
    os.environ.pop(_name, None)
os.environ.update(_hub.environment(os.path.join(_cache, "home"), token=None))


@pytest.fixture
def hub():
    """The server of the Hub, without repositories and faults, and a token that may write."""
    _hub.clear()
    os.environ["HF_TOKEN"] = WRITER
    yield _hub
    os.environ.pop("HF_TOKEN", None)
    shutil.rmtree(os.path.join(_cache, "home", "hub"), ignore_errors=True)
    assert _hub.unknown == [], "the server of the tests lacks a request"


@pytest.fixture
def one_thread():
    """One thread, which is fastest for tiny models, and the same draws whatever ran before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
