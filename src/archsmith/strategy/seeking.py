"""Looking for an architecture that keeps limits on what is known without training."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..space.architecture import Architecture

if TYPE_CHECKING:
    from ..space import Space

#: Architectures nearest to keeping the limits, from which is gone on.
_NEAREST = 16
#: Share of single small steps, beside mutations; and the neighbours among which one is drawn.
_STEPS, _AROUND = 0.3, 64


def seek(
    space: Space,
    loss: Callable[[Architecture], float],
    starts: Sequence[Architecture],
    rng: random.Random,
    going: Callable[[], bool],
) -> Architecture | None:
    """One whose loss is 0, by mutating the nearest found so far; ``None`` where none came up.

    A descent ends where no single step comes nearer, which a band of two limits makes happen
    everywhere; mutations of many near ones go on from there.

    Args:
        going: whether to look at one more.
    """
    pool: list[tuple[float, int, Architecture]] = []
    met: set[Architecture] = set()

    def take(architecture: Architecture) -> bool:
        met.add(architecture)
        found = loss(architecture)
        bisect.insort(pool, (found, len(met), architecture))
        del pool[_NEAREST:]
        return found == 0

    for start in dict.fromkeys(starts):
        if take(start):
            return start
    idle = 0
    while pool and going() and idle < 64 * _NEAREST:
        # The nearer, the more often.
        parent = pool[int(rng.random() ** 2 * len(pool))][2]
        child = parent
        with contextlib.suppress(SpaceError):  # the builder refuses it, or nothing can change
            if rng.random() < _STEPS:
                child = rng.choice(list(itertools.islice(space.neighbours(parent), _AROUND)))
            else:
                child = space.mutate(parent, rng)
                child = space.mutate(child, rng) if rng.random() < 0.5 else child
        idle += 1
        if child not in met:
            idle = 0
            if take(child):
                return child
    return None
