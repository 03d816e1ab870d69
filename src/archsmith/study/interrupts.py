"""Ctrl-C, SIGTERM and the end of a trial's time, let through only where nothing can be lost."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from ..errors import Unwind

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


#: A trial whose time is over is told so again after so many seconds, where it went on all the same.
_AGAIN = 5.0


class Interrupted(Unwind, KeyboardInterrupt):
    """Somebody asked us to stop; a ``KeyboardInterrupt`` that an evaluator raises is not this."""


class TimeIsUp(Unwind):
    """The trial that runs in this process has had its time."""


class Interrupts:
    """Turns the two signals into :class:`Interrupted` while open, and keeps them till then.

    Between a trial's end and its acknowledged write an exception out of nowhere would set the
    record and the history apart. Outside the main thread, where Python delivers no signals, this
    does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._open = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                # A shell starts background jobs with SIGINT ignored; leave it so. None is a
                # handler that was not set from Python and could not be put back.
                if before is not signal.SIG_IGN and before is not None:
                    self._before[number] = before
                    signal.signal(number, self._on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _on(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._open:
            self._open = False
            raise Interrupted

    def open(self) -> None:
        """Let interrupts through from here; raises at once where one came before."""
        self._open = True
        if self.asked:
            self._open = False
            raise Interrupted

    def shut(self) -> None:
        """Hold interrupts back from here."""
        self._open = False


class Alarm:
    """Raises :class:`TimeIsUp` between :meth:`start` and :meth:`stop`.

    It reaches whatever runs Python or waits in a system call, not what hangs in native code. The
    signals that evaluations answer in a way of their own are answered as before afterwards.
    Outside the main thread, where Python delivers no signals, it never rings.
    """

    def __init__(self) -> None:
        self._rang = self._held = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def start(self, moment: float) -> None:
        """Ring at a moment of ``time.monotonic()``; at infinity never."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._before = {n: signal.getsignal(n) for n in (*_SIGNALS, signal.SIGALRM)}
        if moment < math.inf:
            signal.signal(signal.SIGALRM, self._on)
            left = max(1e-6, moment - time.monotonic())
            signal.setitimer(signal.ITIMER_REAL, left, _AGAIN)

    def stop(self) -> None:
        """Ring no more."""
        self._held = True
        if self._before and signal.getsignal(signal.SIGALRM) is not self._before[signal.SIGALRM]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in self._before.items():
            if before is not None and signal.getsignal(number) is not before:
                signal.signal(number, before)

    def _on(self, number: int, frame: FrameType | None) -> None:
        self._rang = True
        if not self._held:
            raise TimeIsUp

    def hold(self) -> None:
        """Keep it back from here."""
        self._held = True

    def let(self) -> None:
        """Let it through from here; raises at once where it rang meanwhile."""
        self._held = False
        if self._rang:
            raise TimeIsUp
