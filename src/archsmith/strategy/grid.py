"""Grid search: all architectures in a fixed order."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError, Unwind
from ..history.trial import History, Proposal, Trial
from ..space.architecture import Answer, Architecture
from ..space.decision import Decision, Integer, Real
from .base import HistoryCache, Strategy, check_whole, sample_unseen

if TYPE_CHECKING:
    from ..space import Space

#: After this many successive encodings of graphs that came before, the grid is abandoned.
_REPEATED = 5000


class GridSearch(Strategy):
    """Tries all architectures one after the other, the last decision changing fastest.

    The order does not depend on the seed. Ranges that cannot be tried value by value (continuous
    ones, and integers with more than 32 answers or more than ``levels``, whichever is larger) are
    tried at ``levels`` points spaced evenly on their scale, including both ends, so the grid of any
    bounded space is finite. The search ends when the whole grid was tried; graphs that were tried
    in another encoding are skipped. In an unbounded space shorter architectures come roughly before
    longer ones. If 5,000 successive encodings are of graphs that came before, the grid is
    abandoned, and random draws look for other graphs.

    Args:
        levels: number of points of a range, at least 2.

    Raises:
        InputError: ``levels`` is not a whole number of 2 or more.
    """

    name = "grid"

    def __init__(self, levels: int = 5) -> None:
        check_whole(self.name, levels=levels)
        if levels < 2:
            raise InputError("grid", "2 levels or more", str(levels))
        self.levels = levels
        self._memo = HistoryCache(lambda space, _: _Place(grid(space, self.levels)))

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        place = self._memo.at(space, history)
        while place.here is not None and not history.new(place.here):
            place.go_on(history)
        if place.stuck:
            architecture = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(architecture, note="random") if architecture else None
        return Proposal(place.here, note="grid") if place.here is not None else None


class _Place:
    """The position in the grid; everything before it was seen.

    Attributes:
        here: the next architecture of the grid; ``None`` if it has ended.
        stuck: whether the grid was abandoned because its graphs kept repeating.
    """

    def __init__(self, rest: Iterator[Architecture]) -> None:
        self._rest = rest
        self.here = next(rest, None)
        self.stuck = False
        # Depends only on the grid, so that a resumed study abandons it at the same position.
        self._met: set[Hashable] = set()
        self._repeated = 0

    def go_on(self, history: History) -> None:
        """Move past the current architecture."""
        assert self.here is not None
        key = history.key(self.here)
        self._repeated = self._repeated + 1 if key in self._met else 0
        self._met.add(key)
        self.stuck = self._repeated >= _REPEATED
        self.here = None if self.stuck else next(self._rest, None)

    def take(self, trial: Trial) -> None:
        """Nothing to learn: the history holds what was seen."""


def grid(space: Space, levels: int) -> Iterator[Architecture]:
    """Iterate lazily over the architectures of a space, ranges reduced to ``levels`` points.

    Each comes once; combinations that the builder rejects are left out.

    Raises:
        SpaceError: the builder rejects all of them.
    """
    limit = 2 * len(space.default()) + 32
    starts: list[dict[str, Answer]] = [{}]
    failure: SpaceError | None = None
    empty = True
    while starts:
        later: list[dict[str, Answer]] = []
        stack: list[Iterator[dict[str, Answer]]] = [iter(starts)]
        while stack:
            prefix = next(stack[-1], None)
            if prefix is None:
                stack.pop()
                continue
            try:
                architecture = space.walk(_Follow(prefix))
            except _Question as question:
                if len(prefix) >= limit:
                    later.append(prefix)
                else:
                    stack.append(_extended(prefix, question.decision, levels))
            except SpaceError as error:
                failure = error
            else:
                empty = False
                yield architecture
        starts, limit = later, limit * 2
    if empty and failure is not None:
        raise failure


def points(decision: Decision, levels: int) -> Iterator[Answer]:
    """The answers of a decision that the grid tries, in a fixed order."""
    if not isinstance(decision, Integer | Real):
        return decision.answers()
    if isinstance(decision, Integer) and (decision.listed or decision.cardinality <= levels):
        return decision.answers()
    low, high = decision.low, decision.high
    shares = [place / (levels - 1) for place in range(levels)]
    if decision.log:
        values = [low * math.exp(share * math.log(high / low)) for share in shares]
    else:
        values = [low + share * (high - low) for share in shares]
    if isinstance(decision, Integer):
        top = decision.cardinality - 1
        steps = [min(max(round((v - low) / decision.step), 0), top) for v in values]
        return iter(dict.fromkeys(decision.low + decision.step * step for step in steps))
    return iter(dict.fromkeys(min(max(float(value), low), high) for value in values))


def _extended(
    prefix: dict[str, Answer], decision: Decision, levels: int
) -> Iterator[dict[str, Answer]]:
    return ({**prefix, decision.name: answer} for answer in points(decision, levels))


class _Question(Unwind):
    """Raised to stop a walk at an unanswered decision."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


class _Follow:
    """Answers a prefix of the decisions and stops the walk at the first one after it."""

    def __init__(self, prefix: dict[str, Answer]) -> None:
        self.prefix = prefix

    def __call__(self, decision: Decision, _: object) -> Answer:
        if decision.name not in self.prefix:
            raise _Question(decision)
        return self.prefix[decision.name]
