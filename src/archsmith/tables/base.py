"""A benchmark table: metrics of recorded architectures, and how a search uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._support.errors import InputError
from ..history.objective import Metric, Objective
from ..space import Architecture, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


#: Names, before the unit, of metrics that are counted: ``flops_M``.
_COUNTED = ("params", "flops", "macs")


@dataclass(frozen=True)
class BenchmarkTable:
    """Recorded metrics of the architectures of a space, for one data set.

    Attributes:
        name: of the benchmark, ``"nb201"``.
        dataset: which of its data sets.
        space: the search space, restricted to recorded architectures if the table is partial.
        architectures: one per row.
        metrics: the recorded metrics; names can be used in objectives and limits.
        values: for each metric its values at full fidelity, float64 (rows,).
        select: the objective of a search, such as validation accuracy.
        report: the metric for the final result; may be that of ``select``.
        epochs: fidelities, ascending, the last one being the full one; empty if there is only one.
        early: for each lower fidelity the metrics that depend on training, (rows,) each.
        seconds: simulated time of a full evaluation, (rows,), above 0; an evaluation with fewer
            epochs takes a proportional part. Without it each takes one unit.
        time_unit: of ``seconds``: ``"s"``, or full evaluations of a mean architecture.
        note: what is restricted and what is simulated, in words.
        left_out: columns of the file that cannot be metrics, with the problem and its place.

    Raises:
        InputError: columns of different lengths, values that are not finite, or a missing metric.
    """

    name: str
    dataset: str
    space: Space
    architectures: Sequence[Architecture]
    metrics: Mapping[str, Metric]
    values: Mapping[str, Values]
    select: Objective
    report: str
    epochs: tuple[int, ...] = ()
    early: Mapping[int, Mapping[str, Values]] = field(default_factory=dict)
    seconds: Values | None = None
    time_unit: str = "mean full evaluations"
    note: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.architectures)
        where = f"table {self.name}"
        for name, column in self.values.items():
            if len(column) != rows:
                raise InputError(where, f"{rows} values of {name}", str(len(column)))
            if not np.isfinite(column).all():
                raise InputError(where, f"finite values of {name}", "NaN or infinity")
        for name in (self.select.metric, self.report, *self.metrics):
            if name not in self.values or name not in self.metrics:
                raise InputError(where, f"values and a metric {name}", ", ".join(self.values))
        if set(self.early) != set(self.epochs[:-1]):
            raise InputError(where, f"values at epochs {self.epochs[:-1]}", str(list(self.early)))
        for epochs, columns in self.early.items():
            for name, column in columns.items():
                if len(column) != rows:
                    expected = f"{rows} values of {name} at {epochs} epochs"
                    raise InputError(where, expected, str(len(column)))
        if self.seconds is not None:
            if len(self.seconds) != rows:
                raise InputError(where, f"{rows} values of seconds", str(len(self.seconds)))
            positive(f"{where}, seconds", self.seconds)

    def row(self, architecture: Architecture) -> int | None:
        """The row of an architecture, or of another spelling of its graph; else ``None``."""
        row = self._rows.get(architecture)
        return self._graphs.get(self.space.canonical(architecture)) if row is None else row

    @cached_property
    def losses(self) -> Values:
        """The loss of each row by :attr:`select`; smaller is better."""
        column = self.values[self.select.metric]
        return -column if self.select.direction == "maximize" else column

    @cached_property
    def optimum(self) -> float:
        """The least of :attr:`losses`."""
        return float(self.losses.min())

    @property
    def costs(self) -> tuple[str, ...]:
        """The metrics that are counted from an architecture, without training or measuring."""
        return tuple(name for name in self.metrics if name.partition("_")[0] in _COUNTED)

    @cached_property
    def graphs(self) -> int:
        """How many different graphs are recorded."""
        return len(self._graphs)

    @cached_property
    def _rows(self) -> dict[Architecture, int]:
        rows = {architecture: row for row, architecture in enumerate(self.architectures)}
        if len(rows) < len(self.architectures):
            twice = len(self.architectures) - len(rows)
            raise InputError(f"table {self.name}", "each architecture once", f"{twice} twice")
        return rows

    @cached_property
    def _graphs(self) -> dict[str, int]:
        graphs: dict[str, int] = {}
        for row, architecture in enumerate(self.architectures):
            graphs.setdefault(self.space.canonical(architecture), row)
        return graphs


class TableReader(ABC):
    """Reads the files of one benchmark. Register the class, or an instance, in ``tables``."""

    #: Name on the command line.
    name: ClassVar[str]
    #: The file's name in the folder ``ARCHSMITH_DATA``.
    file: ClassVar[str]
    #: One line of description, with the paper.
    about: ClassVar[str]

    @abstractmethod
    def datasets(self, path: Path) -> list[str]:
        """The data sets in the file; the first one is the default.

        Raises:
            InputError: the file does not exist, or has another format.
        """

    @abstractmethod
    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        """The table of one data set.

        Raises:
            InputError: missing columns, unknown architectures or NaN, with the place.
            UnknownNameError: no such data set.
        """


def positive(where: str, costs: Values) -> Values:
    """The costs, checked to be usable as time.

    Raises:
        InputError: a cost is not above 0 and finite; with the first row.
    """
    invalid = np.flatnonzero(~(np.isfinite(costs) & (costs > 0)))
    if invalid.size:
        raise InputError(
            f"{where}, row {invalid[0]}",
            "a number above 0",
            f"{costs[invalid[0]]:g}",
            "it determines the simulated time",
        )
    return costs


def relative(where: str, costs: Values) -> Values:
    """Simulated time proportional to a cost: 1 for the mean architecture.

    Raises:
        InputError: a cost is not above 0 and finite.
    """
    times: Values = positive(where, costs) / costs.mean()
    return times


def metric(name: str, direction: str, unit: str = "") -> dict[str, Metric]:
    """A mapping with a single metric, to be merged with others."""
    way: Any = direction
    return {name: Metric(name, unit, way)}
