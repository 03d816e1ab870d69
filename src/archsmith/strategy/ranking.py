"""The order of a history's trials, cached between proposals."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history.objective import crowding
from ..history.trial import History, State, Trial

if TYPE_CHECKING:
    from ..space import Space


Array = np.ndarray[Any, np.dtype[np.float64]]

#: With several objectives, the number of trials of which all pairs are compared.
_PAIRS = 1000


class Ranking:
    """Orders trials as :meth:`~archsmith.history.trial.History.ranked` does, but fast for many.

    It reads the metrics of each trial only once; a strategy keeps it in a
    :class:`~archsmith.strategy.base.HistoryCache`.
    """

    def __init__(self, space: Space, history: History) -> None:
        self._history = history
        self._broken: set[int] = set()
        self._violation: dict[int, float] = {}
        self._rank: dict[int, tuple[float, ...]] = {}

    def take(self, trial: Trial) -> None:
        """Add a trial that has ended."""
        violation = self._history.violation(trial.metrics)
        if trial.state is State.FINISHED:
            self._violation[trial.number] = violation
            self._rank[trial.number] = self._history.rank(trial)
        elif trial.state is State.PRUNED and violation > 0.0:
            self._violation[trial.number] = violation
            self._broken.add(trial.number)

    def known(self) -> list[Trial]:
        """Trials that can be ranked, in order of ending: full ones and those pruned for a limit."""
        full = {trial.number for trial in self._history.full}
        return [t for t in self._history.ended if t.number in full or t.number in self._broken]

    def best(self, trials: Sequence[Trial], count: int) -> list[Trial]:
        """The best ``count``: those that keep the limits first, then the nearest to the limits.

        With several objectives only the newest thousand and the newest thousand of the Pareto front
        are ordered, so it may return fewer.
        """
        violation, rank = self._violation, self._rank
        kept = [t for t in trials if violation[t.number] == 0.0]
        objectives = len(self._history.objectives)
        if objectives == 1:
            ranked = nsmallest(count, kept, key=lambda t: rank[t.number])
        else:
            losses = np.array([rank[t.number][:objectives] for t in kept], dtype=float)
            places = _to_compare(losses)
            ranked = [kept[places[i]] for i in by_fronts(losses[places], count)]
        if len(ranked) < count:
            broken = [t for t in trials if violation[t.number] > 0.0]
            ranked += sorted(broken, key=lambda t: violation[t.number])[: count - len(ranked)]
        return ranked


def by_fronts(losses: Sequence[Sequence[float]] | Array, count: int) -> list[int]:
    """Indices of the best ``count`` of n loss vectors by Pareto front, then by crowding distance.

    Smaller is better. Needs memory for n^2 comparisons; takes a few milliseconds for 500 vectors.
    """
    values = np.asarray(losses, dtype=float)
    if not len(values):
        return []
    no_worse = np.ones((len(values), len(values)), dtype=bool)
    for column in values.T:
        no_worse &= column[:, None] <= column[None, :]
    dominates = no_worse & ~no_worse.T
    dominators = dominates.sum(axis=0)
    indices: list[int] = []
    while len(indices) < min(count, len(values)):
        front = np.flatnonzero(dominators == 0).tolist()
        dominators[front] = -1
        dominators -= dominates[front].sum(axis=0)
        distances = crowding(values[front].tolist())
        indices += [front[k] for k in sorted(range(len(front)), key=lambda k: -distances[k])]
    return indices[:count]


def _to_compare(losses: Array) -> np.ndarray[Any, np.dtype[Any]]:
    """Indices, ascending, of the newest thousand loss vectors and of the whole Pareto front.

    Args:
        losses: shape (n, objectives), in order of ending.
    """
    n = len(losses)
    if n <= _PAIRS:
        return np.arange(n)
    front = np.array(pareto(losses))
    return np.union1d(np.sort(front)[-_PAIRS:], np.arange(n - _PAIRS, n))


def pareto(losses: Array) -> list[int]:
    """Indices of the loss vectors (n, objectives) that no other dominates; O(n) per vector."""
    front: list[int] = []
    left = np.lexsort(losses.T[::-1])  # the first is never dominated by a later one
    while left.size:
        first, left = int(left[0]), left[1:]
        front.append(first)
        worse = (losses[left] >= losses[first]).all(axis=1)
        left = left[~(worse & (losses[left] > losses[first]).any(axis=1))]
    return front


def normal_scores(count: int) -> Array:
    """Quantiles of the standard normal distribution from the best of ``count`` to the worst."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((count - i - 0.5) / count) for i in range(count)])
