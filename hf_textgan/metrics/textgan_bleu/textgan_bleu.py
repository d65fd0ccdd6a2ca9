"""Mean sentence BLEU of generated sentences against a whole set of real ones."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap, mean_measure
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences
from hf_textgan.metrics.ngrams import bleu_scores
from hf_textgan.metrics.sentences import tokenize
from hf_textgan.metrics.variants import BLEU_VARIANTS, choose


_DESCRIPTION = """\
The mean over generated sentences of their sentence BLEU, each against the whole set of test sentences: a measure of
quality that a lack of diversity does not change. The tools of the field compute it by definitions whose values differ
by up to 0.3. The argument `variant` selects a definition, and the result names it.
"""

_CITATION = """\
@inproceedings{zhu2018texygen,
  title = {Texygen: A Benchmarking Platform for Text Generation Models},
  author = {Zhu, Yaoming and Lu, Sidi and Zheng, Lei and Guo, Jiaxian and Zhang, Weinan and Wang, Jun and Yu, Yong},
  booktitle = {SIGIR},
  year = {2018},
}
@inproceedings{papineni2002bleu,
  title = {BLEU: a Method for Automatic Evaluation of Machine Translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {ACL},
  year = {2002},
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
    variant (`str`, *optional*, defaults to `"standard"`):
        `"standard"`: all predictions, all references, BLEU-2 to BLEU-5 with uniform weights, a count of 0 replaced by
        0.1 (method 1 of NLTK). `"texygen"`: the first 500 references. `"textgan-pytorch"`: the first 200 predictions,
        lower-cased, rounded to 3 places. `"relgan"`: the first 100 predictions. `"textbox"`: the precision of the
        n-grams of one length only. `"vgan"`: BLEU-2 only. `"textkd-gan"`: the first 640 predictions, BLEU-2 to
        BLEU-4, no brevity penalty.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    variant (`str`): The name of the definition.
    bleu_2 to bleu_5 (`float`): From 0 to 1, higher is closer to the references.
    num_predictions (`int`): The number of scored predictions.
    num_references (`int`): The number of references.
    bleu_n_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and the
        numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> references = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]
    >>> bleu = load("textgan_bleu")
    >>> result = bleu.compute(predictions=["a cat sat here", "dog"], references=references)
    >>> result["variant"], result["num_predictions"], result["num_references"]
    ('standard', 2, 3)
    >>> round(result["bleu_2"], 5)
    0.31794
    >>> bleu.compute(predictions=["a cat sat here", "dog"], references=references, variant="vgan").keys()
    dict_keys(['variant', 'bleu_2', 'num_predictions', 'num_references'])
"""


class TextganBleu(FreeReferences, CheckedSentences, evaluate.Metric):
    """Mean sentence BLEU of generated sentences against a whole set of real ones."""

    form_columns = ("predictions", "references")

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[datasets.Features({"predictions": one}) for one in (text, datasets.Sequence(text))],
            reference_urls=["https://arxiv.org/abs/1802.01886"],
        )

    def _compute(self, predictions, corpus=None, variant="standard", num_bootstrap=0, confidence=0.95, seed=0) -> dict:
        options = choose(BLEU_VARIANTS, variant)
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        hypotheses = tokenize(predictions, "predictions", lower_case=options.lower_case)
        references = tokenize(corpus, "references", lower_case=options.lower_case)
        hypotheses = sorted(hypotheses[: options.max_predictions])  # intervals do not depend on the order
        references = references[: options.max_references]
        scores = bleu_scores(hypotheses, references, max(options.orders), options.cumulative, options.brevity_penalty)
        measure = mean_measure({f"bleu_{order}": scores[order] for order in options.orders})
        return {
            "variant": variant,
            **bootstrap.report(measure, len(hypotheses), options.digits),
            "num_predictions": len(hypotheses),
            "num_references": len(references),
        }
