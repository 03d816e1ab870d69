"""Brackets of successive halving, derived from the history alone."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..history.trial import Fidelity, History, Proposal, Trial
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy
from .prior import draw_entrant
from .rungs import check_ladder, finished, ladder, leftover, promotion, rung_of, survivors

if TYPE_CHECKING:
    from ..space import Space

#: The rung at which a bracket begins, from 0, and how many architectures enter there.
Shape = tuple[int, int]


class Synchronous(Strategy):
    """Brackets in a fixed, repeating order: many enter, and the best of each rung rise together.

    A bracket is full when its number of entrants have finished, and each rung above is decided when
    all that rose to it have ended. Workers that would have to wait begin the next bracket. A trial
    that fails or is pruned is replaced: at the entry by a new architecture, further up by the next
    best of the rung below. So each bracket ends with results at full fidelity, unless none of its
    entrants can be evaluated there.

    Once the space has nothing new, the best that did not rise are evaluated fully.

    Args:
        eta: one in ``eta`` trials of each rung rises, to ``eta`` times the epochs. If the available
            numbers of epochs are further apart, fewer rise, so that rungs cost the same.
        min_epochs: epochs of the lowest rung.

    Raises:
        InputError: ``eta`` or ``min_epochs`` is out of range.
    """

    promotes = True

    def __init__(self, eta: float = 3, min_epochs: int = 1) -> None:
        check_ladder(self.name, eta, min_epochs)
        self.eta, self.min_epochs = eta, min_epochs
        self._memo = HistoryCache(self._make)

    @abstractmethod
    def plan(self, epochs: Sequence[int]) -> list[Shape]:
        """The brackets of one round, with different entry rungs, given the epochs of the rungs."""

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        self.rungs(history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        brackets = self._memo.at(space, history)
        riser = brackets.riser(history)
        if riser is not None:
            trial, epochs = riser
            return promotion(trial, epochs)
        if not brackets.exhausted:
            entrant = self.entrant(space, history, rng)
            brackets.exhausted = entrant is None
            if entrant is not None and history.new(entrant.architecture):
                return brackets.enter(entrant, history)
        return leftover(history, brackets.epochs[-1])

    def entrant(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        """A new architecture to enter a bracket; ``None`` if there is none."""
        return draw_entrant(space, history, rng)

    def rungs(self, history: History) -> tuple[int, ...]:
        """Epochs of the rungs, ascending."""
        return ladder(self.name, history.epochs, self.eta, self.min_epochs)

    def _make(self, _: Space, history: History) -> _Brackets:
        epochs = self.rungs(history)
        return _Brackets(epochs, self.plan(epochs), history)


class _Brackets:
    """All brackets of a history.

    The bracket of a trial is not recorded. The first trial of an architecture entered a bracket,
    whose shape its epochs determine; brackets of a shape fill with entrants in order of ending,
    without those that failed, so that a slow entrant delays nothing: it goes to a later bracket.
    Later trials of an architecture are its promotions.
    """

    def __init__(self, epochs: Sequence[int], plan: Sequence[Shape], history: History) -> None:
        self.epochs, self.plan = tuple(epochs), tuple(plan)
        self.exhausted = False
        self._judge = History(history.objectives, history.limits)
        self._entered: set[Architecture] = set()
        #: For each rung, the ended trials that were promoted to it.
        self._results: list[dict[Architecture, Trial]] = [{} for _ in epochs]
        #: For each shape: finished entrants of the bracket being filled; how many are full.
        self._entrants: list[list[Trial]] = [[] for _ in plan]
        self._filled = [0] * len(plan)
        self._open: list[_Bracket] = []
        self._shape_at = {start: i for i, (start, _) in enumerate(plan)}

    def take(self, trial: Trial) -> None:
        place = rung_of(trial, self.epochs)
        if place is None:
            return
        if trial.architecture in self._entered:
            self._results[place][trial.architecture] = trial
            return
        self._entered.add(trial.architecture)
        shape = self._shape_at.get(place)
        if shape is not None and finished(trial):
            self._entrants[shape].append(trial)
            if len(self._entrants[shape]) == self.plan[shape][1]:
                self._open.append(_Bracket(place, self._entrants[shape], self._judge))
                self._entrants[shape] = []
                self._filled[shape] += 1

    def riser(self, history: History) -> tuple[Trial, int] | None:
        """The trial to promote and its new epochs, from the oldest bracket that has one."""
        busy = {(t.architecture, t.fidelity.epochs) for t in history.running.values()}
        for bracket in self._open:
            trial = bracket.riser(self._results, self.epochs, busy)
            if trial is not None:
                return trial, self.epochs[bracket.place + 1]
        self._open = [b for b in self._open if not b.over]
        return None

    def enter(self, entrant: Proposal, history: History) -> Proposal:
        """The proposal for the first bracket with room, in the order of the plan."""
        running = self._running(history)
        begun = [
            filled + (len(ended) + busy) // count
            for filled, ended, busy, (_, count) in zip(
                self._filled, self._entrants, running, self.plan, strict=True
            )
        ]
        start, _ = self.plan[begun.index(min(begun))]
        return Proposal(entrant.architecture, Fidelity(epochs=self.epochs[start]), entrant.note)

    def _running(self, history: History) -> list[int]:
        """The number of running entrants for each shape."""
        numbers = [0] * len(self.plan)
        for trial in history.running.values():
            place = rung_of(trial, self.epochs)
            shape = None if place is None else self._shape_at.get(place)
            if shape is not None and trial.architecture not in self._entered:
                numbers[shape] += 1
        return numbers


class _Bracket:
    """One bracket after its entry.

    Attributes:
        place: the highest rung that is decided.
        over: whether no more trials will rise.
    """

    def __init__(self, place: int, entrants: Sequence[Trial], judge: History) -> None:
        self.place, self.over = place, False
        self._judge = judge
        self._ranked = judge.ranked(entrants)

    def riser(
        self,
        results: Sequence[dict[Architecture, Trial]],
        epochs: Sequence[int],
        busy: set[tuple[Architecture, int | None]],
    ) -> Trial | None:
        """The next trial to rise from the decided rung; ``None`` while waiting, and at the end."""
        while not self.over and self.place < len(epochs) - 1:
            above = self.place + 1
            room = max(1, survivors(len(self._ranked), epochs[self.place], epochs[above]))
            done: list[Trial] = []
            waiting = 0
            for trial in self._ranked:
                if len(done) + waiting == room:
                    break
                result = results[above].get(trial.architecture)
                if (trial.architecture, epochs[above]) in busy:
                    waiting += 1
                elif result is None:
                    return trial
                elif finished(result):
                    done.append(result)
            if waiting:
                return None
            self._ranked = self._judge.ranked(done)
            self.place, self.over = above, not done
        self.over = True
        return None
