"""A form to try the metric: it scores texts under GPT-2."""

import functools
from pathlib import Path

import evaluate
from evaluate.utils import launch_gradio_widget


MODEL = "openai-community/gpt2"

module = evaluate.load(str(Path(__file__).with_name("textgan_nll.py")))
module.info.features = module.features[1]  # the form takes texts, not ids
module.compute = functools.partial(module.compute, model=MODEL)
launch_gradio_widget(module)
