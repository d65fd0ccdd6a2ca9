"""Mean sentence BLEU of each generated sentence against the other generated ones."""

import datasets
import evaluate

from hf_textgan.metrics.bootstrap import Bootstrap, mean_measure
from hf_textgan.metrics.module_inputs import CheckedSentences, FreeReferences, refuse_references
from hf_textgan.metrics.ngrams import bleu_scores, self_bleu_scores
from hf_textgan.metrics.sentences import tokenize
from hf_textgan.metrics.variants import SELF_BLEU_VARIANTS, choose


_DESCRIPTION = """\
The mean over generated sentences of their sentence BLEU, each against all the other generated sentences: high values
show a lack of diversity. It grows with the number of sentences, so compare it with that of as many real sentences. The
argument `variant` selects the definition of a tool, and the result names it.
"""

_CITATION = """\
@inproceedings{zhu2018texygen,
  title = {Texygen: A Benchmarking Platform for Text Generation Models},
  author = {Zhu, Yaoming and Lu, Sidi and Zheng, Lei and Guo, Jiaxian and Zhang, Weinan and Wang, Jun and Yu, Yong},
  booktitle = {SIGIR},
  year = {2018},
}
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[str]` or `list[list[str]]`):
        The generated sentences, at least 2. Strings are split into words at blanks, lists of tokens stay.
    references (`list[str]` or `list[list[str]]`, *optional*):
        Only with `variant="textgan-pytorch"`: the other generated sentences, any number of them.
    variant (`str`, *optional*, defaults to `"standard"`):
        `"standard"`: each prediction against all the others, Self-BLEU-2 to Self-BLEU-5 with uniform weights, a count
        of 0 replaced by 0.1 (method 1 of NLTK). `"texygen"`: among the first 500. `"textgan-pytorch"`: the first 200
        against other generated sentences, passed as references, lower-cased, Self-BLEU-2 to Self-BLEU-4 rounded to 3
        places. `"relgan"`: the first 200 against all, themselves included, which gives 1 for all sentences.
        `"textbox"`: the precision of the n-grams of one length only.
    num_bootstrap (`int`, *optional*, defaults to 0):
        The number of bootstrap samples of the predictions for an interval, 0 for none. Each prediction is compared
        with the same sentences in all samples.
    confidence (`float`, *optional*, defaults to 0.95):
        The confidence of the interval.
    seed (`int`, *optional*, defaults to 0):
        The seed of the bootstrap.

Returns:
    variant (`str`): The name of the definition.
    self_bleu_2 to self_bleu_5 (`float`): From 0 to 1, lower is more diverse.
    num_predictions (`int`): The number of scored predictions.
    num_references (`int`): The number of sentences that each one is compared with.
    self_bleu_n_interval (`list[float]`): Only with `num_bootstrap`: the lower and the upper end for each value, and
        the numbers `num_bootstrap`, `confidence` and `seed`.

Raises:
    ValueError: If there are no sentences, a sentence is empty, or an argument has an unknown value.
    TypeError: If the sentences are missing, or neither strings nor lists of strings.

Examples:

    >>> from hf_textgan.metrics import load
    >>> predictions = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]
    >>> result = load("self_bleu").compute(predictions=predictions)
    >>> result["variant"], result["num_predictions"], result["num_references"]
    ('standard', 3, 2)
    >>> round(result["self_bleu_2"], 5), round(result["self_bleu_3"], 5)
    (0.49605, 0.3288)
"""


class SelfBleu(FreeReferences, CheckedSentences, evaluate.Metric):
    """Mean sentence BLEU of each generated sentence against the other generated ones."""

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
        options = choose(SELF_BLEU_VARIANTS, variant)
        bootstrap = Bootstrap(num_bootstrap, confidence, seed)
        sentences = tokenize(predictions, "predictions", lower_case=options.lower_case)
        hypotheses = sorted(sentences[: options.max_predictions])  # intervals do not depend on the order
        if options.against == "references":
            references = tokenize(corpus, "references", lower_case=options.lower_case)
        else:
            refuse_references(corpus, f"The variant {variant!r} compares the predictions with each other")
            references = sentences if options.against == "all" else None
        limits = (max(options.orders), options.cumulative, options.brevity_penalty)
        if references is None:
            scores = self_bleu_scores(hypotheses, *limits)
        else:
            scores = bleu_scores(hypotheses, references, *limits)
        measure = mean_measure({f"self_bleu_{order}": scores[order] for order in options.orders})
        return {
            "variant": variant,
            **bootstrap.report(measure, len(hypotheses), options.digits),
            "num_predictions": len(hypotheses),
            "num_references": len(hypotheses) - 1 if references is None else len(references),
        }
