"""A wrapper that avoids proposals which are known beforehand to break a limit."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import Fidelity, History, Proposal
from ..space.architecture import Architecture
from .base import Costs, Strategy, check_whole
from .seeking import seek

if TYPE_CHECKING:
    from ..space import Space

#: Random draws of each kind to find an architecture within the limits; and further architectures
#: examined, starting from the nearest of them.
_DRAWS, _SEARCHED = 64, 512


class KeepLimits(Strategy):
    """Makes another strategy propose only architectures that keep the limits on known costs.

    A search stops a trial that breaks a limit on a cheap metric before training, and does not count
    it; this avoids proposing such trials at all. If a proposal breaks a limit, the strategy is
    asked again with other random numbers. After ``tries`` attempts a mutation of the best trial or
    a random draw replaces it: a new one within the limits, or one found from the nearest draws by
    further mutations, or the nearest new one if none keeps them. If all draws within the limits
    were already tried, the proposal is used unchanged, so that the strategy can come to its end.

    Args:
        strategy: the strategy that proposes.
        cost: gives metrics of an architecture that are known without training it, such as its
            ``params``; by default those that the study knows. Limits on other metrics are left to
            the evaluation.
        tries: how often the strategy is asked for one proposal.

    Raises:
        InputError: ``tries`` is not a whole number of 1 or more.
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
        self.promotes = strategy.promotes

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def entry(self, history: History) -> Fidelity | None:
        return self.strategy.entry(history)

    def describe(self, space: Space, history: History) -> str:
        limits = ", ".join(map(str, history.limits))
        return f"{self.strategy.describe(space, history)}, within {limits or 'no limits'}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        proposal = self.strategy.propose(space, history, rng)
        for _ in range(self.tries - 1):
            if proposal is None or not self._violation(history, proposal.architecture):
                return proposal
            again = random.Random(rng.random())
            proposal = self.strategy.propose(space, history, again) or proposal
        if proposal is None or not self._violation(history, proposal.architecture):
            return proposal
        replacement = self._replacement(space, history, rng)
        if replacement is None:
            return proposal
        return Proposal(replacement, proposal.fidelity, "instead of one that breaks a limit")

    def _violation(self, history: History, architecture: Architecture) -> float:
        cost = self.cost or history.costs
        return history.violation(cost(architecture)) if cost else 0.0

    def _replacement(
        self, space: Space, history: History, rng: random.Random
    ) -> Architecture | None:
        """A new architecture that keeps the limits, or the nearest if no draw keeps them."""
        base = history.best() or min(
            history.trials, key=lambda t: self._violation(history, t.architecture), default=None
        )
        draws: list[Architecture] = []
        for place in range(2 * _DRAWS):
            with contextlib.suppress(SpaceError):  # the builder rejects it
                if place < _DRAWS and base is not None:
                    draws.append(space.mutate(base.architecture, rng))
                elif place >= _DRAWS:
                    draws.append(space.sample(rng))

        def order(architecture: Architecture) -> tuple[bool, bool, float]:
            broken = self._violation(history, architecture)
            return broken > 0, not history.new(architecture), broken

        nearest = min(draws, key=order, default=None)
        if nearest is not None and self._violation(history, nearest):
            nearest = self._search(space, history, sorted(draws, key=order), rng) or nearest
        return nearest if nearest is not None and history.new(nearest) else None

    def _search(
        self, space: Space, history: History, near: list[Architecture], rng: random.Random
    ) -> Architecture | None:
        """Search for a new architecture that keeps the limits, from the nearest that break them."""
        left = itertools.count(_SEARCHED, -1)

        def loss(architecture: Architecture) -> float:
            broken = self._violation(history, architecture)
            return broken if broken or history.new(architecture) else math.ulp(0.0)

        return seek(space, loss, near, rng, lambda: next(left) > 0)
