"""The Frechet distance between embeddings of two sets of texts."""

import datasets
import evaluate

from hf_textgan.metrics.embeddings import embed, embedding_name
from hf_textgan.metrics.frechet import frechet_distance
from hf_textgan.metrics.module_inputs import FreeReferences
from hf_textgan.metrics.sentences import check_sentences


_CITATION = """\
@inproceedings{heusel2017gans,
  title = {{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium},
  author = {Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}
@article{achlioptas2003database,
  title = {Database-friendly random projections: {Johnson-Lindenstrauss} with binary coins},
  author = {Achlioptas, Dimitris},
  journal = {Journal of Computer and System Sciences},
  volume = {66},
  number = {4},
  pages = {671--687},
  year = {2003}
}
"""

_DESCRIPTION = """\
The squared Frechet distance between the normal distributions that have the means and covariances of the embeddings of
generated and of real texts. The embeddings are random projections of words and word pairs, which need no trained model
and are the same on every machine, or those of a transformer that the user names. Lower is closer. Distances are not
comparable between different embeddings, sizes of embeddings or numbers of texts.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): Generated texts, at least 2; 10,000 are better.
    references (list of str): Real texts, the same number.
    embedding (str or model): "hashed-ngrams" (default), or the folder or repository of a transformer, or the model.
    tokenizer (str or tokenizer): The tokenizer of the transformer; by default the one beside it.
    dimension (int): The size of a "hashed-ngrams" embedding, by default 64.

Returns:
    frechet_embedding_distance (float): From 0.
    embedding (str): The name of the embedding, with its size.
    dimension (int): The size of an embedding.
    num_predictions (int), num_references (int): The numbers of texts.

Examples:
    >>> from hf_textgan.metrics import load
    >>> metric = load("frechet_embedding_distance")
    >>> real = ["a dog runs .", "a cat runs .", "a dog sleeps ."]
    >>> results = metric.compute(predictions=["a cat sleeps .", "a dog runs .", "runs cat"], references=real)
    >>> round(results["frechet_embedding_distance"], 4), results["embedding"]
    (0.7727, 'hashed-ngrams-64')
    >>> results = metric.compute(predictions=real, references=real)
    >>> abs(results["frechet_embedding_distance"]) < 1e-6
    True
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class FrechetEmbeddingDistance(FreeReferences, evaluate.Metric):
    """The Frechet distance between embeddings of two sets of texts."""

    form_columns = ("predictions", "references")

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
            reference_urls=["https://arxiv.org/abs/1706.08500"],
        )

    def _compute(
        self,
        predictions,
        corpus=None,
        embedding="hashed-ngrams",
        tokenizer=None,
        dimension=64,
    ):
        corpus = check_sentences(corpus, "references", "texts")
        generated_points = embed(predictions, embedding, tokenizer, dimension)
        real_points = embed(corpus, embedding, tokenizer, dimension)
        return {
            "frechet_embedding_distance": frechet_distance(generated_points, real_points),
            "embedding": embedding_name(embedding, dimension),
            "dimension": real_points.shape[1],
            "num_predictions": len(generated_points),
            "num_references": len(real_points),
        }
