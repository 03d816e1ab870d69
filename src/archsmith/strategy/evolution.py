"""Regularized evolution (Real et al. 2019, Regularized Evolution for Image Classifier
Architecture Search, arXiv:1802.01548)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import History, Proposal
from .base import Strategy, check_whole, sample_unseen
from .population import offspring

if TYPE_CHECKING:
    from ..space import Space


class RegularizedEvolution(Strategy):
    """Mutates the winner of a tournament among the newest trials; the oldest are dropped.

    The population is the last ``population`` finished trials, which is equivalent to ageing, so no
    state is needed in addition to the history. With several objectives the tournament is decided by
    Pareto front and crowding distance; trials that break a limit lose against those that do not.
    Until ``population`` trials have finished, proposals are random, unless as many were pruned for
    a broken limit by then: in that case finished and pruned ones compete, and the nearest to the
    limits wins. A child that was tried before is drawn again, with more mutations if necessary.

    Args:
        population: how many of the newest finished trials form the population. The paper uses 100
            for a budget of 20,000; 10 to 20 suit a few hundred trials.
        sample: how many of them compete in a tournament.

    Raises:
        InputError: an argument is out of range.
    """

    name = "evolution"

    def __init__(self, population: int = 10, sample: int = 3) -> None:
        check_whole(self.name, population=population, sample=sample)
        if not 1 <= sample <= population:
            raise InputError("evolution", "1 <= sample <= population", f"{sample}, {population}")
        self.population, self.sample = population, sample

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        alive = history.finished[-self.population :]
        if len(alive) < self.population:
            broken = [t for t in history.pruned if history.violation(t.metrics) > 0]
            if len(broken) < self.population:
                architecture = sample_unseen(space, history, lambda: space.sample(rng))
                return Proposal(architecture, note="random") if architecture else None
            alive = sorted(alive + broken, key=lambda t: t.number)[-self.population :]
        parent = history.ranked(rng.sample(alive, self.sample))[0]
        child = offspring(space, history, rng, lambda: space.mutate(parent.architecture, rng))
        return Proposal(child, note=f"mutation of trial {parent.number}") if child else None
