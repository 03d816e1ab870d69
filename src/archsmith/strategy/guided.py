"""Search guided by a predictor that is first validated on held-out trials (White et al. 2021, How
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
from ..predictor.validation import interval_text
from ..space.architecture import Architecture
from .acquisition import chebyshev, expected_improvement, probability_below
from .base import HistoryCache, Strategy, sample_unseen
from .candidates import drawn, new
from .prior import PriorFactors
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: How many of the best trials are mutated and crossed.
_BEST = 10
#: Random draws from which the first that is likely to keep the limits is proposed.
_LIKELY = 50
#: Draws of the candidates' objectives, if there are several.
_DRAWS = 16


class PredictorGuided(Strategy):
    """Proposes the candidate with the largest expected improvement once its predictor can rank.

    The predictor learns a trial's rank among those that keep the limits, as a normal score, so that
    the scale of an objective does not matter. It is fitted again as trials are added, and each time
    cross-validated: while the 95 % interval of that rank correlation is not above 0, the search
    continues at random, and the trial's note says so. Candidates are random draws, and mutations
    and crossovers of the best trials.

    - Limits: the improvement is multiplied by the probability of keeping each limit that was ever
      broken, from a predictor of its own if that can rank; random draws use it as well.
    - Several objectives: a predictor for each, all of which have to be validated; the improvement
      is that of a random Chebyshev sum, a new one for each proposal (Knowles 2006, ParEGO).

    Args:
        predictor: a name (``"boosted"``, ``"gaussian"``, ``"mlp"``, ``"linear"``, ``"graph"``), or
            a predictor.
        start: number of random trials before the first fit.
        growth: the predictor is fitted again when the trials have grown by this share.

    Raises:
        InputError: ``start`` or ``growth`` is out of range.
        UnknownNameError: no predictor has that name.
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
        return f"{self.name}: {self._model.name}, at random until it ranks held-out trials"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        guide = self._memo.at(space, history)
        trials = guide.ranking.known()
        if len(trials) < self.start:
            return _random(space, history, rng, "random")
        guide.fit(space, trials[: self._step(len(trials))])
        if not guide.believed:
            return self._unsure(space, history, guide, rng)
        best = [t.architecture for t in guide.ranking.best(trials, _BEST)]
        candidates = new(history, drawn(space, best, rng))
        if not candidates:
            return _random(space, history, rng, "random")
        factors = guide.prior.factors(space, candidates, len(trials))
        return Proposal(guide.choose(candidates, rng, factors), note=guide.says)

    def _unsure(
        self, space: Space, history: History, guide: _Guide, rng: random.Random
    ) -> Proposal | None:
        """A random draw; if limits can be predicted, one that is likely to keep them."""
        note = f"random: {guide.says}"
        if guide.bounded:
            candidates = new(history, drawn(space, [], rng))[:_LIKELY]
            likely = [a for a, p in zip(candidates, guide.keeps(candidates)) if p > 0.5]
            if likely:
                return Proposal(likely[0], note=f"{note}; likely to keep the limits")
        return _random(space, history, rng, note)

    def _step(self, count: int) -> int:
        """The last number of trials, up to ``count``, at which the predictor is fitted again."""
        step = self.start
        while (following := step + max(1, int(self.growth * step))) <= count:
            step = following
        return step


