"""NSGA-II (Deb, Pratap, Agarwal, Meyarivan 2002, A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II, IEEE Transactions on Evolutionary Computation 6:182)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import History, Proposal
from .base import HistoryCache, Strategy, check_whole, sample_unseen
from .population import Survivors, breed, check_chances, offspring

if TYPE_CHECKING:
    from ..space import Space


class NSGA2(Strategy):
    """Crosses and mutates the trials that survive by Pareto front and crowding distance.

    Parents win binary tournaments by front, then by crowding distance. Trials that keep the limits
    dominate those that do not; among the latter, the nearer to the limits dominate the farther
    (constraint domination), including pruned ones. This is the steady-state variant: each trial
    that ends joins the population at once and the worst leaves, instead of whole generations, so
    that no worker waits for another (Durillo et al. 2009, On the Effect of the Steady-State
    Selection Scheme in Multi-Objective Genetic Algorithms). Until the population is full,
    proposals are random. With one objective this is an elitist genetic algorithm.

    Args:
        population: how many trials survive, at least 2.
        crossover: probability that a child has two parents.
        mutation: probability that a crossed child is also mutated, in one decision; a child that
            equals a parent always is.

    Raises:
        InputError: an argument is out of range.
    """

    name = "nsga2"

    def __init__(self, population: int = 20, crossover: float = 0.9, mutation: float = 0.9) -> None:
        check_whole(self.name, population=population)
        if population < 2:
            raise InputError(f"{self.name}: population", "2 or more", str(population))
        check_chances(self.name, crossover=crossover, mutation=mutation)
        self.population, self.crossover, self.mutation = population, crossover, mutation
        self._memo = HistoryCache(lambda _, history: Survivors(history, self.population))

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        alive = self._memo.at(space, history).alive
        if len(alive) < self.population:
            architecture = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(architecture, note="random") if architecture else None
        # Survivors are sorted by front and crowding distance: the lower index wins.
        places = [min(rng.sample(range(len(alive)), 2)) for _ in range(2)]
        first, second = (alive[place] for place in places)
        parents = (first.architecture, second.architecture)
        child = offspring(
            space, history, rng, lambda: breed(space, *parents, rng, self.crossover, self.mutation)
        )
        note = f"child of trials {first.number} and {second.number}"
        return Proposal(child, note=note) if child else None
