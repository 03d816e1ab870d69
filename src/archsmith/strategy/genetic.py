"""A genetic algorithm: tournaments, crossover, mutation, elitism (Goldberg and Deb 1991, A
Comparative Analysis of Selection Schemes Used in Genetic Algorithms; Xie and Yuille 2017, Genetic
CNN, arXiv:1703.01513)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import History, Proposal, Trial
from .base import HistoryCache, Strategy, check_whole, sample_unseen
from .population import Survivors, breed, check_chances, comparable, offspring

if TYPE_CHECKING:
    from ..space import Space


class GeneticAlgorithm(Strategy):
    """Breeds children of two tournament winners, from a population of the best and the newest.

    ``elite`` places belong to the best trials so far, the others to the newest: elitism preserves
    good trials, ageing drops lucky ones. It is steady state: each trial that ends changes the
    population at once, so that no worker waits for a generation. With several objectives trials are
    ranked by Pareto front, then by crowding distance; trials that break a limit lose against those
    that keep it. Until the population is full, proposals are random.

    Args:
        population: number of trials in the population, at least 2.
        elite: how many of them are the best ones, at most ``population``.
        sample: how many compete in a tournament.
        crossover: probability that a child has two parents; otherwise it is a mutation of the
            first.
        mutation: probability that a crossed child is also mutated, in one decision; a child that
            equals a parent always is.

    Raises:
        InputError: an argument is out of range.
    """

    name = "genetic"

    def __init__(
        self,
        population: int = 15,
        elite: int = 10,
        sample: int = 5,
        crossover: float = 0.9,
        mutation: float = 0.5,
    ) -> None:
        check_whole(self.name, population=population, elite=elite, sample=sample)
        if not (population >= 2 and 0 <= elite <= population and 1 <= sample <= population):
            raise InputError(
                self.name,
                "population >= 2, elite and sample at most population",
                f"population {population}, elite {elite}, sample {sample}",
            )
        check_chances(self.name, crossover=crossover, mutation=mutation)
        self.population, self.elite, self.sample = population, elite, sample
        self.crossover, self.mutation = crossover, mutation
        self._memo = HistoryCache(
            lambda _, history: _Population(history, self.population, self.elite)
        )

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        alive = self._memo.at(space, history).alive()
        if len(alive) < self.population:
            architecture = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(architecture, note="random") if architecture else None
        first, second = (history.ranked(rng.sample(alive, self.sample))[0] for _ in range(2))
        parents = (first.architecture, second.architecture)
        child = offspring(
            space, history, rng, lambda: breed(space, *parents, rng, self.crossover, self.mutation)
        )
        note = f"child of trials {first.number} and {second.number}"
        return Proposal(child, note=note) if child else None


class _Population:
    """The best ``elite`` trials, and the newest of the others."""

    def __init__(self, history: History, size: int, elite: int) -> None:
        self.history, self.size = history, size
        self.best = Survivors(history, elite)
        self.newest: list[Trial] = []

    def take(self, trial: Trial) -> None:
        if comparable(self.history, trial):
            self.best.take(trial)
            self.newest = [*self.newest, trial][-self.size :]

    def alive(self) -> list[Trial]:
        best = {trial.number for trial in self.best.alive}
        others = [trial for trial in self.newest if trial.number not in best]
        return self.best.alive + others[-(self.size - len(best)) :][: self.size - len(best)]
