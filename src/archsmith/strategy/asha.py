"""ASHA, asynchronous successive halving (Li et al. 2020, A System for Massively Parallel
Hyperparameter Tuning, arXiv:1810.05934)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..history.trial import Fidelity, History, Proposal, Trial
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy
from .prior import draw_entrant
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
    """Promotes a trial that is now among the best of its rung; if none is, a new one enters below.

    No worker ever waits for a rung to fill, at the price that some trials rise which would not have
    been among the best of the full rung. A trial that fails after rising is replaced by the next
    best.

    Args:
        eta: one in ``eta`` trials of each rung rises, to ``eta`` times the epochs. If the available
            numbers of epochs are further apart, fewer rise, so that rungs cost the same.
        min_epochs: epochs of the lowest rung.

    Raises:
        InputError: ``eta`` or ``min_epochs`` is out of range.
    """

    name = "asha"
    promotes = True

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
        """A new architecture for the lowest rung; ``None`` if there is none."""
        return draw_entrant(space, history, rng)

    def rungs(self, history: History) -> tuple[int, ...]:
        """Epochs of the rungs, ascending."""
        return ladder(self.name, history.epochs, self.eta, self.min_epochs)

    def _make(self, _: Space, history: History) -> _Standing:
        return _Standing(self.rungs(history), history)


class _Standing:
    """The trials on each rung. ``exhausted``: whether the space has nothing new left."""

    def __init__(self, epochs: Sequence[int], history: History) -> None:
        self.epochs = tuple(epochs)
        self.exhausted = False
        self._rungs = [Rung(history) for _ in epochs]
        #: The highest rung on which an architecture was tried.
        self._highest: dict[Architecture, int] = {}
        #: For each rung, the architectures that failed or were pruned there.
        self._dropped: list[set[Architecture]] = [set() for _ in epochs]

    def take(self, trial: Trial) -> None:
        place = rung_of(trial, self.epochs)
        if place is None:
            return
        self._highest[trial.architecture] = max(place, self._highest.get(trial.architecture, 0))
        if finished(trial):
            self._rungs[place].add(trial)
        else:
            self._dropped[place].add(trial.architecture)

    def riser(self, history: History) -> tuple[Trial, int] | None:
        """The trial to promote and its new epochs; the highest rung has priority."""
        busy = {t.architecture: rung_of(t, self.epochs) or 0 for t in history.running.values()}
        for place in range(len(self.epochs) - 2, -1, -1):
            rung, following = self._rungs[place], self.epochs[place + 1]
            room = survivors(len(rung), self.epochs[place], following)
            for trial in rung.ranked():
                architecture = trial.architecture
                if room <= 0:
                    break
                if architecture in self._dropped[place + 1]:
                    continue
                if max(self._highest[architecture], busy.get(architecture, 0)) == place:
                    return trial, following
                room -= 1
        return None
