"""Ctrl-C and SIGTERM, let through only where nothing can be lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from .._support.errors import Unwind

#: Seconds between looks whether somebody has taken the signals for himself.
_LOOK = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Unwind, KeyboardInterrupt):
    """Somebody asked us to stop; a ``KeyboardInterrupt`` that an evaluator raises is not this."""


class Interrupts:
    """Turns the two signals into :class:`Interrupted` while open, and keeps them till then.

    Between a trial's end and its acknowledged write an exception out of nowhere would set the
    record and the history apart. Outside the main thread, where Python delivers no signals, this
    does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._open = False
        self._looked = 0.0
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
        now = time.monotonic()
        if now > self._looked + _LOOK:
            self._looked = now
            for number in self._before:
                if signal.getsignal(number) != self._on:  # code of a user answers it in its way
                    signal.signal(number, self._on)
        self._open = True
        if self.asked:
            self._open = False
            raise Interrupted

    def shut(self) -> None:
        """Hold interrupts back from here."""
        self._open = False
