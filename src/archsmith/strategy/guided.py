"""Search guided by a predictor that is first held to what it has not seen (White et al. 2021, How
Powerful are Performance Predictors in Neural Architecture Search?, arXiv:2104.01177)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..objective import Limit
from ..predictor.base import FEWEST, Predictor
from ..predictor.validation import predictor_of, told
from ..space.architecture import Architecture
from ..trial import History, Proposal, Trial
from .acquisition import expected_improvement, probability_below
from .base import Memo, Strategy, fresh
from .candidates import drawn, new
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

#: Of the best trials so many are mutated and crossed.
_BEST = 10


class PredictorGuided(Strategy):
    """Proposes the candidate of the largest expected improvement by a predictor, once it ranks.

    The predictor learns where a trial stands in the ranking of those that keep the limits, as a
    normal score, so objectives on any scale, and several of them, are one and the same to it. As
    the trials grow it is fitted anew, and each time predicts every trial from others first: while
    the 95 % interval of that rank correlation is not above 0 the search goes on at random, and the
    trial's note says so. Candidates are random draws, mutations and crossovers of the best; their
    improvement is multiplied by the probability that they keep each limit that was ever broken,
    which a predictor of its own gives.

    Args:
        predictor: a name (``"boosted"``, ``"gaussian"``, ``"mlp"``, ``"linear"``, ``"graph"``), or
            a predictor.
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
        guide.fit(space, known[: self._step(len(known))])
        if not guide.believed:
            return _random(space, history, rng, f"random: {guide.says}")
        best = [t.architecture for t in guide.ranking.best(known, _BEST)]
        candidates = new(history, drawn(space, best, rng))
        if not candidates:
            return _random(space, history, rng, "random")
        return Proposal(guide.choose(candidates), note=guide.says)

    def _step(self, count: int) -> int:
        """The last number of trials, up to ``count``, at which the predictor is fitted anew."""
        step = self.start
        while (following := step + max(1, int(self.growth * step))) <= count:
            step = following
        return step


class _Guide:
    """The predictors for a history.

    What they are fitted to is a function of the trials that they are given, so that a resumed study
    has the same.
    """

    def __init__(self, space: Space, history: History, strategy: PredictorGuided) -> None:
        self.ranking = Ranking(space, history)
        self._history = history
        self._predictor = strategy._model
        self._fitted: list[int] = []
        self._top = 0.0
        self._bounds: list[tuple[Predictor, float]] = []
        self.believed, self.says = False, ""

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)

    def fit(self, space: Space, known: Sequence[Trial]) -> None:
        """Fit to these trials."""
        numbers = [trial.number for trial in known]
        if numbers == self._fitted:
            return
        self._fitted = numbers
        kept = [t for t in known if self._history.violation(t.metrics) == 0.0]
        if _different(space, kept) < FEWEST:
            self.believed, self.says = False, f"fewer than {FEWEST} trials that keep the limits"
            return
        ranked = self.ranking.best(kept, len(kept))
        architectures = [trial.architecture for trial in ranked]
        found = self._predictor.fit(
            space, architectures, normal_scores(len(ranked)), seed=len(known)
        )
        self.believed = found.believed
        tau = f"{self._predictor.name}, cross-validated tau {told(found.tau)}"
        self.says = tau if found.believed else f"{tau} is not clearly above 0"
        self._top = float(self._predictor.predict(architectures).mean.max())
        self._bounds = [
            self._bound(space, limit, known)
            for limit in self._history.limits
            if any(limit.violation(t.metrics) > 0.0 for t in known)
        ]

    def choose(self, candidates: Sequence[Architecture]) -> Architecture:
        """The candidate that promises most."""
        mean, std = self._predictor.predict(candidates)
        promised = expected_improvement(mean, std**2, self._top)
        for predictor, bound in self._bounds:
            mean, std = predictor.predict(candidates)
            promised = promised * probability_below(mean, std**2, bound)
        return candidates[int(np.argmax(promised))]

    def _bound(self, space: Space, limit: Limit, known: Sequence[Trial]) -> tuple[Predictor, float]:
        """What predicts a limit's metric, turned so that small keeps it, and its bound."""
        told = [t for t in known if np.isfinite(t.metrics.get(limit.metric, np.nan))]
        sign = 1.0 if limit.sign == "<=" else -1.0
        values = np.array([sign * t.metrics[limit.metric] for t in told])
        predictor = deepcopy(self._predictor)
        predictor.fit(space, [t.architecture for t in told], values, seed=len(known))
        return predictor, sign * limit.bound


def _different(space: Space, trials: Sequence[Trial]) -> int:
    return len({space.canonical(trial.architecture) for trial in trials})


def _random(space: Space, history: History, rng: random.Random, note: str) -> Proposal | None:
    architecture = fresh(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note=note) if architecture else None
