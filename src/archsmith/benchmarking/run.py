"""Many runs of a strategy on a table, in parallel processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError, LimitError, unknown
from ..objective import Limit, Objective, hypervolume
from ..strategy import Strategy, named
from ..tables import Table, tables
from ..trial import History
from .many import Work, all_runs
from .repeat import Goal, Repeat
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
        processes: how many run at once. Where not given, runs that are quick stay in this process,
            and slow ones get a process for each core.
        on_repeat: called with how many of how many runs are done.

    Raises:
        InputError: the file, the strategy, a metric, a number or a limit cannot serve.
    """
    read = table if isinstance(table, Table) else read_table(table, file, dataset)
    (result,) = compare(
        read, [strategy], queries=queries, repeats=repeats, seed=seed, workers=workers,
        objectives=objectives, limits=limits, processes=processes, on_repeat=on_repeat,
    )  # fmt: skip
    return result


def compare(
    table: Table,
    strategies: Sequence[str | Callable[[], Strategy]],
    *,
    queries: int = 100,
    repeats: int = 20,
    seed: int = 0,
    workers: int = 1,
    objectives: Sequence[Objective] = (),
    limits: Sequence[Limit] = (),
    processes: int | None = None,
    on_repeat: Callable[[int, int], None] | None = None,
) -> list[BenchmarkResult]:
    """:func:`benchmark` for several strategies, all of them checked before the first one runs.

    Args:
        on_repeat: called with how many of how many runs are done, those of all strategies.
    """
    numbers = [("queries", queries), ("repeats", repeats), ("workers", workers)]
    for name, number in [*numbers, ("processes", processes or 1)]:
        if number < 1:
            raise InputError(name, "1 or more", str(number))
    goal = goal_of(table, objectives, limits)
    front = front_volume(table, goal)
    makers = [_maker(table, strategy, goal, queries, workers) for strategy in strategies]
    results = []
    for place, maker in enumerate(makers):
        work = Work(table, maker.make, goal, queries, workers)
        runs: dict[int, Repeat] = {}
        for position, run in all_runs(work, seed, repeats, processes):
            runs[position] = run
            if on_repeat:
                on_repeat(place * repeats + len(runs), len(makers) * repeats)
        ordered = [runs[position] for position in range(repeats)]
        result = gather(table, maker.name, goal, ordered, workers=workers, seed=seed, front=front)
        results.append(replace(result, says=maker.says))
    return results


def _maker(
    table: Table, strategy: str | Callable[[], Strategy], goal: Goal, queries: int, workers: int
) -> _Maker:
    """A strategy that can serve the goal."""
    make = named(strategy) if isinstance(strategy, str) else strategy
    first = make()
    history = History(
        goal.objectives, goal.limits, key=table.space.canonical, epochs=table.epochs,
        budget=queries, workers=workers,
    )  # fmt: skip
    first.check(table.space, history)
    name = strategy if isinstance(strategy, str) else first.name
    return _Maker(name, make, first.describe(table.space, history))


@dataclass(frozen=True)
class _Maker:
    """A strategy's name, what makes one for each run, and what it says it will do."""

    name: str
    make: Callable[[], Strategy]
    says: str


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
    for metric in [o.metric for o in objectives] + [limit.metric for limit in limits]:
        if metric not in table.values:
            raise unknown(f"metric of {table.name}", metric, table.values)
    wanted = (table.select, *(o for o in objectives if o != table.select))
    if len({o.metric for o in wanted}) < len(wanted):
        raise InputError("objectives", "each metric once", ", ".join(o.metric for o in wanted))
    kept = _kept(table, limits)
    optimum = float(table.losses[kept].min())
    if len(wanted) == 1:
        return Goal(wanted, tuple(limits), optimum)
    losses = _losses(table, wanted)
    worst, whole = losses[:, kept].max(axis=1), losses.max(axis=1)
    # Where few keep the limits they may span no volume; the table, or a step beyond it, then does.
    for reference in (worst, whole, whole + 1.0):
        goal = Goal(wanted, tuple(limits), optimum, tuple(map(float, reference)))
        if front_volume(table, goal) > 0:
            break
    return goal


def front_volume(table: Table, goal: Goal) -> float:
    """Hypervolume of the table's true Pareto front; 0.0 with one objective."""
    if not goal.reference:
        return 0.0
    losses = _losses(table, goal.objectives)[:, _kept(table, goal.limits)].T
    return hypervolume(_front(losses), goal.reference)


def _front(losses: np.ndarray) -> list[tuple[float, ...]]:
    """The Pareto front of vectors (n, objectives), smaller being better; each once."""
    rows, front = np.unique(losses, axis=0), []
    while len(rows):
        # Of what is left, the first in the order of its numbers is dominated by none.
        front.append(tuple(map(float, rows[0])))
        rows = rows[~(rows >= rows[0]).all(axis=1)]
    return front


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
