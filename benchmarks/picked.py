"""What ``auto`` picks on a table; where that is one strategy all through, runs are the same."""

from __future__ import annotations

import numpy as np

from archsmith.bench import benchmark
from archsmith.history.objective import Objective
from archsmith.history.trial import History
from archsmith.strategy.auto import pick
from archsmith.tables import BenchmarkTable


def same_as_auto(
    table: BenchmarkTable, queries: int, workers: int = 1, objectives: tuple[Objective, ...] = ()
) -> str:
    """The strategy whose runs are those of ``auto``, seed for seed; checked on one run.

    Raises:
        AssertionError: the two runs differ.
    """
    history = History((table.select, *objectives), budget=queries, workers=workers)
    name, _ = pick(table.space, history)
    one, other = (
        benchmark(
            table,
            strategy,
            queries=min(queries, 40),
            repeats=1,
            seed=9,
            workers=workers,
            objectives=objectives,
            processes=1,
        )
        for strategy in ("auto", name)
    )
    assert np.array_equal(one.valid, other.valid, equal_nan=True), name
    assert np.array_equal(one.test, other.test, equal_nan=True), name
    return name
