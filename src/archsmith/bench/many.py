"""Many runs, here while they are quick, in processes of their own where they are slow."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

from .._support.errors import InputError, WorkError
from ..strategy.base import Strategy
from ..study.processes import cores
from ..tables.base import BenchmarkTable
from .repeat import Goal, Repeat, repeat

#: Seconds that processes take to start: each imports torch and traces the space anew.
_START = 8.0
#: Runs in this process before their speed counts: the first ones trace the space.
_TRIED = 2
#: Queries of the run that nobody times, in which a process loads libraries and traces the space.
_WARMING = 20


@dataclass(frozen=True)
class Work:
    """What a process needs to make runs; called with a run's seed."""

    table: BenchmarkTable
    make: Callable[[], Strategy]
    goal: Goal
    queries: int
    workers: int

    def __call__(self, seed: int) -> Repeat:
        made = self.make()
        return repeat(self.table, made, self.goal, self.queries, self.workers, seed)

    def warm(self, seed: int) -> None:
        """A short run, so that those that count are alike."""
        # What is wrong with it is wrong with the first that counts, which says so.
        with contextlib.suppress(Exception):
            replace(self, queries=min(self.queries, _WARMING))(seed)


def portable(name: str, make: Callable[[], Strategy]) -> None:
    """Raise :class:`InputError` unless what makes a strategy can be brought to other processes."""
    try:
        pickle.dumps(make)
    except Exception as error:
        raise InputError(
            f"strategy {name}",
            "one that can be pickled, to run in processes",
            f"{type(error).__name__}: {error}",
            "a class or function of a module instead of a lambda; or processes=1",
        ) from None


def all_runs(
    work: Work, seed: int, repeats: int, processes: int | None = None
) -> Iterator[tuple[int, Repeat]]:
    """Position and result of each run, as they end; run *r* has the seed ``seed + r``.

    Args:
        processes: how many work side by side; ``None`` begins here and goes over to one for each
            core when that will be sooner done.

    Raises:
        WorkError: a process was killed, or none starts.
    """
    count = processes or cores()
    if count == 1 or not processes:
        work.warm(seed)
    done, quickest = 0, math.inf
    while done < repeats:
        alone = count == 1 if processes else not _worth(done, quickest, repeats - done, count)
        if not alone:
            break
        began = time.perf_counter()
        run = work(seed + done)
        quickest = min(quickest, time.perf_counter() - began)
        yield done, run
        done += 1
    if done < repeats:
        yield from _side_by_side(work, seed, range(done, repeats), count)


def _worth(done: int, quickest: float, left: int, count: int) -> bool:
    """Whether processes would be done sooner."""
    if not done or (done < _TRIED and quickest < _START):
        return False
    return _START + quickest * math.ceil(left / count) < quickest * left


def _side_by_side(
    work: Work, seed: int, positions: range, count: int
) -> Iterator[tuple[int, Repeat]]:
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(count, len(positions)), context, _prepare, (work, seed))
    try:
        waiting = {pool.submit(_one, seed + position): position for position in positions}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool:
        raise WorkError(
            "processes of the benchmark",
            "all to start and to stay",
            "one that was killed or died",
            'a script needs its `if __name__ == "__main__":`; processes=1 needs no others',
        ) from None
    except BaseException:
        # Whoever interrupts shall not wait for runs that nobody will see.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_work: Work | None = None  # of a worker process, where it is set once


def _prepare(work: Work, seed: int) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that was called
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    work.warm(seed)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(seed: int) -> Repeat:
    assert _work is not None
    return _work(seed)
