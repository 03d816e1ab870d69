"""The best trials so far, kept up to date as trials finish."""

from __future__ import annotations

import math
from bisect import insort

from ..history.objective import dominates
from ..history.trial import History, State, Trial


class Incumbents:
    """The Pareto front of a history at its highest fidelity, updated trial by trial.

    Always equals :meth:`History.front`, but takes one comparison per distinct loss vector in the
    front instead of one per pair of trials.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._front: dict[tuple[float, ...], list[Trial]] = {}
        self.best: Trial | None = None
        self._spent: tuple[float, float] = (0.0, 0.0)
        for trial in history.finished:
            self.add(trial)

    def add(self, trial: Trial) -> list[Trial]:
        """Add a trial that has ended.

        Returns:
            Trials whose weights are no longer needed, including ``trial`` itself if it is no
            better than the earlier ones. Of trials with equal losses the best by
            :meth:`History.rank` keeps its weights.
        """
        if trial.state is not State.FINISHED or trial.fidelity.order < self._spent:
            return [trial]
        superseded = self._rise(trial)
        if self._history.violation(trial.metrics) > 0:
            return [*superseded, trial]
        losses = self._history.losses(trial)
        if not all(map(math.isfinite, losses)):
            return [*superseded, trial]
        return superseded + self._enter(trial, losses)

    def _rise(self, trial: Trial) -> list[Trial]:
        """Drop trials of a lower fidelity, which cannot be compared with this one."""
        if trial.fidelity.order == self._spent:
            return []
        superseded = self.front()
        self._spent, self._front, self.best = trial.fidelity.order, {}, None
        return superseded

    def _enter(self, trial: Trial, losses: tuple[float, ...]) -> list[Trial]:
        equals = self._front.get(losses)
        if equals is not None:
            first_equal = equals[0]
            insort(equals, trial, key=self._history.rank)
            if equals[0] is first_equal:
                return [trial]
            if self.best is first_equal:
                self.best = trial
            return [first_equal]
        if any(dominates(other, losses) for other in self._front):
            return [trial]
        dominated = [other for other in self._front if dominates(losses, other)]
        dropped = [t for other in dominated for t in self._front.pop(other)]
        self._front[losses] = [trial]
        if self.best is None or losses < self._history.losses(self.best):
            self.best = trial
        return dropped

    def front(self) -> list[Trial]:
        """The trials that no other dominates, ordered by the first objective."""
        return [trial for losses in sorted(self._front) for trial in self._front[losses]]

    def kept(self) -> set[int]:
        """Numbers of the trials whose weights are kept."""
        return {equals[0].number for equals in self._front.values()}
