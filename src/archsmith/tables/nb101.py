"""NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635): the part recorded with zero-cost proxies
(Krishnakumar et al. 2022, arXiv:2210.03230)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import SpaceError
from ..history.objective import Objective
from ..space import Architecture, Space
from ..space.listed import ListedSpace
from ..zoo.nasbench101 import nasbench101
from ..zoo.nasbench101_graph import canonical, from_matrix
from .base import BenchmarkTable, TableReader, relative
from .columns import pick, read_columns
from .rows import Rows, metrics, whole_numbers

if TYPE_CHECKING:
    from .base import Values

#: Labels of vertices, by their number in the file.
_LABELS = ("input", "output", "maxpool3x3", "conv1x1", "conv3x3")
_GRAPHS = 423_624
_NOTATION = (
    "arch has the rows of an n x n adjacency matrix, then n operations: 0 input, 1 output, "
    "2 maxpool3x3, 3 conv1x1, 4 conv3x3"
)
_NOTE = (
    "accuracy is the validation accuracy, which is also reported, since no test accuracy was "
    "recorded; flops are twice the recorded multiply-adds, which count normalisation too; "
    "simulated time is proportional to flops"
)


class NB101(TableReader):
    """Reads ``dataset``, ``arch``, ``val_accuracy``, and ``params`` and ``flops`` in millions;
    other numeric columns, the proxies, are metrics. Rows with the same graph after pruning are
    repeated trainings: their distinct accuracies are averaged, and so are the proxies."""

    name = "nb101"
    file = "nb101_zc.parquet"
    about = "NAS-Bench-101: a part of 423,624 cells on CIFAR-10 (arXiv:1902.09635)"

    def datasets(self, path: Path) -> list[str]:
        return Rows(path, read_columns(path)).distinct("dataset")

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"data set of {self.name}", dataset, Rows(path, columns).distinct("dataset"))
        rows = Rows(path, columns, dataset=dataset)
        spelled = rows.architectures("arch", _decode, _NOTATION)
        graphs: dict[str, list[int]] = {}
        for row, architecture in enumerate(spelled):
            graphs.setdefault(canonical(architecture), []).append(row)
        groups = list(graphs.values())
        architectures = [spelled[group[0]] for group in groups]
        accuracy, flops = rows.numbers("val_accuracy"), 2e6 * rows.numbers("flops")
        # If channels divide unevenly, some parameters depend on the spelling: use the first.
        first = [group[0] for group in groups]
        values = {
            "accuracy": np.array([np.unique(accuracy[group]).mean() for group in groups]),
            "params": np.round(1e6 * rows.numbers("params"))[first],
            "flops": flops[first],
        }
        taken = (*values, "val_accuracy")
        for name, column in rows.others(taken).items():
            values[name] = _means(column, groups)
        note = _note(len(spelled), len(groups))
        space = ListedSpace(Space(nasbench101, channels=3, classes=10), architectures, note)
        return BenchmarkTable(
            self.name,
            dataset,
            space,
            architectures,
            metrics(values, "params", "flops"),
            values,
            select=Objective("accuracy", "maximize"),
            report="accuracy",
            seconds=relative(f"{path}, flops", values["flops"]),
            note=f"{note}; {_NOTE}",
            left_out=rows.left_out(taken),
        )


def _decode(text: str) -> Architecture:
    numbers = whole_numbers(text)
    size = int(len(numbers) ** 0.5)  # n * n + n is between n^2 and (n + 1)^2
    labels = numbers[size * size :]
    if size < 2 or len(labels) != size or any(label not in range(5) for label in labels):
        raise SpaceError("arch", "n x n + n numbers, the last n of them from 0 to 4", repr(text))
    ops = [_LABELS[label] for label in labels]
    if ops[0] != "input" or ops[-1] != "output":
        raise SpaceError("arch", "operations from input to output", ", ".join(ops))
    if not set(numbers[: size * size]) <= {0, 1}:
        raise SpaceError("arch", "0 and 1 in the matrix", repr(text))
    matrix = [numbers[row * size : (row + 1) * size] for row in range(size)]
    return from_matrix(matrix, ops)


def _means(column: Values, groups: list[list[int]]) -> Values:
    return np.array([column[group].mean() for group in groups])


def _note(rows: int, graphs: int) -> str:
    return f"{graphs:,} of {_GRAPHS:,} graphs are recorded, in {rows:,} rows"
