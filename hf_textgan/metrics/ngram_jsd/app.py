"""The metric as a web page."""

from pathlib import Path
from types import SimpleNamespace

import evaluate
from datasets import Features, Value
from evaluate.utils import launch_gradio_widget


module = evaluate.load(str(Path(__file__).parent / "ngram_jsd.py"))
# The table of the page needs a column for the references, which are no feature of the module.
columns = Features({"predictions": Value("string"), "references": Value("string")})
launch_gradio_widget(SimpleNamespace(name=module.name, info=module.info, features=columns, compute=module.compute))
