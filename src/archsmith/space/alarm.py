"""The end of a time that code of a user has, wherever in Python it then is."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from ..errors import Unwind

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
#: Code whose time is over is told so again after so many seconds, where it went on all the same.
_AGAIN = 5.0


class TimeIsUp(Unwind):
    """Code that runs in this process has had its time."""


class Alarm:
    """Raises :class:`TimeIsUp` between :meth:`start` and :meth:`stop`.

    Where an alarm is set that rings earlier, that one holds; a later one goes on afterwards.

    It reaches whatever runs Python or waits in a system call, not what hangs in native code. The
    signals that evaluations answer in a way of their own are answered as before afterwards.
    Outside the main thread, where Python delivers no signals, it never rings.
    """

    def __init__(self) -> None:
        self.rang = self._held = self._set = False
        #: What answered the signals before.
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def start(self, moment: float) -> None:
        """Ring at a moment of ``time.monotonic()``; at infinity never."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._before = {n: signal.getsignal(n) for n in _SIGNALS}
        if moment < math.inf:
            self._began, self._outer = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
            left = max(1e-6, moment - self._began)
            if not 0 < self._outer[0] <= left:
                self._set = True
                signal.signal(signal.SIGALRM, self._on)
                signal.setitimer(signal.ITIMER_REAL, left, _AGAIN)

    def stop(self) -> None:
        """Ring no more."""
        self._held = True
        if self._set:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in self._before.items():
            if before is not None and signal.getsignal(number) is not before:
                signal.signal(number, before)
        if self._set and self._outer[0]:
            left = self._outer[0] - (time.monotonic() - self._began)
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, left), self._outer[1])
        self._set = False

    def _on(self, number: int, frame: FrameType | None) -> None:
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
