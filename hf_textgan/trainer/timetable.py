"""
Who moves when: phases, turns and their closed forms.

A tick is one round of a phase, and `global_step` counts ticks. Everything here is a pure function of the tick, so a
resumed run takes the turns that an uninterrupted one would have taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """
    Optimizer steps of one player within a tick.

    Args:
        player (`str`):
            Who moves.
        loss (`str`):
            Name of the objective's function that it minimises.
        repeat (`int`, *optional*, defaults to `1`):
            Number of steps, each on a fresh real batch.
        every (`int`, *optional*, defaults to `1`):
            The turn is taken in every `every`-th tick of its phase only.
        optimizer (`str`, *optional*):
            Which of the player's optimizers steps; by default the one named after the phase. Turns and phases that
            name the same one share its moments and its schedule.
    """

    player: str
    loss: str
    repeat: int = 1
    every: int = 1
    optimizer: str | None = None

    def __post_init__(self) -> None:
        for name in ("repeat", "every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"The turn of {self.player!r} has {name}={getattr(self, name)}; set it to 1 or more, "
                    "or leave the turn out."
                )


@dataclass(frozen=True)
class Phase:
    """
    A number of equal ticks.

    Args:
        name (`str`):
            For example `"pretrain_generator"`, `"pretrain_discriminator"` or `"adversarial"`.
        ticks (`int`):
            How many; 0 leaves the phase out.
        turns (`tuple[Turn, ...]`):
            Taken one after the other in each tick.
    """

    name: str
    ticks: int
    turns: tuple[Turn, ...]

    def __post_init__(self) -> None:
        if self.ticks < 0:
            raise ValueError(f"The phase {self.name!r} has {self.ticks} ticks; set 0 or more.")
        if self.ticks and not self.turns:
            raise ValueError(f"The phase {self.name!r} has {self.ticks} ticks but no turns; give it one.")

    def turns_at(self, tick: int) -> tuple[Turn, ...]:
        """The turns of the tick with this number within the phase, from 0."""
        return tuple(turn for turn in self.turns if (tick + 1) % turn.every == 0)

    def optimizer_of(self, turn: Turn) -> str:
        return turn.optimizer or self.name


@dataclass(frozen=True)
class Position:
    """Where a tick lies: its phase, its number within the phase (from 0) and its turns."""

    phase: Phase
    tick_in_phase: int
    turns: tuple[Turn, ...]

    @property
    def progress(self) -> float:
        """Share of the phase that lies before this tick, from 0 to below 1."""
        return self.tick_in_phase / self.phase.ticks


class Timetable:
    """
    The phases of a run, one after the other; phases of 0 ticks are left out.

    Example:

    ```python
    >>> table = Timetable([Phase("adversarial", 10, (Turn("generator", "generator_loss", repeat=5),))])
    >>> table.before(3, "generator")
    15
    ```"""

    def __init__(self, phases: Sequence[Phase]):
        self.phases = tuple(phase for phase in phases if phase.ticks)
        if not self.phases:
            raise ValueError(
                "No phase has any steps; set max_steps (adversarial training), pretrain_generator_steps or "
                "pretrain_discriminator_steps."
            )
        self.total = sum(phase.ticks for phase in self.phases)

    def at(self, tick: int) -> Position:
        """The [`Position`] of a tick from 0 to `total - 1`."""
        if not 0 <= tick < self.total:
            raise IndexError(f"tick is {tick}; this run has the ticks 0 to {self.total - 1}.")
        start = 0
        for phase in self.phases:
            if tick < start + phase.ticks:
                break
            start += phase.ticks
        return Position(phase, tick - start, phase.turns_at(tick - start))

    def before(self, tick: int, player: str | None = None, optimizer: str | None = None) -> int:
        """Number of optimizer steps before `tick`, of one player and of one of its optimizers if given."""
        steps, start = 0, 0
        for phase in self.phases:
            ticks = min(max(tick - start, 0), phase.ticks)
            steps += sum(
                ticks // turn.every * turn.repeat
                for turn in phase.turns
                if player in (None, turn.player) and optimizer in (None, phase.optimizer_of(turn))
            )
            start += phase.ticks
        return steps

    def optimizers(self) -> list[tuple[str, str]]:
        """Every (player, optimizer) that moves in this run, in the order of its first turn."""
        pairs = [(turn.player, phase.optimizer_of(turn)) for phase in self.phases for turn in phase.turns]
        return list(dict.fromkeys(pairs))

    def describe(self) -> list[dict]:
        """A JSON form, to compare two runs."""
        return [
            {"name": phase.name, "ticks": phase.ticks, "turns": [vars(turn) for turn in phase.turns]}
            for phase in self.phases
        ]


def phases_before(step: int, phases: list[dict]) -> list[dict]:
    """The phases of [`Timetable.describe`] that began before a step, with the ticks that lie before it."""
    begun = []
    for phase in phases:
        if step > 0:
            begun.append({**phase, "ticks": min(phase["ticks"], step)})
        step -= phase["ticks"]
    return begun


__all__ = ["Phase", "Position", "Timetable", "Turn", "phases_before"]
