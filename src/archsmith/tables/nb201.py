"""NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) and every table of the same form."""

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
_SHORT = 12  # epochs of the short schedule that was recorded beside the full one
_FULL = 200
_EDGES = 6
#: Part of the variance of all records from which those within graphs have nothing in common; it is
#: 0.001 in the published table, and 1 where numbers are drawn for each row.
_UNLIKE = 0.5
#: Classes of the data sets that the paper has; of others the network is built for ten.
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16_120": 120}
#: What a cost is called in a column, so that smaller is better.
_COSTS = ("param", "flop", "latency", "lat_", "_ms", "energy", "loss", "seconds", "memory")


#: Endings of columns that belong to a data set, whether or not all of its columns are there.
_OWN = (f"_{_SELECT}", f"_valid_acc_{_SHORT}")


class NB201(TableReader):
    """Reads ``arch_str`` and, for each data set, ``{dataset}_valid_acc_200`` and
    ``{dataset}_test_acc_200``; other columns of numbers are metrics, the data set's own without
    its name in front. ``{dataset}_valid_acc_12`` and ``{dataset}_test_acc_12`` give a second,
    cheap fidelity; ``{dataset}_seconds``, or else ``{dataset}_flops_M``, simulated time.

    Cells that are one graph were trained apart, and their records differ by noise. A search sees
    one spelling of each graph, unless records within graphs are spread as those of all cells are:
    then they are of no graphs, and the space is searched as it is spelled."""

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
        as_spelled, told = _spellings(space, architectures, values[_SELECT])
        space = space.spelled() if as_spelled else space
        cheap = f"valid_acc_{_SHORT}" in values and f"test_acc_{_SHORT}" in values
        early = {_SHORT: _early(values)} if cheap else {}
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
            early=early,
            seconds=seconds,
            time_unit=unit,
            note="; ".join(part for part in (*notes, told, simulated) if part),
            left_out=left_out,
        )


def _spellings(
    space: Space, architectures: Sequence[Architecture], selected: NDArray[np.float64]
) -> tuple[bool, str]:
    """Whether records of one graph have nothing in common, and what is to be said of them."""
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
    told = (
        f"of {(count > 1).sum():,} graphs with several spellings {differ.sum():,} have different "
        f"records of {_SELECT}"
    )
    if within > _UNLIKE * selected.var():
        return True, f"{told}, with nothing in common: each spelling counts as an architecture"
    told += f": a search sees one spelling of each of {len(count):,} graphs"
    best = graph[int(selected.argmax())]
    if differ[best]:
        told += (
            f"; the best recorded is one of {count[best]} spellings of its graph, whose records "
            f"go down to {least[best]:.6g}, and a run may see another"
        )
    return False, told


def _early(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """What is known after the short schedule; its columns leave ``values``. Other results of
    training are unknown by then."""
    found = {name: np.full(len(c), np.nan) for name, c in values.items() if _of_training(name)}
    found |= {_SELECT: values.pop(f"valid_acc_{_SHORT}"), _REPORT: values.pop(f"test_acc_{_SHORT}")}
    return {name: column for name, column in found.items() if name in values}


def _of_training(name: str) -> bool:
    return "acc" in name or "loss" in name


def _seconds(
    values: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.float64] | None, str, str]:
    """Simulated time, its unit, and what it goes by: a column ``seconds``, or else the flops."""
    unit = "mean full evaluations"
    if "seconds" in values and values["seconds"].min() > 0:
        return values["seconds"], "s", "simulated time goes by the column seconds"
    if "flops_M" in values and values["flops_M"].min() > 0:
        return relative("flops_M", values["flops_M"]), unit, "simulated time goes by flops"
    return None, unit, "each evaluation takes the same simulated time"


def _datasets(path: Path, columns: Columns) -> list[str]:
    found = [name.removesuffix(f"_{_SELECT}") for name in columns if name.endswith(f"_{_SELECT}")]
    if not found:
        raise InputError(
            str(path),
            f"columns arch_str, NAME_{_SELECT} and NAME_{_REPORT}",
            ", ".join(sorted(columns)[:20]),
        )
    return found


def _architectures(path: Path, written: Sequence[str]) -> list[Architecture]:
    found = []
    for row, text in enumerate(written):
        try:
            found.append(from_arch_str(text))
        except SpaceError as error:
            raise InputError(
                f"{path}, row {row}, {error.where}",
                error.expected,
                error.got,
                "arch_str has NAS-Bench-201's notation: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|",
            ) from None
    refuse_twice(path, "arch_str", written)
    return found


def _metrics(
    path: Path, columns: Columns, dataset: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """The data set's metrics, and what is wrong with columns that cannot be one."""
    rows = len(columns["arch_str"])
    named = {name.removesuffix(end) for name in columns for end in _OWN if name.endswith(end)}
    known = sorted(named | set(_CLASSES), key=len)
    values = {name: numbers(path, columns, f"{dataset}_{name}") for name in (_SELECT, _REPORT)}
    for name, column in values.items():
        if len(column) != rows:
            raise InputError(
                f"{path}, column {dataset}_{name}", f"{rows} rows, as arch_str", str(len(column))
            )
    left_out: dict[str, str] = {}
    for name, column in columns.items():
        owner = [d for d in known if name.startswith(f"{d}_")][-1:]
        own = identifier(name.removeprefix(f"{dataset}_"))
        if own in values or owner not in ([], [dataset]) or column.dtype.kind not in "fiu":
            continue
        wrong = _wrong(column, rows)
        if wrong:
            left_out[own] = wrong
        else:
            values[own] = column.astype(np.float64)
    return values, left_out


def _wrong(column: NDArray[Any], rows: int) -> str:
    """Why numbers cannot be a metric: they are not one finite number for each row."""
    if column.ndim != 1:
        return f"shape {column.shape}"
    if len(column) != rows:
        return f"{len(column)} rows for {rows} architectures"
    holes = np.flatnonzero(~np.isfinite(column))
    return f"{column[holes[0]]} in row {holes[0]}" if holes.size else ""


def _direction(name: str) -> Any:
    return "minimize" if any(part in name for part in _COSTS) else "maximize"
