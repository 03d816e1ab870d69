"""Evaluation by looking up the records of a benchmark table."""

from __future__ import annotations

from collections.abc import Sequence

from ..history.trial import Fidelity
from ..space.architecture import Architecture
from ..tables.base import BenchmarkTable
from .base import Evaluator, Price, TrialFailed, Watch

#: Simulated seconds of an evaluation, in addition to the table's own metrics.
SECONDS = "seconds"


class TableEvaluator(Evaluator):
    """Returns the recorded metrics of a benchmark table.

    Args:
        table: has the metrics; at a lower fidelity those that were recorded there are returned.
    """

    name = "table"
    price = Price.TABLE

    def __init__(self, table: BenchmarkTable) -> None:
        self.table = table

    @property
    def provides(self) -> tuple[str, ...]:
        return (*self.table.values, SECONDS)

    @property
    def exact(self) -> tuple[str, ...]:
        return self.table.costs

    @property
    def fidelities(self) -> Sequence[int]:
        return self.table.epochs

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        table = self.table
        row = table.row(architecture)
        if row is None:
            raise TrialFailed(f"{table.name} has no record of {dict(architecture)}")
        metrics = {name: float(column[row]) for name, column in table.values.items()}
        metrics[SECONDS] = float(table.seconds[row]) if table.seconds is not None else 1.0
        if fidelity.epochs is not None and table.epochs and fidelity.epochs < table.epochs[-1]:
            if fidelity.epochs not in table.early:
                recorded = ", ".join(map(str, table.epochs))
                raise TrialFailed(f"{table.name} is recorded after {recorded} epochs")
            early = table.early[fidelity.epochs]
            metrics |= {name: float(column[row]) for name, column in early.items()}
            metrics[SECONDS] *= fidelity.epochs / table.epochs[-1]
        return metrics
