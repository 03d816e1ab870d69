"""What a freeze-thaw search has seen: results by number of epochs, and what they cost."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..history.trial import History, State, Trial
from ..predictor.blocks import blocks_of
from ..space.architecture import Architecture
from .candidates import Pool
from .ranking import Ranking
from .rungs import rung_of
from .spending import Spending
from .surrogate import Kernels

if TYPE_CHECKING:
    from ..space import Space

#: Results of a level from which it is modelled.
MODELLED = 2


class Standing:
    """The results of a history by level.

    Attributes:
        rungs: epochs of the levels.
        results: for each level its finished trials, in order of ending.
        tried: an architecture for each key.
        newest: for each key the finished trial with the most epochs.
        dropped: keys that failed or were stopped, and are not tried again.
        spending: what trials took.
    """

    def __init__(self, space: Space, history: History, rungs: Sequence[int]) -> None:
        self.rungs = tuple(rungs)
        self.results: list[list[Trial]] = [[] for _ in rungs]
        self.tried: dict[Hashable, Architecture] = {}
        self.newest: dict[Hashable, Trial] = {}
        self.dropped: set[Hashable] = set()
        self.spending = Spending(space, history)
        self.kernels = Kernels(blocks_of(space))
        self._key, self._ranking = history.key, Ranking(space, history)
        self._judge = History(history.objectives, history.limits)
        self._pool: Pool | None = None
        self.listed: dict[Hashable, int] = {}

    def take(self, trial: Trial) -> None:
        key, place = self._key(trial.architecture), rung_of(trial, self.rungs)
        self._ranking.take(trial)
        self.spending.take(trial)
        self.tried.setdefault(key, trial.architecture)
        whole = trial.state is State.FINISHED and np.isfinite(self._judge.losses(trial)[0])
        if not whole:
            self.dropped.add(key)
        elif place is not None:
            self.results[place].append(trial)
            before = self.newest.get(key)
            if before is None or before.fidelity.order < trial.fidelity.order:
                self.newest[key] = trial

    def place(self, key: Hashable) -> int:
        """The highest level with a result of this architecture, -1 without one."""
        trial = self.newest.get(key)
        place = None if trial is None else rung_of(trial, self.rungs)
        return -1 if place is None else place

    def riser(self, history: History) -> tuple[Trial, int] | None:
        """The best trial below a level that has too few results to be modelled, and that level."""
        busy = {
            history.key(t.architecture): rung_of(t, self.rungs) for t in history.running.values()
        }
        for place in range(1, len(self.rungs)):
            if len(self.results[place]) + list(busy.values()).count(place) >= MODELLED:
                continue
            for trial in history.ranked(self.results[place - 1]):
                key = history.key(trial.architecture)
                if self.place(key) == place - 1 and key not in self.dropped and key not in busy:
                    return trial, place
        return None

    def pool(
        self, space: Space, history: History, rng: random.Random
    ) -> tuple[list[Architecture], list[int] | None]:
        """Every architecture that is asked about or was tried; and positions in a listed space."""
        if self._pool is None:
            self._pool = Pool(space, history)
            self.listed = {key: place for place, key in enumerate(self._pool.keys)}
        if self.listed:
            return list(self._pool.listed), list(range(len(self._pool.listed)))
        drawn, _ = self._pool.draw(space, history, self._ranking, rng)
        return [*self.tried.values(), *drawn], None
