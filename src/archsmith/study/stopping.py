"""Stopping hopeless trials while they train."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._support.errors import InputError
from .._support.registry import Registry
from ..history.objective import Objective
from ..history.trial import History, Trial
from ..predictor.curves import CurveModel

Curve = Sequence[Mapping[str, float]]

#: Stopping rules by name. Plug-ins register in the entry-point group ``archsmith.stoppers``.
stoppers = Registry(
    "stopping rule",
    "archsmith.stoppers",
    {
        "curve": "archsmith.study.stopping:CurveStop",
        "median": "archsmith.study.stopping:MedianStop",
    },
)


class Rule(ABC):
    """Decides when one trial is hopeless. It is sent along to where the trial is evaluated."""

    @abstractmethod
    def should_prune(self, curve: Curve) -> str:
        """The reason to stop after these epochs; empty to continue.

        Args:
            curve: metrics of each epoch so far, the newest last.
        """


class Pruner(ABC):
    """Makes the rule of a trial from the trials that have ended when it starts.

    With one worker no trial ends in the meantime, so a rule is a function of the history, and
    resuming replays it. With several, trials that end while one runs count for the next.

    A trial is compared only with finished trials at its own fidelity.

    Args:
        startup: number of finished trials before anything is stopped.
        grace: share of the epochs that every trial may train.

    Raises:
        InputError: ``startup`` or ``grace`` is out of range.
    """

    name: ClassVar[str]

    def __init__(self, startup: int = 5, grace: float = 0.1) -> None:
        if startup < 1:
            raise InputError(f"{self.name}: startup", "1 or more", str(startup))
        if not 0 <= grace < 1:
            raise InputError(f"{self.name}: grace", "from 0 up to 1", f"{grace:g}")
        self.startup, self.grace = startup, grace

    def check(self, history: History) -> None:
        """Refuse a study for which no rule can be made.

        Raises:
            InputError: there are several objectives.
        """
        if len(history.objectives) > 1:
            names = ", ".join(o.metric for o in history.objectives)
            raise InputError(
                f"stop by {self.name}",
                "one objective",
                names,
                "a trial behind in one may be ahead in another; turn the others into limits",
            )

    def rule(self, history: History, trial: Trial) -> Rule | None:
        """The rule of a trial that starts now; ``None`` while too few trials have finished."""
        objective = history.objectives[0]
        ended = [
            other
            for other in history.finished
            if other.fidelity == trial.fidelity
            and len(other.curve) > 1
            and all(objective.metric in row for row in other.curve)
        ]
        if len(ended) < self.startup:
            return None
        last = trial.fidelity.epochs or max(len(other.curve) for other in ended)
        return self._rule(history, objective, ended, last)

    @abstractmethod
    def _rule(
        self, history: History, objective: Objective, ended: Sequence[Trial], last: int
    ) -> Rule | None:
        """The rule, from finished trials with curves and the number of the last epoch."""

    def _first(self, last: int) -> int:
        """The first epoch after which a trial may be stopped."""
        return max(1, math.ceil(self.grace * last))


class MedianStop(Pruner):
    """Stops a trial whose best value so far is worse than the median of the others' averages up to
    the same epoch (Golovin et al. 2017, Google Vizier, section 3.2)."""

    name = "median"

    def _rule(
        self, history: History, objective: Objective, ended: Sequence[Trial], last: int
    ) -> Rule | None:
        averages = np.full((len(ended), last), np.nan)
        for row, trial in zip(averages, ended, strict=True):
            losses = _losses(objective, trial.curve)[:last]
            row[: len(losses)] = np.cumsum(losses) / np.arange(1, len(losses) + 1)
        enough = np.isfinite(averages).sum(axis=0) >= self.startup
        bars = tuple(float(np.nanmedian(column)) for column in averages.T[enough])
        return MedianRule(objective, self._first(last), last, bars)


@dataclass(frozen=True)
class MedianRule(Rule):
    """The rule for one trial.

    Attributes:
        first, last: epochs after which it may stop, from the first to before the last.
        bars: for each epoch the median of the averages, as losses.
    """

    objective: Objective
    first: int
    last: int
    bars: tuple[float, ...]

    def should_prune(self, curve: Curve) -> str:
        epoch = len(curve)
        if not self.first <= epoch < self.last or epoch > len(self.bars):
            return ""
        best = float(np.min(_losses(self.objective, curve)))
        if not best > self.bars[epoch - 1]:
            return ""
        sign = -1.0 if self.objective.direction == "maximize" else 1.0
        return (
            f"hopeless after {epoch} of {self.last} epochs: its best {self.objective.metric} "
            f"{sign * best:.4g} is behind {sign * self.bars[epoch - 1]:.4g}, the median of the "
            "averages of finished trials"
        )


class CurveStop(Pruner):
    """Stops a trial whose curve, extrapolated, will hardly end among the best (Domhan et al. 2015).

    Args:
        startup, grace: as of every :class:`Pruner`.
        chance: a trial is stopped when the probability of ending among the best is below this.
        rivals: how many of the best finished trials count as the best.
    """

    name = "curve"

    def __init__(
        self, startup: int = 5, grace: float = 0.1, chance: float = 0.05, rivals: int = 2
    ) -> None:
        super().__init__(startup, grace)
        if not 0 < chance < 1:
            raise InputError("curve: chance", "between 0 and 1", f"{chance:g}")
        if not 1 <= rivals <= startup:
            raise InputError("curve: rivals", f"from 1 to startup, {startup}", str(rivals))
        self.chance, self.rivals = chance, rivals

    def _rule(
        self, history: History, objective: Objective, ended: Sequence[Trial], last: int
    ) -> Rule | None:
        whole = [_losses(objective, t.curve) for t in ended if len(t.curve) == last]
        kept = sorted(
            objective.loss(t.metrics) for t in ended if history.violation(t.metrics) == 0.0
        )
        if len(whole) < self.startup or len(kept) < self.rivals:
            return None
        # The newest suffice to learn the shape of curves, and a trial must start at once.
        model = CurveModel(last, [curve.tolist() for curve in whole[-_LEARNED:]])
        first = max(_SHOWN, self._first(last))
        return CurveRule(objective, first, last, model, kept[self.rivals - 1], self.chance)


#: Complete curves that shapes are learned from, and epochs that an extrapolation needs.
_LEARNED, _SHOWN = 50, 3


@dataclass(frozen=True)
class CurveRule(Rule):
    """The rule for one trial.

    Attributes:
        first, last: epochs after which it may stop, from the first to before the last.
        model: extrapolates losses.
        bar: the loss that the trial has to get below.
        chance: the trial is stopped when the probability of that is lower.
    """

    objective: Objective
    first: int
    last: int
    model: CurveModel
    bar: float
    chance: float

    def should_prune(self, curve: Curve) -> str:
        epoch = len(curve)
        if not self.first <= epoch < self.last:
            return ""
        losses = _losses(self.objective, curve)
        if not np.isfinite(losses).all() or losses.min() < self.bar:
            return ""
        chance = self.model.chance_below(losses.tolist(), self.bar)
        if chance >= self.chance:
            return ""
        return (
            f"hopeless after {epoch} of {self.last} epochs: extrapolating its curve, it ends "
            f"among the best with a probability of {chance:.2g}"
        )


def pruner_of(stop: str | Pruner | None) -> Pruner | None:
    """The stopping rule of that name; a rule or ``None`` is returned unchanged.

    Raises:
        UnknownNameError: no stopping rule has that name.
    """
    if stop is None or isinstance(stop, Pruner):
        return stop
    pruner: Pruner = stoppers.get(stop)()
    return pruner


def _losses(objective: Objective, curve: Curve) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The objective as a loss for each epoch, of shape (epochs,); NaN where it is missing."""
    return np.array([objective.loss(row) if objective.metric in row else math.nan for row in curve])
