"""The results of many runs of a strategy on a benchmark table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .repeat import Goal, Repeat, checkpoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tables.base import BenchmarkTable


@dataclass(frozen=True)
class BenchmarkResult:
    """Runs of one strategy on one table.

    Attributes:
        table, dataset, strategy, queries, workers, seed: what was run.
        note: what the table restricts and simulates.
        select, report: the metrics of ``valid`` and ``test``.
        valid: the selection metric of each run's best architecture after each query, of shape
            (repeats, queries); NaN before the first full evaluation that keeps the limits.
        test: the reported metric of the same architectures, (repeats, queries).
        regret: how far ``valid`` is from the best recorded value, in its unit.
        optimum: whether it is the best recorded value.
        clock: simulated time after each query, in ``time_unit``.
        volume: with several objectives, the share of the true front's hypervolume; else ``None``.
        seconds_per_trial: real seconds of the whole loop per trial, median over the runs.
        stopped: reasons why runs ended, with their counts.
        says: the strategy's own description of what it does.
        objectives, limits: as text.
    """

    table: str
    dataset: str
    strategy: str
    queries: int
    workers: int
    seed: int
    note: str
    select: str
    report: str
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    regret: NDArray[np.float64]
    optimum: NDArray[np.bool_]
    clock: NDArray[np.float64]
    volume: NDArray[np.float64] | None
    seconds_per_trial: float
    stopped: dict[str, int]
    says: str = ""
    objectives: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    time_unit: str = "s"

    @property
    def repeats(self) -> int:
        return len(self.valid)

    def to_json(self, curves: bool = True) -> dict[str, Any]:
        """As JSON values: statistics after the last query, and with ``curves`` after each."""
        last = _summary(self, self.queries - 1)
        values: dict[str, Any] = {
            "table": self.table,
            "dataset": self.dataset,
            "strategy": self.strategy,
            "queries": self.queries,
            "repeats": self.repeats,
            **last,
            "seconds_per_trial": self.seconds_per_trial,
            "time_unit": self.time_unit,
            "workers": self.workers,
            "seed": self.seed,
            "select": self.select,
            "report": self.report,
            "says": self.says,
            "objectives": list(self.objectives),
            "limits": list(self.limits),
            "note": self.note,
            "stopped": self.stopped,
            "at": {str(q): _summary(self, q - 1) for q in checkpoints(self.queries)},
        }
        if curves:
            values["curve"] = [{"query": q + 1, **_summary(self, q)} for q in range(self.queries)]
        return values


def gather(
    table: BenchmarkTable,
    strategy: str,
    goal: Goal,
    runs: Sequence[Repeat],
    *,
    workers: int,
    seed: int,
    front: float = 0.0,
) -> BenchmarkResult:
    """Collect runs into arrays. ``front``: hypervolume of the table's true front."""
    valid = np.array([run.valid for run in runs])
    sign = 1.0 if table.select.direction == "minimize" else -1.0
    volume = np.array([run.volume for run in runs]) / front if goal.reference else None
    return BenchmarkResult(
        table.name,
        table.dataset,
        strategy,
        valid.shape[1],
        workers,
        seed,
        table.note,
        table.select.metric,
        table.report,
        valid,
        np.array([run.test for run in runs]),
        sign * valid - goal.optimum,
        np.array([run.optimum for run in runs]),
        np.array([run.clock for run in runs]),
        volume,
        float(np.median([run.seconds for run in runs])),
        dict(Counter(run.stopped for run in runs)),
        objectives=tuple(f"{o.direction} {o.metric}" for o in goal.objectives),
        limits=tuple(map(str, goal.limits)),
        time_unit=table.time_unit,
    )


def held(result: BenchmarkResult) -> str:
    """What a run must have to count in a mean, in words."""
    return "a result that keeps the limits" if result.limits else "a full evaluation"


def _summary(result: BenchmarkResult, query: int) -> dict[str, float | None]:
    """Mean, standard deviation and error after a query (from 0), over the runs with a result."""
    statistics: dict[str, float | None] = {}
    columns = {"valid": result.valid, "test": result.test, "regret": result.regret}
    if result.volume is not None:
        columns["hypervolume"] = result.volume
    for name, values in columns.items():
        column = values[:, query]
        column = column[np.isfinite(column)]
        statistics[f"{name}_mean"] = float(column.mean()) if column.size else None
        spread = float(column.std(ddof=1)) if column.size > 1 else None
        statistics[f"{name}_std"] = spread
        statistics[f"{name}_sem"] = None if spread is None else spread / float(np.sqrt(column.size))
    statistics["held_share"] = float(np.isfinite(result.valid[:, query]).mean())
    statistics["optimum_share"] = float(result.optimum[:, query].mean())
    statistics["simulated_seconds"] = float(result.clock[:, query].mean())
    return statistics
