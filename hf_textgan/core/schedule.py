"""
The training schedule: phases, and the updates of each iteration.

Everything here is a pure function of the iteration, so a resumed run makes the updates that an uninterrupted one would
have made. `global_step` counts the iterations of all phases.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Update:
    """
    Optimizer steps of one player within an iteration.

    Args:
        player (`str`):
            The player that is updated.
        loss (`str`):
            Name of the objective's method that is minimized.
        repeat (`int`, *optional*, defaults to `1`):
            Number of optimizer steps, each on a fresh real batch.
        every (`int`, *optional*, defaults to `1`):
            The update is made in every `every`-th iteration of its phase only.
        optimizer (`str`, *optional*):
            Name of the player's optimizer that steps; by default that of the phase (and of the part, as in
            `"adversarial/manager"`). Updates and phases that name the same optimizer share its moments and its
            learning rate schedule.
        part (`str`, *optional*):
            A submodule of the player, such as `"manager"`: its parameters alone are trained and given to the
            optimizer, the others are frozen. By default the whole player.
    """

    player: str
    loss: str
    repeat: int = 1
    every: int = 1
    optimizer: str | None = None
    part: str | None = None

    def __post_init__(self) -> None:
        for name in ("repeat", "every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"The update of {self.player!r} has {name}={getattr(self, name)}; set it to 1 or more, "
                    "or leave the update out."
                )


@dataclass(frozen=True)
class Phase:
    """
    A number of equal iterations.

    Args:
        name (`str`):
            For example `"pretrain_generator"`, `"pretrain_discriminator"` or `"adversarial"`.
        iterations (`int`):
            Their number; 0 leaves the phase out.
        updates (`tuple[Update, ...]`):
            Made one after the other in each iteration.
    """

    name: str
    iterations: int
    updates: tuple[Update, ...]

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise ValueError(f"The phase {self.name!r} has {self.iterations} iterations; set 0 or more.")
        if self.iterations and not self.updates:
            raise ValueError(f"The phase {self.name!r} has {self.iterations} iterations but no updates; give it one.")

    def updates_at(self, iteration: int) -> tuple[Update, ...]:
        """Returns the updates of an iteration of this phase, counted from 0."""
        return tuple(update for update in self.updates if (iteration + 1) % update.every == 0)

    def optimizer_of(self, update: Update) -> str:
        """Returns the name of the optimizer that steps in an update."""
        return update.optimizer or "/".join([self.name, *(update.part.split(".") if update.part else ())])


@dataclass(frozen=True)
class Position:
    """A point of the schedule: the phase, the iteration within it (from 0) and the updates of that iteration."""

    phase: Phase
    iteration_in_phase: int
    updates: tuple[Update, ...]

    @property
    def progress(self) -> float:
        """The fraction of the phase before this iteration, from 0 to below 1."""
        return self.iteration_in_phase / self.phase.iterations


class PhaseSchedule:
    """
    The phases of a run, one after the other; phases of 0 iterations are left out.

    Example:

    ```python
    >>> schedule = PhaseSchedule([Phase("adversarial", 10, (Update("generator", "generator_loss", repeat=5),))])
    >>> schedule.steps_before(3, "generator")
    15
    ```"""

    def __init__(self, phases: Sequence[Phase]):
        self.phases = tuple(phase for phase in phases if phase.iterations)
        if not self.phases:
            raise ValueError(
                "No phase has any iterations; set max_steps (adversarial training), pretrain_generator_steps or "
                "pretrain_discriminator_steps."
            )
        self.total = sum(phase.iterations for phase in self.phases)
        self._parts: dict[tuple[str, str], str | None] = {}
        for phase in self.phases:
            for update in phase.updates:
                optimizer = phase.optimizer_of(update)
                part = self._parts.setdefault((update.player, optimizer), update.part)
                if part != update.part:
                    raise ValueError(
                        f"The optimizer {optimizer!r} of {update.player!r} is named for the part {update.part!r} and "
                        f"for {part!r}; give each part an optimizer of its own."
                    )

    def at(self, iteration: int) -> Position:
        """Returns the [`Position`] of an iteration from 0 to `total - 1`."""
        if not 0 <= iteration < self.total:
            raise IndexError(f"iteration is {iteration}; this run has the iterations 0 to {self.total - 1}.")
        start = 0
        for phase in self.phases:
            if iteration < start + phase.iterations:
                break
            start += phase.iterations
        return Position(phase, iteration - start, phase.updates_at(iteration - start))

    def steps_before(self, iteration: int, player: str | None = None, optimizer: str | None = None) -> int:
        """
        Returns the number of optimizer steps before `iteration`, of one player and one of its optimizers if given.
        """
        steps, start = 0, 0
        for phase in self.phases:
            iterations = min(max(iteration - start, 0), phase.iterations)
            steps += sum(
                iterations // update.every * update.repeat
                for update in phase.updates
                if player in (None, update.player) and optimizer in (None, phase.optimizer_of(update))
            )
            start += phase.iterations
        return steps

    def optimizers(self) -> list[tuple[str, str]]:
        """Returns every (player, optimizer) that is used in this run, in the order of first use."""
        return list(self._parts)

    def part_of(self, player: str, optimizer: str) -> str | None:
        """Returns the part of a player that one of its optimizers trains; `None` for the whole player."""
        return self._parts[player, optimizer]

    def describe(self) -> list[dict]:
        """Returns a JSON form of the schedule, by which two runs are compared."""
        return [
            {"name": phase.name, "iterations": phase.iterations, "updates": [vars(update) for update in phase.updates]}
            for phase in self.phases
        ]


def phases_before(iteration: int, phases: list[dict]) -> list[dict]:
    """Returns the phases of [`PhaseSchedule.describe`] that began before `iteration`, cut off there."""
    before = []
    for phase in phases:
        if iteration > 0:
            before.append({**phase, "iterations": min(phase["iterations"], iteration)})
        iteration -= phase["iterations"]
    return before


__all__ = ["Phase", "PhaseSchedule", "Position", "Update", "phases_before"]
