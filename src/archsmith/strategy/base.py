"""The contract of a strategy: the history in, a proposal out."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ..space.architecture import Architecture
from ..trial import History, Proposal

if TYPE_CHECKING:
    from ..space import Space


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
        """The next thing to try, or ``None`` when there is nothing left that is new."""


def fresh(
    space: Space, history: History, draw: Callable[[], Architecture], tries: int = 64
) -> Architecture | None:
    """The first drawn architecture that the history has not seen.

    Where draws keep repeating, the space is small or nearly used up: then its first unseen
    architecture is taken, and ``None`` says that there is none.
    """
    for _ in range(tries):
        architecture = draw()
        if architecture not in history.seen:
            return architecture
    size = space.size()
    if not size.exact or size.count > 100 * len(history.seen) + 1000:
        return draw()  # large: the draws are narrow, not the space used up
    return next((a for a in space.enumerate() if a not in history.seen), None)
