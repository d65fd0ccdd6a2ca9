"""Texts and a few independent computations that several test files of metrics share."""

import math
import random

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu


NGRAM_METRICS = ["distinct_n", "ms_jaccard", "ngram_jsd", "novelty", "self_bleu", "textgan_bleu"]
WITH_REFERENCES = ["ms_jaccard", "ngram_jsd", "novelty", "textgan_bleu"]


REFERENCES = ["the cat sat on the mat", "a cat is on the mat today", "there is a cat here"]


REAL_TEXT_LABEL = [
    "a dog runs .",
    "a cat runs .",
    "a dog sleeps .",
    "two cats sleep here .",
    "a dog and a cat sleep .",
]


TEXTS = ["a cat sleeps .", "runs cat", "two dogs run .", "a dog runs ."]


def random_texts(seed, count, vocabulary="abcde", longest=9, shortest=1):
    rng = random.Random(seed)
    return [" ".join(rng.choices(vocabulary, k=rng.randint(shortest, longest))) for _ in range(count)]


def nltk_scores(hypotheses, references, weights):
    """Per hypothesis; `references` are those of each hypothesis."""
    method = SmoothingFunction().method1
    return [
        sentence_bleu(
            [text.split() for text in compared], hypothesis.split(), weights=weights, smoothing_function=method
        )
        for hypothesis, compared in zip(hypotheses, references, strict=True)
    ]


def mean(values):
    return math.fsum(values) / len(values)


def compute(modules, name, predictions, references=None, **options):
    return modules[name].compute(predictions=predictions, references=references, **options)
