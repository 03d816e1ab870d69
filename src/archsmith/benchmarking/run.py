"""Many runs of a strategy on a table, in parallel processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import InputError, LimitError, unknown
from ..objective import Limit, Objective, hypervolume, nondominated_fronts
from ..strategy import Strategy, strategies
from ..tables import Table, tables
from ..trial import History
from .repeat import Goal, Repeat, repeat
from .result import BenchmarkResult, gather


def benchmark(
    table: str | Table,
    strategy: str | Callable[[], Strategy] = "auto",
    *,
    file: str | Path | None = None,
    dataset: str | None = None,
    queries: int = 100,
    repeats: int = 20,
    seed: int = 0,
    workers: int = 1,
    objectives: Sequence[Objective] = (),
    limits: Sequence[Limit] = (),
    processes: int | None = None,
    on_repeat: Callable[[int, int], None] | None = None,
) -> BenchmarkResult:
    """Run a strategy on a benchmark table again and again, each time with another seed.

    A query is one full evaluation; one at fewer epochs counts as its share. Run *r* is the study of
    seed ``seed + r``. The same call gives the same result, whatever the number of processes.

    Args:
        table: a name (``"nb201"``) or a table that was read already.
        strategy: a name, or what makes a strategy (it must pickle: a class, or a ``partial``).
        file: the table's file; in the folder that ``ARCHSMITH_DATA`` names where not given.
        dataset: one of the file's; the first where not given.
        queries: full evaluations of a run.
        workers: simulated ones, that evaluate side by side.
        objectives: more of them, beside the table's own.
        limits: what results must keep.
        processes: how many run at once; one for each core where not given.
        on_repeat: called with how many of how many runs are done.

    Raises:
        InputError: the file, the strategy, a metric, a number or a limit cannot serve.
    """
    for name, number in (("queries", queries), ("repeats", repeats), ("workers", workers)):
        if number < 1:
            raise InputError(name, "1 or more", str(number))
    read = table if isinstance(table, Table) else read_table(table, file, dataset)
    goal = goal_of(read, objectives, limits)
    make = partial(strategies.get(strategy)) if isinstance(strategy, str) else strategy
    first = make()
    first.check(read.space, History(goal.objectives, goal.limits, epochs=read.epochs))
    work = _Work(read, make, goal, queries, workers)
    count = min(processes or len(os.sched_getaffinity(0)), repeats)
    runs: list[Repeat | None] = [None] * repeats
    for done, (position, run) in enumerate(_all(work, seed, repeats, count), start=1):
        runs[position] = run
        if on_repeat:
            on_repeat(done, repeats)
    name = strategy if isinstance(strategy, str) else first.name
    return gather(
        read, name, goal, [run for run in runs if run is not None],
        workers=workers, seed=seed, front=front_volume(read, goal),
    )  # fmt: skip


def read_table(name: str, file: str | Path | None = None, dataset: str | None = None) -> Table:
    """Read a registered benchmark.

    Raises:
        InputError: no file is given and ``ARCHSMITH_DATA`` is not set; or the file is wrong.
    """
    reader = tables.get(name)()
    if file is None:
        folder = os.environ.get("ARCHSMITH_DATA")
        if not folder:
            raise InputError(
                "file", f"the path of {reader.file}", "none",
                "give --file PATH, or set ARCHSMITH_DATA to the folder that holds it",
            )  # fmt: skip
        file = Path(folder) / reader.file
    path = Path(file)
    found: Table = reader.read(path, dataset or reader.datasets(path)[0])
    return found


def goal_of(table: Table, objectives: Sequence[Objective], limits: Sequence[Limit]) -> Goal:
    """The table's own objective and these, with what is best under the limits.

    Raises:
        UnknownNameError: a metric that the table has not.
        LimitError: no row keeps the limits.
    """
    wanted = (table.select, *objectives)
    for metric in [o.metric for o in objectives] + [limit.metric for limit in limits]:
        if metric not in table.values:
            raise unknown(f"metric of {table.name}", metric, table.values)
    if len({o.metric for o in wanted}) < len(wanted):
        raise InputError("objectives", "each metric once", ", ".join(o.metric for o in wanted))
    kept = _kept(table, limits)
    optimum = float(table.losses[kept].min())
    if len(wanted) == 1:
        return Goal(wanted, tuple(limits), optimum)
    worst = tuple(float(column.max()) for column in _losses(table, wanted)[:, kept])
    return Goal(wanted, tuple(limits), optimum, worst)


def front_volume(table: Table, goal: Goal) -> float:
    """Hypervolume of the table's true Pareto front; 0.0 with one objective."""
    if not goal.reference:
        return 0.0
    losses = _losses(table, goal.objectives)[:, _kept(table, goal.limits)].T
    return hypervolume([tuple(map(float, row)) for row in _thin(losses)], goal.reference)


def _thin(losses: np.ndarray) -> list[tuple[float, ...]]:
    """The Pareto front of many vectors: fronts of parts first, which leaves few to compare."""
    rows = [tuple(map(float, row)) for row in np.unique(losses, axis=0)]
    while True:
        parts = [rows[i : i + 500] for i in range(0, len(rows), 500)]
        left = [part[i] for part in parts for i in nondominated_fronts(part)[0]]
        if len(parts) == 1 or len(left) == len(rows):
            return left
        rows = left


def _losses(table: Table, objectives: Sequence[Objective]) -> np.ndarray:
    signs = [1.0 if o.direction == "minimize" else -1.0 for o in objectives]
    return np.stack([s * table.values[o.metric] for s, o in zip(signs, objectives)])


def _kept(table: Table, limits: Sequence[Limit]) -> np.ndarray:
    kept = np.ones(len(table.architectures), dtype=bool)
    for limit in limits:
        column = table.values[limit.metric]
        kept &= column <= limit.bound if limit.sign == "<=" else column >= limit.bound
        if not kept.any():
            best = column.min() if limit.sign == "<=" else column.max()
            raise LimitError(
                f"limit {limit}", f"an architecture of {table.name} that keeps it",
                f"none of {len(column):,} (with the limits before it)",
                f"the {'least' if limit.sign == '<=' else 'greatest'} {limit.metric} recorded is "
                f"{best:,.6g}",
            )  # fmt: skip
    return kept


@dataclass(frozen=True)
class _Work:
    """What a process needs to make runs."""

    table: Table
    make: Callable[[], Strategy]
    goal: Goal
    queries: int
    workers: int

    def __call__(self, seed: int) -> Repeat:
        made = self.make()
        return repeat(self.table, made, self.goal, self.queries, self.workers, seed)


_work: _Work | None = None  # of a worker process, where it is set once


def _prepare(work: _Work) -> None:
    global _work
    _work = work


def _one(seed: int) -> Repeat:
    assert _work is not None
    return _work(seed)


def _all(work: _Work, seed: int, repeats: int, count: int) -> Iterator[tuple[int, Repeat]]:
    if count == 1:
        for position in range(repeats):
            yield position, work(seed + position)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _prepare, (work,)) as pool:
        waiting = {pool.submit(_one, seed + position): position for position in range(repeats)}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
