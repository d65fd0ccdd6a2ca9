"""A form to try the metric: it tells how many of the texts a tiny classifier calls positive."""

from pathlib import Path

import evaluate
from evaluate.utils import launch_gradio_widget


TEXTS = ["a great film", "great fun", "a moving story", "a dull film", "no fun at all", "a boring story"]
LABELS = ["positive"] * 3 + ["negative"] * 3

module = evaluate.load(str(Path(__file__).with_name("category_accuracy.py")))
score = module.compute


def compute(predictions):
    requested = ["positive"] * len(predictions)
    real = {"train": TEXTS, "train_labels": LABELS, "test": TEXTS, "test_labels": LABELS}
    return score(predictions=predictions, requested=requested, **real)


module.compute = compute
launch_gradio_widget(module)
