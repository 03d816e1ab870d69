"""Starting from architectures that are already known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..history.trial import History, Proposal
from ..space.architecture import Architecture
from .base import Strategy

if TYPE_CHECKING:
    from ..space import Space


class StartFrom(Strategy):
    """Proposes the given architectures first, then those of another strategy.

    A search starts from the default architecture in this way: it is what the user has now, and
    what the search has to beat.

    Args:
        first: architectures to begin with.
        then: the strategy that proposes after them.
        note: of the first proposals.
    """

    name = "start-from"

    def __init__(self, first: Sequence[Architecture], then: Strategy, note: str = "given") -> None:
        self.first, self.then, self.note = tuple(first), then, note

    def check(self, space: Space, history: History) -> None:
        self.then.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        return self.then.describe(space, history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if len(history) < len(self.first):
            entry = self.then.entry(history)
            return Proposal(self.first[len(history)], entry, self.note)
        return self.then.propose(space, history, rng)
