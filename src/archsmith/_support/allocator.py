"""How the C library keeps memory between the steps of a training."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

#: Parameters of ``mallopt`` in <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Bytes of a block that comes from the system by itself, and of free memory that goes back there.
#: The fields are C ``int``.
_KEPT = (1 << 30, 1 << 30)
#: The highest that glibc's own thresholds reach, as soon as a block of that size was freed.
_ORDINARY = (32 << 20, 64 << 20)

_keeps = False


def keep_memory() -> None:
    """Have this process keep the memory of a step for the next one, from now on.

    By default glibc gives blocks above 32 MiB back to the system when they are freed, and takes
    them again, zeroed a page at a time, in the next step: up to half of the time of a training on
    a CPU. Other C libraries, and processes whose environment sets thresholds of its own, are left
    as they are. :func:`release_memory` gives back what a training leaves behind.
    """
    global _keeps
    _keeps = _keeps or _set(_KEPT)


def release_memory() -> None:
    """Give back to the system what is kept and not in use, where memory is kept.

    Networks of other sizes would leave gaps between their blocks that the next ones do not fit in.
    """
    if _keeps:
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def ordinary_memory() -> Iterator[None]:
    """Memory as a process keeps it that never asked for more: what a deployed model would meet.

    Nearly so: glibc looks into the gaps of its heap first, and a training before may have left
    some that blocks above the threshold fit in.
    """
    if _keeps:
        _set(_ORDINARY)
    try:
        yield
    finally:
        if _keeps:
            _set(_KEPT)


def _set(thresholds: tuple[int, int]) -> bool:
    mallopt = _mallopt()
    if mallopt is None:
        return False
    names = (_MMAP_THRESHOLD, _TRIM_THRESHOLD)
    return all(mallopt(name, size) == 1 for name, size in zip(names, thresholds, strict=True))


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """The function, where the C library has it and the user left its thresholds alone."""
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    if any(name in os.environ for name in own):
        return None
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        found = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes, found.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return found
