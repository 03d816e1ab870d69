"""What trials took, and what the next ones will take."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history.trial import History, State, Trial
from .surrogate import Target

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: The metric of trials on a simulated clock.
_SIMULATED = "seconds"
#: Trials that costs are learned from; few suffice.
_LEARNED = 64


def seconds_of(trial: Trial) -> float:
    """Simulated or measured seconds of a trial; 0.0 if they are not known."""
    return trial.metrics.get(_SIMULATED, trial.seconds)


@dataclass(frozen=True)
class LogTarget(Target):
    """Logarithms of costs; unlike scores they have no tail to be clipped."""

    def scaled(self, raw: Array) -> Array:
        return (raw - self._centre) / self._spread

    def seconds(self, means: Array) -> Array:
        """Seconds from predicted values on the target's scale."""
        seconds: Array = np.exp(means * self._spread + self._centre)
        return seconds

    @property
    def _spread(self) -> float:
        return float(self.raw.std()) or 1.0


class Spending:
    """Seconds for each epoch of the first trial of each architecture; for a
    :class:`~archsmith.strategy.base.HistoryCache`.

    Attributes:
        continuing: whether more epochs of an architecture cost only those that are added, told by
            what such trials took.
    """

    def __init__(self, _: Space, history: History) -> None:
        self._key, self._full = history.key, history.epochs[-1] if history.epochs else 1
        self._first: dict[Hashable, Trial] = {}
        self._epochs: dict[Hashable, int] = {}
        self._balance = 0.0

    def take(self, trial: Trial) -> None:
        seconds, key = seconds_of(trial), self._key(trial.architecture)
        if trial.state is not State.FINISHED or not 0.0 < seconds < math.inf:
            return
        epochs, before = self._of(trial), self._epochs.get(key, 0)
        self._epochs[key] = max(epochs, before)
        first = self._first.setdefault(key, trial)
        if 0 < before < epochs:
            each = seconds_of(first) / self._of(first)
            anew, on = math.log(each * epochs), math.log(each * (epochs - before))
            self._balance += abs(math.log(seconds) - anew) - abs(math.log(seconds) - on)

    @property
    def continuing(self) -> bool:
        return self._balance > 0.0

    def target(self) -> LogTarget | None:
        """Logarithms of the seconds for an epoch, to be predicted; ``None`` if they are not known
        or all the same."""
        trials = tuple(self._first.values())[:_LEARNED]
        raw = np.log([seconds_of(trial) / self._of(trial) for trial in trials])
        if len(trials) < 2 or np.ptp(raw) < 1e-9:
            return None
        return LogTarget("seconds", trials, raw)

    def _of(self, trial: Trial) -> int:
        return self._full if trial.fidelity.epochs is None else trial.fidelity.epochs
