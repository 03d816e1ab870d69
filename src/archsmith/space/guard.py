"""A guard around user code (builders, evaluators, models): it cannot end the process by raising,
continue in a forked copy of it, or leave global state changed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from types import TracebackType
from typing import Any

from .._support.errors import Unwind
from .alarm import Alarm, TimeIsUp


class Escaped(RuntimeError):
    """User code raised something that would have ended the process, such as ``sys.exit``."""


class Hung(Escaped):
    """User code did not return in time."""


class Guard:
    """A ``with`` block around user code.

    Args:
        seconds: time limit; exceeding it raises :class:`Hung`. Inside a block with an earlier
            limit, the earlier one applies.

    - Anything but an ``Exception`` (``SystemExit``, ``GeneratorExit``, custom exceptions) becomes
      :class:`Escaped`, so that it is handled like an error. ``KeyboardInterrupt`` passes, since it
      may be Ctrl-C.
    - A copy of the process that the code forked ends here. It would otherwise continue the study in
      parallel and write to the same record.
    - The working directory, torch's default dtype and whether gradients are recorded are restored.
    """

    __slots__ = ("_alarm", "_folder", "_pid", "_seconds", "_torch")

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._pid, self._folder = os.getpid(), _folder()
        torch = sys.modules.get("torch")
        # The module is listed while it is still being imported, too.
        self._torch: tuple[Any, bool] | None = None
        if torch is not None and "get_default_dtype" in vars(torch):
            self._torch = torch.get_default_dtype(), torch.is_grad_enabled()
        self._alarm = None
        if self._seconds is not None:
            self._alarm = Alarm()
            self._alarm.start(time.monotonic() + self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            os._exit(1)
        if self._alarm is not None:
            self._alarm.close()
        if self._folder is not None and _folder() != self._folder:
            os.chdir(self._folder)
        if self._torch is not None:
            _restore(*self._torch)
        if self._alarm is not None and self._alarm.rang and isinstance(error, TimeIsUp):
            raise Hung(f"one that still runs after {self._seconds:g} s") from None
        if error is not None and not isinstance(error, Exception | Unwind | KeyboardInterrupt):
            raise Escaped(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _restore(dtype: Any, gradients: bool) -> None:
    torch: Any = sys.modules["torch"]
    if torch.get_default_dtype() != dtype:
        torch.set_default_dtype(dtype)
    if torch.is_grad_enabled() != gradients:
        torch.set_grad_enabled(gradients)


class Streams:
    """Reopens standard output and error if user code closed them.

    Otherwise the next opened file would get their descriptors, and printed text would go into it.
    """

    def __init__(self) -> None:
        self._copies = {number: os.dup(number) for number in (1, 2) if _open(number)}

    def __del__(self) -> None:
        for copy in self._copies.values():
            with contextlib.suppress(OSError):
                os.close(copy)

    def restore(self) -> None:
        """Reopen those that are closed."""
        for number, copy in self._copies.items():
            if not _open(number) and _open(copy):
                os.dup2(copy, number)


def _open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
