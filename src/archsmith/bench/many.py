"""Many runs: in this process while they are quick, in processes of their own if slow."""

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

#: Seconds that processes take to start: each imports torch and traces the space again.
_START = 8.0
#: Runs in this process before their speed is judged: the first ones trace the space.
_TRIED = 2
#: Queries of the untimed warm-up run, which loads libraries and traces the space.
_WARMING = 20


@dataclass(frozen=True)
class Work:
    """What a process needs to do runs; called with a run's seed."""

    table: BenchmarkTable
    make: Callable[[], Strategy]
    goal: Goal
    queries: int
    workers: int

    def __call__(self, seed: int) -> Repeat:
        strategy = self.make()
        return repeat(self.table, strategy, self.goal, self.queries, self.workers, seed)

    def warm(self, seed: int) -> None:
        """Do a short run first, so that the timed ones are comparable."""
        # An error here occurs again in the first real run, which reports it.
        with contextlib.suppress(Exception):
            replace(self, queries=min(self.queries, _WARMING))(seed)


def portable(name: str, make: Callable[[], Strategy]) -> None:
    """Raise :class:`InputError` unless ``make`` can be pickled for other processes."""
    try:
        pickle.dumps(make)
    except Exception as error:
        raise InputError(
            f"strategy {name}",
            "one that can be pickled, to run in processes",
            f"{type(error).__name__}: {error}",
            "use a class or function of a module instead of a lambda; or processes=1",
        ) from None


def all_runs(
    work: Work, seed: int, repeats: int, processes: int | None = None
) -> Iterator[tuple[int, Repeat]]:
    """Position and result of each run, as they end; run *r* has the seed ``seed + r``.

    Args:
        processes: how many work in parallel; ``None`` begins in this process and switches to one
            for each core if that will be faster.

    Raises:
        WorkError: a process was killed, or none starts.
    """
    count = processes or cores()
    if count == 1 or not processes:
        work.warm(seed)
    done, quickest = 0, math.inf
    while done < repeats:
        alone = (
            count == 1 if processes else not _worth_processes(done, quickest, repeats - done, count)
        )
        if not alone:
            break
        began = time.perf_counter()
        run = work(seed + done)
        quickest = min(quickest, time.perf_counter() - began)
        yield done, run
        done += 1
    if done < repeats:
        yield from _in_parallel(work, seed, range(done, repeats), count)


def _worth_processes(done: int, quickest: float, left: int, count: int) -> bool:
    """Whether separate processes would be faster."""
    if not done or (done < _TRIED and quickest < _START):
        return False
    return _START + quickest * math.ceil(left / count) < quickest * left


def _in_parallel(
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
            "all to start and to keep running",
            "one that was killed or died",
            'a script needs `if __name__ == "__main__":` around its calls; processes=1 starts none',
        ) from None
    except BaseException:
        # An interrupt must not wait for runs whose results are discarded.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_work: Work | None = None  # set once in each worker process


def _prepare(work: Work, seed: int) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the calling process handles Ctrl-C
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
