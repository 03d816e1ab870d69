"""A wrapper that listens to cheap scores: they start a search, and they choose among proposals."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError, SpaceError
from ..space.architecture import Architecture
from ..trial import History, Proposal
from .base import Strategy, check_whole

if TYPE_CHECKING:
    from ..space import Space

#: Larger is better. Scores are compared within one call alone, so they may be ranks of a vote.
Advice = Callable[[Sequence[Architecture]], Sequence[float]]


class Advised(Strategy):
    """Proposes what another strategy does, with cheap scores as advice.

    - Warm start: the first proposals are the best by the advice among a pool of random draws
      (Abdelfattah et al. 2021, arXiv:2101.08134).
    - Choice: after that the strategy is asked several times, each time with other random numbers,
      and the new architecture that the advice likes best is proposed. A proposal that raises the
      fidelity of one that was tried is not held up.

    The advice cannot keep the search from anything for good: the strategy learns from trials alone.

    Args:
        strategy: what proposes after the start.
        advice: scores of architectures, larger is better; equal for equal graphs.
        warm: trials of the warm start; 0 leaves it out.
        pool: random draws that they are chosen from.
        among: how many proposals are compared for one; 1 takes the strategy's own.
        says: what the advice is, for notes.

    Raises:
        InputError: a number below its least value, or a pool smaller than the start.
    """

    name = "advised"

    def __init__(
        self,
        strategy: Strategy,
        advice: Advice,
        *,
        warm: int = 5,
        pool: int = 50,
        among: int = 4,
        says: str = "advice",
    ) -> None:
        check_whole(self.name, warm=warm, pool=pool, among=among)
        for what, number, least in (("warm", warm, 0), ("pool", pool, warm), ("among", among, 1)):
            if number < least:
                raise InputError(f"advised, {what}", f"{least} or more", str(number))
        self.strategy, self.advice, self.says = strategy, advice, says
        self.warm, self.pool, self.among = warm, pool, among
        self._drawn: tuple[int, list[Architecture]] | None = None

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        return f"{self.strategy.describe(space, history)}, advised by {self.says}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if self.warm:
            for architecture in self._start(space, history, rng)[: self.warm]:
                if history.new(architecture):
                    return Proposal(architecture, note=f"warm start by {self.says}")
        return self._chosen(space, history, rng)

    def _start(self, space: Space, history: History, rng: random.Random) -> list[Architecture]:
        """The pool from best to worst: one for a study, whose first trial seeds it."""
        seed = history.trials[0].seed if history.trials else rng.getrandbits(64)
        if self._drawn is None or self._drawn[0] != seed:
            draws, found = random.Random(seed), dict[Hashable, Architecture]()
            for _ in range(self.pool):
                with contextlib.suppress(SpaceError):  # the builder refuses it
                    architecture = space.sample(draws)
                    found.setdefault(history.key(architecture), architecture)
            pool = list(found.values())
            self._drawn = seed, _ordered(pool, self.advice(pool)) if pool else []
        return self._drawn[1]

    def _chosen(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        first = self.strategy.propose(space, history, rng)
        if first is None or self.among == 1 or not history.new(first.architecture):
            return first
        offers = {history.key(first.architecture): first}
        for _ in range(self.among - 1):
            again = random.Random(rng.random())
            other = self.strategy.propose(space, history, again)
            if other is not None and history.new(other.architecture):
                offers.setdefault(history.key(other.architecture), other)
        if len(offers) == 1:
            return first
        proposals = list(offers.values())
        scores = self.advice([proposal.architecture for proposal in proposals])
        best = max(range(len(proposals)), key=scores.__getitem__)
        chosen = proposals[best]
        note = f"{chosen.note}, best of {len(proposals)} by {self.says}".removeprefix(", ")
        return Proposal(chosen.architecture, chosen.fidelity, note)


def _ordered(pool: Sequence[Architecture], scores: Sequence[float]) -> list[Architecture]:
    order = sorted(range(len(pool)), key=lambda place: -scores[place])
    return [pool[place] for place in order]
