"""A time limit for user code, wherever in Python it is."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from .._support.errors import Unwind

#: Seconds after which code that ignored the alarm is interrupted again.
_AGAIN = 5.0
#: Seconds between checks whether user code has replaced the signal handler.
_LOOK = 1.0


class TimeIsUp(Unwind):
    """The time limit of code in this process is over."""


class Alarm:
    """Raises :class:`TimeIsUp` at a set time, repeatedly, between :meth:`start` and :meth:`stop`.

    If someone else's alarm is set to an earlier time, that one is kept; a later one is resumed by
    :meth:`close`. It interrupts Python code and system calls, but not native code. Outside the main
    thread, where Python delivers no signals, it never rings.
    """

    def __init__(self) -> None:
        self.rang, self._held = False, True
        self._moment = self._ring = math.inf
        self._looked = 0.0
        self._before: Callable[[int, FrameType | None], Any] | int | None = None
        self._began, self._outer = 0.0, (0.0, 0.0)

    def start(self, moment: float) -> None:
        """Ring at this value of ``time.monotonic()``; never if it is infinite."""
        self.rang, self._held, self._moment = False, False, moment
        # The timer is not reset for each of many short pieces of work: it rings too early for later
        # ones, and is set again then.
        if moment == math.inf or threading.current_thread() is not threading.main_thread():
            return
        now = time.monotonic()
        if now > self._looked + _LOOK:
            self._looked = now
            if self._ring < math.inf and signal.getsignal(signal.SIGALRM) != self._on:
                self._ring = math.inf  # user code has set its own handler
        if moment < self._ring:
            self._set(now)

    def stop(self) -> None:
        """Do not ring until the next start."""
        self._held, self._moment = True, math.inf

    def close(self) -> None:
        """Restore what was set before the first start."""
        self.stop()
        if self._ring < math.inf:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before or signal.SIG_DFL)
            if self._outer[0]:
                left = self._outer[0] - (time.monotonic() - self._began)
                signal.setitimer(signal.ITIMER_REAL, max(1e-6, left), self._outer[1])
        self._ring = math.inf

    def _set(self, now: float) -> None:
        left = max(1e-6, self._moment - now)
        if self._ring == math.inf:
            self._began, self._outer = now, signal.getitimer(signal.ITIMER_REAL)
            if 0 < self._outer[0] <= left:
                return
            self._before = signal.getsignal(signal.SIGALRM)
            signal.signal(signal.SIGALRM, self._on)
        self._ring = self._moment
        signal.setitimer(signal.ITIMER_REAL, left, _AGAIN)

    def _on(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self._ring = now + _AGAIN
        if now < self._moment:
            if self._moment < self._ring:
                self._set(now)
            return
        self.rang = True
        if not self._held:
            raise TimeIsUp

    def hold(self) -> None:
        """Defer the alarm from here on."""
        self._held = True

    def let(self) -> None:
        """Stop deferring; raises immediately if it rang in the meantime."""
        self._held = False
        if self.rang:
            raise TimeIsUp
