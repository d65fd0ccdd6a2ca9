"""The tests, and the processes they start, keep encoded data and modules in a folder of their own."""

import atexit
import os
import shutil
import tempfile

import pytest


# Several workers share the cores; with one thread each they do not wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Read at the first import of `datasets` and `evaluate`, so they are set before any test module is imported.
_cache = tempfile.mkdtemp(prefix="hf_textgan-tests-")
os.environ["HF_DATASETS_CACHE"] = _cache
os.environ["HF_MODULES_CACHE"] = os.path.join(_cache, "modules")
os.environ["HF_METRICS_CACHE"] = os.path.join(_cache, "metrics")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)


@pytest.fixture
def one_thread():
    """One thread, which is fastest for tiny models, and the same draws whatever ran before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
