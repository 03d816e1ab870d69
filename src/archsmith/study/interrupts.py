"""Ctrl-C and SIGTERM, raised only where nothing can be lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from .._support.errors import Unwind

#: Seconds between checks whether other code has replaced the signal handlers.
_LOOK = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Unwind, KeyboardInterrupt):
    """The user asked to stop; not to be confused with an evaluator's ``KeyboardInterrupt``."""


class Interrupts:
    """Turns the two signals into :class:`Interrupted` while open, and holds them until then.

    An exception between a trial's end and its acknowledged write would make the record and the
    history disagree. Has no effect outside the main thread, where Python delivers no signals.
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
                # A shell starts background jobs with SIGINT ignored; leave that unchanged. None
                # is a handler that was not set from Python and could not be restored.
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
        """Raise interrupts from here on; raises at once if one is pending."""
        now = time.monotonic()
        if now > self._looked + _LOOK:
            self._looked = now
            for number in self._before:
                if signal.getsignal(number) != self._on:  # replaced by user code
                    signal.signal(number, self._on)
        self._open = True
        if self.asked:
            self._open = False
            raise Interrupted

    def shut(self) -> None:
        """Hold interrupts back from here on."""
        self._open = False