class _Guide:
    """The predictors for a history.

    The fit depends only on the given trials, so that a resumed study has the same predictors.
    """

    def __init__(self, space: Space, history: History, strategy: PredictorGuided) -> None:
        self.ranking = Ranking(space, history)
        self.prior = PriorFactors()
        self._history = history
        #: One for each objective.
        self._predictors = [deepcopy(strategy._model) for _ in history.objectives]
        self._fitted: list[int] = []
        self._top: Array = np.zeros((0, len(history.objectives)))
        self._bounds: list[tuple[Predictor, float]] = []
        self.believed, self.says = False, ""

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)

    def fit(self, space: Space, trials: Sequence[Trial]) -> None:
        """Fit to these trials."""
        numbers = [trial.number for trial in trials]
        if numbers == self._fitted:
            return
        self._fitted = numbers
        self._bounds = [
            bound
            for limit in self._history.limits
            if any(limit.violation(t.metrics) > 0.0 for t in trials)
            and (bound := self._bound(space, limit, trials))
        ]
        kept = [t for t in trials if self._history.violation(t.metrics) == 0.0]
        if _count_graphs(space, kept) < FEWEST:
            self.believed, self.says = False, f"fewer than {FEWEST} trials that keep the limits"
            return
        architectures = [trial.architecture for trial in kept]
        fits = [
            predictor.fit(space, architectures, scores, seed=len(trials))
            for predictor, scores in zip(self._predictors, self._scores(kept), strict=True)
        ]
        least = min(fits, key=lambda one: -1.0 if one.tau.low is None else one.tau.low)
        self.believed = least.believed
        tau = f"{least.predictor}, cross-validated tau {interval_text(least.tau)}"
        self.says = tau if least.believed else f"{tau} is not clearly above 0"
        # The best so far by prediction, not by measurement, which may owe its rank to luck.
        self._top = np.stack([p.predict(architectures).mean for p in self._predictors], axis=1)

    @property
    def bounded(self) -> bool:
        """Whether some limits can be predicted."""
        return bool(self._bounds)

    def keeps(self, candidates: Sequence[Architecture]) -> Array:
        """The probability (n,) that each candidate keeps the limits that can be predicted."""
        kept = np.ones(len(candidates))
        for predictor, bound in self._bounds:
            mean, std = predictor.predict(candidates)
            kept = kept * probability_below(mean, std**2, bound)
        return kept

    def choose(
        self, candidates: Sequence[Architecture], rng: random.Random, factors: Array | None = None
    ) -> Architecture:
        """The candidate with the largest expected improvement, times the factors (n,) if given."""
        predictions = [predictor.predict(candidates) for predictor in self._predictors]
        if len(predictions) == 1:
            improvement = expected_improvement(
                predictions[0].mean, predictions[0].std ** 2, self._top.max()
            )
        else:
            improvement = self._several(predictions, np.random.default_rng(rng.getrandbits(64)))
        scores = improvement * self.keeps(candidates)
        return candidates[int(np.argmax(scores if factors is None else scores * factors))]

    def _several(self, predictions: Sequence[Prediction], rng: np.random.Generator) -> Array:
        """Expected improvement of a random Chebyshev sum, (candidates,)."""
        weights, ideal = rng.dirichlet(np.ones(len(predictions))), self._top.max(axis=0)
        best = chebyshev(self._top, weights, ideal).max()
        draws = rng.standard_normal((_DRAWS, len(predictions)))
        samples = np.stack(
            [m + s * draws[:, i, None] for i, (m, s) in enumerate(predictions)], axis=-1
        )
        gained = np.maximum(chebyshev(samples, weights, ideal) - best, 0.0)
        improvement: Array = gained.mean(axis=0)
        return improvement

    def _scores(self, kept: Sequence[Trial]) -> list[Array]:
        """For each objective the normal scores of the trials, larger is better, (trials,) each."""
        if len(self._history.objectives) == 1:
            # The loss separates trials whose coarse objective is equal.
            order = {t.number: i for i, t in enumerate(self.ranking.best(kept, len(kept)))}
            return [normal_scores(len(kept))[[order[t.number] for t in kept]]]
        from scipy.stats import rankdata

        losses = np.array([self._history.losses(t) for t in kept])
        places = rankdata(losses, axis=0)  # ties share their mean rank
        line = normal_scores(len(kept))
        return [np.interp(column, np.arange(1, len(line) + 1), line) for column in places.T]

    def _bound(
        self, space: Space, limit: Limit, trials: Sequence[Trial]
    ) -> tuple[Predictor, float] | None:
        """A predictor of a limit's metric, with the sign chosen so that smaller is better, and its
        bound; ``None`` if the metric cannot be predicted."""
        measured = [t for t in trials if np.isfinite(t.metrics.get(limit.metric, np.nan))]
        sign = 1.0 if limit.sign == "<=" else -1.0
        values = np.array([sign * t.metrics[limit.metric] for t in measured])
        if _count_graphs(space, measured) < FEWEST or values.min() == values.max():
            return None
        predictor = deepcopy(self._predictors[0])
        fit = predictor.fit(space, [t.architecture for t in measured], values, seed=len(trials))
        return (predictor, sign * limit.bound) if fit.believed else None


def _count_graphs(space: Space, trials: Sequence[Trial]) -> int:
    return len({space.canonical(trial.architecture) for trial in trials})


def _random(space: Space, history: History, rng: random.Random, note: str) -> Proposal | None:
    architecture = sample_unseen(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note=note) if architecture else None
