"""Where a surrogate looks for its next proposal."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import SpaceError
from ..space.architecture import Architecture
from ..trial import History
from .blocks import listing

if TYPE_CHECKING:
    from ..space import Space

#: In a space that is too large to list: how many are drawn, mutated and crossed.
_DRAWN, _MUTATED, _CROSSED = 100, 160, 60
#: From how many of the best trials.
_BEST = 10
#: A mutant is mutated again with this chance, so that some are farther off.
_AGAIN = 0.4


class Pool:
    """New architectures to choose from, each graph once.

    A small space is listed. In a large one they are random draws, mutations and crossovers of the
    best trials.
    """

    def __init__(self, space: Space, history: History) -> None:
        self.listed = listing(space)
        self._keys = [history.key(a) for a in self.listed]  # dear to make for every proposal

    def draw(
        self, space: Space, history: History, rng: random.Random
    ) -> tuple[list[Architecture], list[int] | None]:
        """The candidates of one proposal, none where a listed space is used up; and their places
        in the list, where there is one."""
        if self.listed:
            seen = history.seen
            places = [place for place, key in enumerate(self._keys) if key not in seen]
            return [self.listed[place] for place in places], places
        return new(history, _drawn(space, history, rng)), None


def around(space: Space, history: History, best: Sequence[Architecture]) -> list[Architecture]:
    """New neighbours of the given architectures, each graph once."""
    return new(history, (a for start in best for a in space.neighbours(start)))


def new(history: History, found: Iterable[Architecture]) -> list[Architecture]:
    """Those that no trial has in any spelling, each graph once."""
    kept: dict[Hashable, Architecture] = {}
    for architecture in found:
        key = history.key(architecture)
        if key not in history.seen:
            kept.setdefault(key, architecture)
    return list(kept.values())


def _drawn(space: Space, history: History, rng: random.Random) -> list[Architecture]:
    best = [t.architecture for t in history.ranked(history.full)[:_BEST]]
    found = [space.sample(rng) for _ in range(_DRAWN if best else _DRAWN + _MUTATED)]
    if not best:
        return found
    change = _changer(space, rng)
    for i in range(_MUTATED):
        mutant = change(best[i % len(best)])
        while rng.random() < _AGAIN:
            mutant = change(mutant)
        found.append(mutant)
    if len(best) > 1:
        for _ in range(_CROSSED):
            a, b = rng.sample(best, 2)
            found.append(space.cross(a, b, rng))
    return found


def _changer(space: Space, rng: random.Random) -> Callable[[Architecture], Architecture]:
    def change(architecture: Architecture) -> Architecture:
        try:
            return space.mutate(architecture, rng)
        except SpaceError:  # nothing can be changed in this one
            return space.sample(rng)

    return change
