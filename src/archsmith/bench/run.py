"""Many runs of a strategy on a table, in parallel processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .._support.errors import InputError
from ..history.objective import Objective
from ..tables import BenchmarkTable, tables
from ..task.goals import Limits
from .goals import front_volume, goal_of
from .makers import Strategies, makers_of
from .many import Work, all_runs
from .repeat import Repeat
from .result import BenchmarkResult, gather


def benchmark(
    table: str | BenchmarkTable,
    strategy: Strategies = "auto",
    *,
    file: str | Path | None = None,
    dataset: str | None = None,
    queries: int = 100,
    repeats: int = 20,
    seed: int = 0,
    workers: int = 1,
    objectives: Sequence[Objective] = (),
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    limits: Limits = (),
    processes: int | None = None,
    on_repeat: Callable[[int, int], None] | None = None,
) -> BenchmarkResult:
    """Run a strategy on a benchmark table several times, each time with a different seed.

    A query is one full evaluation; one at fewer epochs counts as its share. Run *r* is the study of
    seed ``seed + r``. The same call gives the same result, whatever the number of processes.

    Args:
        table: a name (``"nb201"``) or a table that was already read.
        strategy: a name, a strategy (each run gets a copy), or a function that returns one (a class
            or a ``partial``; it must be picklable unless ``processes=1``).
        file: the table's file; by default in the folder given by ``ARCHSMITH_DATA``.
        dataset: one of the file's data sets; the first by default.
        queries: full evaluations per run.
        repeats: number of runs.
        workers: number of simulated workers that evaluate in parallel.
        objectives, maximize, minimize: objectives in addition to the table's own, as values or by
            name.
        limits: bounds that results must keep: ``{"params_M": 0.5}``, or ``["params_M<=0.5"]``.
        processes: how many runs are done at once. By default quick runs stay in this process, and
            slow ones get a process for each core.
        on_repeat: called with the number of runs done and the total.

    Raises:
        InputError: the file, the strategy, a metric, a number or a limit is invalid.
        WorkError: a process was killed, or none starts.

    Example::

        result = archsmith.benchmark("nb201", "evolution", queries=200)
        print(result.to_json(curves=False)["test_mean"])
    """
    (result,) = compare(
        table,
        [strategy],
        file=file,
        dataset=dataset,
        queries=queries,
        repeats=repeats,
        seed=seed,
        workers=workers,
        objectives=objectives,
        maximize=maximize,
        minimize=minimize,
        limits=limits,
        processes=processes,
        on_repeat=on_repeat,
    )
    return result


def compare(
    table: str | BenchmarkTable,
    strategies: Sequence[Strategies],
    *,
    file: str | Path | None = None,
    dataset: str | None = None,
    queries: int = 100,
    repeats: int = 20,
    seed: int = 0,
    workers: int = 1,
    objectives: Sequence[Objective] = (),
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    limits: Limits = (),
    processes: int | None = None,
    on_repeat: Callable[[int, int], None] | None = None,
) -> list[BenchmarkResult]:
    """:func:`benchmark` for several strategies, all of them checked before the first one runs.

    Strategies of the same name are numbered: ``"tpe"``, ``"tpe 2"``.

    Args:
        strategies: as ``strategy`` of :func:`benchmark`; its other arguments are the same.
        on_repeat: called with the number of runs done and the total, over all strategies.

    Returns:
        A result for each strategy, in their order.

    Raises:
        InputError, WorkError: as of :func:`benchmark`.
    """
    _check_whole("seed", seed, None)
    counts = [("queries", queries), ("repeats", repeats), ("workers", workers)]
    for name, number in [*counts, *([("processes", processes)] if processes is not None else [])]:
        _check_whole(name, number, 1)
    benchmark_table = (
        table if isinstance(table, BenchmarkTable) else read_table(table, file, dataset)
    )
    goal = goal_of(benchmark_table, objectives, limits, maximize, minimize)
    front = front_volume(benchmark_table, goal)
    listed = [strategies] if isinstance(strategies, str) else strategies
    makers = makers_of(benchmark_table, listed, goal, queries, workers, portably=processes != 1)
    results = []
    for place, maker in enumerate(makers):
        work = Work(benchmark_table, maker.make, goal, queries, workers)
        runs: dict[int, Repeat] = {}
        for position, run in all_runs(work, seed, repeats, processes):
            runs[position] = run
            if on_repeat:
                on_repeat(place * repeats + len(runs), len(makers) * repeats)
        ordered = [runs[position] for position in range(repeats)]
        result = gather(
            benchmark_table, maker.name, goal, ordered, workers=workers, seed=seed, front=front
        )
        results.append(replace(result, says=maker.says))
    return results


def _check_whole(name: str, number: object, least: int | None) -> None:
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole or (least is not None and isinstance(number, int) and number < least):
        expected = "a whole number" if least is None else f"a whole number, {least} or more"
        raise InputError(name, expected, repr(number))


def read_table(
    name: str, file: str | Path | None = None, dataset: str | None = None
) -> BenchmarkTable:
    """Read a registered benchmark table.

    Args:
        name: of the benchmark, such as ``"nb201"``.
        file, dataset: as of :func:`benchmark`.

    Raises:
        UnknownNameError: no benchmark has that name.
        InputError: no file is given and ``ARCHSMITH_DATA`` is not set; or the file is invalid.
    """
    reader = tables.get(name)()
    if file is None:
        folder = os.environ.get("ARCHSMITH_DATA")
        if not folder:
            raise InputError(
                "file",
                f"the path of {reader.file}",
                "none",
                "give --file PATH, or set ARCHSMITH_DATA to the folder that holds it",
            )
        if not Path(folder).is_dir():
            raise InputError("ARCHSMITH_DATA", "a folder that is there", folder)
        file = Path(folder) / reader.file
    path = Path(file)
    table: BenchmarkTable = reader.read(path, dataset or reader.datasets(path)[0])
    return table
