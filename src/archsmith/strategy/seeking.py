"""Search for an architecture that keeps limits on metrics known without training."""

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

#: Number of architectures nearest to keeping the limits that are mutated further.
_NEAREST = 16
#: Share of single small steps, the rest being mutations; and how many neighbours to draw from.
_STEPS, _AROUND = 0.3, 64


def seek(
    space: Space,
    loss: Callable[[Architecture], float],
    starts: Sequence[Architecture],
    rng: random.Random,
    going: Callable[[], bool],
) -> Architecture | None:
    """An architecture whose loss is 0, by mutating the nearest so far; ``None`` if none is found.

    A descent stops where no single step improves, which is common if two limits leave a narrow
    band; mutations of many near architectures continue from there.

    Args:
        going: whether to examine another architecture.
    """
    pool: list[tuple[float, int, Architecture]] = []
    seen: set[Architecture] = set()

    def take(architecture: Architecture) -> bool:
        seen.add(architecture)
        value = loss(architecture)
        bisect.insort(pool, (value, len(seen), architecture))
        del pool[_NEAREST:]
        return value == 0

    for start in dict.fromkeys(starts):
        if take(start):
            return start
    idle = 0
    while pool and going() and idle < 64 * _NEAREST:
        # Nearer ones are drawn more often.
        parent = pool[int(rng.random() ** 2 * len(pool))][2]
        child = parent
        with contextlib.suppress(SpaceError):  # the builder rejects it, or nothing can change
            if rng.random() < _STEPS:
                child = rng.choice(list(itertools.islice(space.neighbours(parent), _AROUND)))
            else:
                child = space.mutate(parent, rng)
                child = space.mutate(child, rng) if rng.random() < 0.5 else child
        idle += 1
        if child not in seen:
            idle = 0
            if take(child):
                return child
    return None
