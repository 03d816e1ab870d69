"""What Bayesian optimisation believes of one metric, and of all of them on a set of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

#: Points that a process and its length scales are learned from at most: half the best, half the
#: newest. A proposal's time grows with the square, an estimate of three numbers needs few.
SEEN, FITTED = 200, 100
#: A cost counts as at least this share of its bound.
_LEAST = 1e-3
#: Values of one standard deviation of advice above or below, and no better or worse for it, that
#: the trend of advice is made to meet too.
_LEVEL = 3.0
#: Kernels whose covariances are kept: a few objectives and limits have one each.
_IN_USE = 6


@dataclass(frozen=True)
class Target:
    """A metric to be modelled.

    Attributes:
        name: tells targets of one history apart.
        trials: that have a value, in order of ending.
        raw: their values, larger is better, (n,).
        floor: what a value must reach, where the target is a limit.
        keeps: whether each trial keeps all limits, where the target is an objective, (n,).
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
        """Other values on that scale."""
        if self.floor is None:
            return robust(self.raw, raw)
        # Only near the bound does it matter how far a value is from it.
        return np.clip((raw - self._centre) / self._spread, self.bound - 3, self.bound + 3)

    @cached_property
    def bound(self) -> float:
        """The floor on the same scale."""
        assert self.floor is not None
        return (self.floor - self._centre) / self._spread

    @property
    def _centre(self) -> float:
        return float(self.raw.mean())

    @property
    def _spread(self) -> float:
        return float(np.std([*self.raw, self.floor])) or 1.0

    def kept(self, most: int) -> Array:
        """Places of the trials to learn from, ascending: the best half and the newest half."""
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
        return Target(self.name, self.trials[:count], self.raw[:count], self.floor, keeps)


def objectives(history: History) -> list[Target]:
    """A target for each objective, from the trials of the highest fidelity."""
    losses = [(t, history.losses(t)) for t in history.full]
    told = [(t, found) for t, found in losses if np.isfinite(found).all()]
    if len(told) < 2:
        return []
    fidelity = history.full[0].fidelity.order
    trials = tuple(t for t, _ in told)
    gains = -np.array([found for _, found in told], dtype=np.float64)
    keeps = np.array([history.violation(t.metrics) == 0.0 for t in trials])
    return [
        Target(f"{fidelity} {objective.metric}", trials, gains[:, i], keeps=keeps)
        for i, objective in enumerate(history.objectives)
    ]


def limits(history: History) -> list[Target]:
    """A target for each limit that some trial broke, and one for failing where some did; and for
    each limit on a known cost, of which all trials tell where the bound is."""
    found = [target for limit in history.limits if (target := _limit(history, limit))]
    failed = np.array([t.state is State.FAILED for t in history.ended], dtype=np.float64)
    if failed.any() and not failed.all():
        found.append(Target("failed", tuple(history.ended), -failed, floor=-0.5))
    return found


def _limit(history: History, limit: Limit) -> Target | None:
    told = [t for t in history.ended if np.isfinite(t.metrics.get(limit.metric, np.nan))]
    known = history.costs is not None and limit.metric in history.costs.names
    broken = any(limit.violation(t.metrics) > 0 for t in told)
    if len(told) < 2 or not (broken or known):
        return None
    numbers = np.array([*(t.metrics[limit.metric] for t in told), limit.bound], dtype=np.float64)
    sign = -1.0 if limit.sign == "<=" else 1.0
    if limit.metric in COSTS and limit.bound > 0:
        # Costs spread over orders of magnitude. What costs nothing is far from the bound too.
        numbers = np.log(np.maximum(numbers, _LEAST * limit.bound))
    return Target(str(limit), tuple(told), sign * numbers[:-1], floor=sign * float(numbers[-1]))


