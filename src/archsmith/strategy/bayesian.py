"""Bayesian optimisation with Gaussian processes (Jones et al. 1998; for architectures Kandasamy et
al. 2018, arXiv:1802.07191, and Ru et al. 2021, arXiv:2006.07556)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..history.trial import History, Proposal, Trial
from ..predictor.blocks import blocks_of
from ..space.architecture import Architecture
from .acquisition import (
    chebyshev,
    log_hypervolume_improvement,
    log_noisy_expected_improvement,
)
from .base import HistoryCache, Strategy, sample_unseen
from .candidates import Pool, around
from .exact import Exact, Values, kept
from .prior import PriorFactors
from .ranking import Ranking
from .spending import LogTarget, Spending
from .surrogate import Belief, Beliefs, Kernels, Target, limits, objectives

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[Any]]

#: Draws of the observed values (one objective) or of each candidate (several).
_DRAWS = 8
#: Smallest logarithm of an area that is not zero; and the largest of a score, beside that of the
#: most promising by surrogates alone.
_SMALLEST, _LARGEST = -1e300, 600.0
#: Rounds of hill climbing on the acquisition in a space that is not listed, and starting points.
_ROUNDS, _CLIMBERS = 2, 3


class BayesianOptimization(Strategy):
    """Proposes the architecture with the largest expected improvement under a Gaussian process.

    The process uses answers, their counts and graph features, each with a length scale set by
    maximum evidence, so a space with graph features (``graph_form``) needs far fewer trials. Spaces
    of up to 30,000 architectures are searched completely; in larger ones the candidates are random
    draws, and mutations and crossovers of the best trials, followed by hill climbing.

    - Noise: the improvement is over the best noise-free value, which is itself uncertain.
    - Limits: the improvement is multiplied by the probability of keeping each limit, from a process
      for each. Until some trial keeps them all, only that probability counts. Failure is treated
      as a limit, too.
    - Two objectives: the expected growth of the dominated area; more: of a random Chebyshev sum.
    - Costs that are known before a trial (parameters, FLOPs) are not predicted: a limit on one is
      kept or not, and an objective has its exact value. If evaluating all candidates would be
      expensive, only those are that look most promising under a process for the cost.
    - Running trials count as if they had ended as predicted.
    - Priors of choices: all of this is multiplied by ``prior ** (10 / trials)`` (piBO, Hvarfner et
      al. 2022, arXiv:2204.11051), so that they lead the search at first and less and less later.
    - Time: with ``per_second`` everything is divided by the seconds that a trial is expected to
      take, a process over those that earlier ones took (Snoek et al. 2012, arXiv:1206.2944).

    The improvements of one and of two objectives are computed as logarithms (Ament et al. 2023,
    arXiv:2310.20708), so that candidates are told apart where all are too small for a float.

    Args:
        start: number of random trials before the first model.
        per_second: whether trials are chosen by what they promise for each second.

    Raises:
        InputError: ``start`` is below 2.
    """

    name = "bayesian"

    def __init__(self, start: int = 10, per_second: bool = False) -> None:
        if start < 2:
            raise InputError("bayesian", "start >= 2", str(start))
        self.start, self.per_second = start, per_second
        self._memo = HistoryCache(_State)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        state = self._memo.at(space, history)
        goals, bounds = objectives(history), limits(history)
        if state.measured < self.start or not (goals or bounds):
            return _random(space, history, rng)
        pool = state.pool(space, history)
        candidates, places = pool.draw(space, history, state.ranking, rng)
        draws = np.random.default_rng(rng.getrandbits(64))
        if not candidates:
            return _random(space, history, rng)
        seconds = state.spending.target() if self.per_second else None
        factors = partial(state.prior.factors, space, trials=state.measured)
        search = _Search(
            space, history, state.kernels(space), goals, bounds, draws, factors, seconds
        )
        if not (search.goals or bounds):
            return _random(space, history, rng)
        order = search.order(candidates, places)
        if not pool.listed:
            for _ in range(_ROUNDS):
                top = [candidates[i] for i in order[:_CLIMBERS]]
                near = around(space, history, top, rng)
                candidates = [*top, *(a for a in near if a not in top)]
                order = search.order(candidates)
        return Proposal(candidates[order[0]], note=search.note)


class _State:
    """State over a history: trials with metrics, their ranking, candidates and kernels."""

    def __init__(self, space: Space, history: History) -> None:
        self.measured = 0
        self.ranking = Ranking(space, history)
        self.prior = PriorFactors()
        self.spending = Spending(space, history)
        self._pool: Pool | None = None
        self._kernels: Kernels | None = None

    def pool(self, space: Space, history: History) -> Pool:
        if self._pool is None:
            self._pool = Pool(space, history)
        return self._pool

    def kernels(self, space: Space) -> Kernels:
        if self._kernels is None:
            self._kernels = Kernels(blocks_of(space))
        return self._kernels

    def take(self, trial: Trial) -> None:
        self.measured += bool(trial.metrics)
        self.ranking.take(trial)
        self.spending.take(trial)


class _Search:
    """The acquisition at one moment."""

    def __init__(
        self,
        space: Space,
        history: History,
        kernels: Kernels,
        goals: Sequence[Target],
        bounds: Sequence[Target],
        draws: np.random.Generator,
        factors: Callable[[Sequence[Architecture]], Array | None],
        seconds: LogTarget | None = None,
    ) -> None:
        self.factors, self.seconds = factors, seconds
        self.blocks, self.history, self.kernels = blocks_of(space), history, kernels
        kept = goals and goals[0].keeps is not None and goals[0].keeps.any()
        self.goals = goals if kept else []
        self.bounds = bounds
        self.exact = Exact(history)
        self.scale: float | None = None
        self.normal = draws.standard_normal((_DRAWS, max(len(goals), 1)))
        self.weights = draws.dirichlet(np.ones(max(len(goals), 1)))
        self.seed = int(draws.integers(2**63))
        self.note = "expected improvement" if self.goals else "probability of keeping the limits"

    def order(
        self, candidates: Sequence[Architecture], places: list[int] | None = None
    ) -> list[int]:
        """Indices of the candidates, the most promising first; ``places``: their positions in a
        listed space."""
        self.scale = None
        running = [t.architecture for t in self.history.running.values()]
        timed = [self.seconds] if self.seconds else []
        targets = [*self.goals, *self.bounds, *timed]
        beliefs = Beliefs(self.blocks, self.kernels, targets, running, candidates, places)
        goals = [beliefs.of(goal) for goal in self.goals]
        gains = self._single_objective(goals[0]) if len(goals) == 1 else np.ones(len(candidates))
        predicted = [goal.predict() for goal in goals] if len(goals) > 1 else []
        seen = self._observed(goals, running) if predicted else np.zeros(0)
        keeps = {bound.name: beliefs.of(bound).feasible() for bound in self.bounds}
        rate = np.ones(len(candidates))
        for target in timed:
            rate = 1.0 / target.seconds(beliefs.of(target).predict()[0])
        if (factors := self.factors(candidates)) is not None:
            rate = rate * factors

        def score(some: Array, known: Values) -> Array:
            scores = gains[some]
            if predicted:
                scores = self._several_objectives(
                    seen, [(m[some], v[some]) for m, v in predicted], known
                )
            elif goals and (values := self._scaled(0, known)) is not None:
                ahead = values - self.goals[0].values[self.goals[0].keeps].max()
                scores = np.where(np.isnan(ahead), scores, np.maximum(ahead, 0.0))
            probabilities = {name: probability[some] for name, probability in keeps.items()}
            for limit in self.history.limits:
                if limit.metric in known:
                    believed = probabilities.get(str(limit), np.ones(len(some)))
                    probabilities[str(limit)] = kept(limit, known[limit.metric], believed)
            for probability in probabilities.values():
                scores = scores * probability
            return scores * rate[some]

        return self.exact.order(candidates, score(np.arange(len(candidates)), {}), score)

    def _scaled(self, place: int, known: Values) -> Array | None:
        """Known values of an objective, on the scale of its target; ``None`` if there are none."""
        objective = self.history.objectives[place]
        if objective.metric not in known:
            return None
        values = known[objective.metric]
        return self.goals[place].scaled(values if objective.direction == "maximize" else -values)

    def _single_objective(self, goal: Belief) -> Array:
        normal = np.random.default_rng(self.seed).standard_normal((len(goal.values), _DRAWS))
        draws, means, variances = goal.draws(normal)
        gains = log_noisy_expected_improvement(draws[goal.eligible], means, variances)
        # Only the order counts, unless known values of the objective are put beside these.
        known = self.history.objectives[0].metric in self.exact.names
        scaled: Array = np.exp(gains - (0.0 if known else gains.max()))
        return scaled

    def _observed(self, goals: Sequence[Belief], running: Sequence[Architecture]) -> Array:
        """Values of ended trials, and of running trials as predicted, (n, goals)."""
        # Each objective keeps its own subset of trials, so take all of them from the targets.
        seen = np.stack([goal.target.values for goal in goals], axis=-1)[goals[0].target.keeps]
        ahead = np.stack([goal.values[len(goal.kept) :] for goal in goals], axis=-1)
        known = self.exact.of(running)
        for place in range(len(goals)):
            if (values := self._scaled(place, known)) is not None:
                ahead[:, place] = np.where(np.isnan(values), ahead[:, place], values)
        return np.concatenate([seen, ahead])

    def _several_objectives(
        self, seen: Array, predicted: Sequence[tuple[Array, Array]], known: Values
    ) -> Array:
        means, variances = (np.stack(both, axis=-1) for both in zip(*predicted))
        for place in range(len(predicted)):
            if (values := self._scaled(place, known)) is not None:
                exact = ~np.isnan(values)
                means[exact, place], variances[exact, place] = values[exact], 0.0
        if len(predicted) == 2:
            low, high = seen.min(axis=0), seen.max(axis=0)
            area = log_hypervolume_improvement(seen, low - 0.1 * (high - low), means, variances)
            # The first call is for all candidates: from then on scores have one scale.
            if self.scale is None:
                self.scale = float(area.max(initial=_SMALLEST))
            grown: Array = np.exp(np.minimum(area - self.scale, _LARGEST))
            return grown
        samples = means[:, None] + np.sqrt(variances)[:, None] * self.normal
        ideal = seen.max(axis=0)
        best = chebyshev(seen, self.weights, ideal).max()
        improvement: Array = np.maximum(chebyshev(samples, self.weights, ideal) - best, 0.0).mean(1)
        return improvement


def _random(space: Space, history: History, rng: random.Random) -> Proposal | None:
    architecture = sample_unseen(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note="random") if architecture else None
