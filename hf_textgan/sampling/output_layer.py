"""The scores of tokens in the form that CPUs compute fastest."""

import math

import torch
from torch.nn import functional as F


LOG2_E = 1 / math.log(2)
ROW_BATCH_SIZE = 256  # rows whose scores are in memory together
_MAX_EXPONENT = 90.0  # 2^90 times any vocabulary is finite in single precision, and 2^-90 is not 0


class OutputLayer:
    """
    The output layer of a language model for draws and likelihoods on CPU, in single precision.

    The scores are transposed, with a row per token: the matrix product is then up to twice as fast, and sums over
    tokens run over whole rows. The bias is one more column of the weights, multiplied by a 1 at the end of each input.
    The scores are logarithms to the base 2, because powers of 2 take half the time of those of e.

    Args:
        weight (`torch.FloatTensor` of shape `(vocab_size, hidden_size)`):
            The weights; `hidden_size` is H below.
        bias (`torch.FloatTensor` of shape `(vocab_size,)`, *optional*):
            The bias.
        temperature (`float`, *optional*, defaults to `1.0`):
            Divisor of the scores.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None, temperature: float = 1.0):
        weight = weight.detach()
        self.vocab_size = len(weight)
        self.factor = LOG2_E / temperature  # of the inputs, unless a copy of the weights is scaled
        if bias is not None:
            weight = torch.cat([weight, bias.detach()[:, None]], dim=1).mul_(self.factor)
            self.factor = 1.0
        self.has_bias = bias is not None
        self.weight = weight  # (V, H or H + 1)
        self.norm = float(torch.linalg.vector_norm(weight, dim=1).max())

    def inputs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns the factors of `weight`, of shape `(num_rows, H or H + 1)`."""
        hidden = hidden.detach()
        return F.pad(hidden, (0, 1), value=1.0) if self.has_bias else hidden * self.factor

    def powers(self, inputs: torch.Tensor, out: torch.Tensor) -> torch.Tensor | None:
        """
        Writes 2 to the power of the scores into `out`, of shape `(vocab_size, num_rows)`: unnormalised probabilities.

        Returns:
            `torch.FloatTensor` of shape `(num_rows,)`: the largest scores, subtracted first so that the powers are
            finite and not all 0; `None` if nothing was subtracted, because no score can be large (Cauchy-Schwarz).
        """
        torch.mm(self.weight, inputs.T, out=out)
        largest = None
        norm = float(torch.linalg.vector_norm(inputs, dim=1).max()) if len(inputs) else 0.0
        if not norm * self.norm <= _MAX_EXPONENT:  # also if it is NaN
            largest = out.amax(dim=0)
            out.sub_(largest)
        out.exp2_()
        return largest


__all__ = ["LOG2_E", "ROW_BATCH_SIZE", "OutputLayer"]
