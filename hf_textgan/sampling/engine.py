"""
Sampling, Monte-Carlo rollouts and log-probabilities for any causal language model.

A generator that keeps a state between steps returns it under one of the names that `generate` accepts (a key-value
cache, or the recurrent state of the generators of this package), and the state has `reorder_cache`. Nothing else is
assumed, so the same engine samples from an LSTM and from a pretrained transformer.

What a generator reads beside tokens (labels, latents, noise, conditions; see `inputs`) is part of its samples: it is
drawn with them and read again when they are scored, and a completion keeps that of its prefix.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..models.modeling_latent_generation_utils import truncate_at_eos
from .capabilities import capabilities_of
from .categorical import check_sampling
from .inputs import arguments_of, bare_model, draw_missing, inputs_of_columns
from .likelihood import linear_logps
from .reader import Reader, evaluating, passing_through, state_bytes
from .relaxed import Feed, RelaxedSamples, check_relaxation, check_relaxed, draw_relaxed, global_uniform
from .samples import RolloutChunk, Samples


_MIN_VOCAB_SIZE = 512  # from this size on, computing scores takes most of the time
_MAX_CONTINUATIONS = 16384  # maximum number of continuations of a chunk
_MAX_STATE_BYTES = 2**30  # maximum size of their states at full length


def _max_logits(device: torch.device) -> int:
    """
    Returns the maximum number of token scores in memory. On CPU it is small enough for the allocator to reuse the same
    memory, because touching fresh memory costs more than computing the scores.
    """
    return 2**22 if device.type == "cpu" else 2**27


class RolloutEngine:
    """
    Draws sequences from a generator and scores them under it.

    Args:
        max_length (`int`):
            Number of generated tokens, EOS included, BOS excluded.
        bos_token_id (`int`):
            The first input of every sequence.
        pad_token_id (`int`):
            The token of the positions after EOS; may be the EOS itself.
        eos_token_id (`int`, *optional*):
            The token that ends a sequence. `None` for sequences of fixed length.
        chunk_size (`int`, *optional*):
            Maximum number of continuations that `rollout` advances together; memory is proportional to it. The default
            depends on the model, so that states and scores take little memory.
        temperature (`float`, *optional*, defaults to `1.0`):
            Divisor of the generator's scores in every draw and every log-probability; below 1 sharpens. It is bound to
            the engine (see [`~RolloutEngine.at`]), so that draws and log-probabilities cannot disagree.
    """

    def __init__(
        self,
        max_length: int,
        bos_token_id: int,
        pad_token_id: int,
        eos_token_id: int | None = None,
        chunk_size: int | None = None,
        temperature: float = 1.0,
    ):
        if max_length < 1:
            raise ValueError(f"max_length is {max_length}; set it to 1 or more generated tokens.")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}; set it to 1 or more.")
        self.max_length = max_length
        self.bos_token_id = bos_token_id
        self.pad_token_id = pad_token_id
        self.eos_token_id = eos_token_id
        self.chunk_size = chunk_size
        check_sampling(temperature)
        self.temperature = temperature
        self._heads: WeakKeyDictionary[PreTrainedModel, nn.Linear | None] = WeakKeyDictionary()

    def at(self, temperature: float) -> "RolloutEngine":
        """Returns this engine bound to another temperature."""
        check_sampling(temperature)
        bound = copy.copy(self)  # shares the output layers found so far, which do not depend on the temperature
        bound.temperature = temperature
        return bound

    @torch.no_grad()
    def sample(
        self,
        model: PreTrainedModel,
        num_samples: int,
        top_k: int | None = None,
        top_p: float | None = None,
        prompt: Sequence[int] = (),
        inputs: dict[str, torch.Tensor] | None = None,
    ) -> Samples:
        """
        Draws sequences from the unwrapped `model` by ancestral sampling, with dropout off and without gradient.

        Args:
            model (`PreTrainedModel`):
                The bare generator.
            num_samples (`int`):
                Number of sequences.
            top_k, top_p:
                See [`draw_categorical`].
            prompt (`Sequence[int]`, *optional*):
                First tokens of every sequence, without BOS.
            inputs (`dict[str, torch.Tensor]`, *optional*):
                What the model reads beside tokens, by name, a row per sequence. It draws what is not given.

        Returns:
            [`Samples`] of `num_samples` sequences, padded to `max_length`, with the inputs that the model read.
        """
        check_sampling(self.temperature, top_k, top_p)
        inputs = draw_missing(model, inputs, num_samples, self.max_length)
        if capabilities_of(model).sampling == "one-shot":
            return self._sample_one_shot(model, num_samples, top_k, top_p, prompt, inputs)
        if len(prompt) >= self.max_length:
            raise ValueError(
                f"The prompt has {len(prompt)} tokens and max_length is {self.max_length}; shorten it, or raise "
                "max_length."
            )
        device = model.device
        sequences = torch.full((num_samples, self.max_length), self.pad_token_id, device=device)
        sequences[:, : len(prompt)] = torch.tensor(list(prompt), dtype=torch.long, device=device)
        lengths = torch.full((num_samples,), self.max_length, device=device)
        if not num_samples:
            return Samples(sequences, self._mask(lengths), inputs)
        alive = torch.arange(num_samples, device=device)  # rows still growing
        reader = Reader(model, self.temperature, inputs)
        with evaluating(model):
            start = torch.tensor([[self.bos_token_id, *prompt]], device=device)
            if inputs:
                reader.read(start.expand(num_samples, -1))
                tokens = reader.draw(slice(None), None, top_k, top_p)
            else:  # all sequences begin alike: one row reads it, and they are draws from its distribution
                reader.read(start)
                tokens = reader.draw(slice(None), num_samples, top_k, top_p)[0]
                reader.select(torch.zeros_like(alive))
            for position in range(len(prompt), self.max_length):
                if position > len(prompt):
                    reader.read(tokens)
                    tokens = reader.draw(slice(None), None, top_k, top_p)
                sequences[alive, position] = tokens
                if self.eos_token_id is not None:
                    ended = tokens == self.eos_token_id
                    if bool(ended.any()):
                        lengths[alive[ended]] = position + 1
                        kept = (~ended).nonzero().squeeze(1)
                        alive, tokens = alive[kept], tokens[kept]
                        if not len(alive):
                            break
                        reader.select(kept)
        return Samples(sequences, self._mask(lengths), inputs)

    def sample_like(self, model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> Samples:
        """
        Draws a sequence for each row of a batch of real text, given its labels and conditions if the model reads them.
        """
        return self.sample(model, len(batch["input_ids"]), inputs=inputs_of_columns(model, batch))

    @torch.no_grad()
    def rollout(self, model: PreTrainedModel, samples: Samples, num_rollouts: int) -> Iterator[RolloutChunk]:
        """
        Completes every proper prefix of every sequence `num_rollouts` times with the current policy (SeqGAN, arXiv
        1609.05473, equation 3). The prefixes have lengths 1 to `length - 1`; a finished sequence needs no completion.

        All continuations of a chunk advance together, with one model call per position. A continuation enters the
        batch with the state of its prefix, which is read once, and leaves it at EOS. It has the inputs with which its
        prefix was drawn, and draws of its own of those of later positions.

        Yields:
            [`RolloutChunk`] of about `chunk_size` completions at most (those of one sequence, if they are more), with
            dropout off and without gradient.
        """
        if num_rollouts < 1:
            raise ValueError(f"num_rollouts is {num_rollouts}; set it to 1 or more.")
        if not len(samples):
            return
        per_row = num_rollouts * max(1, self.max_length - 1)
        batch_size = max(1, (self.chunk_size or self._default_chunk_size(model, samples[:1].inputs)) // per_row)
        positions = torch.arange(self.max_length, device=samples.sequences.device)
        starts = (positions > 0) & (positions < samples.attention_mask.sum(1, keepdim=True))  # (B, T)
        for start in range(0, len(samples), batch_size):
            rows = slice(start, start + batch_size)
            chunk = self._completions(model, samples[rows], starts[rows], num_rollouts)
            chunk.row += start
            yield chunk

    @torch.no_grad()
    def complete(
        self, model: PreTrainedModel, samples: Samples, lengths: torch.Tensor, num_completions: int = 1
    ) -> Samples:
        """
        Completes one prefix of every sequence `num_completions` times. A prefix that ends with EOS or has `max_length`
        tokens stays as it is.

        Args:
            model (`PreTrainedModel`):
                The bare generator.
            samples ([`Samples`]):
                Sequences without BOS with what their generator reads beside tokens: samples, real text (see
                [`~RolloutEngine.real_samples`]), or prompts. At most `max_length` columns.
            lengths (`torch.LongTensor` of shape `(batch_size,)`):
                Number of tokens of each sequence to keep, from 0 to its own number.
            num_completions (`int`, *optional*, defaults to `1`):
                Completions of each prefix.

        Returns:
            [`Samples`] of `batch_size * num_completions` sequences, padded to `max_length`: those of the first prefix,
            then those of the second. With dropout off and without gradient.
        """
        if num_completions < 1:
            raise ValueError(f"num_completions is {num_completions}; set it to 1 or more.")
        lengths, longest = lengths.to(samples.sequences.device), samples.attention_mask.sum(1)
        if bool(((lengths < 0) | (lengths > longest)).any()):
            row = int(((lengths < 0) | (lengths > longest)).nonzero()[0])
            raise ValueError(
                f"The length {int(lengths[row])} of prefix {row} is not between 0 and the {int(longest[row])} tokens "
                "of its sequence; keep at most these."
            )
        samples = self._padded(model, samples)
        positions = torch.arange(self.max_length, device=lengths.device)
        starts = positions == lengths[:, None]  # (B, T); nothing starts at `max_length`
        if self.eos_token_id is not None:
            last = samples.sequences.gather(1, (lengths - 1).clamp(min=0)[:, None])
            starts &= (last != self.eos_token_id) | (lengths[:, None] == 0)

        row = torch.arange(len(samples), device=lengths.device).repeat_interleave(num_completions)
        completed = samples[row]
        completed.sequences[positions >= lengths[row, None]] = self.pad_token_id
        batch_size = max(1, len(samples))
        if len(samples):
            batch_size = max(
                1, (self.chunk_size or self._default_chunk_size(model, samples[:1].inputs)) // num_completions
            )
        for start in range(0, len(samples), batch_size):
            rows = slice(start, start + batch_size)
            chunk = self._completions(model, samples[rows], starts[rows], num_completions)
            # The completions of a prefix follow each other.
            number = torch.arange(len(chunk.row), device=lengths.device) % num_completions
            where = (chunk.row + start) * num_completions + number
            completed.sequences[where] = chunk.sequences
            for name, value in chunk.samples.inputs.items():
                completed.inputs[name][where] = value
        return Samples(
            completed.sequences, self._mask(self._lengths(completed.sequences, lengths[row])), completed.inputs
        )

    def _padded(self, model: PreTrainedModel, samples: Samples) -> Samples:
        """Returns samples of `max_length` positions; the new ones of `step_inputs` are 0 until they are drawn."""
        missing = self.max_length - samples.sequences.shape[1]
        if missing < 0:
            raise ValueError(
                f"The sequences have {samples.sequences.shape[1]} positions and max_length is {self.max_length}; cut "
                "them, or raise max_length."
            )
        inputs = dict(samples.inputs)
        for name in capabilities_of(model).step_inputs:
            value = inputs[name]
            inputs[name] = torch.cat([value, value.new_zeros(len(value), missing, *value.shape[2:])], dim=1)
        sequences = F.pad(samples.sequences, (0, missing), value=self.pad_token_id)
        return Samples(sequences, F.pad(samples.attention_mask, (0, missing)), inputs)

    def _sample_one_shot(
        self,
        model: Any,
        num_samples: int,
        top_k: int | None,
        top_p: float | None,
        prompt: Sequence[int],
        inputs: dict[str, torch.Tensor],
    ) -> Samples:
        """Samples from a one-shot generator; top-k, top-p and prompts are not supported."""
        name = type(model).__name__
        for option, value in (
            ("top_k", top_k),
            ("top_p", None if top_p == 1.0 else top_p),
            ("prompt", prompt or None),
        ):
            if value is not None:
                raise ValueError(f"{option} is {value!r}, but a {name} makes all tokens at once; leave it out.")
        if not capabilities_of(model).temperature and self.temperature != 1.0:
            raise ValueError(
                f"temperature is {self.temperature}, but this {name} takes the most probable tokens; leave it out, or "
                "set readout to 'sample' in its configuration."
            )
        with evaluating(model):
            sequences = model.generate(num_samples, temperature=self.temperature, **inputs)
        missing = self.max_length - sequences.shape[1]
        return self.as_samples(F.pad(sequences, (0, missing), value=self.pad_token_id), inputs)

    def _default_chunk_size(self, model: PreTrainedModel, inputs: dict[str, torch.Tensor] | None = None) -> int:
        """
        Returns a number of continuations whose states, and scores if all are computed, take little memory; `inputs`
        are those of one sequence.
        """
        reader = Reader(model, self.temperature, inputs)
        with evaluating(model):
            reader.read(torch.full((1,), self.bos_token_id, device=model.device))
        state_size = max(1, reader.num_bytes(self.max_length) + state_bytes(inputs))
        chunk_size = min(_MAX_CONTINUATIONS, _MAX_STATE_BYTES // state_size)
        if reader.head is None:
            chunk_size = min(chunk_size, _max_logits(model.device) // model.config.vocab_size)
        return max(1, chunk_size)

    def _completions(
        self, model: PreTrainedModel, samples: Samples, starts: torch.Tensor, num_completions: int
    ) -> RolloutChunk:
        """
        Completes prefixes of samples of `max_length` positions, `num_completions` times each.

        Args:
            starts (`torch.BoolTensor` of shape `(batch_size, max_length)`):
                Whether a completion of each sequence starts at each position, which is the length of its prefix.
        """
        sequences, device = samples.sequences, samples.sequences.device
        steps = capabilities_of(model).step_inputs
        # All completions as (row, prefix_length), ordered by prefix length, so that they join the batch in order.
        prefix, row = starts.T.nonzero(as_tuple=True)
        row, prefix = row.repeat_interleave(num_completions), prefix.repeat_interleave(num_completions)
        completions = sequences[row]
        positions = torch.arange(self.max_length, device=device)
        completions[positions >= prefix[:, None]] = self.pad_token_id
        inputs = self._inputs_of_completions(model, samples, row, prefix)

        reader = Reader(model, self.temperature, samples.inputs)
        trunk = torch.arange(len(sequences), device=device)  # sequences whose prefixes are being read
        alive = torch.empty(0, dtype=torch.long, device=device)  # completions still growing
        needed = starts.flip(1).cumsum(1).flip(1) > 0  # whether a completion starts at a position or later
        joined = 0
        with evaluating(model):
            for position in range(self.max_length):
                # The batch is [trunk, alive]; it reads the token before `position`.
                if position:
                    kept = needed[trunk, position].nonzero().squeeze(1)
                    if not len(kept) and not len(alive):
                        break
                    if len(kept) < len(trunk):
                        reader.select(torch.cat([kept, torch.arange(len(trunk), reader.size, device=device)]))
                        trunk = trunk[kept]
                # Completions of the prefixes of this length join: `num_completions` copies of rows of the trunk.
                joins = starts[trunk, position].nonzero().squeeze(1)
                copies = joins.repeat_interleave(num_completions)
                joining = torch.arange(joined, joined + len(copies), device=device)
                joined += len(copies)
                if steps and len(copies):  # each reads the last token of its prefix with its own inputs
                    if position:
                        reader.select(torch.cat([torch.arange(reader.size, device=device), copies]))
                    alive = torch.cat([alive, joining])
                    reader.inputs = {
                        name: torch.cat([samples.inputs[name][trunk], inputs[name][alive]]) for name in inputs
                    }
                if position:
                    reader.read(torch.cat([sequences[trunk, position - 1], completions[alive, position - 1]]))
                else:
                    reader.read(torch.full((len(trunk) + len(alive),), self.bos_token_id, device=device))
                size = reader.size
                source = torch.arange(len(trunk), size, device=device)
                if steps:
                    drawn = reader.draw(source)
                else:  # the copies of a prefix share its distribution
                    rows = slice(len(trunk)) if len(joins) == len(trunk) else joins
                    first = reader.draw(rows, num_completions).flatten() if len(joins) else copies
                    drawn = torch.cat([reader.draw(slice(len(trunk), None)), first])
                    alive, source = torch.cat([alive, joining]), torch.cat([source, copies])
                completions[alive, position] = drawn

                if self.eos_token_id is not None:
                    growing = (drawn != self.eos_token_id).nonzero().squeeze(1)
                    alive, source = alive[growing], source[growing]
                chosen = torch.cat([torch.arange(len(trunk), device=device), source])
                if not torch.equal(chosen, torch.arange(size, device=device)):
                    reader.select(chosen)
        mask = self._mask(self._lengths(completions, prefix))
        return RolloutChunk(row, prefix, Samples(completions, mask, inputs))

    def _inputs_of_completions(
        self, model: PreTrainedModel, samples: Samples, row: torch.Tensor, prefix: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """
        Returns the inputs of completions: those of their rows, but new draws of `step_inputs` from the position of the
        first drawn token on.
        """
        known = capabilities_of(model)
        inputs = {name: samples.inputs[name][row] for name in known.row_inputs}
        if known.step_inputs:
            inputs = draw_missing(model, inputs, len(row), self.max_length)
        for name in known.step_inputs:
            kept = torch.arange(self.max_length, device=row.device) < prefix[:, None]
            kept = kept.view(*kept.shape, *[1] * (inputs[name].dim() - 2))
            inputs[name] = torch.where(kept, samples.inputs[name][row], inputs[name])
        return inputs

    @torch.no_grad()
    def mix_inputs(self, model: PreTrainedModel, samples: Samples, probability: float) -> torch.Tensor:
        """
        Draws the tokens that a model reads under scheduled sampling (Bengio et al. 2015, arXiv 1506.03099, section
        2.4). With `probability`, a token after BOS is the model's draw given the tokens before it, else the true one.

        Args:
            model (`PreTrainedModel`):
                The bare generator.
            samples ([`Samples`]):
                Real sequences.
            probability (`float`):
                Probability of a draw, from 0 (teacher forcing) to 1 (the model reads only its draws).

        Returns:
            `torch.LongTensor` of shape `(batch_size, max(lengths))`: `input_ids` of
            [`~RolloutEngine.per_token_logps`].
        """
        targets = samples.sequences[:, : max(1, int(samples.attention_mask.sum(1).max()))]
        read = torch.cat([torch.full_like(targets[:, :1], self.bos_token_id), targets[:, :-1]], dim=1)
        is_drawn = torch.rand(read.shape, device=read.device) < probability
        reader = Reader(model, self.temperature, samples.inputs)
        with evaluating(model):
            for position in range(1, read.shape[1]):
                reader.read(read[:, position - 1])
                drawn = reader.draw(slice(None))
                read[:, position] = torch.where(is_drawn[:, position], drawn, read[:, position])
        return read

    def relaxed_sample(
        self,
        model: Callable,
        num_samples: int,
        relaxation: float,
        feed: Feed = "soft",
        inputs: dict[str, torch.Tensor] | None = None,
        noise: Callable[[int, int], torch.Tensor] | Literal["global", "none"] = "global",
    ) -> RelaxedSamples:
        """
        Draws sequences as relaxed one-hot vectors ``y_t = softmax((l_t / temperature + g_t) / relaxation)`` with
        gradient, where ``l_t`` are the scores of the model and ``g_t`` is Gumbel noise (Jang et al. 2017, arXiv
        1611.01144; Maddison et al. 2017, arXiv 1611.00712). The token ``argmax y_t`` has the distribution of
        [`~RolloutEngine.sample`] at any `relaxation`, if the model is in evaluation mode and `feed` is not `"soft"`:
        dropout is as the mode of the model says.

        Args:
            model (`torch.nn.Module`):
                The generator, wrapped if it is trained under data parallelism.
            num_samples (`int`):
                Number of sequences.
            relaxation (`float`):
                The temperature of the relaxation: near 0 the vectors are one-hot, above they are mixtures.
            feed (`"soft"`, `"hard"` or `"straight-through"`, *optional*, defaults to `"soft"`):
                What the model reads next: the mixture ``y_t E`` of the embeddings (GSGAN), or the embedding of the
                token. With `"hard"` no gradient flows through it, and earlier steps get one through the state alone
                (RelGAN). With `"straight-through"` the vectors themselves are one-hot, in the result as well, with the
                gradient of ``y_t``.
            inputs (`dict[str, torch.Tensor]`, *optional*):
                What the model reads beside tokens, by name, a row per sequence. It draws what is not given.
            noise (`Callable`, `"global"` or `"none"`, *optional*, defaults to `"global"`):
                Returns numbers ``u`` from U[0, 1) for a number of rows and of columns, of which ``-log(-log u)`` is
                Gumbel noise (see [`~StepContext.uniform`]). By default they come from torch's global generator.
                Without noise ``y_t`` is the soft-argmax (TextGAN, arXiv 1706.03850).

        Returns:
            [`RelaxedSamples`] of `num_samples` sequences of `max_length` positions.
        """
        check_relaxation(relaxation, feed)
        bare = bare_model(model)
        check_relaxed(bare, feed)
        inputs = draw_missing(bare, inputs, num_samples, self.max_length)
        if noise == "global":
            noise = global_uniform(bare.device)
        onehots, sequences = draw_relaxed(
            model,
            bare,
            inputs,
            num_samples,
            self.max_length,
            self.bos_token_id,
            self.pad_token_id,
            self.eos_token_id,
            self.temperature,
            relaxation,
            feed,
            None if noise == "none" else noise,
        )
        return RelaxedSamples(onehots, self.as_samples(sequences, inputs))

    def per_token_logps(
        self,
        model: Callable,
        samples: Samples,
        input_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Returns the log-probabilities of given sequences with gradient, in one teacher-forced call. The model reads
        the inputs of the samples.

        Args:
            model (`torch.nn.Module`):
                The generator, wrapped if it is trained under data parallelism.
            samples ([`Samples`]):
                Sequences without BOS.
            input_ids (`torch.LongTensor` of shape `(batch_size, max(lengths))`, *optional*):
                What the model reads instead of BOS and the sequences (see [`~RolloutEngine.mix_inputs`]).

        Returns:
            `torch.FloatTensor` of shape `(batch_size, sequence_length)`: ``log p(y_t | y_1..y_{t-1})`` in nats, 0 at
            padding.
        """
        sequences, mask = samples.sequences, samples.attention_mask
        width = max(1, int(mask.sum(1).max()))  # padding at the end costs nothing
        targets = sequences[:, :width]
        if input_ids is None:
            bos = torch.full_like(targets[:, :1], self.bos_token_id)
            input_ids = torch.cat([bos, targets[:, :-1]], dim=1)
        arguments = arguments_of(model, input_ids, samples.inputs, 0, width)
        # The padding is on the right and the model is causal, so it needs no mask.
        head = self._head_to_skip(model, samples)
        if head is not None:
            with passing_through(head):
                hidden = model(**arguments, use_cache=False).logits  # the input of the output layer
            logps = linear_logps(hidden.flatten(0, 1), head, targets.flatten(), self.temperature).view_as(targets)
            logps = logps.masked_fill(mask[:, :width] == 0, 0.0)
            return F.pad(logps, (0, sequences.shape[1] - width))  # (B, T)
        logits = model(**arguments, use_cache=False).logits.float()
        if self.temperature != 1.0:
            logits = logits / self.temperature
        # Flat rows: with the vocabulary in the middle dimension the CPU kernels take more than twice as long.
        logps = -F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        logps = logps.masked_fill(mask[:, :width] == 0, 0.0)
        return F.pad(logps, (0, sequences.shape[1] - width))  # (B, T)

    def _head_to_skip(self, model: Callable, samples: Samples) -> nn.Linear | None:
        """
        Returns the output layer if its scores are faster to compute a few rows at a time: on CPU, in single precision,
        with a large vocabulary, if nothing comes after the layer. Under data parallelism the layer stays in the
        wrapped forward pass, which must see all parameters that get a gradient.
        """
        if not isinstance(model, PreTrainedModel) or model.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return None
        if getattr(model.config, "vocab_size", 0) < _MIN_VOCAB_SIZE or model.dtype != torch.float32:
            return None
        head = self._heads.get(model)
        if model not in self._heads or head not in (None, model.get_output_embeddings()):  # new, or resized
            reader = Reader(model, self.temperature, samples[:1].inputs)
            with evaluating(model), torch.no_grad():
                reader.read(torch.full((1,), self.bos_token_id))
            self._heads[model] = reader.head
        return self._heads[model]

    @torch.no_grad()
    def score(self, model: PreTrainedModel, samples: Samples) -> torch.Tensor:
        """
        Returns [`~RolloutEngine.per_token_logps`] without gradient and dropout, a few rows at a time. Memory does not
        grow with the number of sequences, and on CPU small temporaries are several times as fast.
        """
        device = model.device
        rows = max(1, _max_logits(device) // (samples.sequences.shape[1] * model.config.vocab_size))
        parts = []
        with evaluating(model):
            for start in range(0, len(samples.sequences), rows):
                part = samples[start : start + rows].to(device)
                parts.append(self.per_token_logps(model, part))
        return torch.cat(parts) if parts else samples.sequences.float()

    def inputs_of(self, model: Callable, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """
        Returns what a generator reads beside the tokens of a batch of real text: the columns that it has, where
        `class_labels` are the column `labels`, and draws of the others.

        Args:
            model (`PreTrainedModel`):
                The bare generator.
            batch (`dict[str, torch.Tensor]`):
                `input_ids` of shape `(batch_size, length)` from BOS to EOS, and further columns.
        """
        num_rows, length = batch["input_ids"].shape
        return draw_missing(model, inputs_of_columns(model, batch), num_rows, length - 1)

    def real_samples(self, model: Callable, batch: dict[str, torch.Tensor]) -> Samples:
        """Returns a batch of real text as [`Samples`] of the bare generator `model`, with its inputs."""
        return Samples(batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:], self.inputs_of(model, batch))

    def real_sequences(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns the sequences of a batch of real text without BOS, padded to `(batch_size, max_length)`."""
        real = batch["input_ids"][:, 1:].masked_fill(batch["attention_mask"][:, 1:] == 0, self.pad_token_id)
        return F.pad(real, (0, self.max_length - real.shape[1]), value=self.pad_token_id)

    def truncate_at_eos(self, sequences: torch.Tensor) -> torch.Tensor:
        """Returns sequences truncated at their first EOS or padding: EOS at that position, padding after it."""
        return truncate_at_eos(sequences, self.eos_token_id, self.pad_token_id)

    def as_samples(self, sequences: torch.Tensor, inputs: dict[str, torch.Tensor] | None = None) -> Samples:
        """
        Returns [`Samples`] of sequences `(batch_size, sequence_length)`, each of which ends with its first EOS, with
        the inputs of their generator.
        """
        positions = torch.arange(sequences.shape[1], device=sequences.device)
        return Samples(sequences, (positions < self._lengths(sequences)[:, None]).long(), inputs or {})

    def _lengths(self, sequences: torch.Tensor, prefix: torch.Tensor | None = None) -> torch.Tensor:
        """Returns the number of tokens through the first EOS; one before the last token of a prefix does not count."""
        length = sequences.shape[1]
        if self.eos_token_id is None:
            return torch.full((len(sequences),), length, device=sequences.device)
        ended = sequences == self.eos_token_id
        if prefix is not None:
            ended = ended & (torch.arange(length, device=sequences.device) >= prefix[:, None] - 1)
        return torch.where(ended.any(1), ended.long().argmax(1) + 1, length)

    def _mask(self, lengths: torch.Tensor) -> torch.Tensor:
        return (torch.arange(self.max_length, device=lengths.device) < lengths[:, None]).long()


__all__ = ["RolloutEngine"]
