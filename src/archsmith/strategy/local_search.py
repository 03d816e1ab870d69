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

#: Keys of architectures that are cached.
_KEYS = 4096
#: Points of the front whose neighbours are cached.
_POINTS = 256


class LocalSearch(Strategy):
    """Moves to a better neighbour until there is none, then climbs from another point.

    The first climb starts from the best of ``initial`` random draws. Neighbours are tried in random
    order, and no graph is proposed twice. At a local optimum the search restarts: ``returns`` times
    from the best trial that has an untried neighbour, then once from a random draw, and so on.
    Returning helps most where good architectures are close to each other; the random draws keep the
    search from staying in one region.

    With parallel workers several neighbours run at once, and also random draws when all neighbours
    are running; any trial better than the current one becomes the current one.

    With several objectives it is a Pareto local search, one neighbour at a time (Paquete,
    Chiarandini and Stützle 2004; Dubois-Lacoste, López-Ibáñez and Stützle 2015): each proposal is a
    new neighbour of a trial on the Pareto front, preferring its sparse parts, and a neighbour that
    nothing dominates joins the front.

    Trials that keep the limits are better than those that break them; of these, the nearer to the
    limits the better.

    Args:
        improvement: ``"first"`` takes the first better neighbour, ``"best"`` the best of all.
        initial: number of random draws before the first climb.
        returns: climbs from known trials per climb from a random draw; 0 for only random restarts,
            as in the papers. This and ``improvement`` apply to one objective.

    Raises:
        InputError: an argument is out of range.
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
            proposal = self._pareto_step(self._front.at(space, history), rng)
        if proposal is None:
            architecture = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(architecture, note="random") if architecture else None
        return proposal

    def _step(self, climb: _Climb, rng: random.Random) -> Proposal | None:
        """An untried neighbour of the current point."""
        left = list(climb.open)
        while left:
            place = int(rng.random() * len(left))
            left[place], left[-1] = left[-1], left[place]
            chosen = left.pop()
            if climb.key(chosen) not in climb.history.seen:
                assert climb.current is not None
                return Proposal(chosen, note=f"neighbour of trial {climb.current.number}")
        return None

    def _pareto_step(self, front: _Front, rng: random.Random) -> Proposal | None:
        """An untried neighbour of a trial on the front."""
        if front.size < self.initial or not front.trials:
            return None
        # Squaring favours early positions, which are those of sparse parts of the front.
        drawn = front.trials[int(rng.random() ** 2 * len(front.trials))]
        for trial in (drawn, *front.trials):
            near = [a for a in front.neighbours(trial.architecture) if front.history.new(a)]
            if near:
                chosen = near[int(rng.random() * len(near))]
                return Proposal(chosen, note=f"neighbour of trial {trial.number}")
        return None


class _Climb:
    """The state of the climb after the trials that have ended.

    Attributes:
        current: the trial that is climbed from; ``None`` while waiting for a random draw.
        open: its neighbours; ended ones are removed from the end of the list, so that it is empty
            once all have ended.
    """

    def __init__(self, space: Space, history: History, options: LocalSearch) -> None:
        self.space, self.history, self.options = space, history, options
        self.current: Trial | None = None
        self.open: list[Architecture] = []
        # Canonical forms of graphs are expensive, and neighbourhoods overlap.
        self.key = lru_cache(_KEYS)(history.key)
        self._ahead: Trial | None = None  # the best trial so far that beats the current one
        self._ended: set[Hashable] = set()
        # Heap of trials that may have untried neighbours, the best first. Those without any (their
        # numbers are in `_left`) are removed when they reach the top.
        self._known: list[tuple[tuple[float, ...], int, Trial]] = []
        self._left: set[int] = set()
        self._places = itertools.count()  # breaks ties by order of ending
        self._draws = 0  # draws that have ended since the search began to wait for one
        self._starts = 0

    def take(self, trial: Trial) -> None:
        self._ended.add(self.key(trial.architecture))
        if comparable(self.history, trial):
            heappush(self._known, (self._order(trial), next(self._places), trial))
            self._judge(trial)
        if self._exhausted():
            self._restart()

    def _exhausted(self) -> bool:
        """Whether all neighbours of the current point have ended."""
        while self.open and self.key(self.open[-1]) in self._ended:
            self.open.pop()
        return self.current is not None and not self.open

    def _judge(self, trial: Trial) -> None:
        if self.current is None:
            self._draws += 1
            if self._draws >= (1 if self._starts else self.options.initial):
                self._move(trial if self._starts else self._known[0][-1])
                self._starts += 1
            return
        if self._order(trial) < self._order(self._ahead or self.current):
            if self.options.improvement == "first":
                self._move(trial)
            else:
                self._ahead = trial

    def _restart(self) -> None:
        """Continue from elsewhere once all neighbours of the current point have ended."""
        while self._exhausted():
            assert self.current is not None
            self._left.add(self.current.number)
            while self._known and self._known[0][-1].number in self._left:
                heappop(self._known)
            if self._ahead is not None:
                self._move(self._ahead)
                continue
            if self._starts % (self.options.returns + 1) == 0 or not self._known:
                self.current, self.open, self._draws = None, [], 0
                return
            self._move(self._known[0][-1])
            self._starts += 1

    def _move(self, trial: Trial) -> None:
        self.open = list(self.space.neighbours(trial.architecture))
        self.current, self._ahead = trial, None

    def _order(self, trial: Trial) -> tuple[float, ...]:
        """Smaller is better, as in :meth:`History.ranked`."""
        violation = self.history.violation(trial.metrics)
        return (violation,) if violation > 0 else (0.0, *self.history.rank(trial))


class _Front:
    """The non-dominated trials among those that have ended, sparsest parts of the front first.

    While all trials break a limit, only the one nearest to it.
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
        if any(
            other_losses == losses or dominates(other_losses, losses) for _, other_losses in others
        ):
            return
        kept = [other for other, other_losses in others if not dominates(losses, other_losses)]
        self.trials = self.history.ranked([*kept, trial])
