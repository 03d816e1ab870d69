"""A wrapper that skips duplicates, for strategies that do not do so themselves."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..errors import InputError
from ..trial import History, Proposal
from .base import Strategy, fresh

if TYPE_CHECKING:
    from ..space import Space


class Distinct(Strategy):
    """Proposes what another strategy does, but no graph twice, in whatever spelling.

    A proposal that repeats an earlier trial is asked for again with other random numbers; after
    ``tries`` of them mutations of the last one stand in. A proposal at a higher fidelity than any
    trial of the same graph is no repetition.

    Args:
        strategy: what proposes. Archsmith's own skip duplicates already.
        tries: how often it is asked for one proposal.
    """

    name = "distinct"

    def __init__(self, strategy: Strategy, tries: int = 16) -> None:
        if tries < 1:
            raise InputError("distinct", "tries of 1 or more", str(tries))
        self.strategy, self.tries = strategy, tries

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        return f"{self.strategy.describe(space, history)}, no graph twice"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        proposal = self.strategy.propose(space, history, rng)
        for _ in range(self.tries - 1):
            if proposal is None or self._new(proposal, history):
                return proposal
            again = random.Random(rng.random())
            proposal = self.strategy.propose(space, history, again) or proposal
        if proposal is None or self._new(proposal, history):
            return proposal
        last = proposal.architecture
        found = fresh(space, history, lambda: space.mutate(last, rng))
        return Proposal(found, proposal.fidelity, "instead of a repetition") if found else None

    def _new(self, proposal: Proposal, history: History) -> bool:
        if history.new(proposal.architecture):
            return True
        if proposal.fidelity is None:
            return False
        key = history.key(proposal.architecture)
        before = [t for t in history.trials if history.key(t.architecture) == key]
        return all(t.fidelity.order < proposal.fidelity.order for t in before)
