"""Rungs of a multi-fidelity search: their epochs, how many trials rise, and their ranking."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, insort
from collections.abc import Sequence

from .._support.errors import InputError
from ..history.objective import crowding, dominates
from ..history.trial import Fidelity, History, Proposal, State, Trial
from ..space.architecture import Architecture
from .base import check_whole


def check_ladder(name: str, eta: float, min_epochs: int) -> None:
    """Refuse settings that do not define a ladder.

    Raises:
        InputError: ``eta`` is not a finite number above 1, or ``min_epochs`` is below 1.
    """
    if not (isinstance(eta, int | float) and 1 < eta < math.inf):
        raise InputError(f"{name}: eta", "a finite number above 1", repr(eta), "eta=3")
    check_whole(name, min_epochs=min_epochs)
    if min_epochs < 1:
        raise InputError(f"{name}: min_epochs", "1 or more", str(min_epochs), "min_epochs=1")


def ladder(name: str, epochs: Sequence[int], eta: float, min_epochs: int) -> tuple[int, ...]:
    """Epochs of the rungs, ascending, the last one the full evaluation.

    Going down from the full evaluation, each rung has 1 / ``eta`` of the epochs of the one above,
    moved to the nearest available number (on a log scale): (1, ..., 50) and 3 give
    (1, 2, 6, 17, 50), while (12, 200) gives (12, 200), the only two available.

    Args:
        name: of the strategy, for errors.
        epochs: available numbers of epochs, ascending.
        min_epochs: the least number of epochs of the lowest rung.

    Raises:
        InputError: there are fewer than two rungs.
    """
    if len(epochs) < 2:
        got = f"epochs={tuple(epochs)}" if epochs else "an evaluator with only one fidelity"
        raise InputError(
            name,
            "evaluations at two numbers of epochs or more",
            got,
            "an evaluator whose `fidelities` names them (training of two epochs or more, a table "
            "that records early epochs), or a strategy without fidelity, such as evolution",
        )
    full = epochs[-1]
    offered = [e for e in epochs if min_epochs <= e < full]
    if not offered:
        raise InputError(
            f"{name}: min_epochs",
            f"less than the full {full} epochs",
            str(min_epochs),
            f"min_epochs={epochs[0]}",
        )
    rungs, target = {full}, full / eta
    while target >= offered[0] / math.sqrt(eta):
        rungs.add(min([*offered, full], key=lambda e: abs(math.log(e / target))))
        target /= eta
    # At least one rung below the full one, however near it is.
    return tuple(sorted(rungs)) if len(rungs) > 1 else (offered[0], full)


def survivors(count: int, low: int, high: int) -> int:
    """How many of ``count`` trials rise from a rung of ``low`` epochs to one of ``high``.

    Chosen so that both rungs cost the same: 1 / eta of them on a geometric ladder, and fewer if the
    next available rung is further away.
    """
    return count * low // high


def rung_of(trial: Trial, rungs: Sequence[int]) -> int | None:
    """Position of the trial's rung; ``None`` if no rung has its epochs."""
    epochs = trial.fidelity.epochs
    if epochs is None:
        return len(rungs) - 1
    return rungs.index(epochs) if epochs in rungs else None


def promotion(trial: Trial, epochs: int) -> Proposal:
    """Propose the trial's architecture again, with more epochs."""
    note = f"promoted from trial {trial.number} ({trial.fidelity.epochs} to {epochs} epochs)"
    return Proposal(trial.architecture, Fidelity(epochs=epochs), note)


class Rung:
    """Finished trials at one fidelity, best first by :meth:`History.ranked`.

    With one objective a trial is inserted in sorted order. With several it is added to its Pareto
    front; those that it dominates there move to the next front, and so on (Li, Deb, Zhang,
    Suganthan and Chen 2017, Efficient Nondomination Level Update Method for Steady-State
    Evolutionary Multiobjective Optimization, IEEE Transactions on Cybernetics 47:2838).

    Args:
        history: its objectives and limits determine the ranking.
    """

    def __init__(self, history: History) -> None:
        # Not the history itself: a cache must not keep it alive.
        self._judge = History(history.objectives, history.limits)
        self._plain = len(history.objectives) == 1
        #: With one objective all trials, with several those that break a limit; best first.
        self._sorted: list[Trial] = []
        #: With several objectives those that keep the limits, each front in order of number.
        self._fronts: list[list[Trial]] = []
        #: Each front by crowding distance; empty if the front has changed.
        self._orders: list[list[Trial]] = []
        self._losses: dict[int, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._sorted) + len(self._losses)

    def add(self, trial: Trial) -> None:
        """Add a finished trial."""
        if self._plain or self._judge.violation(trial.metrics) > 0:
            insort(self._sorted, trial, key=self._key)
        else:
            self._insert(trial)

    def ranked(self) -> list[Trial]:
        """Trials from best to worst; the list must not be modified."""
        if self._plain:
            return self._sorted
        for place, front in enumerate(self._fronts):
            if not self._orders[place]:
                distances = crowding([self._losses[t.number] for t in front])
                by_distance = sorted(range(len(front)), key=lambda k: -distances[k])
                self._orders[place] = [front[k] for k in by_distance]
        return [*itertools.chain(*self._orders), *self._sorted]

    def _insert(self, trial: Trial) -> None:
        self._losses[trial.number] = self._judge.losses(trial)
        # If a front dominates the trial, all fronts before it do, so bisection works.
        place = bisect_left(
            self._fronts, True, key=lambda front: not self._dominated([trial], front)
        )
        sinking = [trial]
        while sinking:
            if place == len(self._fronts):
                self._fronts.append([])
                self._orders.append([])
            front = self._fronts[place]
            following = self._dominated(front, sinking)
            gone = {t.number for t in following}
            kept = [t for t in front if t.number not in gone]
            self._fronts[place] = sorted(kept + sinking, key=lambda t: t.number)
            self._orders[place] = []
            sinking, place = following, place + 1

    def _dominated(self, trials: Sequence[Trial], by: Sequence[Trial]) -> list[Trial]:
        """Those of ``trials`` that a trial of ``by`` dominates."""
        others = [self._losses[t.number] for t in by]
        return [t for t in trials if any(dominates(o, self._losses[t.number]) for o in others)]

    def _key(self, trial: Trial) -> tuple[float, ...]:
        broken = self._judge.violation(trial.metrics)
        return (broken, trial.number) if broken else (0.0, *self._judge.rank(trial), trial.number)


def leftover(history: History, full: int) -> Proposal | None:
    """The most promising architecture that was never tried at the full number of epochs.

    Used once a space has nothing new: with enough budget every architecture that does not fail is
    eventually evaluated fully.
    """
    tried = {t.architecture for t in history.trials if t.fidelity.epochs in (None, full)}
    highest: dict[Architecture, Trial] = {}
    for trial in history.finished:
        if trial.architecture not in tried:
            before = highest.get(trial.architecture)
            if before is None or trial.fidelity.order > before.fidelity.order:
                highest[trial.architecture] = trial
    if not highest:
        return None
    most = max(t.fidelity.order for t in highest.values())
    best = history.ranked([t for t in highest.values() if t.fidelity.order == most])[0]
    return promotion(best, full)


def finished(trial: Trial) -> bool:
    """Whether a trial has results that can be compared."""
    return trial.state is State.FINISHED
