"""Time in tests: waiting for what happens elsewhere, and clocks that a loaded machine cannot slow.

A test waits for an event (a row, a file, a line, the end of a process) and never for a number of
seconds; where time has to run out, the test lets it pass.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Found = TypeVar("Found")

#: Seconds after which what was waited for will not come. No measure of speed: many times what the
#: slowest of it takes while a dozen processes share each core.
PATIENCE = 600.0


def wait_until(
    look: Callable[[], Found], what: str, process: subprocess.Popen[Any] | None = None
) -> Found:
    """Look until something true is found, and return it.

    Args:
        process: whose work it is; where that ends without it, there is nothing to wait for.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        # Before the look: what it did last is seen all the same.
        ended = process is not None and process.poll() is not None
        found = look()
        if found:
            return found
        assert not ended, f"{what}: the process has ended without"
        assert time.monotonic() < deadline, f"{what}: not after {PATIENCE:g} s"
        time.sleep(0.02)


class Clock:
    """Time that passes where somebody sleeps, and by ``tick`` at each look."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 1e6, tick

    def look(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def set_clock(monkeypatch: pytest.MonkeyPatch, tick: float = 0.0) -> Clock:
    """Put a clock in the place of those of this process, and of ``time.sleep``."""
    clock = Clock(tick)
    for name in ("monotonic", "perf_counter", "time"):
        monkeypatch.setattr(time, name, clock.look)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock
