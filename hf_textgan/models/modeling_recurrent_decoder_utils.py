"""An LSTM that writes a sequence from a code: the decoder of autoencoders and of recurrent one-shot generators."""

import torch
from torch import nn
from torch.nn import functional as F

from .modeling_latent_generation_utils import draw_tokens
from .modeling_recurrence_utils import run_recurrence


class RecurrentDecoder(nn.Module):
    """
    At each position the LSTM reads the embedding of the previous symbol and the code, from a state of zeros; the first
    previous symbol is BOS, so its embedding is a start vector that is learned.

    Args:
        vocab_size, embedding_size, hidden_size, code_size (`int`):
            Sizes of the vocabulary, the embeddings, the state and the code.
        bos_token_id (`int`):
            The first input.
    """

    def __init__(self, vocab_size: int, embedding_size: int, hidden_size: int, code_size: int, bos_token_id: int):
        super().__init__()
        self.bos_token_id = bos_token_id
        self.embed_tokens = nn.Embedding(vocab_size, embedding_size)
        self.rnn = nn.LSTM(embedding_size + code_size, hidden_size, batch_first=True)
        self.lm_head = nn.Linear(hidden_size, vocab_size)

    def teacher_forced(self, codes: torch.Tensor, sequences: torch.LongTensor) -> torch.Tensor:
        """
        Args:
            codes (`torch.FloatTensor` of shape `(batch_size, code_size)`):
                The codes.
            sequences (`torch.LongTensor` of shape `(batch_size, length)`):
                What is to be written; each position is told the symbol before it.

        Returns:
            `torch.FloatTensor` of shape `(batch_size, length, vocab_size)`: the scores of the symbols.
        """
        bos = torch.full_like(sequences[:, :1], self.bos_token_id)
        embeds = self.embed_tokens(torch.cat([bos, sequences[:, :-1]], dim=1))
        hidden, _ = run_recurrence(self.rnn, torch.cat([embeds, _repeat(codes, sequences.shape[1])], dim=2))
        return self.lm_head(hidden)

    def free_running(
        self,
        codes: torch.Tensor,
        length: int,
        decoder_input: str,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.LongTensor]:
        """
        Writes from its own outputs.

        Args:
            codes (`torch.FloatTensor` of shape `(batch_size, code_size)`):
                The codes.
            length (`int`):
                Positions.
            decoder_input (`"greedy"`, `"soft"` or `"sample"`):
                What a position is told of the one before: the embedding of its most probable symbol (through which no
                gradient flows), the mean of the embeddings under its probabilities, or the embedding of a draw.
            temperature (`float`, *optional*, defaults to `1.0`):
                Of the draws.
            generator (`torch.Generator`, *optional*):
                Source of randomness.

        Returns:
            The scores, of shape `(batch_size, length, vocab_size)`, and the symbols of shape `(batch_size, length)`:
            the draws, or the most probable ones.
        """
        rnn, embedding = self.rnn, self.embed_tokens.weight
        size = embedding.shape[1]
        with torch.autocast(codes.device.type, enabled=False):  # a state that is rounded at every step drifts
            codes = codes.to(rnn.weight_hh_l0.dtype)
            # What the code adds to the gates is the same at every position.
            constant = F.linear(codes, rnn.weight_ih_l0[:, size:], rnn.bias_ih_l0 + rnn.bias_hh_l0)  # (B, 4 * H)
            from_symbol, from_state = rnn.weight_ih_l0[:, :size].T, rnn.weight_hh_l0.T
            previous = embedding[self.bos_token_id].expand(len(codes), -1)
            hidden = cell = None
            scores, symbols = [], []
            for _ in range(length):
                gates = torch.addmm(constant, previous, from_symbol)
                if hidden is not None:
                    gates = torch.addmm(gates, hidden, from_state)
                entry, forget, candidate, exit_ = gates.chunk(4, dim=1)
                update = entry.sigmoid() * candidate.tanh()
                cell = update if cell is None else torch.addcmul(update, forget.sigmoid(), cell)
                hidden = exit_.sigmoid() * cell.tanh()
                scores.append(self.lm_head(hidden))
                if decoder_input == "soft":
                    previous = scores[-1].softmax(-1) @ embedding
                    continue
                drawn = decoder_input == "sample"
                symbols.append(
                    draw_tokens(scores[-1].detach(), temperature, generator) if drawn else scores[-1].argmax(-1)
                )
                previous = F.embedding(symbols[-1], embedding)
        logits = torch.stack(scores, dim=1)
        return logits, torch.stack(symbols, dim=1) if symbols else logits.argmax(-1)


def _repeat(codes: torch.Tensor, length: int) -> torch.Tensor:
    return codes[:, None].expand(-1, length, -1)


__all__ = ["RecurrentDecoder"]
