"""Memory is kept between steps: counted in page faults, each in a process of its own."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref

import pytest

from archsmith._support.allocator import frozen_heap

_PROGRAM = """
import resource, sys
import torch
from archsmith._support.allocator import keep_memory, ordinary_memory, release_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        a = torch.ones(16_000_000)  # 64 MB: above every threshold that glibc reaches by itself
        b = a + 1
        del a, b
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

told = [faults()]
keep_memory()
with ordinary_memory():  # first: a block that is kept may leave a gap that the next one goes into
    told.append(faults())
faults()
told.append(faults())
release_memory()
pages = int(open("/proc/self/statm").read().split()[1])
faults()
told.append(int(open("/proc/self/statm").read().split()[1]) - pages)
print(*told)
"""


def faults(**environment: str) -> list[int]:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return [int(n) for n in ran.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_is_kept_and_given_back_where_a_model_is_measured() -> None:
    before, measured, kept, held = faults()
    assert measured > before / 2
    assert kept < before / 20
    # What was given back in between is held again: two blocks of 64 MB, in pages of 4 kB.
    assert held > 20_000


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_users_own_thresholds_stand() -> None:
    before, _, kept, _ = faults(MALLOC_MMAP_THRESHOLD_="1000000", MALLOC_TRIM_THRESHOLD_="1000000")
    assert kept > before / 2


def test_garbage_is_looked_for_among_new_objects_only() -> None:
    gc.collect()
    with frozen_heap():
        assert gc.get_freeze_count() > 1000
        with frozen_heap():  # inside another one
            pass
        assert gc.get_freeze_count() > 1000
        made: list[object] = []
        made.append(made)
        watch = weakref.ref(kept := set[int]())
        made.append(kept)
        del made, kept
        gc.collect()
        assert watch() is None
    assert gc.get_freeze_count() == 0
