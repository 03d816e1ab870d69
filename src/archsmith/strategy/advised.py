"""A wrapper that listens to cheap scores: they start a search, and can do more."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal
from ..space.architecture import Architecture
from .base import Strategy, check_whole
from .learned_advice import with_advice

if TYPE_CHECKING:
    from ..space import Space

#: Larger is better. Scores are compared within one call alone, so they may be ranks of a vote.
Advice = Callable[[Sequence[Architecture]], Sequence[float]]


class Advised(Strategy):
    """Proposes what another strategy does, with cheap scores as advice.

    - Warm start: the first proposals are the best by the advice among a pool of random draws
      (Abdelfattah et al. 2021, arXiv:2101.08134). One that is found to break a limit before
      it is trained is made up for by the next.
    - Feature: what the pool's scores say of other architectures is learned, and the strategy sees
      it beside what the space says of them. Strategies with a surrogate use it, others do not.
    - Choice: after that the strategy is asked several times, each time with other random numbers,
      and the new architecture that the advice likes best is proposed. A proposal that raises the
      fidelity of one that was tried is not held up.

    The start is what paid on most tables; the other two are off unless asked for
    (docs/benchmarks.md). The advice cannot keep the search from anything for good: the strategy
    learns from trials alone.

    Args:
        strategy: what proposes after the start.
        advice: scores of architectures, larger is better; equal for equal graphs.
        warm: trials of the warm start, without those that a limit stops; 0 leaves it out.
        pool: random draws that they are chosen from.
        feature: whether the strategy is shown what the scores of the pool say.
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
        feature: bool = False,
        among: int = 1,
        says: str = "advice",
    ) -> None:
        check_whole(self.name, warm=warm, pool=pool, among=among)
        for what, number, least in (("warm", warm, 0), ("pool", pool, warm), ("among", among, 1)):
            if number < least:
                raise InputError(f"advised, {what}", f"{least} or more", str(number))
        self.strategy, self.advice, self.says = strategy, advice, says
        self.warm, self.pool, self.feature, self.among = warm, pool, feature, among
        self._drawn: tuple[int, list[Architecture], Space] | None = None

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def describe(self, space: Space, history: History) -> str:
        return f"{self.strategy.describe(space, history)}, advised by {self.says}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if self.warm or self.feature:
            pool, told = self._start(space, history, rng)
            pick = self._pick(pool, history)
            if pick is not None:
                return Proposal(pick, note=f"warm start by {self.says}")
            space = told
        return self._chosen(space, history, rng)

    def _pick(self, pool: Sequence[Architecture], history: History) -> Architecture | None:
        """The next of the pool, until enough of it were tried that keep the limits."""
        # Limits that are known before a training alone: what was trained is paid for.
        broken = {
            history.key(trial.architecture)
            for trial in history.pruned
            if history.violation(trial.metrics) > 0
        }
        tried = 0
        for architecture in pool:
            if tried == self.warm:
                break
            if history.new(architecture):
                return architecture
            tried += history.key(architecture) not in broken
        return None

    def _start(
        self, space: Space, history: History, rng: random.Random
    ) -> tuple[list[Architecture], Space]:
        """The pool from best to worst, one for a study, whose first trial seeds it; and the space
        with what its scores say."""
        seed = history.trials[0].seed if history.trials else rng.getrandbits(64)
        if self._drawn is None or self._drawn[0] != seed:
            draws, found = random.Random(seed), dict[Hashable, Architecture]()
            for _ in range(self.pool):
                with contextlib.suppress(SpaceError):  # the builder refuses it
                    architecture = space.sample(draws)
                    found.setdefault(history.key(architecture), architecture)
            pool, told = list(found.values()), space
            if pool:
                scores = self.advice(pool)
                if self.feature:
                    told = with_advice(space, pool, scores, self.says)
                pool = _ordered(pool, scores)
            self._drawn = seed, pool, told
        return self._drawn[1:]

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
