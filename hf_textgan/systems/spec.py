"""The record of a system. Importing it, and the systems, needs neither torch nor transformers."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ..utils.names import unknown_name
from .replaceable import REPLACEABLE


if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from ..objectives import Objective


# Beyond these bounds it takes for ever just to see that memory cannot hold a model.
_LARGEST_SIZE, _MOST_LAYERS = 1 << 24, 10_000


@dataclass(frozen=True)
class Paper:
    """The source of a system."""

    title: str
    arxiv_id: str | None
    bibtex: str

    @property
    def url(self) -> str | None:
        """The address of the paper on arXiv."""
        return f"https://arxiv.org/abs/{self.arxiv_id}" if self.arxiv_id else None


@dataclass(frozen=True)
class Copy:
    """A player that is a frozen copy of another at the start of a run; the objective brings it up to date."""

    player: str


@dataclass(frozen=True)
class Of:
    """A value of a player that is the value `option` of the configuration of another player."""

    player: str
    option: str

    def __str__(self) -> str:
        return f"{self.player}.{self.option}"


@dataclass(frozen=True)
class SystemSpec:
    """
    The record of a system: everything that is particular to it, and the only file with its numbers.

    Args:
        name (`str`):
            Its name on the command line.
        mode (`str`):
            The source of the generator's gradient: `"mle"`, `"policy-gradient"`, `"gumbel"`, `"wgan-gp"`, or its own
            `"density"`.
        status (`"validated"` or `"experimental"`):
            Whether a measured outcome backs it.
        paper ([`Paper`]):
            The source.
        players (`dict[str, tuple[str, dict] | Copy]`):
            Name to configuration class and its values, of which [`Of`] takes one from another player, or to the
            player that it is a [`Copy`] of. What follows from the data (`vocab_size`, token ids, `sequence_length`) is
            filled in when the models are built.
        objective (`tuple[str, dict]`):
            Name in [`~objectives.OBJECTIVES`] and hyperparameters.
        training (`dict`, *optional*):
            Defaults of [`AdversarialConfig`].
        data (`dict`, *optional*):
            Defaults of the options of text, such as `level`.
        presets (`dict[str, dict]`, *optional*):
            Named changes of training arguments, options of text, hyperparameters (by their names) and configurations
            (`"generator.hidden_size"`).
        deviations (`tuple[str, ...]`, *optional*):
            Differences from the paper, one sentence each.
    """

    name: str
    mode: Literal["mle", "policy-gradient", "gumbel", "wgan-gp", "density"]
    status: Literal["validated", "experimental"]
    paper: Paper
    players: dict[str, tuple[str, dict[str, Any]] | Copy]
    objective: tuple[str, dict[str, Any]]
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    def preset(self, name: str | None) -> dict[str, Any]:
        """Returns the changes of a preset; none without a name."""
        if name is None:
            return {}
        if name not in self.presets:
            raise ValueError(unknown_name(f"preset of {self.name}", name, self.presets))
        return self.presets[name]

    def with_player(self, player: str, kind: str) -> "SystemSpec":
        """
        Returns this system with another model for a player, one of [`DISCRIMINATORS`] or [`GENERATORS`], in its
        default size: the sizes that the system and its presets give to its own model do not apply to the other.
        """
        known = REPLACEABLE[player]
        if kind not in known:
            raise ValueError(unknown_name(player, kind, known))
        class_name, values = known[kind]
        own = self.players.get(player)
        if own is None or isinstance(own, Copy) or own[0] not in {name for name, _ in known.values()}:
            kind = "discriminator of sequences" if player == "discriminator" else "latent-variable generator"
            raise ValueError(f"{self.name} has no {kind} to replace; leave {player} out.")
        if own[0] == class_name:
            return replace(self, players={**self.players, player: (class_name, {**own[1], **values})})
        from ..core.optimizer_arguments import OPTIMIZER_ARGUMENTS

        def applies(key: str) -> bool:
            return not key.startswith(f"{player}.") or key.partition(".")[2] in OPTIMIZER_ARGUMENTS

        presets = {
            name: {key: value for key, value in preset.items() if applies(key)}
            for name, preset in self.presets.items()
        }
        return replace(self, players={**self.players, player: (class_name, dict(values))}, presets=presets)

    def build_objective(self, **hyperparameters: Any) -> "Objective":
        """Builds the objective, with these hyperparameters in place of the system's."""
        from ..objectives import OBJECTIVES

        name, defaults = self.objective
        known = OBJECTIVES[name].__dataclass_fields__
        for key in (*defaults, *hyperparameters):
            if key not in known:
                raise ValueError(unknown_name(f"hyperparameter of {self.name}", key, known))
        return OBJECTIVES[name](**{**defaults, **hyperparameters})

    def mle_baseline(self, overrides: Mapping[str, dict[str, Any]] | None = None) -> "SystemSpec":
        """
        Returns the system of the maximum-likelihood baseline: the generator of this system, class and values, trained
        as the system whose objective is the likelihood part of this one (see [`Objective.likelihood_objective`]).

        Args:
            overrides (`dict[str, dict]`, *optional*):
                Configuration values of a run in place of this system's, by player: the generator may take values
                from players that its baseline does not have.
        """
        from . import SYSTEMS

        name, _ = self.build_objective().likelihood_objective()
        likelihood = next(s for s in SYSTEMS.values() if s.mode == "mle" and s.objective[0] == name)
        class_name, values = self.player("generator")
        values = {
            key: getattr(self._config(value.player, overrides or {}, None, {}), value.option)
            if isinstance(value, Of)
            else value
            for key, value in values.items()
        }
        return replace(likelihood, players={"generator": (class_name, values)})

    def player(self, name: str) -> tuple[str, dict[str, Any]]:
        """Returns configuration class and values of a player in this record; of a copy, those of its source."""
        if name not in self.players:
            raise ValueError(unknown_name(f"player of {self.name}", name, self.players))
        own = self.players[name]
        return self.player(own.player) if isinstance(own, Copy) else own

    def build_players(
        self,
        overrides: Mapping[str, dict[str, Any]] | None = None,
        from_data: dict[str, Any] | None = None,
        given: Mapping[str, "PreTrainedModel"] | None = None,
        leave_out: Collection[str] = (),
    ) -> dict[str, "PreTrainedModel"]:
        """
        Builds all models of a run, in the order of the players.

        Args:
            overrides (`dict[str, dict]`, *optional*):
                Configuration values in place of the system's, by player; unknown names are errors.
            from_data (`dict`, *optional*):
                Values that follow from the data, such as `vocab_size`; the configurations take those that they have.
            given (`dict[str, PreTrainedModel]`, *optional*):
                Models in the place of freshly initialized ones, such as a pretrained generator. A copy of such a
                player is a copy of that model.
            leave_out (`Collection[str]`, *optional*):
                Players that the run does not need.
        """
        overrides, given = overrides or {}, given or {}
        for name in (*overrides, *given):
            if name not in self.players:
                raise ValueError(unknown_name(f"player of {self.name}", name, self.players))
        built: dict[str, PreTrainedModel] = {}
        for name, own in self.players.items():
            if name in leave_out:
                continue
            if name in given:
                built[name] = given[name]
            elif isinstance(own, Copy):
                if overrides.get(name):
                    raise ValueError(self.copy_has_no_options(name, next(iter(overrides[name]))))
                if own.player not in built:
                    raise ValueError(
                        f"The {name} of {self.name} is a copy of the {own.player}, which is not built before it; "
                        f"place it after the {own.player}."
                    )
                built[name] = copy.deepcopy(built[own.player])
            else:
                built[name] = self._build(name, self._config(name, overrides, from_data, given), overrides.get(name))
        return built

    def copy_has_no_options(self, name: str, option: str) -> str:
        """Returns the sentence that refuses an option of a copy."""
        own = self.players[name]
        assert isinstance(own, Copy)
        return (
            f"{name}.{option} is set, but the {name} of {self.name} is a copy of the {own.player}; set "
            f"{own.player}.{option} in its place."
        )

    def build_player(
        self, player: str, overrides: dict[str, Any] | None = None, from_data: dict[str, Any] | None = None
    ) -> "PreTrainedModel":
        """
        Builds a freshly initialized model of one player; see [`~SystemSpec.build_players`]. Values that it takes from
        other players are those of the record.
        """
        self.player(player)  # it exists
        return self._build(player, self._config(player, {player: overrides or {}}, from_data, {}), overrides)

    def _config(
        self,
        player: str,
        all_overrides: Mapping[str, dict[str, Any]],
        from_data: dict[str, Any] | None,
        given: Mapping[str, "PreTrainedModel"],
    ) -> "PreTrainedConfig":
        """Returns the configuration of a player, with the values of other players in their places."""
        from .. import models

        own = self.players[player]
        if player in given:
            return given[player].config
        if isinstance(own, Copy):
            return self._config(own.player, all_overrides, from_data, given)
        class_name, defaults = self.player(player)
        overrides = all_overrides.get(player)
        config_class = getattr(models, class_name)
        known = config_fields(config_class)
        for key in (*defaults, *(overrides or {})):
            if key not in known:
                raise ValueError(unknown_name(f"option of the {player} of {self.name}", key, known))
        defaults = {
            key: getattr(self._config(value.player, all_overrides, from_data, given), value.option)
            if isinstance(value, Of)
            else value
            for key, value in defaults.items()
            if key not in (overrides or {})
        }
        following = {key: value for key, value in (from_data or {}).items() if key in known}
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if key in following and (overrides or following).get(key, following[key]) != following[key]:
                raise ValueError(
                    f"{player}.{key} is {(overrides or {})[key]!r} and the data have {following[key]}; leave it out."
                )
        for key, value in (overrides or {}).items():
            limit = _MOST_LAYERS if key.startswith("num_") else _LARGEST_SIZE  # counts of layers, and widths
            if isinstance(value, int) and abs(value) > limit:
                raise ValueError(f"{player}.{key} is {value}; set it to {limit:,} or less.")
        return config_class(**{**following, **defaults, **(overrides or {})})

    def _build(self, player: str, config: "PreTrainedConfig", overrides: dict[str, Any] | None) -> "PreTrainedModel":
        """Builds a model of a configuration, unless memory cannot hold it."""
        import torch
        from transformers import AutoModel

        from ..utils.numbers import check_memory

        fix = f"change its values ({', '.join(f'{player}.{key}={value}' for key, value in (overrides or {}).items())})"
        try:
            with torch.device("meta"):  # shapes without memory
                num_parameters = AutoModel.from_config(config).num_parameters()
            # The parameters, their gradients and the two moments of Adam, in float32.
            check_memory(f"The {player} of {num_parameters:,} parameters", 16 * num_parameters, fix)
            return AutoModel.from_config(config)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"The {player} cannot be built ({reason}); {fix}.") from error


def config_fields(config_class: type) -> set[str]:
    """Returns the names that a configuration class itself declares, beside those of every `PreTrainedConfig`."""
    from transformers import PreTrainedConfig

    declared: set[str] = set()
    for base in config_class.__mro__:
        if base is PreTrainedConfig:
            break
        declared |= {name for name in getattr(base, "__annotations__", {}) if not name.startswith("_")}
    return declared


__all__ = ["Copy", "Of", "Paper", "SystemSpec", "config_fields"]
