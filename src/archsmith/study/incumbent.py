"""The best trials so far, kept up to date as trials finish."""

from __future__ import annotations

import math
from bisect import insort

from ..history.objective import dominates
from ..history.trial import History, State, Trial


class Incumbents:
    """The Pareto front of a history at its highest fidelity, grown by one trial at a time.

    Equals :meth:`History.front` at every moment, at the cost of one comparison for each distinct
    loss vector in the front instead of one for each pair of trials.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._front: dict[tuple[float, ...], list[Trial]] = {}
        self.best: Trial | None = None
        self._spent: tuple[float, float] = (0.0, 0.0)
        for trial in history.finished:
            self.add(trial)

    def add(self, trial: Trial) -> list[Trial]:
        """Take in a trial that has ended.

        Returns:
            Trials whose weights are not needed any more, the given one among them when it is no
            better than those before it. Of trials with equal losses the best by
            :meth:`History.rank` keeps its weights.
        """
        if trial.state is not State.FINISHED or trial.fidelity.order < self._spent:
            return [trial]
        outdone = self._rise(trial)
        if self._history.violation(trial.metrics) > 0:
            return [*outdone, trial]
        losses = self._history.losses(trial)
        if not all(map(math.isfinite, losses)):
            return [*outdone, trial]
        return outdone + self._enter(trial, losses)

    def _rise(self, trial: Trial) -> list[Trial]:
        """Forget what was found at a lower fidelity: the two cannot be compared."""
        if trial.fidelity.order == self._spent:
            return []
        outdone = self.front()
        self._spent, self._front, self.best = trial.fidelity.order, {}, None
        return outdone

    def _enter(self, trial: Trial, losses: tuple[float, ...]) -> list[Trial]:
        equals = self._front.get(losses)
        if equals is not None:
            before = equals[0]
            insort(equals, trial, key=self._history.rank)
            if equals[0] is before:
                return [trial]
            if self.best is before:
                self.best = trial
            return [before]
        if any(dominates(other, losses) for other in self._front):
            return [trial]
        beaten = [other for other in self._front if dominates(losses, other)]
        dropped = [t for other in beaten for t in self._front.pop(other)]
        self._front[losses] = [trial]
        if self.best is None or losses < self._history.losses(self.best):
            self.best = trial
        return dropped

    def front(self) -> list[Trial]:
        """The trials that no other dominates, by first objective."""
        return [trial for losses in sorted(self._front) for trial in self._front[losses]]

    def kept(self) -> set[int]:
        """Numbers of the trials whose weights are kept."""
        return {equals[0].number for equals in self._front.values()}
