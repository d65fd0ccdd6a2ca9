"""The share of generated texts in the requested category."""

import datasets
import evaluate

from hf_textgan.metrics.category import category_accuracy
from hf_textgan.metrics.module_inputs import PredictionsOnly
from hf_textgan.metrics.sentences import split_texts


_CITATION = """\
@inproceedings{wang2018sentigan,
  title = {{SentiGAN}: Generating Sentimental Texts via Mixture Adversarial Networks},
  author = {Wang, Ke and Wan, Xiaojun},
  booktitle = {International Joint Conference on Artificial Intelligence},
  year = {2018}
}
"""

_DESCRIPTION = """\
The share of generated texts that a classifier of real texts assigns to the requested category, in total and by
category, and the accuracy of the same classifier on real test text. The classifier is a multinomial logistic
regression on words and word pairs. It should learn from real text that is used neither to train nor to test the
generator. Higher is better up to the accuracy on real text; above it the generator writes caricatures.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Generated texts, split into words at blanks.
    requested (list): The requested label of each.
    train (list of str), train_labels (list): Held-out real texts and their labels, for the classifier.
    test (list of str), test_labels (list): Real test texts and their labels, for the accuracy to compare with.
    l2 (float): The weight decay of the classifier, by default 1.0.
    num_bootstrap (int): The number of bootstrap samples of the generated texts for an interval, by default 0.
    confidence (float): The confidence of the interval, by default 0.95.
    seed (int): The seed of the bootstrap, by default 0.

Returns:
    accuracy (float), real_accuracy (float): From 0 to 1.
    accuracy_<label> (float), real_accuracy_<label> (float): The same for each label; NaN without texts.
    num_generated (int), num_test (int), num_train (int): The numbers of texts.
    accuracy_interval (list of 2 float), num_bootstrap (int), confidence (float), seed (int): Only with num_bootstrap.

Examples:
    >>> from hf_textgan.metrics import load
    >>> metric = load("category_accuracy")
    >>> results = metric.compute(
    ...     predictions=["a great film", "a dull plot", "a great cast"],
    ...     requested=["pos", "neg", "neg"],
    ...     train=["a great story", "great fun", "a dull story", "so dull"],
    ...     train_labels=["pos", "pos", "neg", "neg"],
    ...     test=["great", "dull"],
    ...     test_labels=["pos", "neg"],
    ... )
    >>> round(results["accuracy"], 4), results["accuracy_neg"], results["accuracy_pos"], results["real_accuracy"]
    (0.6667, 0.5, 1.0, 1.0)
"""

# The web form shows how many of its texts a tiny classifier calls positive.
_FORM_TEXTS = ["a great film", "great fun", "a moving story", "a dull film", "no fun at all", "a boring story"]
_FORM_LABELS = ["positive"] * 3 + ["negative"] * 3


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class CategoryAccuracy(PredictionsOnly, evaluate.Metric):
    """The share of generated texts in the requested category."""

    def form_arguments(self, predictions):
        real = {"train": _FORM_TEXTS, "train_labels": _FORM_LABELS, "test": _FORM_TEXTS, "test_labels": _FORM_LABELS}
        return {"requested": ["positive"] * len(predictions), **real}

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://www.ijcai.org/proceedings/2018/618"],
        )

    def _compute(
        self,
        predictions,
        requested=None,
        train=None,
        train_labels=None,
        test=None,
        test_labels=None,
        l2=1.0,
        num_bootstrap=0,
        confidence=0.95,
        seed=0,
    ):
        requested = _require_labels("requested", requested)
        train_labels = _require_labels("train_labels", train_labels)
        test_labels = _require_labels("test_labels", test_labels)
        return category_accuracy(
            split_texts(predictions, "predictions"),
            requested,
            split_texts(train, "train"),
            train_labels,
            split_texts(test, "test"),
            test_labels,
            l2=l2,
            num_bootstrap=num_bootstrap,
            confidence=confidence,
            seed=seed,
        )


def _require_labels(name, labels):
    if labels is None:
        raise TypeError(f"{name} is missing; pass {name}=[...], a label for each text.")
    return labels
