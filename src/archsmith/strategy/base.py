"""The contract of a strategy: the history in, a proposal out."""

from __future__ import annotations

import itertools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar
from weakref import ref

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal, Trial
from ..space.architecture import Architecture

if TYPE_CHECKING:
    from ..space import Space

#: Architectures of a large space that are listed in search of a new one, beside those tried.
_LISTED = 2000


#: Metrics of an architecture that are known without training it, such as its ``params``.
Costs = Callable[[Architecture], Mapping[str, float]]


class Strategy(ABC):
    """What to try next.

    A proposal is a function of the history and of ``rng``, which the study seeds by (study seed,
    trial number): resuming is replaying. State that a strategy learns is a cache over the history
    and must be rebuildable from it.
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Whether it can trade several objectives off against each other.
    several_objectives: ClassVar[bool] = True

    @abstractmethod
    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        """The next thing to try, or ``None`` where there is nothing to try now.

        While trials run, the study asks again as soon as one ends; with none running it ends.
        """

    def check(self, space: Space, history: History) -> None:
        """Refuse what this strategy cannot serve; called with an empty history, before any work.

        Raises:
            InputError: saying what it cannot serve and what can.
        """
        if len(history.objectives) > 1 and not self.several_objectives:
            names = ", ".join(o.metric for o in history.objectives)
            raise InputError(
                self.name,
                "one objective",
                f"{len(history.objectives)} ({names})",
                "genetic, nsga2 and bayesian trade several off; or make the others limits",
            )

    def describe(self, space: Space, history: History) -> str:
        """What it does in this study, for people; the name where there is no more to say."""
        return self.name


class Absorbing(Protocol):
    """State that is learned from a history, one ended trial after the other."""

    def take(self, trial: Trial) -> None:
        """Take in a trial that has ended; its state says how."""


S = TypeVar("S", bound=Absorbing)


class HistoryCache(Generic[S]):
    """What a strategy has learned from a history, kept between proposals.

    It is a cache: with another history or space it is made anew and taught from the beginning, and
    so it is after an error while it was taught. The memo itself keeps neither alive; a state that
    refers to its history does, until it is replaced.

    Args:
        make: the state of an empty history.
    """

    def __init__(self, make: Callable[[Space, History], S]) -> None:
        self._make = make
        self._of: tuple[ref[Space], ref[History]] | None = None
        self._state: S | None = None
        self._read = 0

    def at(self, space: Space, history: History) -> S:
        """The state after all trials of the history that have ended."""
        known = self._of is not None and self._of[0]() is space and self._of[1]() is history
        if self._state is None or not known:
            self._of, self._state, self._read = (ref(space), ref(history)), None, 0
            self._state = self._make(space, history)
        state = self._state
        try:
            for trial in history.ended[self._read :]:
                state.take(trial)
        except BaseException:
            self._state = None  # it has taken a part of what it was to learn
            raise
        self._read = len(history.ended)
        return state


def sample_unseen(
    space: Space, history: History, draw: Callable[[], Architecture], tries: int = 64
) -> Architecture | None:
    """The first drawn architecture that the history has not seen in any spelling.

    Where draws keep repeating, they are narrow or the space is nearly used up: then any of its
    architectures is drawn, then the first unseen one is taken. Draws that the builder refuses are
    passed over.

    Returns:
        ``None`` where nothing new is left; in a space that is too large to be listed, where draws
        from all of it repeat and so does the beginning of its list.

    Raises:
        SpaceError: all draws from the space are refused.
    """
    rng = random.Random(len(history))  # a function of the history, as a proposal has to be
    failure: SpaceError | None = None
    for kind in (draw, lambda: space.sample(rng)):
        drawn = False
        for _ in range(tries):
            try:
                architecture = kind()
            except SpaceError as error:
                failure = error
                continue
            drawn = True
            if history.new(architecture):
                return architecture
    if failure is not None and not drawn:
        raise failure
    size = space.size()
    if size.count == math.inf:
        return None
    listed = space.enumerate()
    if not size.exact or size.count > 100 * len(history.seen) + 1000:
        listed = itertools.islice(listed, len(history) + _LISTED)
    return next((a for a in listed if history.new(a)), None)


def check_whole(strategy: str, **numbers: object) -> None:
    """Raise :class:`InputError` unless all are whole numbers."""
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"{strategy}: {name}", "a whole number", repr(number))
