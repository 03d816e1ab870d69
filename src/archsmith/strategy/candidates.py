"""Where a surrogate looks for its next proposal."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .._support.errors import SpaceError
from ..history.trial import History
from ..predictor.blocks import listing
from ..space.architecture import Architecture
from ..space.listed import ListedSpace
from .ranking import Ranking

if TYPE_CHECKING:
    from ..space import Space

T = TypeVar("T")

#: In a space that is too large to list: how many candidates are drawn, mutated and crossed.
_DRAWN, _MUTATED, _CROSSED = 100, 160, 60
#: How many of the best trials are mutated and crossed.
_BEST = 10
#: A mutant is mutated again with this probability, so that some are farther away.
_AGAIN = 0.4
#: Neighbours of one architecture that are considered; a deep space has hundreds.
_AROUND = 48


class Pool:
    """New architectures to choose from, each graph once.

    A small space is listed. In a large one the candidates are random draws, and mutations and
    crossovers of the best trials. Draws that the builder rejects are left out.
    """

    def __init__(self, space: Space, history: History) -> None:
        self.listed = listing(space)
        self.keys = [
            history.key(a) for a in self.listed
        ]  # too expensive to compute for every proposal

    def draw(
        self, space: Space, history: History, ranking: Ranking, rng: random.Random
    ) -> tuple[list[Architecture], list[int] | None]:
        """The candidates of one proposal, none if a listed space is used up; and their positions in
        the list, if there is one."""
        if self.listed:
            seen = history.seen
            places = [place for place, key in enumerate(self.keys) if key not in seen]
            return [self.listed[place] for place in places], places
        best = [t.architecture for t in ranking.best(history.full, _BEST)]
        return new(history, drawn(space, best, rng)), None


def around(
    space: Space, history: History, best: Sequence[Architecture], rng: random.Random
) -> list[Architecture]:
    """New neighbours of the given architectures, a random subset if there are many, each graph
    once."""
    return new(history, (a for start in best for a in _neighbours(space, start, rng)))


def _neighbours(space: Space, start: Architecture, rng: random.Random) -> Iterator[Architecture]:
    if isinstance(space, ListedSpace):
        yield from _sampled(list(space.neighbours(start)), rng)
        return
    with suppress(SpaceError):
        steps = [(d.name, a) for d in space.decisions(start) for a in d.near(start[d.name])]
        for name, answer in _sampled(steps, rng):
            with suppress(SpaceError):
                yield space.complete({**start, name: answer})


def _sampled(items: list[T], rng: random.Random) -> list[T]:
    return items if len(items) <= _AROUND else rng.sample(items, _AROUND)


def new(history: History, architectures: Iterable[Architecture]) -> list[Architecture]:
    """Architectures whose graph no trial has in any encoding, each graph once."""
    by_key: dict[Hashable, Architecture] = {}
    for architecture in architectures:
        key = history.key(architecture)
        if key not in history.seen:
            by_key.setdefault(key, architecture)
    return list(by_key.values())


def drawn(space: Space, best: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
    """Random draws, mutations and crossovers of the best, without those the builder rejects."""

    def mutant(start: Architecture) -> Architecture:
        architecture = _mutated(space, start, rng)
        while rng.random() < _AGAIN:
            architecture = _mutated(space, architecture, rng)
        return architecture

    def child() -> Architecture:
        a, b = rng.sample(best, 2)
        return space.cross(a, b, rng)

    random_count = _DRAWN if best else _DRAWN + _MUTATED
    # Where choices have priors, half of the draws ignore them.
    ways = [None, "decisions"] * (random_count // 2)
    draws: list[Callable[[], Architecture]] = [partial(space.sample, rng, way) for way in ways]
    if best:
        draws += [partial(mutant, best[i % len(best)]) for i in range(_MUTATED)]
    if len(best) > 1:
        draws += [child] * _CROSSED
    candidates: list[Architecture] = []
    for draw in draws:
        with suppress(SpaceError):
            candidates.append(draw())
    return candidates


def _mutated(space: Space, architecture: Architecture, rng: random.Random) -> Architecture:
    try:
        return space.mutate(architecture, rng)
    except SpaceError:  # nothing can be changed in this architecture
        return space.sample(rng)