class Kernels:
    """Kernels of targets, estimated anew each time that a target has grown by an eighth.

    A kernel is a function of the first so many trials of its target, so a resumed study has the
    same ones.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._known: dict[tuple[str, int], Kernel] = {}
        self._covered: dict[Kernel, dict[int, Array]] = {}

    def to_listed(self, kernel: Kernel, seen: Sequence[int], asked: Sequence[int]) -> Array:
        """Covariances (n, m) between places of a listed space.

        Those of one place to all are kept while its kernel is in use. They are made one place at a
        time, so that their last digits do not depend on what was made beside them.
        """
        if kernel not in self._covered:
            while len(self._covered) >= _IN_USE:
                self._covered.pop(next(iter(self._covered)))
        rows = self._covered.pop(kernel, {})
        self._covered[kernel] = rows  # the last one in use
        for place in seen:
            if place not in rows:
                rows[place] = kernel(self._blocks.from_place(place))[0]
        return np.stack([rows[place] for place in seen])[:, np.asarray(asked)]

    def of(self, target: Target) -> Kernel:
        count = _milestone(len(target.trials))
        found = self._known.get((target.name, count))
        if found is None:
            past = target.before(count)
            kept = past.kept(FITTED)
            known = [past.trials[i].architecture for i in kept]
            rows, values = self._blocks.rows(known), past.values[kept]
            values = values - values.mean()
            rising = Rising.of(self._blocks.trend(known), values)
            found = fit(distances(rows, rows), values - rising(self._blocks.trend(known)))
            self._known[target.name, count] = found
        return found


@dataclass(frozen=True)
class Rising:
    """How far values rise with advice: a line through those that were seen.

    Attributes:
        slope: of the values by a standard deviation of the advice; 0 without advice.
        centre: the advice at which it says nothing.
    """

    slope: float
    centre: float

    @classmethod
    def of(cls, advice: Array, values: Array) -> Rising:
        """The least squares line, drawn towards a level one as by :data:`_LEVEL` more values.

        Advice that is wrong is ignored, not turned round: it is made so that more is better.
        """
        centre = float(advice.mean())
        apart = advice - centre
        slope = float(apart @ (values - values.mean())) / (float(apart @ apart) + _LEVEL)
        return cls(max(slope, 0.0), centre)

    def __call__(self, advice: Array) -> Array:
        found: Array = self.slope * (advice - self.centre)
        return found


def _milestone(count: int) -> int:
    """The last of the counts 2, 3, 4, ..., each an eighth above the one before, rounded down."""
    at = 2
    while (following := at + max(1, at // 8)) <= count:
        at = following
    return at


class Beliefs:
    """Processes of all targets over the same trials and candidates.

    Running trials are believed to end as predicted (kriging believer, Ginsbourger et al. 2010), so
    that proposals made meanwhile go elsewhere.
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
        known = [*(t.architecture for t in used.values()), *running]
        self._trend, self._asked = blocks.trend(known), blocks.trend(pool)
        self._listed: tuple[list[int], list[int]] | None = None
        if places is not None:
            self._listed = (blocks.places(known), places)
            first = blocks.rows(known)
        else:
            rows = blocks.rows([*known, *pool])
            first = {name: block[: len(known)] for name, block in rows.items()}
            self._cross = distances(first, {n: block[len(known) :] for n, block in rows.items()})
        self._within = distances(first, first)
        self._running = list(range(len(used), len(known)))
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
            believed, _ = process.predict(kernel(between))
            places = places + self._running
            values = np.concatenate([values, believed + above[self._running]])
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
        """Between these of the known architectures and the candidates, (n, m)."""
        if self._listed is None:
            return kernel(self._cross[:, places])
        known, pool = self._listed
        return self._kernels.to_listed(kernel, [known[place] for place in places], pool)

    def _part(self, places: list[int]) -> Array:
        part: Array = self._within[:, places][:, :, places]
        return part


@dataclass(frozen=True)
class Belief:
    """A target's process and the covariances of what it has seen with the candidates.

    Attributes:
        above: what was taken from the values, (n,): their mean, and the trend of advice.
        ahead: the same of the candidates, (m,).
        kept: places of the target's trials that it has seen; running ones come after them.
        values: of these and of the running ones, (n,).
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
        """Which of :attr:`values` may be the best, (n,): those that keep the limits.

        Of running trials that is not known, and they may.
        """
        running = np.ones(len(self.values) - len(self.kept), dtype=bool)
        keeps = self.target.keeps
        known = running[:0] if keeps is None else keeps[self.kept]
        return np.concatenate([known, running])

    def predict(self) -> tuple[Array, Array]:
        """Means and variances of the candidates, on the target's scale, (m,) each."""
        means, variances = self.process.predict(self.covariance)
        return means + self.ahead, variances

    def draws(self, normal: Array) -> tuple[Array, Array, Array]:
        """Draws of what was seen (n, s), means (m, s) and variances (m,) of the candidates given
        each; see :meth:`GaussianProcess.sampled`."""
        draws, means, variances = self.process.sampled(normal, self.covariance)
        return draws + self.above[:, None], means + self.ahead[:, None], variances

    def feasible(self) -> Array:
        """The probability (m,) of each candidate to keep the target's bound."""
        means, variances = self.predict()
        return probability_below(-means, variances + 1e-6, -self.target.bound)
