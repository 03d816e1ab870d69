"""The contract of a strategy: from a history to a proposal."""

from __future__ import annotations

import itertools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar
from weakref import ref

from .._support.errors import InputError, SpaceError
from ..history.trial import Fidelity, History, Proposal, Trial
from ..space.architecture import Architecture

if TYPE_CHECKING:
    from ..space import Space

#: In a large space, how many architectures beyond those tried are listed to find a new one.
_LISTED = 2000


#: Metrics of an architecture that are known without training it, such as its ``params``.
Costs = Callable[[Architecture], Mapping[str, float]]


class Strategy(ABC):
    """Decides what to try next.

    A proposal is a function of the history and of ``rng``, which the study seeds by (study seed,
    trial number), so that a resumed study continues identically. State that a strategy learns is a
    cache over the history and must be rebuildable from it.

    Example::

        class Mine(Strategy):
            name = "mine"

            def propose(self, space, history, rng):
                drawn = sample_unseen(space, history, lambda: space.sample(rng))
                return Proposal(drawn) if drawn is not None else None
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Whether it can trade several objectives off against each other.
    several_objectives: ClassVar[bool] = True
    #: Whether it proposes architectures again with more epochs, so that it pays to continue trials.
    promotes: bool = False

    @abstractmethod
    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        """The next thing to try, or ``None`` if there is nothing to try now.

        The study asks again as soon as a running trial ends; if none is running, it ends.

        Raises:
            SpaceError: the builder rejected what was drawn; the study asks again.
        """

    def check(self, space: Space, history: History) -> None:
        """Refuse what this strategy does not support; called first, with an empty history.

        Raises:
            InputError: says what is not supported, and which strategies support it.
        """
        if len(history.objectives) > 1 and not self.several_objectives:
            names = ", ".join(o.metric for o in history.objectives)
            raise InputError(
                self.name,
                "one objective",
                f"{len(history.objectives)} ({names})",
                "use genetic, nsga2 or bayesian for several, or turn the others into limits",
            )

    def entry(self, history: History) -> Fidelity | None:
        """The fidelity of what a study starts from, such as the default architecture; ``None``, by
        default, for the full one."""
        return None

    def describe(self, space: Space, history: History) -> str:
        """What the strategy does in this study, as a text for users; by default its name."""
        return self.name


class Absorbing(Protocol):
    """State that is learned from a history, one ended trial after another."""

    def take(self, trial: Trial) -> None:
        """Learn from a trial that has ended; its state says how."""


S = TypeVar("S", bound=Absorbing)


class HistoryCache(Generic[S]):
    """What a strategy has learned from a history, cached between proposals.

    For another history or space, and after an error while learning, the state is built again from
    the beginning. The cache itself keeps neither of them alive; a state that refers to its history
    does, until it is replaced.

    Args:
        make: returns the state for an empty history.
    """

    def __init__(self, make: Callable[[Space, History], S]) -> None:
        self._make = make
        self._of: tuple[ref[Space], ref[History]] | None = None
        self._state: S | None = None
        self._read = 0

    def at(self, space: Space, history: History) -> S:
        """The state after all trials of the history that have ended."""
        same = self._of is not None and self._of[0]() is space and self._of[1]() is history
        if self._state is None or not same:
            self._of, self._state, self._read = (ref(space), ref(history)), None, 0
            self._state = self._make(space, history)
        state = self._state
        try:
            for trial in history.ended[self._read :]:
                state.take(trial)
        except BaseException:
            self._state = None  # it may have learned a part of this trial
            raise
        self._read = len(history.ended)
        return state


def sample_unseen(
    space: Space, history: History, draw: Callable[[], Architecture], tries: int = 64
) -> Architecture | None:
    """The first drawn architecture whose graph the history has not seen in any encoding.

    If draws keep repeating, either ``draw`` is narrow or the space is nearly used up: then random
    architectures of the whole space are drawn, and after that the first unseen one is taken. Draws
    that the builder rejects are skipped.

    Returns:
        ``None`` if nothing new is left; in a space that is too large to enumerate, also if random
        draws and the beginning of the enumeration all repeat.

    Raises:
        SpaceError: the builder rejects all draws.
    """
    rng = random.Random(len(history))  # depends only on the history, as a proposal must
    failure: SpaceError | None = None
    for kind in (draw, lambda: space.sample(rng)):
        any_drawn = False
        for _ in range(tries):
            try:
                architecture = kind()
            except SpaceError as error:
                failure = error
                continue
            any_drawn = True
            if history.new(architecture):
                return architecture
    if failure is not None and not any_drawn:
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
