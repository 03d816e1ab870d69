"""Trainings counted in rounds of equal time, and trainings that end at a given moment."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from torch import Generator, Tensor

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
        half: whether the forward pass is in bfloat16 on a CPU, too, if the recipe allows it. It is
            chosen where it was measured to be faster.
    """

    steps: int | None = None
    until: float | None = None
    clock: Callable[[], float] = time.monotonic
    half: bool = False


class Stream:
    """Batches of an endless sequence of shuffled passes over the data.

    Args:
        draw: the batches of a pass.
        generator: that it draws with.

    Attributes:
        place: where the batches that were taken last begin: the generator's state before their
            pass, and how many batches of that pass were taken before.
    """

    def __init__(self, draw: Callable[[], Sequence[Tensor]], generator: Generator) -> None:
        self._draw, self._generator, self._left = draw, generator, list[Tensor]()
        self.place = self._next = (generator.get_state(), 0)

    def take(self, steps: int | None) -> Sequence[Tensor]:
        """The examples of the next ``steps`` batches, or of what is left of a pass."""
        self._fill()
        self.place = self._next
        if steps is None:
            steps = len(self._left)
        taken: list[Tensor] = []
        while len(taken) < steps:
            self._fill()
            part = self._left[: steps - len(taken)]
            taken += part
            self._left = self._left[len(part) :]
            self._next = (self._next[0], self._next[1] + len(part))
        return taken

    def _fill(self) -> None:
        """Begin the next pass if the last one is over."""
        if not self._left:
            self._next = (self._generator.get_state(), 0)
            self._left = list(self._draw())


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

    def restart(self) -> None:
        """From now on rounds take another time."""
        self._seconds.clear()

    def ended(self) -> None:
        """A round has ended."""
        now = self._clock()
        self._seconds.append(max(now - self._last, 1e-9))
        self._last = now
