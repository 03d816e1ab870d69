"""A wrapper that skips duplicates, for strategies that do not do that themselves."""

from __future__ import annotations

import random
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import Fidelity, History, Proposal, Trial
from .base import HistoryCache, Strategy, check_whole, sample_unseen

if TYPE_CHECKING:
    from ..space import Space


class Distinct(Strategy):
    """Makes another strategy propose no graph twice, in whatever encoding.

    If a proposal repeats an earlier trial, the strategy is asked again with other random numbers;
    after ``tries`` attempts a mutation of the last proposal replaces it. A proposal at a higher
    fidelity than any trial of the same graph is not a repetition.

    Args:
        strategy: the strategy that proposes. Archsmith's own already skip duplicates.
        tries: how often it is asked for one proposal.

    Raises:
        InputError: ``tries`` is not a whole number of 1 or more.
    """

    name = "distinct"

    def __init__(self, strategy: Strategy, tries: int = 16) -> None:
        check_whole(self.name, tries=tries)
        if tries < 1:
            raise InputError("distinct", "tries of 1 or more", str(tries))
        self.strategy, self.tries = strategy, tries
        self.promotes = strategy.promotes
        self._memo = HistoryCache(_Highest)

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def entry(self, history: History) -> Fidelity | None:
        return self.strategy.entry(history)

    def describe(self, space: Space, history: History) -> str:
        return f"{self.strategy.describe(space, history)}, no graph twice"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        proposal = self.strategy.propose(space, history, rng)
        for _ in range(self.tries - 1):
            if proposal is None or self._new(proposal, space, history):
                return proposal
            again = random.Random(rng.random())
            proposal = self.strategy.propose(space, history, again) or proposal
        if proposal is None or self._new(proposal, space, history):
            return proposal
        last = proposal.architecture
        replacement = sample_unseen(space, history, lambda: space.mutate(last, rng))
        return (
            Proposal(replacement, proposal.fidelity, "instead of a repetition")
            if replacement
            else None
        )

    def _new(self, proposal: Proposal, space: Space, history: History) -> bool:
        if history.new(proposal.architecture):
            return True
        if proposal.fidelity is None:
            return False
        fidelity, key = proposal.fidelity, history.key(proposal.architecture)
        if fidelity.epochs is None and history.epochs:
            fidelity = replace(fidelity, epochs=history.epochs[-1])
        before = [self._memo.at(space, history).orders.get(key, (0, 0))]
        before += [
            t.fidelity.order for t in history.running.values() if history.key(t.architecture) == key
        ]
        return max(before) < fidelity.order


class _Highest:
    """The highest fidelity at which each graph was tried, by the order of fidelities."""

    def __init__(self, _: Space, history: History) -> None:
        self._key = history.key
        self.orders: dict[Hashable, tuple[float, float]] = {}

    def take(self, trial: Trial) -> None:
        key, order = self._key(trial.architecture), trial.fidelity.order
        self.orders[key] = max(order, self.orders.get(key, order))
