"""The likelihood of samples under the oracle of the synthetic task."""

from transformers import PreTrainedModel

from ..sampling.engine import RolloutEngine
from ..sampling.samples import Samples


class OracleMetrics:
    """
    NLL-oracle: the mean negative log-likelihood of generated sequences under the oracle, in nats per token,
    ``- E_{y ~ G} [ 1/T sum_t log p_oracle(y_t | y_<t) ]`` (SeqGAN, arXiv 1609.05473, equation 15, which sums over t;
    every published value is a mean per token).

    A generator that only sharpens its distribution lowers it as well. Read it together with the likelihood of held-out
    oracle samples under the generator (NLL-test) and the entropy of the generator (NLL-div).

    Args:
        oracle (`PreTrainedModel`):
            The oracle, a causal language model.
    """

    def __init__(self, oracle: PreTrainedModel):
        self.oracle = oracle

    def __call__(self, samples: Samples) -> dict[str, float]:
        bos = self.oracle.config.bos_token_id
        logps = RolloutEngine(samples.sequences.shape[1], bos, bos).score(self.oracle, samples)
        return {"nll_oracle": -float(logps.double().sum()) / float(samples.attention_mask.sum())}


__all__ = ["OracleMetrics"]
