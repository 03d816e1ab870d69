"""Trainings counted in rounds of equal time, and trainings that end at a given moment."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from torch import Tensor

#: How many rounds the estimate of the next ones follows.
_RECENT = 5


@dataclass(frozen=True)
class Rounds:
    """Rounds of a fixed number of steps in place of epochs, which one pass over the data takes.

    With the number of steps that fit into a fixed time, architectures are compared after equal
    time: a slower one takes fewer steps.

    Attributes:
        steps: of a round; ``None`` for one pass over the data.
        until: the moment, by ``time.monotonic()``, at which the training is to end: the number of
            rounds follows from their measured pace, and is revised after each.
        clock: tells the time.
    """

    steps: int | None = None
    until: float | None = None
    clock: Callable[[], float] = time.monotonic


class Stream:
    """Batches of an endless sequence of shuffled passes over the data."""

    def __init__(self, draw: Callable[[], Sequence[Tensor]]) -> None:
        self._draw, self._left = draw, list[Tensor]()

    def take(self, steps: int | None) -> Sequence[Tensor]:
        """The examples of the next ``steps`` batches, or of one whole pass."""
        if steps is None:
            return self._draw()
        while len(self._left) < steps:
            self._left += self._draw()
        taken, self._left = self._left[:steps], self._left[steps:]
        return taken


class Countdown:
    """Estimates how many rounds are left until a moment."""

    def __init__(self, until: float, clock: Callable[[], float]) -> None:
        self._until, self._clock, self._last = until, clock, clock()
        self._seconds: deque[float] = deque(maxlen=_RECENT)

    def rounds_left(self) -> int | None:
        """Whole rounds that still fit, 0 if none does; ``None`` before the first has ended."""
        now = self._clock()
        if self._seconds:
            return max(0, round((self._until - now) / median(self._seconds)))
        return None

    def ended(self) -> None:
        """A round has ended."""
        now = self._clock()
        self._seconds.append(max(now - self._last, 1e-9))
        self._last = now
