"""The negative log-likelihood of texts or token ids under a causal language model."""

import datasets
import evaluate

from hf_textgan.metrics.likelihood_scores import nll_scores
from hf_textgan.metrics.module_inputs import PredictionsOnly


_CITATION = """\
@inproceedings{yu2017seqgan,
  title = {{SeqGAN}: Sequence Generative Adversarial Nets with Policy Gradient},
  author = {Yu, Lantao and Zhang, Weinan and Wang, Jun and Yu, Yong},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2017}
}
"""

_DESCRIPTION = """\
The negative log-likelihood of texts or token ids under a causal language model, in nats, per token and per sequence:
of held-out text under the generator (NLL-test, the perplexity), of generated sequences under the oracle that wrote the
training data (NLL-oracle), or of the generator's own samples under itself (NLL-div, its entropy). The model reads BOS
first, the EOS counts as a token, padding does not.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str, or list of lists of int): Texts, to which EOS is added; or token ids without BOS, which
        are truncated after their first EOS, so padding may follow it.
    model (str or model): The folder or repository of a causal language model, or the model.
    tokenizer (str or tokenizer): The tokenizer for texts; by default the one beside the model.
    bos_token_id (int), eos_token_id (int): The special tokens; by default those of the model.
    num_bootstrap (int): The number of bootstrap samples of the sequences for an interval, by default 0.
    confidence (float): The confidence of the interval, by default 0.95.
    seed (int): The seed of the bootstrap, by default 0.
    trust_remote_code (bool): Whether the code of a repository may run, by default False.

Returns:
    nll_per_token (float), nll_per_sequence (float): In nats.
    perplexity (float): exp(nll_per_token).
    num_tokens (int): EOS included.
    num_sequences (int)
    nll_per_token_interval (list of 2 float), num_bootstrap (int), confidence (float), seed (int): With num_bootstrap.

Examples:
    >>> from hf_textgan.metrics import load
    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> config = GPT2Config(vocab_size=10, n_layer=1, n_embd=4, n_head=1, bos_token_id=1, eos_token_id=2)
    >>> model = GPT2LMHeadModel(config)
    >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # all tokens are equally probable
    >>> textgan_nll = load("textgan_nll")
    >>> results = textgan_nll.compute(predictions=[[3, 4, 2, 0, 0], [5, 2]], model=model)
    >>> round(results["perplexity"], 3), results["num_tokens"], results["num_sequences"]
    (10.0, 5, 2)
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class TextganNLL(PredictionsOnly, evaluate.Metric):
    """The negative log-likelihood of texts or token ids under a causal language model."""

    def form_arguments(self, predictions):
        return {"model": "openai-community/gpt2"}

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": datasets.Sequence(datasets.Value("int64"))}),
                datasets.Features({"predictions": datasets.Value("string")}),
            ],
            reference_urls=["https://arxiv.org/abs/1609.05473"],
        )

    def compute(self, *, predictions=None, **kwargs):
        """Computes the metric.

        Args: see below.
        """
        # evaluate takes the form of the first prediction, and its error for other forms does not name the prediction.
        if predictions is not None and len(predictions) == 0:
            raise ValueError("There are 0 predictions; pass at least 1 text or sequence.")
        for index, prediction in enumerate(() if predictions is None else predictions):
            if not isinstance(prediction, str) and not hasattr(prediction, "__len__"):
                raise TypeError(f"predictions[{index}] is {prediction!r}; pass texts or lists of token ids.")
        return super().compute(predictions=predictions, **kwargs)

    def _compute(
        self,
        predictions,
        model=None,
        tokenizer=None,
        bos_token_id=None,
        eos_token_id=None,
        num_bootstrap=0,
        confidence=0.95,
        seed=0,
        trust_remote_code=False,
    ):
        if model is None:
            raise TypeError("model is missing; pass model, the folder or repository of a causal language model.")
        return nll_scores(
            model,
            predictions,
            tokenizer=tokenizer,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            num_bootstrap=num_bootstrap,
            confidence=confidence,
            seed=seed,
            trust_remote_code=trust_remote_code,
        )
