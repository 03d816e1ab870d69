"""Search guided by a predictor that is first held to what it has not seen (White et al. 2021, How
Powerful are Performance Predictors in Neural Architecture Search?, arXiv:2104.01177)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..predictor.base import FEWEST, Predictor
from ..predictor.validation import predictor_of, told
from ..space.architecture import Architecture
from ..trial import History, Proposal, Trial
from .acquisition import expected_improvement
from .base import Memo, Strategy, fresh
from .candidates import drawn, new
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

#: Of the best trials so many are mutated and crossed.
_BEST = 10


class PredictorGuided(Strategy):
    """Proposes the candidate of the largest expected improvement by a predictor, once it ranks.

    The predictor learns where a trial stands in the ranking of them all, as a normal score, so
    objectives on any scale, several of them, and broken limits are one and the same to it. As the
    trials grow it is fitted anew, and each time predicts every trial from others first: while the
    95 % interval of that rank correlation is not above 0 the search goes on at random, and the
    trial's note says so. Candidates are random draws, mutations and crossovers of the best.

    Args:
        predictor: a name (``"boosted"``, ``"gaussian"``, ``"mlp"``, ``"graph"``), or a predictor.
        start: random trials before the first fit.
        growth: it is fitted anew when the trials have grown by this share.
    """

    name = "predictor"

    def __init__(
        self, predictor: str | Predictor = "boosted", start: int = 10, growth: float = 0.1
    ) -> None:
        if start < FEWEST:
            raise InputError(f"{self.name}, start", f"{FEWEST} or more", str(start))
        if not growth > 0:
            raise InputError(f"{self.name}, growth", "a number above 0", f"{growth:g}")
        self.predictor: str | Predictor = predictor
        self.start, self.growth = start, growth
        self._model = deepcopy(predictor_of(predictor))
        self._memo = Memo(lambda space, history: _Guide(space, history, self))

    def describe(self, space: Space, history: History) -> str:
        return f"{self.name}: {self._model.name}, at random until it ranks what it has not seen"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        guide = self._memo.at(space, history)
        known = guide.ranking.known()
        if len(known) < self.start:
            return _random(space, history, rng, "random")
        guide.fit(space, known)
        if not guide.believed:
            return _random(space, history, rng, f"random: {guide.says}")
        best = [t.architecture for t in guide.ranking.best(known, _BEST)]
        candidates = new(history, drawn(space, best, rng))
        if not candidates:
            return _random(space, history, rng, "random")
        return Proposal(guide.choose(candidates), note=guide.says)


class _Guide:
    """The predictor for a history."""

    def __init__(self, space: Space, history: History, strategy: PredictorGuided) -> None:
        self.ranking = Ranking(space, history)
        self._start, self._growth = strategy.start, strategy.growth
        self._predictor = strategy._model
        self._fitted: list[int] = []
        self._top = 0.0
        self.believed, self.says = False, ""

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)

    def fit(self, space: Space, known: Sequence[Trial]) -> None:
        """Fit to the known trials, or to the first of them as many as there were at the last step.

        Which ones is a function of their number, so that a resumed study fits to the same.
        """
        known = known[: self._step(len(known))]
        numbers = [trial.number for trial in known]
        if numbers == self._fitted:
            return
        self._fitted = numbers
        ranked = self.ranking.best(known, len(known))
        scores = normal_scores(len(ranked))
        architectures = [trial.architecture for trial in ranked]
        if len({space.canonical(a) for a in architectures}) < FEWEST:
            self.believed, self.says = False, f"fewer than {FEWEST} different architectures"
            return
        found = self._predictor.fit(space, architectures, scores, seed=len(known))
        self.believed = found.believed
        tau = f"{self._predictor.name}, cross-validated tau {told(found.tau)}"
        self.says = tau if found.believed else f"{tau} is not clearly above 0"
        self._top = float(self._predictor.predict(architectures).mean.max())

    def choose(self, candidates: Sequence[Architecture]) -> Architecture:
        """The candidate of the largest expected improvement on the best trial as predicted."""
        mean, std = self._predictor.predict(candidates)
        return candidates[int(np.argmax(expected_improvement(mean, std**2, self._top)))]

    def _step(self, count: int) -> int:
        step = self._start
        while (following := step + max(1, int(self._growth * step))) <= count:
            step = following
        return step


def _random(space: Space, history: History, rng: random.Random, note: str) -> Proposal | None:
    architecture = fresh(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note=note) if architecture else None
