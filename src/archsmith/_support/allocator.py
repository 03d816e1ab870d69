"""Make the C library keep memory between training steps, and Python look less for garbage."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

#: Parameters of ``mallopt`` in <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Bytes from which a block is mapped separately, and of free memory that is returned to the system.
#: The fields are C ``int``.
_KEEP_THRESHOLDS = (1 << 30, 1 << 30)
#: The maximum of glibc's dynamic thresholds, reached once a block of that size was freed.
_DEFAULT_THRESHOLDS = (32 << 20, 64 << 20)

_keeps = False


def keep_memory() -> None:
    """Keep the memory of one training step for the next one, from now on in this process.

    By default glibc returns blocks above 32 MiB to the system when they are freed, and requests
    them again, zeroed page by page, in the next step: up to half of the training time on a CPU.
    Other C libraries, and processes whose environment sets its own thresholds, are not changed.
    :func:`release_memory` returns what a training leaves behind.
    """
    global _keeps
    _keeps = _keeps or _set_thresholds(_KEEP_THRESHOLDS)


def release_memory() -> None:
    """Return unused memory to the system, if :func:`keep_memory` was called.

    Otherwise networks of different sizes leave gaps that the blocks of the next one do not fit in.
    """
    if _keeps:
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def ordinary_memory() -> Iterator[None]:
    """Default memory behaviour, as a deployed model would find it.

    This is approximate: glibc searches the gaps of its heap first, and an earlier training may have
    left some that fit blocks above the threshold.
    """
    if _keeps:
        _set_thresholds(_DEFAULT_THRESHOLDS)
    try:
        yield
    finally:
        if _keeps:
            _set_thresholds(_KEEP_THRESHOLDS)


def _set_thresholds(thresholds: tuple[int, int]) -> bool:
    mallopt = _mallopt()
    if mallopt is None:
        return False
    names = (_MMAP_THRESHOLD, _TRIM_THRESHOLD)
    return all(mallopt(name, size) == 1 for name, size in zip(names, thresholds, strict=True))


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """The function, if the C library has it and the user has not set its thresholds."""
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    if any(name in os.environ for name in own):
        return None
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return None
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return mallopt


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Cyclic garbage is looked for only among objects that are created inside.

    For work that makes thousands of objects again and again, such as building a network at each
    step: to look at all the others takes as long as that. Nothing changes if the caller has frozen
    objects already.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
