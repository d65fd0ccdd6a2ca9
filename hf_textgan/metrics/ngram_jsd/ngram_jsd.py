"""Jensen-Shannon divergence between the n-grams of generated and of real sentences."""

import datasets
import evaluate

from .module_helpers import FreeReferences
from .ngram_options import JSD_VARIANTS, Bootstrap, CheckedSentences, choose, choose_level, fix_length, tokenize
from .ngrams import ngram_jsd_measure


_DESCRIPTION = """\
The Jensen-Shannon divergence, in bits, between the relative frequencies of the n-grams of generated and of real
sentences: 0 for equal sets, 1 for sets without a common n-gram. It sees both quality and diversity. Small sets are far
apart even if both are real: compare at equal sizes, next to real sentences against real ones.
"""

_CITATION = """\
@inproceedings{gulrajani2017improved,
  title = {Improved Training of Wasserstein GANs},
  author = {Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and Courville, Aaron},
  booktitle = {NeurIPS},
  year = {2017},
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]` or `list[list[str]]`):
        The generated sentences, at least 1. Strings are split into words at blanks; lists of tokens stay.
    references (`list[str]` or `list[list[str]]`):
        The real sentences, any number of them. They are no feature, since evaluate wants as many references as
        predictions: pass them to `compute`, not to `add_batch`.
    level (`str`, *optional*, defaults to `"word"`):
        Whether the n-grams are of words (`"word"`) or of characters (`"character"`), which takes strings.
    max_order (`int`, *optional*, defaults to 4):
        The longest n-grams.
    variant (`str`, *optional*, defaults to `"standard"`):
        `"standard"`: all sentences as they are. `"iwgan"`: characters, the first 640 predictions; both sides are cut
        to 32 characters and padded to as many with backquotes, and n-grams with padding count.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none; each sample is counted
        anew.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    variant (`str`): The name of the definition.
    level (`str`): What was counted.
    jsd_1 to jsd_4 (`float`): From 0 to 1 bit, lower is closer; NaN if one side has no sentence that long.
    num_predictions (`int`): The number of predictions that count.
    num_references (`int`): The number of references.
    jsd_n_interval (`list[float]`): With `num_bootstrap` the lower and the upper end for each value, and next to
        them the numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, or empty ones, or an argument has a value that is not known.
    TypeError: If the sentences are neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> jsd = load("ngram_jsd")
    >>> result = jsd.compute(predictions=["a a b", "a"], references=["a b"], max_order=2)
    >>> result["variant"], result["level"], result["num_predictions"], result["num_references"]
    ('standard', 'word', 2, 1)
    >>> round(result["jsd_1"], 5), round(result["jsd_2"], 5)
    (0.04879, 0.31128)
    >>> round(jsd.compute(predictions=["ab"], references=["ba"], level="character", max_order=2)["jsd_2"], 5)
    1.0
"""


class NgramJsd(FreeReferences, CheckedSentences, evaluate.Metric):
    """Jensen-Shannon divergence between the n-grams of generated and of real sentences."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": one}) for one in (text, datasets.Sequence(text))],
            reference_urls=["https://arxiv.org/abs/1704.00028"],
        )

    def _compute(
        self,
        predictions,
        corpus=None,
        level=None,
        max_order=4,
        variant="standard",
        num_bootstrap=0,
        confidence=0.95,
        seed=0,
    ) -> dict:
        options = choose(JSD_VARIANTS, variant)
        level = choose_level(level, options)
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        hypotheses = tokenize(predictions, "predictions", level)[: options.max_predictions]
        references = tokenize(corpus, "references", level)
        if options.length:
            hypotheses, references = (fix_length(side, options.length) for side in (hypotheses, references))
        # Sorted, so that intervals do not depend on the order.
        measure = ngram_jsd_measure(sorted(hypotheses), references, max_order)
        return {
            "variant": variant,
            "level": level,
            **bootstrap.report(measure, len(hypotheses)),
            "num_predictions": len(hypotheses),
            "num_references": len(references),
        }
