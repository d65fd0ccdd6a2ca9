"""The tests, and the processes they start, keep their encoded data in a folder of their own."""

import atexit
import os
import shutil
import tempfile


# Read at the first import of `datasets`, so it is set before any test module is imported.
_cache = tempfile.mkdtemp(prefix="hf_textgan-tests-")
os.environ["HF_DATASETS_CACHE"] = _cache
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
