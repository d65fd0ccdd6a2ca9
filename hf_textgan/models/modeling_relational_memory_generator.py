"""A language model with a relational memory core: the generator of RelGAN."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_relational_memory_generator import RelationalMemoryGeneratorConfig
from .modeling_outputs import CACHE_NAME, RecurrentState
from .modeling_recurrent_generator import RecurrentLanguageModel, check_labels, one_state


class JointLayerNorm(nn.Module):
    """Layer normalization with the statistics of all rows of a memory together, and gain and bias per column."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        shape = rows.shape[-2:]
        return F.layer_norm(rows, shape, self.weight.expand(shape), self.bias.expand(shape))


class RelationalMemory(nn.Module):
    """
    The relational memory core (Santoro et al. 2018, arXiv 1806.01822; RelGAN, section 2.2). A step appends the input
    as a row to the memory ``M``, lets all rows attend to each other, and gates what becomes of the rows of the memory:

    - ``A = softmax(q k^T / sqrt(head_size)) v`` of the heads, joined, with ``q, k, v = LN(M+ W)``;
    - ``M+ := LN(M+ + A)``, ``M+ := LN(M+ + MLP(M+))``, and the row of the input is dropped, which leaves ``Mt``;
    - ``M' = s(i) tanh(Mt) + s(f) M`` with the scores ``i, f = x U + tanh(M) W_g`` and their biases.
    """

    def __init__(self, config: RelationalMemoryGeneratorConfig):
        super().__init__()
        size = config.memory_size
        self.num_heads, self.num_blocks = config.num_heads, config.num_blocks
        self.input_bias, self.forget_bias = config.input_bias, config.forget_bias
        self.input_projection = nn.Linear(config.embedding_size, size)
        self.attention = nn.Linear(size, 3 * size, bias=False)  # q, k and v of a head are side by side
        self.attention_norm = JointLayerNorm(3 * size)
        self.norm1, self.norm2 = JointLayerNorm(size), JointLayerNorm(size)
        self.mlp = nn.ModuleList(nn.Linear(size, size) for _ in range(config.num_mlp_layers))
        self.num_gates = {"unit": size, "memory": 1, "none": 0}[config.gate_style]
        if self.num_gates:
            self.input_gates = nn.Linear(size, 2 * self.num_gates, bias=False)
            self.memory_gates = nn.Linear(size, 2 * self.num_gates, bias=False)

    def project(self, embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Returns what the steps need of their inputs `(..., embedding_size)`, for all steps at once: the rows that are
        appended, `(..., memory_size)`, and their parts of the scores of the gates.
        """
        rows = self.input_projection(embeds)
        return rows, self.input_gates(rows) if self.num_gates else None

    def forward(self, memory: torch.Tensor, row: torch.Tensor, gates: torch.Tensor | None) -> torch.Tensor:
        """
        Returns the memory after a step.

        Args:
            memory (`torch.FloatTensor` of shape `(batch_size, num_slots, memory_size)`):
                The memory before.
            row (`torch.FloatTensor` of shape `(batch_size, memory_size)`):
                The input of the step, projected.
            gates (`torch.FloatTensor` of shape `(batch_size, 2 * num_gates)`, *optional*):
                Its part of the scores of the gates.
        """
        rows = torch.cat([memory, row[:, None].to(memory.dtype)], dim=1)  # (B, N + 1, m)
        for _ in range(self.num_blocks):
            rows = self._block(rows)
        new = rows[:, :-1]
        if gates is None:
            return new
        scores = gates[:, None] + self.memory_gates(torch.tanh(memory))
        input_gate, forget_gate = scores.chunk(2, dim=-1)  # (B, N, m or 1) each
        forgotten = torch.sigmoid(forget_gate + self.forget_bias) * memory
        return torch.addcmul(forgotten, torch.sigmoid(input_gate + self.input_bias), torch.tanh(new))

    def _block(self, rows: torch.Tensor) -> torch.Tensor:
        batch_size, num_rows, size = rows.shape
        heads = self.attention_norm(self.attention(rows)).view(batch_size, num_rows, self.num_heads, -1)
        query, key, value = heads.transpose(1, 2).chunk(3, dim=-1)  # (B, heads, N + 1, head_size)
        read = F.scaled_dot_product_attention(query, key, value)
        rows = self.norm1(rows + read.transpose(1, 2).reshape(batch_size, num_rows, size))
        hidden = rows
        for layer in self.mlp[:-1]:
            hidden = F.relu(layer(hidden))
        return self.norm2(rows + self.mlp[-1](hidden))


class RelationalMemoryGeneratorForCausalLM(RecurrentLanguageModel):
    """
    Embedding, relational memory, linear output: the generator of RelGAN (Nie, Narodytska, Patel, ICLR 2019, OpenReview
    rJedV3R5tm). The memory begins as the first rows of the identity, and padding does not change it.

    Queries come from all rows, as in the official code; those of the paper come from the memory alone. The scale of
    the queries is the paper's, ``1 / sqrt(head_size)``.
    """

    config: RelationalMemoryGeneratorConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = RelationalMemoryGeneratorConfig
    auto_classes = ("AutoModelForCausalLM",)

    def __init__(self, config: RelationalMemoryGeneratorConfig):
        super().__init__(config)  # pyright: ignore[reportArgumentType]
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.memory = RelationalMemory(config)
        self.lm_head = nn.Linear(config.num_slots * config.memory_size, config.vocab_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding | nn.Linear):
            fan_in = module.num_embeddings if isinstance(module, nn.Embedding) else module.in_features
            std = fan_in**-0.5
            init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, JointLayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    def initial_memory(self, num_rows: int) -> torch.Tensor:
        """Returns the memory before the first token, of shape `(num_rows, num_slots, memory_size)`."""
        identity = torch.eye(self.config.num_slots, self.config.memory_size, device=self.device, dtype=self.dtype)
        return identity.expand(num_rows, -1, -1)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        cache: RecurrentState | None = None,
        past_key_values: RecurrentState | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Token ids; give exactly one of `input_ids` and `inputs_embeds`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, past_length + sequence_length)`, *optional*):
                1 for real tokens, 0 for padding on either side; padding does not change the memory.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings instead of ids.
            cache (`RecurrentState`, *optional*):
                The memory after the tokens already read.
            past_key_values (`RecurrentState`, *optional*):
                The same state, under its name in `generate` of transformers before 5.24.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Usually `input_ids` with -100 at padding; shifted inside the model.
            logits_to_keep (`int`, *optional*, defaults to `0`):
                Number of last positions whose logits are computed; 0 for all positions.

        Returns:
            [`~transformers.modeling_outputs.CausalLMOutputWithPast`], as of [`RecurrentGeneratorForCausalLM`]. The
            second of its `hidden_states` is the memory after each token, of shape
            `(batch_size, sequence_length, num_slots * memory_size)`.
        """
        embeds = self._embeds(input_ids, inputs_embeds)  # (B, L, E)
        cache = one_state(cache, past_key_values)
        options = self._with_defaults(use_cache, output_hidden_states, return_dict)
        use_cache, output_hidden_states, return_dict = options
        length = embeds.shape[1]
        mask = attention_mask[:, -length:] != 0 if attention_mask is not None else None
        if mask is not None and bool(mask.all()):
            mask = None

        memory = self.initial_memory(len(embeds)) if cache is None else cache.tensors[0].transpose(0, 1)
        memories = []
        # A state that is rounded at every step drifts.
        with torch.autocast(embeds.device.type, enabled=False):
            rows, gates = self.memory.project(embeds.to(self.dtype))
            for position in range(length):
                new = self.memory(memory, rows[:, position], None if gates is None else gates[:, position])
                memory = new if mask is None else torch.where(mask[:, position, None, None], new, memory)
                memories.append(memory)
        width = self.lm_head.in_features
        hidden = torch.stack(memories, dim=1).flatten(2) if memories else embeds.new_empty(len(embeds), 0, width)
        kept = hidden[:, -logits_to_keep:] if logits_to_keep else hidden
        logits = self.lm_head(kept)

        loss = None
        if labels is not None:
            check_labels(logits_to_keep)
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        state = RecurrentState((memory.transpose(0, 1),), length + (cache.length if cache is not None else 0))
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=(embeds, hidden) if output_hidden_states else None,
            **{CACHE_NAME: state if use_cache else None},  # pyright: ignore[reportArgumentType]
        )
        return output if return_dict else output.to_tuple()


__all__ = ["RelationalMemoryGeneratorForCausalLM"]
