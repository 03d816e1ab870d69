"""NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) and tables with the same format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError, SpaceError
from ..history.objective import Metric, Objective
from ..space import Architecture, Space
from ..space.listed import ListedSpace
from ..zoo.nasbench201 import OPS, from_arch_str, nasbench201
from .base import BenchmarkTable, TableReader, relative
from .columns import identifier, numbers, pick, read_columns, refuse_twice, texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Columns

_SELECT, _REPORT = "valid_acc_200", "test_acc_200"
_SHORT = 12  # epochs of the short schedule that was recorded in addition to the full one
_FULL = 200
_EDGES = 6
#: Share of the total variance from which records of the same graph count as unrelated; it is 0.001
#: in the published table, and 1 if numbers are drawn independently for each row.
_MAX_WITHIN = 0.5
#: Classes of the data sets in the paper; for others the network is built for ten.
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16_120": 120}
#: Parts of column names that denote costs, for which smaller is better.
_COSTS = ("param", "flop", "latency", "lat_", "_ms", "energy", "loss", "seconds", "memory")


#: Suffixes of columns that belong to a data set, whether or not it has all columns.
_METRIC_SUFFIXES = (f"_{_SELECT}", f"_valid_acc_{_SHORT}")


class NB201(TableReader):
    """Reads ``arch_str`` and, for each data set, ``{dataset}_valid_acc_200`` and
    ``{dataset}_test_acc_200``; other numeric columns are metrics, those of the data set without
    its name as a prefix. ``{dataset}_valid_acc_12`` and ``{dataset}_test_acc_12`` give a second,
    cheap fidelity; ``{dataset}_seconds``, or else ``{dataset}_flops_M``, simulated time.

    Cells with the same graph were trained separately, and their records differ by noise. A search
    sees one spelling of each graph. If records of the same graph vary as much as those of all
    cells, they do not depend on the graph, and each spelling counts as an architecture."""

    name = "nb201"
    file = "nb201.npz"
    about = "NAS-Bench-201: 15,625 cells on CIFAR-10 and CIFAR-100 (arXiv:2001.00326)"

    def datasets(self, path: Path) -> list[str]:
        return _datasets(path, read_columns(path))

    def read(self, path: Path, dataset: str) -> BenchmarkTable:
        columns = read_columns(path)
        pick(f"data set of {path.name}", dataset, _datasets(path, columns))
        architectures = _architectures(path, texts(path, columns, "arch_str"))
        values, left_out = _metrics(path, columns, dataset)
        space = Space(nasbench201, channels=3, classes=_CLASSES.get(dataset, 10))
        notes = []
        if len(architectures) < len(OPS) ** _EDGES:
            notes = [f"{len(architectures):,} of {len(OPS) ** _EDGES:,} cells are recorded"]
            space = ListedSpace(space, architectures, notes[0])
        spelled, spelling_note = _check_spellings(space, architectures, values[_SELECT])
        space = space.spelled() if spelled else space
        cheap = f"valid_acc_{_SHORT}" in values and f"test_acc_{_SHORT}" in values
        early_values = {_SHORT: _early_metrics(values)} if cheap else {}
        seconds, unit, simulated = _seconds(values)
        return BenchmarkTable(
            self.name,
            dataset,
            space,
            architectures,
            {name: Metric(name, "", _direction(name)) for name in values},
            values,
            select=Objective(_SELECT, "maximize"),
            report=_REPORT,
            epochs=(_SHORT, _FULL) if cheap else (),
            early=early_values,
            seconds=seconds,
            time_unit=unit,
            note="; ".join(part for part in (*notes, spelling_note, simulated) if part),
            left_out=left_out,
        )


def _check_spellings(
    space: Space, architectures: Sequence[Architecture], selected: NDArray[np.float64]
) -> tuple[bool, str]:
    """Whether records of the same graph are unrelated, and a note about them."""
    keys = [space.canonical(architecture) for architecture in architectures]
    _, graph, count = np.unique(keys, return_inverse=True, return_counts=True)
    several = count[graph] > 1
    mean = np.bincount(graph, selected) / count
    least, most = np.full(len(count), np.inf), np.full(len(count), -np.inf)
    np.minimum.at(least, graph, selected)
    np.maximum.at(most, graph, selected)
    differ = least < most
    if not differ.any():
        return False, ""
    within = ((selected - mean[graph])[several] ** 2).sum() / (count[count > 1] - 1).sum()
    message = (
        f"of {(count > 1).sum():,} graphs with several spellings, {differ.sum():,} have different "
        f"records of {_SELECT}"
    )
    if within > _MAX_WITHIN * selected.var():
        return True, f"{message} that are unrelated: each spelling counts as an architecture"
    message += f": a search sees one spelling of each of {len(count):,} graphs"
    best = graph[int(selected.argmax())]
    if differ[best]:
        message += (
            f"; the best record is one of {count[best]} spellings of its graph, whose records go "
            f"down to {least[best]:.6g}, and a run may see another spelling"
        )
    return False, message


def _early_metrics(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Metrics after the short schedule, whose columns are removed from ``values``. Other results of
    training are NaN."""
    early_values = {
        name: np.full(len(c), np.nan) for name, c in values.items() if _depends_on_training(name)
    }
    early_values |= {
        _SELECT: values.pop(f"valid_acc_{_SHORT}"),
        _REPORT: values.pop(f"test_acc_{_SHORT}"),
    }
    return {name: column for name, column in early_values.items() if name in values}


