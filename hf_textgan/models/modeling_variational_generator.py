"""A recurrent language model with a Gaussian latent variable at every step: the generator of VGAN."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_variational_generator import VariationalGeneratorConfig
from .modeling_outputs import CACHE_NAME, RecurrentState
from .modeling_recurrence_utils import run_peephole_recurrence, run_recurrence
from .modeling_recurrent_generator import RecurrentLanguageModel, check_labels, one_state


_MAX_LOG_VARIANCE = 8.0
_MAX_LOGITS = 2**22  # token scores in memory where a likelihood needs no gradient of them all


class Gaussian(NamedTuple):
    """
    A normal distribution with a diagonal covariance.

    Args:
        mean (`torch.FloatTensor` of shape `(..., latent_size)`):
            The mean.
        log_variance (`torch.FloatTensor` of shape `(..., latent_size)`):
            The logarithm of the variances.
    """

    mean: torch.Tensor
    log_variance: torch.Tensor

    def sample(self, noise: torch.Tensor) -> torch.Tensor:
        """Returns ``mean + sigma * noise``, differentiable in both parameters."""
        return self.mean + (0.5 * self.log_variance).exp() * noise.to(self.mean.dtype)

    def log_prob(self, latents: torch.Tensor) -> torch.Tensor:
        """Returns the log-density, of shape `(...)`, in nats."""
        squares = (latents - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squares + self.log_variance + math.log(2 * math.pi)).sum(-1)


def gaussian_kl(first: Gaussian, second: Gaussian) -> torch.Tensor:
    """
    Returns ``KL(first || second)`` in nats, of shape `(...)`: per dimension ``log(s_2 / s_1) + (s_1^2 + (m_1 -
    m_2)^2) / (2 s_2^2) - 1/2``.
    """
    ratio = first.log_variance - second.log_variance  # log s_1^2 / s_2^2
    squares = (first.mean - second.mean).square() * (-second.log_variance).exp()
    return 0.5 * (ratio.exp() + squares - 1 - ratio).sum(-1)


@dataclass
class VariationalLMOutput(CausalLMOutputWithPast):
    """
    Output of a language model with latent variables.

    Args:
        nll (`torch.FloatTensor` of shape `(batch_size,)`, *optional*, returned when `labels` is provided):
            ``- sum_t log p(x_{t+1} | x_{1..t}, z_{1..t})`` with latents of the posterior, in nats.
        kl (`torch.FloatTensor` of shape `(batch_size,)`, *optional*, returned when `labels` is provided):
            ``sum_t KL(q_t || p_t)`` of posterior and prior, in nats.
        latent_logps (`torch.FloatTensor` of shape `(batch_size, sequence_length)`, *optional*):
            ``log p(z_t | x_{1..t-1})`` of the latents, in nats; returned with `detach_latents`.
    """

    nll: torch.Tensor | None = None
    kl: torch.Tensor | None = None
    latent_logps: torch.Tensor | None = None


class _Reading(NamedTuple):
    """
    What the model computes of the tokens that it reads, with an axis of positions each.

    Args:
        hidden (`torch.FloatTensor` of shape `(batch_size, length, hidden_size)`):
            The outputs of the recurrent layers, without dropout.
        read (`torch.FloatTensor` of shape `(batch_size, length, hidden_size)`):
            The same with dropout, as the output layer reads them.
        prior (`Gaussian`):
            ``p(z_t | h_{t-1})``.
        posterior (`Gaussian` or `None`):
            ``q(z_t | x_t, h_t)``, where it was asked for.
        latents (`torch.FloatTensor` of shape `(batch_size, length, latent_size)`):
            A draw of the posterior where there is one, else of the prior.
    """

    hidden: torch.Tensor
    read: torch.Tensor
    prior: Gaussian
    posterior: Gaussian | None
    latents: torch.Tensor


class VariationalGeneratorForCausalLM(RecurrentLanguageModel):
    """
    The generator of VGAN (Wang, Qin, Wan, PAKDD 2018, arXiv 1712.00170). At every step a latent variable is drawn from
    a prior that reads the state before the token, ``z_t ~ N(mu_0(h_{t-1}), s_0^2(h_{t-1}))``, and the next token is
    drawn given state and latent: ``p(x_{t+1} | x_{1..t}, z_{1..t}) = softmax(W_o tanh(W_m [h_t; z_t] + b_m) + b_o)``.
    An approximate posterior ``q(z_t | x_t, h_t)`` serves the bound on the likelihood (equation 6, with the sign of a
    bound). How the latent enters the output, and the networks of prior and posterior, are choices of this package.

    The model reads `noise`, standard normal numbers of shape `(batch_size, sequence_length, latent_size)`, of which
    the latents are made: ``z_t = mu_0 + s_0 noise_t``. Given the noise it is an ordinary language model. What is not
    given is drawn from torch's global generator.
    """

    config: VariationalGeneratorConfig
    config_class = VariationalGeneratorConfig
    auto_classes = ("AutoModelForCausalLM",)
    likelihood = "bound"
    step_inputs = ("noise",)

    def __init__(self, config: VariationalGeneratorConfig):
        super().__init__(config)
        embedding_size, hidden_size, latent_size = config.embedding_size, config.hidden_size, config.latent_size
        self.embed_tokens = nn.Embedding(config.vocab_size, embedding_size)
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell_type](
            embedding_size + (latent_size if config.recurrent_latents else 0),
            hidden_size,
            config.num_hidden_layers,
            bias=not config.peephole,
            batch_first=True,
            dropout=config.dropout if config.num_hidden_layers > 1 else 0.0,
        )
        self.peepholes = nn.Linear(hidden_size, 3 * hidden_size, bias=False) if config.peephole else None
        self.dropout = nn.Dropout(config.dropout)
        self.prior = nn.Linear(hidden_size, 2 * latent_size)
        known_size = embedding_size + hidden_size + (embedding_size if config.posterior_reads_target else 0)
        self.posterior = nn.Sequential(
            nn.Linear(known_size, config.posterior_size), nn.Tanh(), nn.Linear(config.posterior_size, 2 * latent_size)
        )
        self.join = nn.Linear(hidden_size + latent_size, hidden_size)
        self.lm_head = nn.Linear(hidden_size, config.vocab_size)
        self.post_init()

    def draw_inputs(self, num_rows: int, length: int) -> dict[str, torch.Tensor]:
        """Returns the `noise` of sequences, of shape `(num_rows, length, latent_size)`."""
        return {"noise": torch.randn(num_rows, length, self.config.latent_size, device=self.device)}

    # ---- generate -------------------------------------------------------------------------------------------------

    def generate(self, inputs: Any = None, generation_config: Any = None, **kwargs: Any) -> Any:
        """
        Generates as [`~transformers.GenerationMixin.generate`], without the options for key-value caches. `noise` of
        shape `(batch_size, prompt_length + max_new_tokens - 1, latent_size)` decides the latents; by default it is
        drawn.
        """
        defaults = self.generation_config if generation_config is None else generation_config
        use_cache = kwargs.get("use_cache", getattr(defaults, "use_cache", None))
        if self.config.recurrent_latents and use_cache is False and kwargs.get("noise") is None:
            raise ValueError(
                "use_cache is False and no noise is given, but the latents of this generator enter its state, and "
                "each step without a cache would draw the earlier ones anew; leave use_cache out, or give noise."
            )
        return super().generate(inputs, generation_config, **kwargs)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, *args: Any, noise: torch.Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Returns the arguments of `forward` for a step of `generate`, with the noise of the tokens that it reads."""
        prepared = super().prepare_inputs_for_generation(input_ids, *args, **kwargs)  # pyright: ignore
        if noise is not None:
            tokens = prepared["input_ids"] if prepared.get("input_ids") is not None else prepared["inputs_embeds"]
            state = prepared.get(CACHE_NAME)
            start = 0 if state is None else state.length
            stop = start + tokens.shape[1]
            if noise.shape[1] < stop:
                raise ValueError(
                    f"noise has {noise.shape[1]} positions, and `generate` reads {stop} or more tokens; give a "
                    "position for each token of the prompt and each new token but the last."
                )
            prepared["noise"] = noise[:, start:stop]
        return prepared

    # ---- One pass -------------------------------------------------------------------------------------------------

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        cache: RecurrentState | None = None,
        past_key_values: RecurrentState | None = None,
        noise: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        detach_latents: bool = False,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> VariationalLMOutput | tuple:
        r"""
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Token ids; give exactly one of `input_ids` and `inputs_embeds`.
            attention_mask (`torch.LongTensor` of shape `(batch_size, past_length + sequence_length)`, *optional*):
                1 for real tokens, 0 for padding on either side; padding does not change the state.
            inputs_embeds (`torch.FloatTensor` of shape `(batch_size, sequence_length, embedding_size)`, *optional*):
                Embeddings instead of ids.
            cache (`RecurrentState`, *optional*):
                The state after the tokens already read; zero at the start of a sequence. With
                `config.recurrent_latents` its last tensor is the latest latent variable.
            past_key_values (`RecurrentState`, *optional*):
                The same state, under its name in `generate` of transformers before 5.24.
            noise (`torch.FloatTensor` of shape `(batch_size, sequence_length, latent_size)`, *optional*):
                Standard normal numbers of which the latents of these tokens are made; drawn by default.
            labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*):
                Usually `input_ids` with -100 at padding; shifted inside the model. The latents are then drawn from the
                posterior.
            detach_latents (`bool`, *optional*, defaults to `False`):
                Treat the latents as data: no gradient flows through them, and their log-densities under the prior are
                returned as `latent_logps`.
            logits_to_keep (`int`, *optional*, defaults to `0`):
                Number of last positions whose logits are computed; 0 for all positions.

        Returns:
            [`VariationalLMOutput`]: with `use_cache` its `cache` (`past_key_values` in transformers before 5.24) is
            the [`RecurrentState`] after the last token. Its `loss` is the mean of `nll` plus `kl` per token whose
            label is not -100: an upper bound on the negative log-likelihood in nats, of one draw of the latents. With
            `output_hidden_states` its `hidden_states` are the embeddings of shape `(batch_size, sequence_length,
            embedding_size)` and the output of the top layer of shape `(batch_size, sequence_length, hidden_size)`.
        """
        embeds = self._embeds(input_ids, inputs_embeds)  # (B, L, E)
        cache = one_state(cache, past_key_values)
        options = self._with_defaults(use_cache, output_hidden_states, return_dict)
        use_cache, output_hidden_states, return_dict = options
        past = cache.tensors if cache is not None else None
        reading, state = self._read(embeds, attention_mask, past, noise, infer=labels is not None)
        latents = reading.latents.detach() if detach_latents else reading.latents
        joined = self._joined(reading.read, latents)  # (B, L, H)
        logits = self.lm_head(joined[:, -logits_to_keep:] if logits_to_keep else joined)

        loss = nll = kl = None
        if labels is not None:
            check_labels(logits_to_keep)
            assert reading.posterior is not None
            targets = F.pad(labels[:, 1:], (0, 1), value=-100)
            counted = targets != -100
            losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
            nll = losses.view(targets.shape).sum(1)
            kl = gaussian_kl(reading.posterior, reading.prior).masked_fill(~counted, 0.0).sum(1)
            loss = (nll + kl).sum() / counted.sum().clamp(min=1)
        length = embeds.shape[1] + (cache.length if cache is not None else 0)
        output = VariationalLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=(embeds, reading.hidden) if output_hidden_states else None,
            nll=nll,
            kl=kl,
            latent_logps=reading.prior.log_prob(latents) if detach_latents else None,
            **{CACHE_NAME: RecurrentState(state, length) if use_cache else None},  # pyright: ignore[reportArgumentType]
        )
        return output if return_dict else output.to_tuple()

    def _joined(self, hidden: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Returns the input of the output layer, ``tanh(W_m [h_t; z_t] + b_m)``."""
        return torch.tanh(self.join(torch.cat([hidden, latents.to(hidden.dtype)], dim=-1)))

    def _read(
        self,
        embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past: tuple[torch.Tensor, ...] | None,
        noise: torch.Tensor | None,
        infer: bool,
    ) -> tuple[_Reading, tuple[torch.Tensor, ...]]:
        """
        Reads tokens and draws their latents, from the posterior if `infer` is true.

        Returns:
            The [`_Reading`], and the state after each row's last real token.
        """
        batch_size, length, _ = embeds.shape
        shape = (batch_size, length, self.config.latent_size)
        if noise is None:
            noise = torch.randn(shape, device=embeds.device)
        elif noise.shape != shape:
            raise ValueError(f"noise has the shape {tuple(noise.shape)}; give numbers of shape {shape}.")
        mask = attention_mask[:, -length:] if attention_mask is not None else None
        # The token that a step predicts; the last one is not known, and has no loss.
        following = F.pad(embeds[:, 1:], (0, 0, 0, 1)) if self.config.posterior_reads_target else None
        if not self.config.recurrent_latents:
            return self._read_span(embeds, embeds, mask, past, noise, infer, following)

        # The latent of a position enters the next one, so they are read one by one.
        latest = noise.new_zeros(shape[0], shape[2]) if past is None else past[-1][0]
        state = None if past is None else past[:-1]
        readings = []
        for position in range(length):
            span = slice(position, position + 1)
            inputs = torch.cat([embeds[:, span], latest[:, None].to(embeds.dtype)], dim=-1)
            target = None if following is None else following[:, span]
            one_mask = None if mask is None else mask[:, span]
            reading, state = self._read_span(inputs, embeds[:, span], one_mask, state, noise[:, span], infer, target)
            readings.append(reading)
            latent = reading.latents[:, 0]
            latest = latent if one_mask is None else torch.where(one_mask != 0, latent, latest.to(latent.dtype))
        assert state is not None
        return _joined_readings(readings), (*state, latest[None])

    def _read_span(
        self,
        inputs: torch.Tensor,
        embeds: torch.Tensor,
        mask: torch.Tensor | None,
        past: tuple[torch.Tensor, ...] | None,
        noise: torch.Tensor,
        infer: bool,
        following: torch.Tensor | None,
    ) -> tuple[_Reading, tuple[torch.Tensor, ...]]:
        """Reads positions whose recurrence does not depend on their own latents."""
        if self.peepholes is None:
            hidden, state = run_recurrence(self.rnn, inputs, mask, past)
        else:
            assert isinstance(self.rnn, nn.LSTM)
            hidden, state = run_peephole_recurrence(self.rnn, self.peepholes, inputs, mask, past)
        read = self.dropout(hidden)
        before = hidden_before(hidden, mask, None if past is None else past[0][-1])
        prior = _gaussian(self.prior(self.dropout(before)))
        posterior = None
        if infer:
            known = [embeds, read] if following is None else [embeds, read, following]
            posterior = _gaussian(self.posterior(torch.cat([part.to(read.dtype) for part in known], dim=-1)))
        latents = (posterior or prior).sample(noise)
        return _Reading(hidden, read, prior, posterior, latents), state

    # ---- Bounds on the likelihood -----------------------------------------------------------------------------------

    def nll_bound(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Returns an upper bound on the negative log-likelihood of texts, of one draw of the latents of the posterior
        (equation 6, with the sign of a bound): ``sum_t KL(q_t || p_t) - log p(x_{t+1} | x_{1..t}, z_{1..t})``.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, length)`):
                Token ids from BOS to EOS, with padding on either side.
            attention_mask (`torch.LongTensor` of shape `(batch_size, length)`):
                1 for real tokens, 0 for padding.
            noise (`torch.FloatTensor` of shape `(batch_size, length, latent_size)`, *optional*):
                Standard normal numbers of which the latents are made; drawn by default.

        Returns:
            `torch.FloatTensor` of shape `(batch_size,)`, in nats, padding and BOS excluded.
        """
        reading, counted = self._read_text(input_ids, attention_mask, noise)
        assert reading.posterior is not None
        logps = self._logps(reading.read[counted], reading.latents[counted], input_ids[:, 1:][counted[:, :-1]])
        kl = gaussian_kl(reading.posterior, reading.prior)[counted]
        return _sums(kl - logps, counted)

    def nll_importance_weighted(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, num_samples: int
    ) -> torch.Tensor:
        """
        Returns estimates of the negative log-likelihood of texts with the posterior as proposal, ``- log 1/K sum_k
        p(x, z_k) / q(z_k | x)`` (Burda, Grosse and Salakhutdinov 2016, arXiv 1509.00519, equation 8). Its expectation
        is an upper bound that falls to the likelihood as K grows.

        Unless latents enter the recurrence they are independent given the tokens, and the estimate is a product over
        positions: the weights are averaged at each.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, length)`):
                Token ids from BOS to EOS, with padding on either side.
            attention_mask (`torch.LongTensor` of shape `(batch_size, length)`):
                1 for real tokens, 0 for padding.
            num_samples (`int`):
                Draws of the latents of each text, K above. They are made one after the other.

        Returns:
            `torch.FloatTensor` of shape `(batch_size,)`, in nats, padding and BOS excluded.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}; set it to 1 or more.")
        total: torch.Tensor | None = None
        reading, counted = self._read_text(input_ids, attention_mask, None)
        targets = input_ids[:, 1:][counted[:, :-1]]
        for draw in range(num_samples):
            if draw and self.config.recurrent_latents:
                reading, _ = self._read_text(input_ids, attention_mask, None)
            assert reading.posterior is not None
            prior, posterior = (
                Gaussian(g.mean[counted], g.log_variance[counted]) for g in (reading.prior, reading.posterior)
            )
            if self.config.recurrent_latents:
                latents = reading.latents[counted]
            else:
                latents = posterior.sample(torch.randn(posterior.mean.shape, device=input_ids.device))
            logps = self._logps(reading.read[counted], latents, targets)
            log_weights = logps + prior.log_prob(latents) - posterior.log_prob(latents)
            if self.config.recurrent_latents:  # the latents of a text have one weight together
                log_weights = _sums(log_weights, counted)
            total = log_weights if total is None else torch.logaddexp(total, log_weights)
        assert total is not None
        total = math.log(num_samples) - total
        return total if self.config.recurrent_latents else _sums(total, counted)

    def _read_text(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, noise: torch.Tensor | None
    ) -> tuple[_Reading, torch.Tensor]:
        """Returns the [`_Reading`] of texts, and the positions whose next token is a token of the text."""
        real = attention_mask != 0
        # Padding after the text needs no mask, because the model is causal.
        left = bool((real[:, 1:] & ~real[:, :-1]).any())
        embeds = self.embed_tokens(input_ids)
        reading, _ = self._read(embeds, attention_mask if left else None, None, noise, infer=True)
        return reading, F.pad(real[:, 1:] & real[:, :-1], (0, 1))

    def _logps(self, hidden: torch.Tensor, latents: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Returns the log-probabilities of tokens, of shape `(num_tokens,)`, a number of rows at a time."""
        rows = max(1, _MAX_LOGITS // self.config.vocab_size)
        parts = zip(hidden.split(rows), latents.split(rows), targets.split(rows), strict=True)
        logps = []
        for part_hidden, part_latents, part_targets in parts:
            logits = self.lm_head(self._joined(part_hidden, part_latents))
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            logps.append(-F.cross_entropy(logits, part_targets, reduction="none"))
        return torch.cat(logps)


def _gaussian(parameters: torch.Tensor) -> Gaussian:
    """Returns the distribution of the outputs of a network, `(..., 2 * latent_size)`, at least in single precision."""
    parameters = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
    mean, log_variance = parameters.chunk(2, dim=-1)
    return Gaussian(mean, log_variance.clamp(-_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE))


def hidden_before(hidden: torch.Tensor, mask: torch.Tensor | None, start: torch.Tensor | None) -> torch.Tensor:
    """
    Returns the output ``h_{t-1}`` that precedes each position.

    Args:
        hidden (`torch.FloatTensor` of shape `(batch_size, length, hidden_size)`):
            The outputs ``h_t``.
        mask (`torch.LongTensor` of shape `(batch_size, length)`, *optional*):
            1 for real tokens; padding is passed over.
        start (`torch.FloatTensor` of shape `(batch_size, hidden_size)`, *optional*):
            The output before the first position, by default zeros.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, length, hidden_size)`.
    """
    first = torch.zeros_like(hidden[:, 0]) if start is None else start.to(hidden.dtype)
    if mask is None:
        return torch.cat([first[:, None], hidden[:, :-1]], dim=1)
    numbers = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)
    last_real = (numbers * (mask != 0)).cummax(1).values  # counted from 1; 0 if there is none
    before = F.pad(last_real[:, :-1], (1, 0))
    return torch.cat([first[:, None], hidden], dim=1).gather(1, before[..., None].expand_as(hidden))


def _joined_readings(readings: list[_Reading]) -> _Reading:
    """Returns one reading of all positions."""

    def joined(values: Iterator[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(values), dim=1)

    def gaussian(values: list[Gaussian]) -> Gaussian:
        return Gaussian(joined(g.mean for g in values), joined(g.log_variance for g in values))

    posteriors = [reading.posterior for reading in readings if reading.posterior is not None]
    return _Reading(
        joined(reading.hidden for reading in readings),
        joined(reading.read for reading in readings),
        gaussian([reading.prior for reading in readings]),
        gaussian(posteriors) if posteriors else None,
        joined(reading.latents for reading in readings),
    )


def _sums(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Returns the sums of the values of the counted positions, `(num_counted,)`, in each row."""
    rows = counted.nonzero()[:, 0]
    return values.new_zeros(len(counted)).index_add(0, rows, values)


__all__ = ["Gaussian", "VariationalGeneratorForCausalLM", "VariationalLMOutput", "gaussian_kl"]
