"""Common parts of strategies that breed from a population."""

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

#: Children that were already tried, after which one more mutation is applied.
_PATIENCE = 8


def comparable(history: History, trial: Trial) -> bool:
    """Whether an ended trial can be ranked: it finished, or it was pruned for a broken limit.

    Among trials that break a limit the nearest to it is the best, so that a search finds its way
    to narrow limits.
    """
    if trial.state is State.FINISHED:
        return True
    return trial.state is State.PRUNED and history.violation(trial.metrics) > 0


def check_chances(strategy: str, **chances: float) -> None:
    """Raise :class:`InputError` unless all are from 0 to 1."""
    for name, chance in chances.items():
        if not (isinstance(chance, int | float) and 0 <= chance <= 1):
            raise InputError(f"{strategy}: {name}", "a probability from 0 to 1", str(chance))


def offspring(
    space: Space, history: History, rng: random.Random, draw: Callable[[], Architecture]
) -> Architecture | None:
    """Draw a new child, with more mutations the more draws were already tried.

    A population that has converged has few untried children; several mutations give many more.

    Returns:
        ``None`` if the whole space was tried.
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
    """Make a child: crossed with probability ``crossover`` (else the first parent), then mutated.

    It is mutated with probability ``mutation``, and always if it equals one of its parents.
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
