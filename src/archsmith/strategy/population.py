"""What strategies share that breed from a population."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import History, State, Trial
from ..space.architecture import Architecture
from .base import sample_unseen

if TYPE_CHECKING:
    from ..space import Space

#: Draws that must have been tried before, for one mutation more.
_PATIENCE = 8


def comparable(history: History, trial: Trial) -> bool:
    """Whether an ended trial can be ranked: it finished, or it was pruned for a broken limit.

    Among trials that break a limit the nearest to it is the best, so that a search finds its way
    into narrow limits.
    """
    if trial.state is State.FINISHED:
        return True
    return trial.state is State.PRUNED and history.violation(trial.metrics) > 0


def check_chances(strategy: str, **chances: float) -> None:
    """Raise :class:`InputError` unless all are from 0 to 1."""
    for name, chance in chances.items():
        if not (isinstance(chance, int | float) and 0 <= chance <= 1):
            raise InputError(f"{strategy}: {name}", "a chance from 0 to 1", str(chance))


def offspring(
    space: Space, history: History, rng: random.Random, draw: Callable[[], Architecture]
) -> Architecture | None:
    """A drawn child that is new, mutated the further the longer there is none.

    A population that has gathered in one place has few children that were not tried before; those
    of several mutations are many.

    Returns:
        ``None`` where the whole space was tried.
    """
    tries = 0

    def wider() -> Architecture:
        nonlocal tries
        child = draw()
        for _ in range(tries // _PATIENCE):
            child = space.mutate(child, rng)
        tries += 1
        return child

    return sample_unseen(space, history, wider)


def breed(
    space: Space,
    first: Architecture,
    second: Architecture,
    rng: random.Random,
    crossover: float,
    mutation: float,
) -> Architecture:
    """A child: crossed with chance ``crossover`` (else the first parent), then mutated.

    A child that is one of its parents is mutated in any case.
    """
    child = space.cross(first, second, rng) if rng.random() < crossover else first
    if rng.random() < mutation or child in (first, second):
        return space.mutate(child, rng)
    return child


class Survivors:
    """The best trials of a history so far, from best to worst (environmental selection)."""

    def __init__(self, history: History, size: int) -> None:
        self.history, self.size = history, size
        self.alive: list[Trial] = []

    def take(self, trial: Trial) -> None:
        if comparable(self.history, trial):
            self.alive = self.history.ranked([*self.alive, trial])[: self.size]
