"""The LSTM decoder from a code to a sequence, shared by autoencoders and recurrent one-shot generators."""

import torch
from torch import nn
from torch.nn import functional as F

from .modeling_latent_generation_utils import draw_tokens
from .modeling_recurrence_utils import run_recurrence


class RecurrentDecoder(nn.Module):
    """
    An LSTM that reads the embedding of the previous token and the code at each position, from a state of zeros. The
    first previous token is BOS, so its embedding is a learned start vector.

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

    def teacher_forced(self, codes: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
        """
        Scores given sequences.

        Args:
            codes (`torch.FloatTensor` of shape `(batch_size, code_size)`):
                The codes.
            sequences (`torch.LongTensor` of shape `(batch_size, length)`):
                The sequences; the LSTM reads the true token before each position.

        Returns:
            `torch.FloatTensor` of shape `(batch_size, length, vocab_size)`: the scores of the tokens.
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
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Decodes sequences, reading its own outputs.

        Args:
            codes (`torch.FloatTensor` of shape `(batch_size, code_size)`):
                The codes.
            length (`int`):
                Number of positions.
            decoder_input (`"greedy"`, `"soft"` or `"sample"`):
                Input from the position before: the embedding of its most probable token (through which no gradient
                flows), the mean of the embeddings under its probabilities, or the embedding of a drawn token.
            temperature (`float`, *optional*, defaults to `1.0`):
                Temperature of the draws.
            generator (`torch.Generator`, *optional*):
                Source of randomness.

        Returns:
            The scores, of shape `(batch_size, length, vocab_size)`, and the tokens, of shape `(batch_size, length)`:
            the draws, or the most probable ones.
        """
        rnn, embedding = self.rnn, self.embed_tokens.weight
        size = embedding.shape[1]
        with torch.autocast(codes.device.type, enabled=False):  # a state that is rounded at every step drifts
            weight_ih, weight_hh, bias_ih, bias_hh = rnn.all_weights[0]
            codes = codes.to(weight_hh.dtype)
            # The code adds the same to the gates of every position.
            constant = F.linear(codes, weight_ih[:, size:], bias_ih + bias_hh)  # (B, 4 * H)
            from_token, from_state = weight_ih[:, :size].T, weight_hh.T
            previous = embedding[self.bos_token_id].expand(len(codes), -1)
            hidden = cell = None
            scores, tokens = [], []
            for _ in range(length):
                gates = torch.addmm(constant, previous, from_token)
                if hidden is not None:
                    gates = torch.addmm(gates, hidden, from_state)
                input_gate, forget, candidate, output_gate = gates.chunk(4, dim=1)
                update = input_gate.sigmoid() * candidate.tanh()
                cell = update if cell is None else torch.addcmul(update, forget.sigmoid(), cell)
                hidden = output_gate.sigmoid() * cell.tanh()
                scores.append(self.lm_head(hidden))
                if decoder_input == "soft":
                    previous = scores[-1].softmax(-1) @ embedding
                    continue
                if decoder_input == "sample":
                    tokens.append(draw_tokens(scores[-1].detach(), temperature, generator))
                else:
                    tokens.append(scores[-1].argmax(-1))
                previous = F.embedding(tokens[-1], embedding)
        logits = torch.stack(scores, dim=1)
        return logits, torch.stack(tokens, dim=1) if tokens else logits.argmax(-1)


def _repeat(codes: torch.Tensor, length: int) -> torch.Tensor:
    return codes[:, None].expand(-1, length, -1)


__all__ = ["RecurrentDecoder"]
