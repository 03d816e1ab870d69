"""A wrapper that proposes nothing that is known beforehand to break a limit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..errors import InputError
from ..space.architecture import Architecture
from ..trial import History, Proposal
from .base import Strategy

if TYPE_CHECKING:
    from ..space import Space

#: Random draws among which an architecture within the limits is looked for, where none is known.
_DRAWS = 64


class KeepLimits(Strategy):
    """Proposes what another strategy does, as long as it keeps the limits on known costs.

    A search stops a trial that breaks a limit on a cheap metric before it is trained, and does not
    count it; this keeps such trials from being proposed at all. A proposal that breaks a limit is
    asked for again with other random numbers; after ``tries`` of them a mutation within the limits
    of the best trial that keeps them stands in, or the random draw that comes nearest.

    Args:
        strategy: what proposes.
        cost: metrics of an architecture that are known without training it, such as its
            ``params``; limits on other metrics are left to the evaluation.
        tries: how often the strategy is asked for one proposal.
    """

    name = "keep-limits"

    def __init__(
        self,
        strategy: Strategy,
        cost: Callable[[Architecture], Mapping[str, float]],
        tries: int = 8,
    ) -> None:
        if tries < 1:
            raise InputError("keep-limits", "tries of 1 or more", str(tries))
        self.strategy, self.cost, self.tries = strategy, cost, tries

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        limits = ", ".join(map(str, history.limits))
        return f"{self.strategy.describe(space, history)}, within {limits or 'no limits'}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        proposal = self.strategy.propose(space, history, rng)
        for _ in range(self.tries - 1):
            if proposal is None or not self._broken(history, proposal.architecture):
                return proposal
            again = random.Random(rng.random())
            proposal = self.strategy.propose(space, history, again) or proposal
        if proposal is None or not self._broken(history, proposal.architecture):
            return proposal
        found = self._within(space, history, rng)
        return Proposal(found, proposal.fidelity, "instead of one that breaks a limit")

    def _broken(self, history: History, architecture: Architecture) -> float:
        return history.violation(self.cost(architecture))

    def _within(self, space: Space, history: History, rng: random.Random) -> Architecture:
        """A new architecture that keeps the limits, or comes nearest of those drawn."""
        known = history.best()
        draws = [space.mutate(known.architecture, rng) for _ in range(_DRAWS)] if known else []
        draws += [space.sample(rng) for _ in range(_DRAWS)]

        def order(architecture: Architecture) -> tuple[float, bool]:
            return self._broken(history, architecture), not history.new(architecture)

        return min(draws, key=order)
