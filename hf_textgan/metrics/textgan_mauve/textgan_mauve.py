"""MAUVE between generated and real texts, with named embeddings."""

import datasets
import evaluate

from hf_textgan.metrics.embeddings import embed, embedding_name
from hf_textgan.metrics.mauve_scores import mauve_score
from hf_textgan.metrics.module_inputs import FreeReferences
from hf_textgan.metrics.sentences import check_sentences


_CITATION = """\
@inproceedings{pillutla2021mauve,
  title = {{MAUVE}: Measuring the Gap Between Neural Text and Human Text using Divergence Frontiers},
  author = {Pillutla, Krishna and Swayamdipta, Swabha and Zellers, Rowan and Thickstun, John and Welleck, Sean and
    Choi, Yejin and Harchaoui, Zaid},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021}
}
"""

_DESCRIPTION = """\
MAUVE between generated and real texts, computed by the package mauve-text from embeddings that need no download
(random projections of words and word pairs) or from those of a transformer that the user names. From 0 to 1; higher is
closer. Only values with embeddings of GPT-2 large are comparable with published ones.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Generated texts, preferably at least 5,000.
    references (list of str): Real texts, the same number.
    embedding (str or model): "hashed-ngrams" (default), or the folder or repository of a transformer, or the model.
    tokenizer (str or tokenizer): The tokenizer of the transformer; by default the one beside it.
    dimension (int): The size of a "hashed-ngrams" embedding, by default 64.
    num_clusters (int): The number of clusters; by default a tenth of the smaller number of texts, at least 2.
    scaling (float): The constant c of the paper, by default 5.
    seed (int): The seed of the clustering, by default 0.

Returns:
    mauve (float): From 0 to 1.
    mauve_star (float): The same with half a text added to every cluster.
    frontier_integral (float): From 0; lower is closer.
    embedding (str): The name of the embedding, with its size.
    num_predictions (int), num_references (int), num_clusters (int), scaling (float), seed (int)

Examples:
    >>> from hf_textgan.metrics import load
    >>> textgan_mauve = load("textgan_mauve")
    >>> real = ["a dog runs ."] * 20 + ["two cats sleep on it"] * 20
    >>> results = textgan_mauve.compute(predictions=real, references=real, num_clusters=2)
    >>> round(results["mauve"], 3), results["embedding"]
    (1.0, 'hashed-ngrams-64')
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class TextganMauve(FreeReferences, evaluate.Metric):
    """MAUVE between generated and real texts, with named embeddings."""

    form_columns = ("predictions", "references")

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://arxiv.org/abs/2102.01454", "https://github.com/krishnap25/mauve"],
        )

    def _compute(
        self,
        predictions,
        corpus=None,
        embedding="hashed-ngrams",
        tokenizer=None,
        dimension=64,
        num_clusters=None,
        scaling=5.0,
        seed=0,
    ):
        corpus = check_sentences(corpus, "references", "texts")
        scores = mauve_score(
            embed(corpus, embedding, tokenizer, dimension),
            embed(predictions, embedding, tokenizer, dimension),
            num_clusters=num_clusters,
            scaling=scaling,
            seed=seed,
        )
        sizes = {"num_predictions": len(predictions), "num_references": len(corpus)}
        return {**scores, "embedding": embedding_name(embedding, dimension), **sizes}
