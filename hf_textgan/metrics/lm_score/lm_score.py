"""The negative log-likelihood of texts under an n-gram model of other texts."""

import datasets
import evaluate

from hf_textgan.metrics.language_model import forward_nll, reverse_nll, training_vocabulary
from hf_textgan.metrics.module_inputs import FreeReferences
from hf_textgan.metrics.sentences import split_texts


_CITATION = """\
@article{chen1999empirical,
  title = {An empirical study of smoothing techniques for language modeling},
  author = {Chen, Stanley F. and Goodman, Joshua},
  journal = {Computer Speech and Language},
  volume = {13},
  number = {4},
  pages = {359--394},
  year = {1999}
}
@inproceedings{zhao2018adversarially,
  title = {Adversarially Regularized Autoencoders},
  author = {Zhao, Junbo and Kim, Yoon and Zhang, Kelly and Rush, Alexander M. and LeCun, Yann},
  booktitle = {International Conference on Machine Learning},
  year = {2018}
}
"""

_DESCRIPTION = """\
The negative log-likelihood per token under an n-gram language model with interpolated modified Kneser-Ney smoothing.
Forward: the model learns from real texts and scores generated ones, which measures quality. Reverse: it learns from
generated texts and scores real held-out ones, which measures quality and diversity. The vocabulary is closed, all
other words are one unknown word, and the end of a text counts as a token. Lower is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Generated texts, split into words at blanks.
    references (list of str): Real texts: the training text of the model for "forward", held-out text for "reverse".
    direction (str): "forward" (default) or "reverse".
    train (list of str): For "reverse" the real training texts. Only their vocabulary is used: the words that occur at
        least twice. For "forward" the vocabulary is that of `references`.
    vocabulary (list of str): The known words, in place of these. Compare generators with the same vocabulary only.
    order (int): The longest n-grams, by default 5.
    num_bootstrap (int): The number of bootstrap samples of the scored texts for an interval, by default 0.
    confidence (float): The confidence of the interval, by default 0.95.
    seed (int): The seed of the bootstrap, by default 0.

Returns:
    nll_per_token (float): In nats, over words and ends.
    perplexity (float): exp(nll_per_token).
    unknown_share (float): The share of unknown words in the scored texts.
    train_unknown_share (float): The share of unknown words in the texts that the model learned from.
    num_tokens (int), num_sentences (int): The numbers of scored tokens, ends included, and of scored texts.
    num_train_sentences (int): The number of texts that the model learned from.
    vocabulary_size (int), order (int), direction (str)
    nll_per_token_interval (list of 2 float), num_bootstrap (int), confidence (float), seed (int): With num_bootstrap.

Examples:
    >>> from hf_textgan.metrics import load
    >>> lm_score = load("lm_score")
    >>> real = ["a dog runs .", "a cat runs .", "a dog sleeps ."]
    >>> results = lm_score.compute(predictions=["a cat sleeps .", "runs cat"], references=real)
    >>> round(results["nll_per_token"], 4), results["num_tokens"]
    (1.7484, 8)
    >>> held_out = ["a cat sleeps .", "a dog runs ."]
    >>> results = lm_score.compute(
    ...     predictions=["a cat sleeps .", "runs cat"], references=held_out, direction="reverse", train=real
    ... )
    >>> round(results["nll_per_token"], 4), results["num_train_sentences"]
    (1.1723, 2)
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class LMScore(FreeReferences, evaluate.Metric):
    """The negative log-likelihood of texts under an n-gram model of other texts."""

    form_columns = ("predictions", "references")

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://arxiv.org/abs/1706.04223"],
        )

    def _compute(
        self,
        predictions,
        corpus=None,
        direction="forward",
        train=None,
        vocabulary=None,
        order=5,
        num_bootstrap=0,
        confidence=0.95,
        seed=0,
    ):
        generated, references = split_texts(predictions, "predictions"), split_texts(corpus, "references")
        options = {"order": order, "num_bootstrap": num_bootstrap, "confidence": confidence, "seed": seed}
        if direction == "forward":
            scores = forward_nll(references, generated, vocabulary, **options)
        elif direction == "reverse":
            if vocabulary is None and train is None:
                raise ValueError(
                    "direction='reverse' needs a vocabulary that does not depend on the generator; pass train, the "
                    "real training texts, or vocabulary, their words."
                )
            if vocabulary is None:
                vocabulary = training_vocabulary(split_texts(train, "train"))
            scores = reverse_nll(generated, references, vocabulary, **options)
        else:
            raise ValueError(f"direction={direction!r} is unknown; use 'forward' or 'reverse'.")
        return {**scores, "direction": direction}
