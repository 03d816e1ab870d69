"""NAS-Bench-Graph (Qin et al. 2022, arXiv:2206.09166): graph neural networks on eight graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.objective import Objective
from ..space import Space
from ..space.listed import ListedSpace
from ..zoo.nasbench_graph import GRAPHS, from_row, nasbench_graph
from .base import BenchmarkTable, TableReader, metric, relative
from .columns import need, numbers, pick, read_columns, refuse_twice
from .parsing import parsed

if TYPE_CHECKING:
    from .columns import Columns

#: Columns of a data set, with the names of their metrics here.
_VALUES = {
    "valid_perf": "valid_accuracy",
    "perf": "test_accuracy",
    "latency": "latency_s",
    "para": "params_M",
}
_ROWS = 26_206
_WHOLE = "all networks of the space except the one with only skips, each in one of its spellings: "
_TIME = "simulated time is proportional to the recorded latency"


class NASBenchGraph(TableReader):
    """Reads ``link`` (``0-0-1-2``), ``ops`` (``gat-gcn-fc-skip``) and, for each graph,
    ``{graph}/valid_perf``, ``perf``, ``latency`` (seconds) and ``para`` (millions).

    Accuracies are from 0 to 1. The recorded parameters are those of the built networks, plus the
    batch norm of skips (2 x width each) and a matrix of width^2 for each ARMA filter, which its
    single step does not use. This is exact for all rows except 1,567 of ``physics``.
    """

    name = "graph"
    file = "nas_bench_graph.parquet"
    about = "NAS-Bench-Graph: 26,206 graph neural networks on 8 graphs (arXiv:2206.09166)"

    def datasets(self, path: Path) -> list[str]:
        return _datasets(path, read_columns(path))

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"data set of {path.name}", dataset, _datasets(path, columns))
        need(path, columns, ["link", "ops", *(f"{dataset}/{name}" for name in _VALUES)])
        rows = [(str(a), str(b)) for a, b in zip(columns["link"], columns["ops"], strict=True)]
        architectures = parsed(
            path,
            enumerate(rows),
            lambda row: from_row(*row),
            "link has the form 0-0-1-2, ops the form gat-gcn-fc-skip",
        )
        refuse_twice(path, "link and ops", rows)
        values = {own: numbers(path, columns, f"{dataset}/{name}") for name, own in _VALUES.items()}
        whole = f"{_WHOLE}{_ROWS:,}"
        part = f"{len(rows):,} of the {_ROWS:,} networks of the benchmark are recorded"
        note = f"{whole if len(rows) == _ROWS else part}; {_TIME}"
        space = ListedSpace(Space(nasbench_graph, **GRAPHS[dataset]), architectures, note)
        metrics = metric("valid_accuracy", "maximize") | metric("test_accuracy", "maximize")
        metrics |= metric("latency_s", "minimize", "s") | metric("params_M", "minimize")
        return BenchmarkTable(
            self.name,
            dataset,
            space,
            architectures,
            metrics,
            values,
            select=Objective("valid_accuracy", "maximize"),
            report="test_accuracy",
            seconds=relative(f"{path}, latency", values["latency_s"]),
            note=note,
        )


def _datasets(path: Path, columns: Columns) -> list[str]:
    graphs = [graph for graph in GRAPHS if f"{graph}/valid_perf" in columns]
    if not graphs:
        expected = f"columns link, ops and GRAPH/{', GRAPH/'.join(_VALUES)}"
        raise InputError(str(path), expected, ", ".join(sorted(columns)[:20]))
    return graphs
