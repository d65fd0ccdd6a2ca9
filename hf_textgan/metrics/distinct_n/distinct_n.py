"""The share of distinct n-grams among all n-grams of generated sentences."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences, refuse_references
from hf_textgan.metrics.ngrams import distinct_n_measure
from hf_textgan.metrics.sentences import tokenize


_DESCRIPTION = """\
The number of distinct n-grams over the number of all n-grams of a set of generated sentences, counted over the whole
set and not sentence by sentence. Low values show a lack of diversity. It falls with the number of sentences, so
compare it with the value of the same number of real sentences. A higher value than that means noise.
"""

_CITATION = """\
@inproceedings{li2016diversity,
  title = {A Diversity-Promoting Objective Function for Neural Conversation Models},
  author = {Li, Jiwei and Galley, Michel and Brockett, Chris and Gao, Jianfeng and Dolan, Bill},
  booktitle = {NAACL},
  year = {2016},
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]` or `list[list[str]]`):
        The generated sentences, at least 1. Strings are split into words at blanks, lists of tokens stay.
    max_order (`int`, *optional*, defaults to 4):
        The longest n-grams.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none. The n-grams of each sample are
        counted again.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    distinct_1 to distinct_4 (`float`): From 0 to 1; NaN if no sentence is that long.
    num_predictions (`int`): The number of predictions.
    distinct_n_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and the
        numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> load("distinct_n").compute(predictions=["a b a b", "b c b"], max_order=2)
    {'distinct_1': 0.42857142857142855, 'distinct_2': 0.8, 'num_predictions': 2}
"""


class DistinctN(FreeReferences, CheckedSentences, evaluate.Metric):
    """The share of distinct n-grams among all n-grams of generated sentences."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": one}) for one in (text, datasets.Sequence(text))],
            reference_urls=["https://arxiv.org/abs/1510.03055"],
        )

    def _compute(self, predictions, corpus=None, max_order=4, num_bootstrap=0, confidence=0.95, seed=0) -> dict:
        refuse_references(corpus, "distinct_n uses the predictions only")
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        sentences = sorted(tokenize(predictions, "predictions"))  # intervals do not depend on the order
        measure = distinct_n_measure(sentences, max_order)
        return {**bootstrap.report(measure, len(sentences)), "num_predictions": len(sentences)}
