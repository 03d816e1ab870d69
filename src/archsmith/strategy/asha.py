"""ASHA, asynchronous successive halving (Li et al. 2020, A System for Massively Parallel
Hyperparameter Tuning, arXiv:1810.05934)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..history.trial import Fidelity, History, Proposal, Trial
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy, sample_unseen
from .rungs import (
    Rung,
    check_ladder,
    finished,
    ladder,
    leftover,
    promotion,
    rung_of,
    survivors,
)

if TYPE_CHECKING:
    from ..space import Space


class ASHA(Strategy):
    """Whoever is among the best of its rung now rises; if nobody is, a new one enters below.

    No worker ever waits for a rung to fill, at the price that some rise who would not have, had
    all the others been known. A trial that fails after rising leaves its place to the next best.

    Args:
        eta: of each rung one in ``eta`` rises, to ``eta`` times the epochs. Where the numbers of
            epochs that can be asked for are further apart, so many rise that rungs cost the same.
        min_epochs: of the lowest rung.
    """

    name = "asha"

    def __init__(self, eta: float = 3, min_epochs: int = 1) -> None:
        check_ladder(self.name, eta, min_epochs)
        self.eta, self.min_epochs = eta, min_epochs
        self._memo = HistoryCache(self._make)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        self.rungs(history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        standing = self._memo.at(space, history)
        riser = standing.riser(history)
        if riser is not None:
            trial, epochs = riser
            return promotion(trial, epochs)
        if not standing.exhausted:
            entrant = self.entrant(space, history, rng)
            standing.exhausted = entrant is None
            if entrant is not None and history.new(entrant.architecture):
                return replace(entrant, fidelity=Fidelity(epochs=standing.epochs[0]))
        return leftover(history, standing.epochs[-1])

    def entrant(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        """A new architecture for the lowest rung, ``None`` where there is none."""
        architecture = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(architecture, note="random") if architecture else None

    def rungs(self, history: History) -> tuple[int, ...]:
        """Epochs of the rungs, ascending."""
        return ladder(self.name, history.epochs, self.eta, self.min_epochs)

    def _make(self, _: Space, history: History) -> _Standing:
        return _Standing(self.rungs(history), history)


class _Standing:
    """Who stands on which rung. ``exhausted``: nothing new is left in the space."""

    def __init__(self, epochs: Sequence[int], history: History) -> None:
        self.epochs = tuple(epochs)
        self.exhausted = False
        self._rungs = [Rung(history) for _ in epochs]
        #: The highest rung on which an architecture was tried.
        self._highest: dict[Architecture, int] = {}
        #: For each rung who failed or was pruned there.
        self._fell: list[set[Architecture]] = [set() for _ in epochs]

    def take(self, trial: Trial) -> None:
        place = rung_of(trial, self.epochs)
        if place is None:
            return
        self._highest[trial.architecture] = max(place, self._highest.get(trial.architecture, 0))
        if finished(trial):
            self._rungs[place].add(trial)
        else:
            self._fell[place].add(trial.architecture)

    def riser(self, history: History) -> tuple[Trial, int] | None:
        """The trial to promote and to how many epochs; the highest rung goes first."""
        busy = {t.architecture: rung_of(t, self.epochs) or 0 for t in history.running.values()}
        for place in range(len(self.epochs) - 2, -1, -1):
            rung, following = self._rungs[place], self.epochs[place + 1]
            room = survivors(len(rung), self.epochs[place], following)
            for trial in rung.ranked():
                who = trial.architecture
                if room <= 0:
                    break
                if who in self._fell[place + 1]:
                    continue
                if max(self._highest[who], busy.get(who, 0)) == place:
                    return trial, following
                room -= 1
        return None
