"""Freeze-thaw search: the next second is spent where it promises the largest improvement.

After freeze-thaw Bayesian optimisation (Swersky et al. 2014, arXiv:1406.3896) and its successors
DyHPO (Wistuba et al. 2022, arXiv:2202.09774) and ifBO (Rakotoarison et al. 2024,
arXiv:2404.16795), with processes in closed form in place of their networks, and short trainings
valued as options on long ones.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..history.trial import Fidelity, History, Proposal, State, Trial
from ..predictor.blocks import blocks_of
from ..space.architecture import Architecture
from .acquisition import LUCKIEST, log_expected_improvement, option_rate
from .base import HistoryCache, Strategy, sample_unseen
from .candidates import Pool, around
from .exact import Exact, Values, kept
from .levels import Level, Surface
from .ranking import Ranking
from .rungs import check_ladder, ladder, leftover, promotion, rung_of
from .spending import Spending
from .surrogate import Beliefs, Kernels, Target, limits

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Results of a level from which it is modelled.
_MODELLED = 2
#: How many of the most promising looks are valued at once.
_AT_ONCE = 256
#: Rounds of hill climbing in a space that is not listed, and starting points.
_ROUNDS, _CLIMBERS = 2, 3


class FreezeThaw(Strategy):
    """Starts new architectures with few epochs, or continues one with more, whichever promises the
    larger improvement a second.

    A Gaussian process for each number of epochs has the one below as its trend, so that it learns
    how much short trainings tell of long ones. A full training is worth its expected improvement
    for each second that it takes. A short one is worth what it may show: an option on the full
    training, taken up only where the result is good enough to pay for it
    (:func:`~archsmith.strategy.acquisition.option_rate`). Seconds are learned from those recorded
    in the history, and whether a training goes on from kept weights or starts again is told by what
    continued ones took. Without recorded seconds, epochs are the cost.

    Limits are treated as by :class:`~archsmith.strategy.bayesian.BayesianOptimization`.

    Args:
        eta: ratio of the epochs of neighbouring levels.
        min_epochs: epochs of the lowest level.
        start: random architectures at the lowest level before the first model.

    Raises:
        InputError: an argument is out of range.
    """

    name = "freeze-thaw"
    several_objectives = False

    def __init__(self, eta: float = 4, min_epochs: int = 1, start: int = 10) -> None:
        check_ladder(self.name, eta, min_epochs)
        if start < 2:
            raise InputError(f"{self.name}: start", "2 or more", str(start))
        self.eta, self.min_epochs, self.start = eta, min_epochs, start
        self._memo = HistoryCache(self._make)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        self._rungs(history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        state = self._memo.at(space, history)
        rungs = state.rungs
        if len(state.results[0]) < self.start:
            return _entrant(space, history, rungs, rng)
        riser = state.riser(history)
        if riser is not None:
            trial, place = riser
            return promotion(trial, rungs[place])
        if min(map(len, state.results)) < _MODELLED:  # results of running trials are waited for
            return _entrant(space, history, rungs, rng)
        pool, places = state.pool(space, history, rng)
        moment = _Moment(space, history, state, pool, places)
        order = moment.order()
        if places is None:
            for _ in range(_ROUNDS):
                top = [moment.pool[i] for i, _ in order[:_CLIMBERS]]
                near = around(space, history, top, rng)
                wider = [*state.tried.values(), *(a for a in [*top, *near] if history.new(a))]
                moment = _Moment(space, history, state, list(dict.fromkeys(wider)), None)
                order = moment.order()
        if not order:
            return leftover(history, rungs[-1])
        index, place = order[0]
        trial = state.newest.get(history.key(moment.pool[index]))
        if trial is not None:
            return promotion(trial, rungs[place])
        note = f"most improvement a second, by {rungs[place]} epochs"
        return Proposal(moment.pool[index], Fidelity(epochs=rungs[place]), note)

    def _rungs(self, history: History) -> tuple[int, ...]:
        return ladder(self.name, history.epochs, self.eta, self.min_epochs)

    def _make(self, space: Space, history: History) -> _State:
        return _State(space, history, self._rungs(history))


def _entrant(
    space: Space, history: History, rungs: Sequence[int], rng: random.Random
) -> Proposal | None:
    drawn = sample_unseen(space, history, lambda: space.sample(rng))
    if drawn is None:
        return leftover(history, rungs[-1])
    return Proposal(drawn, Fidelity(epochs=rungs[0]), "random")


class _State:
    """What a history says so far.

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
        busy = {history.key(t.architecture): rung_of(t, self.rungs) for t in history.running.values()}
        for place in range(1, len(self.rungs)):
            if len(self.results[place]) + list(busy.values()).count(place) >= _MODELLED:
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


class _Looks:
    """Trainings of some architectures up to a level below the full one.

    Attributes:
        at: indices of the architectures, (n,).
    """

    def __init__(self, moment: _Moment, place: int, at: Array, spent: Array) -> None:
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
        return option_rate(means, variances, best, learned, self.look[some], self.rest[some])


class _Moment:
    """The beliefs about all architectures of a pool at one moment, and what to do next."""

    def __init__(
        self,
        space: Space,
        history: History,
        state: _State,
        pool: list[Architecture],
        places: list[int] | None,
    ) -> None:
        running = [t.architecture for t in history.running.values()]
        if places is None:
            pool = list(dict.fromkeys([*pool, *running]))
        self.pool, self.history, self.state = pool, history, state
        self._index = state.listed or {history.key(a): i for i, a in enumerate(pool)}
        self._running = [
            (rung_of(t, state.rungs), self._at(t)) for t in history.running.values()
        ]
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
            promised = believed[some]
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
        scores = np.where(done < top, gain - np.log(self.each * (rungs[top] - spent)), -np.inf)
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
                rates, found = look.rates(best, mine) + self._log_keeps[look.at[mine]], look.at[mine]
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
        seconds: Array = np.exp(level.means * target.spread + target.middle)
        return seconds

    def _at(self, trial: Trial) -> int:
        return self._index[self.history.key(trial.architecture)]
