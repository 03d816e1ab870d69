"""Search guided by a predictor that is first held to what it has not seen (White et al. 2021, How
Powerful are Performance Predictors in Neural Architecture Search?, arXiv:2104.01177)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..history.objective import Limit
from ..history.trial import History, Proposal, Trial
from ..predictor.base import FEWEST, Prediction, Predictor
from ..predictor.fitting import predictor_of
from ..predictor.validation import told
from ..space.architecture import Architecture
from .acquisition import chebyshev, expected_improvement, probability_below
from .base import HistoryCache, Strategy, sample_unseen
from .candidates import drawn, new
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Of the best trials so many are mutated and crossed.
_BEST = 10
#: Random draws of which the first is taken that is likely to keep the limits.
_LIKELY = 50
#: Draws of the candidates' objectives, where there are several.
_DRAWS = 16


class PredictorGuided(Strategy):
    """Proposes the candidate of the largest expected improvement by a predictor, once it ranks.

    The predictor learns where a trial stands in the ranking of those that keep the limits, as a
    normal score, so that the scale of an objective does not matter. As the trials grow it is fitted
    anew, and each time predicts every trial from others first: while the 95 % interval of that rank
    correlation is not above 0 the search goes on at random, and the trial's note says so.
    Candidates are random draws, mutations and crossovers of the best.

    - Limits: the improvement is multiplied by the probability that each limit is kept that was ever
      broken, from a predictor of its own, if that ranks; random draws go by it as well.
    - Several objectives: a predictor for each, all of which have to be believed; the improvement is
      that of a random Chebyshev sum, another one for each proposal (Knowles 2006, ParEGO).

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
        self._memo = HistoryCache(lambda space, history: _Guide(space, history, self))

    def describe(self, space: Space, history: History) -> str:
        return f"{self.name}: {self._model.name}, at random until it ranks what it has not seen"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        guide = self._memo.at(space, history)
        known = guide.ranking.known()
        if len(known) < self.start:
            return _random(space, history, rng, "random")
        guide.fit(space, known[: self._step(len(known))])
        if not guide.believed:
            return self._unsure(space, history, guide, rng)
        best = [t.architecture for t in guide.ranking.best(known, _BEST)]
        candidates = new(history, drawn(space, best, rng))
        if not candidates:
            return _random(space, history, rng, "random")
        return Proposal(guide.choose(candidates, rng), note=guide.says)

    def _unsure(
        self, space: Space, history: History, guide: _Guide, rng: random.Random
    ) -> Proposal | None:
        """A random draw; where limits can be predicted, one that is likely to keep them."""
        note = f"random: {guide.says}"
        if guide.bounded:
            candidates = new(history, drawn(space, [], rng))[:_LIKELY]
            likely = [a for a, p in zip(candidates, guide.keeps(candidates)) if p > 0.5]
            if likely:
                return Proposal(likely[0], note=f"{note}; likely to keep the limits")
        return _random(space, history, rng, note)

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
        #: One for each objective.
        self._predictors = [deepcopy(strategy._model) for _ in history.objectives]
        self._fitted: list[int] = []
        self._top: Array = np.zeros((0, len(history.objectives)))
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
        self._bounds = [
            bound
            for limit in self._history.limits
            if any(limit.violation(t.metrics) > 0.0 for t in known)
            and (bound := self._bound(space, limit, known))
        ]
        kept = [t for t in known if self._history.violation(t.metrics) == 0.0]
        if _different(space, kept) < FEWEST:
            self.believed, self.says = False, f"fewer than {FEWEST} trials that keep the limits"
            return
        architectures = [trial.architecture for trial in kept]
        found = [
            predictor.fit(space, architectures, scores, seed=len(known))
            for predictor, scores in zip(self._predictors, self._scores(kept), strict=True)
        ]
        least = min(found, key=lambda one: -1.0 if one.tau.low is None else one.tau.low)
        self.believed = least.believed
        tau = f"{least.predictor}, cross-validated tau {told(least.tau)}"
        self.says = tau if least.believed else f"{tau} is not clearly above 0"
        # The best so far as predicted: what luck has added to it is no promise.
        self._top = np.stack([p.predict(architectures).mean for p in self._predictors], axis=1)

    @property
    def bounded(self) -> bool:
        """Whether there are limits that can be predicted."""
        return bool(self._bounds)

    def keeps(self, candidates: Sequence[Architecture]) -> Array:
        """The probability (n,) of each candidate to keep the limits that can be predicted."""
        kept = np.ones(len(candidates))
        for predictor, bound in self._bounds:
            mean, std = predictor.predict(candidates)
            kept = kept * probability_below(mean, std**2, bound)
        return kept

    def choose(self, candidates: Sequence[Architecture], rng: random.Random) -> Architecture:
        """The candidate that promises most."""
        found = [predictor.predict(candidates) for predictor in self._predictors]
        if len(found) == 1:
            promised = expected_improvement(found[0].mean, found[0].std ** 2, self._top.max())
        else:
            promised = self._several(found, np.random.default_rng(rng.getrandbits(64)))
        return candidates[int(np.argmax(promised * self.keeps(candidates)))]

    def _several(self, found: Sequence[Prediction], rng: np.random.Generator) -> Array:
        """Expected improvement of a random Chebyshev sum, (candidates,)."""
        weights, ideal = rng.dirichlet(np.ones(len(found))), self._top.max(axis=0)
        best = chebyshev(self._top, weights, ideal).max()
        draws = rng.standard_normal((_DRAWS, len(found)))
        samples = np.stack([m + s * draws[:, i, None] for i, (m, s) in enumerate(found)], axis=-1)
        gained = np.maximum(chebyshev(samples, weights, ideal) - best, 0.0)
        promised: Array = gained.mean(axis=0)
        return promised

    def _scores(self, kept: Sequence[Trial]) -> list[Array]:
        """For each objective the normal scores of the trials, larger is better, (trials,) each."""
        if len(self._history.objectives) == 1:
            # The loss tells apart what a coarse objective calls equal.
            order = {t.number: i for i, t in enumerate(self.ranking.best(kept, len(kept)))}
            return [normal_scores(len(kept))[[order[t.number] for t in kept]]]
        from scipy.stats import rankdata

        losses = np.array([self._history.losses(t) for t in kept])
        places = rankdata(losses, axis=0)  # equal ones share the mean of their places
        line = normal_scores(len(kept))
        return [np.interp(column, np.arange(1, len(line) + 1), line) for column in places.T]

    def _bound(
        self, space: Space, limit: Limit, known: Sequence[Trial]
    ) -> tuple[Predictor, float] | None:
        """What predicts a limit's metric, turned so that small keeps it, and its bound; ``None``
        where it cannot be predicted."""
        told = [t for t in known if np.isfinite(t.metrics.get(limit.metric, np.nan))]
        sign = 1.0 if limit.sign == "<=" else -1.0
        values = np.array([sign * t.metrics[limit.metric] for t in told])
        if _different(space, told) < FEWEST or values.min() == values.max():
            return None
        predictor = deepcopy(self._predictors[0])
        found = predictor.fit(space, [t.architecture for t in told], values, seed=len(known))
        return (predictor, sign * limit.bound) if found.believed else None


def _different(space: Space, trials: Sequence[Trial]) -> int:
    return len({space.canonical(trial.architecture) for trial in trials})


def _random(space: Space, history: History, rng: random.Random, note: str) -> Proposal | None:
    architecture = sample_unseen(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note=note) if architecture else None
