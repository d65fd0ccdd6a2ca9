"""The repetitions of generated sentences, and their copies from the training sentences."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences
from hf_textgan.metrics.ngrams import longest_copied, novelty_measure
from hf_textgan.metrics.sentences import tokenize


_DESCRIPTION = """\
The share of exact duplicates among generated sentences, the share of them that equal a training sentence, the longest
n-gram copied from a training sentence, and the share of n-grams that no training sentence contains. Compare each with
the value of held-out real sentences.
"""

_CITATION = """\
@inproceedings{dautume2019training,
  title = {Training Language GANs from Scratch},
  author = {de Masson d'Autume, Cyprien and Rosca, Mihaela and Rae, Jack and Mohamed, Shakir},
  booktitle = {NeurIPS},
  year = {2019},
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]` or `list[list[str]]`):
        The generated sentences, at least 1. Strings are split into words at blanks, lists of tokens stay.
    references (`list[str]` or `list[list[str]]`):
        The training sentences, any number of them. They are not a feature, since features of evaluate have equal
        length: pass them to `compute`, not to `add_batch`. Of a list for each prediction, as in other modules of
        evaluate, the distinct sentences of all lists count.
    max_order (`int`, *optional*, defaults to 4):
        The longest n-grams that are counted for `novel_n`.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none. Duplicates are always those of
        the whole set, and the longest copied n-gram has no interval.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    duplicates (`float`): 1 minus the number of different predictions over the number of predictions.
    copied_sentences (`float`): The share of predictions that equal a training sentence.
    longest_copied_mean (`float`): The length in tokens of the longest n-gram of a prediction that some training
        sentence contains, on average over the predictions.
    longest_copied_max (`int`): The largest of these lengths.
    novel_1 to novel_4 (`float`): The share of occurrences of n-grams that no training sentence contains; NaN if no
        prediction is that long.
    num_predictions (`int`): The number of predictions.
    num_references (`int`): The number of training sentences.
    <name>_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and the
        numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> predictions = ["a cat sat here", "a cat sat here", "the dog", "there is a cat"]
    >>> references = ["the cat sat on the mat", "a cat is on the mat", "there is a cat"]
    >>> result = load("novelty").compute(predictions=predictions, references=references, max_order=2)
    >>> result["duplicates"], result["copied_sentences"]
    (0.25, 0.25)
    >>> result["longest_copied_mean"], result["longest_copied_max"]
    (2.25, 4)
    >>> result["novel_2"]
    0.3
"""


class Novelty(FreeReferences, CheckedSentences, evaluate.Metric):
    """The repetitions of generated sentences, and their copies from the training sentences."""

    form_columns = ("predictions", "references")

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": one}) for one in (text, datasets.Sequence(text))],
            reference_urls=["https://arxiv.org/abs/1905.09922"],
        )

    def _compute(self, predictions, corpus=None, max_order=4, num_bootstrap=0, confidence=0.95, seed=0) -> dict:
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        sentences = sorted(tokenize(predictions, "predictions"))  # intervals do not depend on the order
        references = tokenize(corpus, "references")
        measure = novelty_measure(sentences, references, max_order)
        return {
            **bootstrap.report(measure, len(sentences), unbounded=["longest_copied_mean"]),
            "longest_copied_max": max(longest_copied(sentences, references)),
            "num_predictions": len(sentences),
            "num_references": len(references),
        }
