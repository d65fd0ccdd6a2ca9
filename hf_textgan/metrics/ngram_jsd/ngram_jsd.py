"""Jensen-Shannon divergence between the n-grams of generated and of real sentences."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences
from hf_textgan.metrics.ngrams import ngram_jsd_measure
from hf_textgan.metrics.sentences import tokenize
from hf_textgan.metrics.variants import JSD_VARIANTS, choose, choose_level, fix_length


_DESCRIPTION = """\
The Jensen-Shannon divergence, in bits, between the relative frequencies of the n-grams of generated and of real
sentences: 0 for equal sets, 1 for sets without a common n-gram. It measures both quality and diversity. Small sets are
far apart even if both are real. Compare at equal sizes, and with real sentences against real sentences.
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
        The generated sentences, at least 1. Strings are split into words at blanks, lists of tokens stay.
    references (`list[str]` or `list[list[str]]`):
        The real sentences, any number of them. They are not a feature, since features of evaluate have equal
        length: pass them to `compute`, not to `add_batch`. Of a list for each prediction, as in other modules of
        evaluate, the distinct sentences of all lists count.
    level (`str`, *optional*, defaults to `"word"`):
        `"word"` for n-grams of words, `"character"` for n-grams of characters, which requires strings.
    max_order (`int`, *optional*, defaults to 4):
        The longest n-grams.
    variant (`str`, *optional*, defaults to `"standard"`):
        `"standard"`: all sentences as they are. `"iwgan"`: characters, the first 640 predictions. Both sides are cut
        or padded with backquotes to 32 characters, and n-grams with padding count.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none. The n-grams of each sample are
        counted again.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    variant (`str`): The name of the definition.
    level (`str`): The unit of the n-grams.
    jsd_1 to jsd_4 (`float`): From 0 to 1 bit, lower is closer; NaN if one side has no sentence that long.
    num_predictions (`int`): The number of predictions that count.
    num_references (`int`): The number of references.
    jsd_n_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and the
        numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

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

    form_columns = ("predictions", "references")

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
        # They are sorted, so intervals do not depend on the order.
        measure = ngram_jsd_measure(sorted(hypotheses), references, max_order)
        return {
            "variant": variant,
            "level": level,
            **bootstrap.report(measure, len(hypotheses)),
            "num_predictions": len(hypotheses),
            "num_references": len(references),
        }
