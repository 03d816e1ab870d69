"""What the next trial may be worth a second, over all architectures and numbers of epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..history.trial import History, Trial
from ..predictor.blocks import blocks_of
from ..space.architecture import Architecture
from .acquisition import LUCKIEST, log_expected_improvement, option_rate
from .exact import Exact, Values, kept
from .levels import Level, Surface
from .rungs import rung_of
from .standing import Standing
from .surrogate import Beliefs, Target, limits

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[Any]]

#: How many of the most promising looks are valued at once.
_AT_ONCE = 256


class _Looks:
    """Trainings of some architectures up to a level below the full one.

    Attributes:
        at: indices of the architectures, (n,).
    """

    def __init__(self, moment: Moment, place: int, at: Array, spent: Array) -> None:
        self.at, levels = at, moment.levels
        self.means, self.variances = levels[-1].means[at], levels[-1].variances[at]
        slope = float(np.prod([level.slope for level in levels[place + 1 :]]))
        below, noise = levels[place].variances[at], levels[place].noise
        self.learned = np.minimum((slope * below) ** 2 / (below + noise), self.variances)
        rungs, each = moment.state.rungs, moment.each[at]
        kept = rungs[place] if moment.state.spending.continuing else 0.0
        self.look, self.rest = each * (rungs[place] - spent[at]), each * (rungs[-1] - kept)

    def most(self, best: float) -> Array:
        """Bounds, (n,), on the logarithm of what a look is worth a second: it can show no more than
        everything, and no more than its luckiest result."""
        gain = log_expected_improvement(self.means, self.variances, best)
        lucky = self.means + LUCKIEST * np.sqrt(self.learned)
        left = np.maximum(self.variances - self.learned, 1e-12 * self.variances)
        luckiest = log_expected_improvement(lucky, left, best)
        bound: Array = np.minimum(gain - np.log(self.look), luckiest - np.log(self.rest))
        return bound

    def rates(self, best: float, some: Array) -> Array:
        """The logarithms, (n,), of what some of the looks are worth a second."""
        means, variances, learned = self.means[some], self.variances[some], self.learned[some]
        look, rest = self.look[some], self.rest[some]
        rates: Array = option_rate(means, variances, best, learned, look, rest)
        return rates


class Moment:
    """The beliefs about all architectures of a pool at one moment, and what to do next."""

    def __init__(
        self,
        space: Space,
        history: History,
        state: Standing,
        pool: list[Architecture],
        places: list[int] | None,
    ) -> None:
        running = [t.architecture for t in history.running.values()]
        if places is None:
            pool = list(dict.fromkeys([*pool, *running]))
        self.pool, self.history, self.state = pool, history, state
        self._index = state.listed or {history.key(a): i for i, a in enumerate(pool)}
        self._running = [(rung_of(t, state.rungs), self._at(t)) for t in history.running.values()]
        self._surface = Surface(space, state.kernels, pool, places)
        self.levels = self._believe()
        self._full = self.levels[-1]
        self.each = self._seconds()
        bounds = limits(history)
        self._log_keeps = np.zeros(len(pool))
        if bounds:
            beliefs = Beliefs(blocks_of(space), state.kernels, bounds, running, pool, places)
            for bound in bounds:
                keeps = beliefs.of(bound).feasible()
                self._log_keeps += np.log(np.maximum(keeps, np.finfo(float).tiny))

    def order(self) -> list[tuple[int, int]]:
        """Indices in the pool with the level to try next, the most promising first."""
        done = np.full(len(self.pool), -1)
        for key in self.state.newest:
            done[self._index[key]] = self.state.place(key)
        for key in self.state.dropped:
            done[self._index[key]] = len(self.state.rungs)
        for _, index in self._running:
            done[index] = len(self.state.rungs)
        scores, place = self._rates(done)
        good = np.flatnonzero(np.isfinite(scores))
        if not len(good):
            return []
        believed = np.exp(scores[good] - scores[good].max())

        def score(some: Array, known: Values) -> Array:
            promised: Array = believed[some]
            for limit in self.history.limits:
                if limit.metric in known:
                    promised = promised * kept(limit, known[limit.metric], np.ones(len(some)))
            return promised

        order = Exact(self.history).order([self.pool[i] for i in good], believed, score)
        return [(int(good[i]), int(place[good[i]])) for i in order]

    def _rates(self, done: Array) -> tuple[Array, Array]:
        """For each architecture the logarithm of its largest expected improvement a second, and the
        level that has it. Only the most promising are valued; the others are minus infinity."""
        full, best, rungs = self._full, self._best(), np.array(self.state.rungs, dtype=float)
        top, goes_on = len(rungs) - 1, self.state.spending.continuing
        spent = np.where((done >= 0) & goes_on, rungs[np.clip(done, 0, top)], 0.0)
        gain = log_expected_improvement(full.means, full.variances, best)
        left = np.where(done < top, rungs[top] - spent, 1.0)  # of whole ones nothing is left
        scores = np.where(done < top, gain - np.log(self.each * left), -np.inf)
        scores, place = scores + self._log_keeps, np.full(len(done), top)
        looks = [_Looks(self, k, np.flatnonzero(done < k), spent) for k in range(top)]
        # The most that looks may be worth is cheap to tell, what they are worth is not.
        at = np.concatenate([look.at for look in looks])
        levels = np.repeat(np.arange(top), [len(look.at) for look in looks])
        most = np.concatenate([look.most(best) for look in looks]) + self._log_keeps[at]
        order = np.argsort(-most, kind="stable")
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            if most[some[0]] <= scores.max():
                break
            for k, look in enumerate(looks):
                mine = some[levels[some] == k] - int((levels < k).sum())
                rates, found = (
                    look.rates(best, mine) + self._log_keeps[look.at[mine]],
                    look.at[mine],
                )
                better = rates > scores[found]
                scores[found[better]], place[found[better]] = rates[better], k
        return scores, place

    def _believe(self) -> list[Level]:
        levels: list[Level] = []
        lowest: Target | None = None
        for place, trials in enumerate(self.state.results):
            gains = -np.array([self.history.losses(t)[0] for t in trials], dtype=np.float64)
            keeps = np.array([self.history.violation(t.metrics) == 0.0 for t in trials])
            name = f"{self.state.rungs[place]} epochs"
            target = Target(name, tuple(trials), gains, keeps=keeps)
            running = [index for at, index in self._running if at is not None and at >= place]
            below = levels[-1] if levels else None
            at = [self._at(t) for t in trials]
            levels.append(self._surface.level(target, at, running, below, lowest))
            lowest = lowest or target
        return levels

    def _best(self) -> float:
        """The incumbent's value; if none keeps the limits, that of the worst result."""
        results = self.state.results[-1]
        values = self._full.means[[self._at(t) for t in results]]
        keeps = [self.history.violation(t.metrics) == 0.0 for t in results]
        return float(values[keeps].max() if any(keeps) else values.min())

    def _seconds(self) -> Array:
        """Seconds for an epoch of each architecture; 1.0 if nothing is known."""
        target = self.state.spending.target()
        if target is None:
            return np.ones(len(self.pool))
        level = self._surface.level(target, [self._at(t) for t in target.trials])
        return target.seconds(level.means)

    def _at(self, trial: Trial) -> int:
        return self._index[self.history.key(trial.architecture)]