def _depends_on_training(name: str) -> bool:
    return "acc" in name or "loss" in name


def _seconds(
    values: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64] | None, str, str]:
    """Simulated time, its unit, and its basis: a column ``seconds``, or else the FLOPs."""
    unit = "mean full evaluations"
    if "seconds" in values and values["seconds"].min() > 0:
        return values["seconds"], "s", "simulated time is the column seconds"
    if "flops_M" in values and values["flops_M"].min() > 0:
        return (
            relative("flops_M", values["flops_M"]),
            unit,
            "simulated time is proportional to flops",
        )
    return None, unit, "each evaluation takes the same simulated time"


def _datasets(path: Path, columns: Columns) -> list[str]:
    names = [name.removesuffix(f"_{_SELECT}") for name in columns if name.endswith(f"_{_SELECT}")]
    if not names:
        raise InputError(
            str(path),
            f"columns arch_str, NAME_{_SELECT} and NAME_{_REPORT}",
            ", ".join(sorted(columns)[:20]),
        )
    return names


def _architectures(path: Path, arch_strings: Sequence[str]) -> list[Architecture]:
    architectures = []
    for row, text in enumerate(arch_strings):
        try:
            architectures.append(from_arch_str(text))
        except SpaceError as error:
            raise InputError(
                f"{path}, row {row}, {error.where}",
                error.expected,
                error.got,
                "arch_str has NAS-Bench-201's notation: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|",
            ) from None
    refuse_twice(path, "arch_str", arch_strings)
    return architectures


def _metrics(
    path: Path, columns: Columns, dataset: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """The data set's metrics, and the problem of each column that cannot be one."""
    rows = len(columns["arch_str"])
    own_prefixes = {
        name.removesuffix(end) for name in columns for end in _METRIC_SUFFIXES if name.endswith(end)
    }
    prefixes = sorted(own_prefixes | set(_CLASSES), key=len)
    values = {name: numbers(path, columns, f"{dataset}_{name}") for name in (_SELECT, _REPORT)}
    for name, column in values.items():
        if len(column) != rows:
            raise InputError(
                f"{path}, column {dataset}_{name}", f"{rows} rows, as arch_str", str(len(column))
            )
    left_out: dict[str, str] = {}
    for name, column in columns.items():
        owner = [d for d in prefixes if name.startswith(f"{d}_")][-1:]
        metric_name = identifier(name.removeprefix(f"{dataset}_"))
        if metric_name in values or owner not in ([], [dataset]) or column.dtype.kind not in "fiu":
            continue
        problem = _metric_problem(column, rows)
        if problem:
            left_out[metric_name] = problem
        else:
            values[metric_name] = column.astype(np.float64)
    return values, left_out


def _metric_problem(column: NDArray[Any], rows: int) -> str:
    """Why a column cannot be a metric: it is not one finite number for each row."""
    if column.ndim != 1:
        return f"shape {column.shape}"
    if len(column) != rows:
        return f"{len(column)} rows for {rows} architectures"
    holes = np.flatnonzero(~np.isfinite(column))
    return f"{column[holes[0]]} in row {holes[0]}" if holes.size else ""


def _direction(name: str) -> Any:
    return "minimize" if any(part in name for part in _COSTS) else "maximize"
