"""The end of a time that code of a user has, wherever in Python it then is."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from .._support.errors import Unwind

#: Code whose time is over is told so again after so many seconds, where it went on all the same.
_AGAIN = 5.0
#: Seconds between looks whether code of a user has taken the signal for itself.
_LOOK = 1.0


class TimeIsUp(Unwind):
    """Code that runs in this process has had its time."""


class Alarm:
    """Raises :class:`TimeIsUp` at a moment between :meth:`start` and :meth:`stop`, and again.

    Where an alarm of others is set that rings earlier, that one holds; a later one goes on after
    :meth:`close`. It reaches whatever runs Python or waits in a system call, not what hangs in
    native code. Outside the main thread, where Python delivers no signals, it never rings.
    """

    def __init__(self) -> None:
        self.rang, self._held = False, True
        self._moment = self._ring = math.inf
        self._looked = 0.0
        self._before: Callable[[int, FrameType | None], Any] | int | None = None
        self._began, self._outer = 0.0, (0.0, 0.0)

    def start(self, moment: float) -> None:
        """Ring at a moment of ``time.monotonic()``; at infinity never."""
        self.rang, self._held, self._moment = False, False, moment
        # Short pieces of work one after another are not worth setting it for each: it rings too
        # early for the later ones, and is set again then.
        if moment == math.inf or threading.current_thread() is not threading.main_thread():
            return
        now = time.monotonic()
        if now > self._looked + _LOOK:
            self._looked = now
            if self._ring < math.inf and signal.getsignal(signal.SIGALRM) != self._on:
                self._ring = math.inf  # code of a user has set its own
        if moment < self._ring:
            self._set(now)

    def stop(self) -> None:
        """Ring no more until the next start."""
        self._held, self._moment = True, math.inf

    def close(self) -> None:
        """Set back what was there before the first start."""
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
        """Keep it back from here."""
        self._held = True

    def let(self) -> None:
        """Let it through from here; raises at once where it rang meanwhile."""
        self._held = False
        if self.rang:
            raise TimeIsUp
