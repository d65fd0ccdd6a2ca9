"""MS-Jaccard: the overlap of the multisets of n-grams of generated and of real sentences."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences
from hf_textgan.metrics.ngrams import ms_jaccard_measure
from hf_textgan.metrics.sentences import tokenize


_DESCRIPTION = """\
With C(g) the number of times that an n-gram occurs per sentence, J_n is the sum over the n-grams of the smaller of the
two sides' C(g) over the sum of the larger, and MS-Jaccard-N is the geometric mean of J_1 to J_N. It measures both
quality and diversity. It grows with the sizes of the sets: compare at equal sizes.
"""

_CITATION = """\
@article{montahaei2019jointly,
  title = {Jointly Measuring Diversity and Quality in Text Generation Models},
  author = {Montahaei, Ehsan and Alihosseini, Danial and Baghshah, Mahdieh Soleymani},
  journal = {arXiv:1904.03971},
  year = {2019},
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]` or `list[list[str]]`):
        The generated sentences, at least 1. Strings are split into words at blanks, lists of tokens stay.
    references (`list[str]` or `list[list[str]]`):
        The real sentences, any number of them. They are not a feature, since features of evaluate have equal
        length: pass them to `compute`, not to `add_batch`. Of a list for each prediction, as in other modules of
        evaluate, the distinct sentences of all lists count.
    max_order (`int`, *optional*, defaults to 5):
        The longest n-grams.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none. The n-grams of each sample are
        counted again.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    jaccard_1 to jaccard_5 (`float`): J_n, from 0 (nothing in common) to 1 (equal); NaN if no sentence is that long.
    ms_jaccard_1 to ms_jaccard_5 (`float`): The geometric means.
    num_predictions (`int`): The number of predictions.
    num_references (`int`): The number of references.
    <name>_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and the
        numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> jaccard = load("ms_jaccard")
    >>> result = jaccard.compute(predictions=["a a b"], references=["a b", "b a"], max_order=2)
    >>> round(result["jaccard_1"], 5), round(result["jaccard_2"], 5), round(result["ms_jaccard_2"], 5)
    (0.66667, 0.2, 0.36515)
"""


class MsJaccard(FreeReferences, CheckedSentences, evaluate.Metric):
    """MS-Jaccard: the overlap of the multisets of n-grams of generated and of real sentences."""

    form_columns = ("predictions", "references")

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": one}) for one in (text, datasets.Sequence(text))],
            reference_urls=["https://arxiv.org/abs/1904.03971"],
        )

    def _compute(self, predictions, corpus=None, max_order=5, num_bootstrap=0, confidence=0.95, seed=0) -> dict:
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        sentences = sorted(tokenize(predictions, "predictions"))  # intervals do not depend on the order
        references = tokenize(corpus, "references")
        measure = ms_jaccard_measure(sentences, references, max_order)
        return {
            **bootstrap.report(measure, len(sentences)),
            "num_predictions": len(sentences),
            "num_references": len(references),
        }
