"""Gaussian-process models of Bayesian optimisation: one per metric, over a set of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..history.objective import COSTS, Limit
from ..history.trial import History, State, Trial
from ..predictor.blocks import Blocks, distances
from ..predictor.gaussian import GaussianProcess, Kernel, fit, robust
from ..space.architecture import Architecture
from .acquisition import probability_below

Array = np.ndarray[Any, np.dtype[Any]]

#: At most this many points are used for a process, and for its length scales: half of them the
#: best, half the newest. A proposal's time grows with the square; few suffice for three numbers.
SEEN, FITTED = 200, 100
#: A cost counts as at least this share of its bound.
_LEAST = 1e-3
#: Weight of the prior on a flat trend of advice: this many virtual values that are one standard
#: deviation of advice from the centre and neither better nor worse.
_LEVEL = 3.0
#: Kernels whose covariances are cached: a few objectives and limits have one each.
_IN_USE = 6


@dataclass(frozen=True)
class Target:
    """A metric to be modelled.

    Attributes:
        name: distinguishes targets of one history.
        trials: those that have a value, in order of ending.
        raw: their values, larger is better, (n,).
        floor: the value that must be reached, if the target is a limit.
        keeps: whether each trial keeps all limits, if the target is an objective, (n,).
    """

    name: str
    trials: tuple[Trial, ...]
    raw: Array
    floor: float | None = None
    keeps: Array | None = None

    @cached_property
    def values(self) -> Array:
        """The values on the scale that is modelled, (n,)."""
        return self.scaled(self.raw)

    def scaled(self, raw: Array) -> Array:
        """Transform other values to the scale of :attr:`values`."""
        if self.floor is None:
            return robust(self.raw, raw)
        # The distance of a value from the bound matters only near it.
        return np.clip((raw - self._centre) / self._spread, self.bound - 3, self.bound + 3)

    @cached_property
    def bound(self) -> float:
        """The floor on the scale of :attr:`values`."""
        assert self.floor is not None
        return (self.floor - self._centre) / self._spread

    @property
    def _centre(self) -> float:
        return float(self.raw.mean())

    @property
    def _spread(self) -> float:
        return float(np.std([*self.raw, self.floor])) or 1.0

    def kept(self, most: int) -> Array:
        """Indices of the trials to learn from, ascending: half the best and half the newest."""
        n = len(self.trials)
        if n <= most:
            return np.arange(n)
        near = self.values if self.floor is None else -abs(self.values - self.bound)
        if self.keeps is not None:
            near = np.where(self.keeps, near, near - 100.0)
        best = np.argsort(-near, kind="stable")[: most // 2]
        rest = np.setdiff1d(np.arange(n), best)
        return np.union1d(best, rest[-(most - most // 2) :])

    def before(self, count: int) -> Target:
        """The target as it was when it had ``count`` trials."""
        keeps = None if self.keeps is None else self.keeps[:count]
        return replace(self, trials=self.trials[:count], raw=self.raw[:count], keeps=keeps)


def objectives(history: History) -> list[Target]:
    """A target for each objective, from the trials of the highest fidelity."""
    losses = [(t, history.losses(t)) for t in history.full]
    rows = [(t, loss) for t, loss in losses if np.isfinite(loss).all()]
    if len(rows) < 2:
        return []
    fidelity = history.full[0].fidelity.order
    trials = tuple(t for t, _ in rows)
    gains = -np.array([loss for _, loss in rows], dtype=np.float64)
    keeps = np.array([history.violation(t.metrics) == 0.0 for t in trials])
    return [
        Target(f"{fidelity} {objective.metric}", trials, gains[:, i], keeps=keeps)
        for i, objective in enumerate(history.objectives)
    ]


def limits(history: History) -> list[Target]:
    """A target for each limit that some trial broke or that is on a known cost, and one for failure
    if some trials failed."""
    targets = [target for limit in history.limits if (target := _limit(history, limit))]
    failed = np.array([t.state is State.FAILED for t in history.ended], dtype=np.float64)
    if failed.any() and not failed.all():
        targets.append(Target("failed", tuple(history.ended), -failed, floor=-0.5))
    return targets


def _limit(history: History, limit: Limit) -> Target | None:
    trials = [t for t in history.ended if np.isfinite(t.metrics.get(limit.metric, np.nan))]
    exact = history.costs is not None and limit.metric in history.costs.names
    broken = any(limit.violation(t.metrics) > 0 for t in trials)
    if len(trials) < 2 or not (broken or exact):
        return None
    numbers = np.array([*(t.metrics[limit.metric] for t in trials), limit.bound], dtype=np.float64)
    sign = -1.0 if limit.sign == "<=" else 1.0
    if limit.metric in COSTS and limit.bound > 0:
        # Costs range over orders of magnitude. A cost of nothing must stay finite, too.
        numbers = np.log(np.maximum(numbers, _LEAST * limit.bound))
    return Target(str(limit), tuple(trials), sign * numbers[:-1], floor=sign * float(numbers[-1]))


class Kernels:
    """Kernels of targets, estimated again each time that a target has grown by an eighth.

    A kernel is a function of the first trials of its target up to a milestone, so a resumed study
    has the same kernels.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._known: dict[tuple[str, int], Kernel] = {}
        self._covered: dict[Kernel, dict[int, Array]] = {}

    def to_listed(self, kernel: Kernel, seen: Sequence[int], asked: Sequence[int]) -> Array:
        """Covariances (n, m) between architectures of a listed space, given by their positions.

        Those of one architecture to all are cached while its kernel is in use. They are computed
        one row at a time, so that their last digits do not depend on what else was computed.
        """
        if kernel not in self._covered:
            while len(self._covered) >= _IN_USE:
                self._covered.pop(next(iter(self._covered)))
        rows = self._covered.pop(kernel, {})
        self._covered[kernel] = rows  # most recently used, so last to be evicted
        for place in seen:
            if place not in rows:
                rows[place] = kernel(self._blocks.from_place(place))[0]
        return np.stack([rows[place] for place in seen])[:, np.asarray(asked)]

    def of(self, target: Target) -> Kernel:
        count = _milestone(len(target.trials))
        kernel = self._known.get((target.name, count))
        if kernel is None:
            past = target.before(count)
            kept = past.kept(FITTED)
            architectures = [past.trials[i].architecture for i in kept]
            rows, values = self._blocks.rows(architectures), past.values[kept]
            values = values - values.mean()
            rising = Rising.of(self._blocks.trend(architectures), values)
            kernel = fit(distances(rows, rows), values - rising(self._blocks.trend(architectures)))
            self._known[target.name, count] = kernel
        return kernel


