"""The models of a run by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Players(Mapping):
    """
    The models of a run by name, in the order of the system; all that an objective gets to see of them.

    While a player is updated, `players[name]` is the wrapped model for that player, so that gradients are averaged
    over the processes, and the bare one for the others, which have no gradients to average. The updated player is in
    training mode; the others are in evaluation mode and frozen, and so is what does not belong to the updated part.

    Args:
        modules (`dict[str, torch.nn.Module]`):
            The models, wrapped or not.
        unwrap (`Callable`, *optional*):
            Returns the bare model of a wrapped one, for example `accelerator.unwrap_model`.
        mean (`Callable`, *optional*):
            Averages a tensor over the processes.
        gather (`Callable`, *optional*):
            Concatenates the rows of a tensor over the processes, for example `accelerator.gather`.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        unwrap: Callable[[nn.Module], nn.Module] | None = None,
        mean: Callable[[torch.Tensor], torch.Tensor] | None = None,
        gather: Callable[[torch.Tensor], Any] | None = None,
    ):
        self._modules = dict(modules)
        self._unwrap = unwrap or (lambda module: module)
        self._mean = mean or (lambda tensor: tensor)
        self._gather = gather or (lambda tensor: tensor)
        self._updated: str | None = None

    def __getitem__(self, name: str) -> Any:
        if name not in self._modules:
            raise KeyError(f"There is no player {name!r}; this run has {', '.join(self._modules)}.")
        return self._modules[name] if name == self._updated else self.unwrap(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def unwrap(self, name: str) -> Any:
        """Returns the bare model, for sampling and for attributes."""
        return self._unwrap(self._modules[name])

    def wrapped(self, name: str) -> Any:
        """Returns the model as the accelerator prepared it."""
        return self._modules[name]

    @torch.no_grad()
    def carry(self, source: str, target: str, part: str = "") -> None:
        """
        Copies the parameters and buffers of a player to another, or those of the submodule `part` that both have. The
        same in every process.

        Raises:
            `ValueError`: If the two differ in their names or shapes.
        """
        modules = [self.unwrap(name).get_submodule(part) for name in (source, target)]
        tensors, targets = ({**dict(m.named_parameters()), **dict(m.named_buffers())} for m in modules)
        dot = f".{part}" if part else ""
        for name in (*tensors, *targets):
            if name not in tensors or name not in targets or tensors[name].shape != targets[name].shape:
                raise ValueError(
                    f"{source}{dot} cannot be copied to {target}{dot}, because they differ in {name}; build the two "
                    "alike."
                )
        for name, tensor in tensors.items():
            targets[name].copy_(tensor)

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns the mean of a detached tensor over the processes."""
        return self._mean(tensor.detach())

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """
        Returns the rows of a tensor of all processes, in the order of the processes and without gradient. All of them
        give tensors of one shape, with an axis of rows.
        """
        return self._gather(tensor.detach())

    @contextmanager
    def updating(self, name: str, part: str | None = None) -> Iterator[None]:
        """Makes `name`, or its submodule `part`, the player that is updated within the block."""
        trained = self.unwrap(name) if part is None else self.unwrap(name).get_submodule(part)
        kept = {id(parameter) for parameter in trained.parameters()}
        frozen = [
            parameter
            for other in self
            for parameter in self._modules[other].parameters()
            if parameter.requires_grad and not (other == name and id(parameter) in kept)
        ]
        modes = {other: self._modules[other].training for other in self}
        self._updated = name
        self._set_modes({other: other == name for other in self})
        for parameter in frozen:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in frozen:
                parameter.requires_grad_(True)
            self._set_modes(modes)
            self._updated = None

    def _set_modes(self, training: dict[str, bool]) -> None:
        for name, mode in training.items():
            if self._modules[name].training != mode:
                self._modules[name].train(mode)


__all__ = ["Players"]
