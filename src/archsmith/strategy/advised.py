"""A wrapper that uses cheap scores: they start a search, and can also guide it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import Fidelity, History, Proposal
from ..space.architecture import Architecture
from .base import Strategy, check_whole
from .learned_advice import with_advice

if TYPE_CHECKING:
    from ..space import Space

#: Larger is better. Scores are compared only within one call, so they may be ranks of a vote.
Advice = Callable[[Sequence[Architecture]], Sequence[float]]


class Advised(Strategy):
    """Proposes what another strategy does, with cheap scores as advice.

    - Warm start: the first proposals are those with the best scores in a pool of random draws
      (Abdelfattah et al. 2021, arXiv:2101.08134). One that turns out to break a limit before
      training is replaced by the next.
    - Feature: a model of the pool's scores predicts those of all architectures, and the strategy
      sees the prediction in addition to the space's own features. Only strategies with a surrogate
      use it.
    - Choice: after the start the strategy is asked several times, each time with other random
      numbers, and the new architecture with the best score is proposed. A proposal that raises the
      fidelity of an earlier trial is used at once.

    The warm start improved the search on most tables; the other two are off by default
    (docs/benchmarks.md). Bad advice cannot mislead the search for ever, because the strategy learns
    only from trials.

    Args:
        strategy: the strategy that proposes after the start.
        advice: gives scores of architectures, larger is better; equal for equal graphs.
        warm: number of trials of the warm start, excluding those that a limit stops; 0 for none.
        pool: number of random draws that they are chosen from.
        feature: whether the strategy sees predictions of the scores.
        among: how many proposals are compared; 1 uses the strategy's own.
        says: name of the advice, for notes.

    Raises:
        InputError: a number is below its minimum, or the pool is smaller than the warm start.
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
        self.promotes = strategy.promotes
        self.warm, self.pool, self.feature, self.among = warm, pool, feature, among
        self._drawn: tuple[int, list[Architecture], Space] | None = None

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def entry(self, history: History) -> Fidelity | None:
        return self.strategy.entry(history)

    def describe(self, space: Space, history: History) -> str:
        return f"{self.strategy.describe(space, history)}, advised by {self.says}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if self.warm or self.feature:
            pool, advised_space = self._pool_and_space(space, history, rng)
            architecture = self._next_of_pool(pool, history)
            if architecture is not None:
                return Proposal(architecture, note=f"warm start by {self.says}")
            space = advised_space
        return self._best_of_several(space, history, rng)

    def _next_of_pool(self, pool: Sequence[Architecture], history: History) -> Architecture | None:
        """The next of the pool, until enough architectures that keep the limits were tried."""
        # Only trials that broke a limit before training; a trained one has used its share.
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

    def _pool_and_space(
        self, space: Space, history: History, rng: random.Random
    ) -> tuple[list[Architecture], Space]:
        """The pool from best to worst, and the space with predicted scores as a feature.

        A study has one pool, which the first trial seeds.
        """
        seed = history.trials[0].seed if history.trials else rng.getrandbits(64)
        if self._drawn is None or self._drawn[0] != seed:
            draws, pool_by_key = random.Random(seed), dict[Hashable, Architecture]()
            for _ in range(self.pool):
                with contextlib.suppress(SpaceError):  # the builder rejects it
                    architecture = space.sample(draws)
                    pool_by_key.setdefault(history.key(architecture), architecture)
            pool, advised_space = list(pool_by_key.values()), space
            if pool:
                scores = self.advice(pool)
                if self.feature:
                    advised_space = with_advice(space, pool, scores, self.says)
                pool = _ordered(pool, scores)
            self._drawn = seed, pool, advised_space
        return self._drawn[1:]

    def _best_of_several(
        self, space: Space, history: History, rng: random.Random
    ) -> Proposal | None:
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
