"""How the C library keeps memory between the steps of a training."""

from __future__ import annotations

import ctypes
import os
from functools import cache

#: Parameters of ``mallopt`` in <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Up to here, in bytes, blocks are kept. The field is a C ``int``.
_KEPT = 1 << 30


@cache
def keep_memory() -> bool:
    """Have this process keep the memory of a step for the next one; whether it does from now on.

    By default glibc gives blocks above 32 MiB back to the system when they are freed, and takes
    them again, zeroed a page at a time, in the next step: up to half of the time of a training on
    a CPU. Other C libraries, and processes whose environment sets thresholds of its own, are left
    as they are.
    """
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    if any(name in os.environ for name in own):
        return False
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return all(mallopt(name, _KEPT) == 1 for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