@dataclass(frozen=True)
class Rising:
    """How values increase with advice: a line fitted to the observed values.

    Attributes:
        slope: increase of the values per standard deviation of the advice; 0 without advice.
        centre: the advice at which the trend is 0.
    """

    slope: float
    centre: float

    @classmethod
    def of(cls, advice: Array, values: Array) -> Rising:
        """The least squares line, shrunk towards a flat one by :data:`_LEVEL` virtual values.

        Advice with a negative slope is ignored rather than inverted: by definition, larger advice
        is better.
        """
        centre = float(advice.mean())
        apart = advice - centre
        slope = float(apart @ (values - values.mean())) / (float(apart @ apart) + _LEVEL)
        return cls(max(slope, 0.0), centre)

    def __call__(self, advice: Array) -> Array:
        trend: Array = self.slope * (advice - self.centre)
        return trend


def _milestone(count: int) -> int:
    """The last of the counts 2, 3, 4, ..., each an eighth above the one before, rounded down."""
    milestone = 2
    while (following := milestone + max(1, milestone // 8)) <= count:
        milestone = following
    return milestone


class Beliefs:
    """Gaussian processes of all targets over the same trials and candidates.

    Running trials are assumed to end as predicted (kriging believer, Ginsbourger et al. 2010), so
    that proposals made in the meantime explore elsewhere.
    """

    def __init__(
        self,
        blocks: Blocks,
        kernels: Kernels,
        targets: Sequence[Target],
        running: Sequence[Architecture],
        pool: Sequence[Architecture],
        places: list[int] | None,
    ) -> None:
        used = {
            target.trials[i].number: target.trials[i]
            for target in targets
            for i in target.kept(SEEN)
        }
        self._places = {number: place for place, number in enumerate(used)}
        architectures = [*(t.architecture for t in used.values()), *running]
        self._trend, self._asked = blocks.trend(architectures), blocks.trend(pool)
        self._listed: tuple[list[int], list[int]] | None = None
        if places is not None:
            self._listed = (blocks.places(architectures), places)
            observed_rows = blocks.rows(architectures)
        else:
            rows = blocks.rows([*architectures, *pool])
            observed_rows = {name: block[: len(architectures)] for name, block in rows.items()}
            self._cross = distances(
                observed_rows, {n: block[len(architectures) :] for n, block in rows.items()}
            )
        self._within = distances(observed_rows, observed_rows)
        self._running = list(range(len(used), len(architectures)))
        self._kernels = kernels

    def of(self, target: Target) -> Belief:
        """The process of one target."""
        kept = target.kept(SEEN)
        places = [self._places[target.trials[i].number] for i in kept]
        values = target.values[kept]
        middle = float(values.mean())
        kernel = self._kernels.of(target)
        rising = Rising.of(self._trend[places], values - middle)
        above = rising(self._trend) + middle
        process = GaussianProcess(kernel, self._part(places), values - above[places])
        if self._running:
            between = self._within[:, places][:, :, self._running]
            predicted, _ = process.predict(kernel(between))
            places = places + self._running
            values = np.concatenate([values, predicted + above[self._running]])
            process = GaussianProcess(kernel, self._part(places), values - above[places])
        return Belief(
            target,
            process,
            self._covariance(kernel, places),
            above[places],
            rising(self._asked) + middle,
            kept,
            values,
        )

    def _covariance(self, kernel: Kernel, places: list[int]) -> Array:
        """Covariances between some of the observed architectures and the candidates, (n, m)."""
        if self._listed is None:
            return kernel(self._cross[:, places])
        observed, pool = self._listed
        return self._kernels.to_listed(kernel, [observed[place] for place in places], pool)

    def _part(self, places: list[int]) -> Array:
        part: Array = self._within[:, places][:, :, places]
        return part


@dataclass(frozen=True)
class Belief:
    """A target's process and its covariances between observations and candidates.

    Attributes:
        covariance: between observations and candidates, (n, m).
        above: what was subtracted from the values, (n,): their mean and the trend of advice.
        ahead: the same for the candidates, (m,).
        kept: indices of the target's trials that were used; running trials come after them.
        values: of these and of the running trials, (n,).
    """

    target: Target
    process: GaussianProcess
    covariance: Array
    above: Array
    ahead: Array
    kept: Array
    values: Array

    @property
    def eligible(self) -> Array:
        """Which of :attr:`values` may be the best, a mask (n,): those that keep the limits.

        For running trials that is not known, so they may.
        """
        running = np.ones(len(self.values) - len(self.kept), dtype=bool)
        keeps = self.target.keeps
        keeps_limits = running[:0] if keeps is None else keeps[self.kept]
        return np.concatenate([keeps_limits, running])

    def predict(self) -> tuple[Array, Array]:
        """Means and variances of the candidates, on the target's scale, (m,) each."""
        means, variances = self.process.predict(self.covariance)
        return means + self.ahead, variances

    def draws(self, normal: Array) -> tuple[Array, Array, Array]:
        """Draws of the observed values (n, s), and for each the means (m, s) and variances (m,) of
        the candidates; see :meth:`GaussianProcess.sampled`."""
        draws, means, variances = self.process.sampled(normal, self.covariance)
        return draws + self.above[:, None], means + self.ahead[:, None], variances

    def feasible(self) -> Array:
        """The probability (m,) that each candidate keeps the target's bound."""
        means, variances = self.predict()
        return probability_below(-means, variances + 1e-6, -self.target.bound)
