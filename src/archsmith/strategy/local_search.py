"""Local search (White et al. 2020, Exploring the Loss Landscape in Neural Architecture Search,
arXiv:2005.02960; Den Ottelander et al. 2020, Local Search is a Remarkably Strong Baseline for
Neural Architecture Search, arXiv:2004.08996)."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Hashable
from functools import lru_cache
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

from .._support.errors import InputError
from ..history.objective import dominates
from ..history.trial import History, Proposal, Trial
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy, check_whole, sample_unseen
from .population import comparable

if TYPE_CHECKING:
    from ..space import Space

#: Keys of architectures that are kept at once.
_KEYS = 4096
#: Points of the front whose neighbours are kept.
_POINTS = 256


class LocalSearch(Strategy):
    """Goes to a better neighbour until there is none, then climbs from elsewhere.

    The first climb starts from the best of ``initial`` random draws. Neighbours come in random
    order, and no graph is asked for twice. At a local optimum the search starts again: ``returns``
    times from the best trial that has a neighbour left to ask for, then once from a random draw,
    and so on. Returning is what a search does that keeps its best points open (it gains most where
    good architectures lie together); the draws keep it from staying in one valley.

    With workers in parallel several neighbours run at once, and random draws beside them when all
    do; any trial better than the current one becomes the current one.

    With several objectives it is a Pareto local search, one neighbour at a time (Paquete,
    Chiarandini and Stützle 2004; Dubois-Lacoste, López-Ibáñez and Stützle 2015): each proposal is a
    new neighbour of a trial on the Pareto front, drawn with a liking for the lonely parts of it,
    and a neighbour that nothing dominates joins the front.

    Trials that keep the limits are better than those that break them, the nearer the better.

    Args:
        improvement: ``"first"`` takes the first better neighbour, ``"best"`` the best of all.
        initial: random draws before the first climb.
        returns: climbs from known trials for each climb from a random draw; 0 for random restarts
            alone, as in the papers. This and ``improvement`` are for one objective.
    """

    name = "local-search"

    def __init__(
        self,
        improvement: Literal["first", "best"] = "first",
        initial: int = 10,
        returns: int = 2,
    ) -> None:
        if improvement not in ("first", "best"):
            raise InputError(f"{self.name}: improvement", "'first' or 'best'", repr(improvement))
        check_whole(self.name, initial=initial, returns=returns)
        if initial < 1 or returns < 0:
            raise InputError(
                self.name, "initial >= 1 and returns >= 0", f"initial {initial}, returns {returns}"
            )
        self.improvement, self.initial, self.returns = improvement, initial, returns
        self._climb = HistoryCache(lambda space, history: _Climb(space, history, self))
        self._front = HistoryCache(_Front)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if len(history.objectives) == 1:
            proposal = self._step(self._climb.at(space, history), rng)
        else:
            proposal = self._spread(self._front.at(space, history), rng)
        if proposal is None:
            architecture = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(architecture, note="random") if architecture else None
        return proposal

    def _step(self, climb: _Climb, rng: random.Random) -> Proposal | None:
        """A neighbour of the current point that nobody asked for."""
        left = list(climb.open)
        while left:
            place = int(rng.random() * len(left))
            left[place], left[-1] = left[-1], left[place]
            chosen = left.pop()
            if climb.key(chosen) not in climb.history.seen:
                assert climb.current is not None
                return Proposal(chosen, note=f"neighbour of trial {climb.current.number}")
        return None

    def _spread(self, front: _Front, rng: random.Random) -> Proposal | None:
        """A neighbour of a trial on the front that nobody asked for."""
        if front.size < self.initial or not front.trials:
            return None
        # The square draws early places, which are the lonely ones, more often than late ones.
        drawn = front.trials[int(rng.random() ** 2 * len(front.trials))]
        for trial in (drawn, *front.trials):
            near = [a for a in front.neighbours(trial.architecture) if front.history.new(a)]
            if near:
                chosen = near[int(rng.random() * len(near))]
                return Proposal(chosen, note=f"neighbour of trial {trial.number}")
        return None


class _Climb:
    """Where the search stands after the trials that have ended.

    Attributes:
        current: the trial that is climbed from; ``None`` while a random draw is waited for.
        open: its neighbours, of which those at the end may be cut off that have ended; empty where
            all have.
    """

    def __init__(self, space: Space, history: History, options: LocalSearch) -> None:
        self.space, self.history, self.options = space, history, options
        self.current: Trial | None = None
        self.open: list[Architecture] = []
        # The forms of graphs are dear beside the rest, and neighbourhoods overlap.
        self.key = lru_cache(_KEYS)(history.key)
        self._ahead: Trial | None = None  # the best so far of those better than the current one
        self._ended: set[Hashable] = set()
        # Trials that may have neighbours left to ask for, the best first: a heap, with those that
        # have none (their numbers are in `_left`) until they come to its top.
        self._known: list[tuple[tuple[float, ...], int, Trial]] = []
        self._left: set[int] = set()
        self._places = itertools.count()  # equal ones stand in order of ending
        self._draws = 0  # that have ended since one was waited for
        self._starts = 0

    def take(self, trial: Trial) -> None:
        self._ended.add(self.key(trial.architecture))
        if comparable(self.history, trial):
            heappush(self._known, (self._order(trial), next(self._places), trial))
            self._judge(trial)
        if self._exhausted():
            self._leave()

    def _exhausted(self) -> bool:
        """Whether all neighbours of the current point have ended."""
        while self.open and self.key(self.open[-1]) in self._ended:
            self.open.pop()
        return self.current is not None and not self.open

    def _judge(self, trial: Trial) -> None:
        if self.current is None:
            self._draws += 1
            if self._draws >= (1 if self._starts else self.options.initial):
                self._go(trial if self._starts else self._known[0][-1])
                self._starts += 1
            return
        if self._order(trial) < self._order(self._ahead or self.current):
            if self.options.improvement == "first":
                self._go(trial)
            else:
                self._ahead = trial

    def _leave(self) -> None:
        """Go on from a point all of whose neighbours have ended."""
        while self._exhausted():
            assert self.current is not None
            self._left.add(self.current.number)
            while self._known and self._known[0][-1].number in self._left:
                heappop(self._known)
            if self._ahead is not None:
                self._go(self._ahead)
                continue
            if self._starts % (self.options.returns + 1) == 0 or not self._known:
                self.current, self.open, self._draws = None, [], 0
                return
            self._go(self._known[0][-1])
            self._starts += 1

    def _go(self, trial: Trial) -> None:
        self.open = list(self.space.neighbours(trial.architecture))
        self.current, self._ahead = trial, None

    def _order(self, trial: Trial) -> tuple[float, ...]:
        """Smaller is better, as in :meth:`History.ranked`."""
        violation = self.history.violation(trial.metrics)
        return (violation,) if violation > 0 else (0.0, *self.history.rank(trial))


class _Front:
    """The trials that no other dominates, loneliest first, after the trials that have ended.

    While all break a limit, the one that does so least.
    """

    def __init__(self, space: Space, history: History) -> None:
        self.history = history
        self.trials: list[Trial] = []
        self.size = 0  # trials compared so far
        self._violation = math.inf
        self.neighbours = lru_cache(_POINTS)(lambda a: list(space.neighbours(a)))

    def take(self, trial: Trial) -> None:
        if not comparable(self.history, trial):
            return
        self.size += 1
        violation = self.history.violation(trial.metrics)
        if violation > self._violation or (violation == self._violation > 0):
            return
        if violation < self._violation:
            self._violation, self.trials = violation, []
        losses = self.history.losses(trial)
        others = [(other, self.history.losses(other)) for other in self.trials]
        if any(known == losses or dominates(known, losses) for _, known in others):
            return
        kept = [other for other, known in others if not dominates(losses, known)]
        self.trials = self.history.ranked([*kept, trial])
