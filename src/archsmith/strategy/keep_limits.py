"""A wrapper that proposes nothing that is known beforehand to break a limit."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal
from ..space.architecture import Architecture
from .base import Costs, Strategy, check_whole
from .seeking import seek

if TYPE_CHECKING:
    from ..space import Space

#: Random draws among which an architecture within the limits is looked for, where none is known;
#: and those looked at beside, from the nearest of them.
_DRAWS, _SOUGHT = 64, 512


class KeepLimits(Strategy):
    """Proposes what another strategy does, as long as it keeps the limits on known costs.

    A search stops a trial that breaks a limit on a cheap metric before it is trained, and does not
    count it; this keeps such trials from being proposed at all. A proposal that breaks a limit is
    asked for again with other random numbers; after ``tries`` of them a mutation of the best trial
    or a random draw stands in: a new one within the limits, or one found from the nearest draws by
    further mutations, or the nearest new one where none keeps them. Where the draws within the
    limits are all known the proposal stays as it is, so that the strategy goes on and comes to its
    end.

    Args:
        strategy: what proposes.
        cost: metrics of an architecture that are known without training it, such as its
            ``params``; those that the study knows where left out. Limits on other metrics are left
            to the evaluation.
        tries: how often the strategy is asked for one proposal.
    """

    name = "keep-limits"

    def __init__(
        self,
        strategy: Strategy,
        cost: Costs | None = None,
        tries: int = 8,
    ) -> None:
        check_whole(self.name, tries=tries)
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
        if found is None:
            return proposal
        return Proposal(found, proposal.fidelity, "instead of one that breaks a limit")

    def _broken(self, history: History, architecture: Architecture) -> float:
        cost = self.cost or history.costs
        return history.violation(cost(architecture)) if cost else 0.0

    def _within(self, space: Space, history: History, rng: random.Random) -> Architecture | None:
        """A new architecture that keeps the limits, or comes nearest where no draw keeps them."""
        known = history.best() or min(
            history.trials, key=lambda t: self._broken(history, t.architecture), default=None
        )
        draws: list[Architecture] = []
        for place in range(2 * _DRAWS):
            with contextlib.suppress(SpaceError):  # the builder refuses it
                if place < _DRAWS and known is not None:
                    draws.append(space.mutate(known.architecture, rng))
                elif place >= _DRAWS:
                    draws.append(space.sample(rng))

        def order(architecture: Architecture) -> tuple[bool, bool, float]:
            broken = self._broken(history, architecture)
            return broken > 0, not history.new(architecture), broken

        found = min(draws, key=order, default=None)
        if found is not None and self._broken(history, found):
            found = self._sought(space, history, sorted(draws, key=order), rng) or found
        return found if found is not None and history.new(found) else None

    def _sought(
        self, space: Space, history: History, near: list[Architecture], rng: random.Random
    ) -> Architecture | None:
        """A new one that keeps the limits, from the nearest of those that break them."""
        left = itertools.count(_SOUGHT, -1)

        def loss(architecture: Architecture) -> float:
            broken = self._broken(history, architecture)
            return broken if broken or history.new(architecture) else math.ulp(0.0)

        return seek(space, loss, near, rng, lambda: next(left) > 0)
