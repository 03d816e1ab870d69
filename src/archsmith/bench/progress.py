"""Progress of many runs: a bar with the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from ..history.numbers import duration

if TYPE_CHECKING:
    from rich.console import Console

_EVERY, _FIRST = 10.0, 3.0  # seconds between lines and before the first, without a terminal


class Runs:
    """Shows how many runs are done; a context manager.

    Args:
        console: where to print; standard error by default, which keeps standard output for the
            result.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        from .._support.console import PlainConsole

        self._console = console or PlainConsole(stderr=True)
        self._began = time.monotonic()
        self._printed_at = self._began - _EVERY + _FIRST
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("runs", total=None, said="first run")

    def __enter__(self) -> Runs:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def told(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` runs are done."""
        now = time.monotonic()
        left = (now - self._began) / done * (total - done)
        text = f"{done}/{total} runs" + (f"  eta {duration(left)}" if done < total else "")
        if self._console.is_terminal:
            self._bar.update(self._task, total=total, completed=done, said=text)
        elif now - self._printed_at > _EVERY:
            self._printed_at = now
            self._console.print(text, soft_wrap=True)
