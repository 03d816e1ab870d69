"""NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) and every table of the same form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, SpaceError
from ..objective import Metric, Objective
from ..space import Architecture, Space
from ..zoo.nasbench201 import OPS, from_arch_str, nasbench201
from .base import Table, TableReader
from .columns import identifier, numbers, pick, read_columns, refuse_twice, texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Columns

_SELECT, _REPORT = "valid_acc_200", "test_acc_200"
_SHORT = 12  # epochs of the short schedule that was recorded beside the full one
_FULL = 200
_EDGES = 6
#: Classes of the data sets that the paper has; of others the network is built for ten.
_CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16_120": 120}
#: What a cost is called in a column, so that smaller is better.
_COSTS = ("param", "flop", "latency", "lat_", "_ms", "energy", "loss", "seconds", "memory")


class NB201(TableReader):
    """Reads ``arch_str`` and, for each data set, ``{dataset}_valid_acc_200`` and
    ``{dataset}_test_acc_200``; other columns of numbers are metrics, the data set's own without
    its name in front. ``{dataset}_valid_acc_12`` and ``{dataset}_test_acc_12`` give a second,
    cheap fidelity; ``{dataset}_seconds``, or else ``{dataset}_flops_M``, simulated time."""

    name = "nb201"
    file = "nb201.npz"
    about = "NAS-Bench-201: 15,625 cells on CIFAR-10 and CIFAR-100 (arXiv:2001.00326)"

    def datasets(self, path: Path) -> list[str]:
        return _datasets(path, read_columns(path))

    def read(self, path: Path, dataset: str) -> Table:
        columns = read_columns(path)
        pick(f"data set of {path.name}", dataset, _datasets(path, columns))
        architectures = _architectures(path, texts(path, columns, "arch_str"))
        values = _metrics(path, columns, dataset)
        space = Space(nasbench201, channels=3, classes=_CLASSES.get(dataset, 10))
        note = ""
        if len(architectures) < len(OPS) ** _EDGES:
            note = f"{len(architectures):,} of {len(OPS) ** _EDGES:,} cells are recorded"
            space = space.restrict(architectures, note)
        cheap = f"valid_acc_{_SHORT}" in values and f"test_acc_{_SHORT}" in values
        early = {_SHORT: _early(values)} if cheap else {}
        seconds, simulated = _seconds(values)
        return Table(
            self.name, dataset, space, architectures,
            {name: Metric(name, "", _direction(name)) for name in values}, values,
            select=Objective(_SELECT, "maximize"), report=_REPORT,
            epochs=(_SHORT, _FULL) if cheap else (), early=early, seconds=seconds,
            note="; ".join(part for part in (note, simulated) if part),
        )  # fmt: skip


def _early(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """What is known after the short schedule; its columns leave ``values``. Other results of
    training are unknown by then."""
    found = {name: np.full(len(c), np.nan) for name, c in values.items() if _of_training(name)}
    found |= {_SELECT: values.pop(f"valid_acc_{_SHORT}"), _REPORT: values.pop(f"test_acc_{_SHORT}")}
    return {name: column for name, column in found.items() if name in values}


def _of_training(name: str) -> bool:
    return "acc" in name or "loss" in name


def _seconds(values: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64] | None, str]:
    """Simulated seconds, and what they go by: a column ``seconds``, or else the flops."""
    if "seconds" in values and values["seconds"].min() >= 0:
        return values["seconds"], "simulated time goes by the column seconds"
    if "flops_M" in values and values["flops_M"].min() >= 0 < values["flops_M"].mean():
        return values["flops_M"] / values["flops_M"].mean(), "simulated time goes by flops"
    return None, ""


def _datasets(path: Path, columns: Columns) -> list[str]:
    found = [name.removesuffix(f"_{_SELECT}") for name in columns if name.endswith(f"_{_SELECT}")]
    if not found:
        raise InputError(
            str(path), f"columns arch_str, NAME_{_SELECT} and NAME_{_REPORT}",
            ", ".join(sorted(columns)[:20]),
        )  # fmt: skip
    return found


def _architectures(path: Path, written: Sequence[str]) -> list[Architecture]:
    found = []
    for row, text in enumerate(written):
        try:
            found.append(from_arch_str(text))
        except SpaceError as error:
            raise InputError(
                f"{path}, row {row}, {error.where}", error.expected, error.got,
                "arch_str has NAS-Bench-201's notation: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|",
            ) from None  # fmt: skip
    refuse_twice(path, "arch_str", written)
    return found


def _metrics(path: Path, columns: Columns, dataset: str) -> dict[str, NDArray[np.float64]]:
    rows = len(columns["arch_str"])
    known = sorted(_datasets(path, columns), key=len)
    values = {name: numbers(path, columns, f"{dataset}_{name}") for name in (_SELECT, _REPORT)}
    for name, column in values.items():
        if len(column) != rows:
            raise InputError(
                f"{path}, column {dataset}_{name}", f"{rows} rows, as arch_str", str(len(column))
            )
    for name, column in columns.items():
        owner = [d for d in known if name.startswith(f"{d}_")][-1:]
        own = identifier(name.removeprefix(f"{dataset}_"))
        if own not in values and owner in ([], [dataset]) and _usable(column, rows):
            values[own] = column.astype(np.float64)
    return values


def _usable(column: NDArray[Any], rows: int) -> bool:
    """Whether it can be a metric: one finite number for each row."""
    number = column.ndim == 1 and column.dtype.kind in "fiu" and len(column) == rows
    return number and bool(np.isfinite(column).all())


def _direction(name: str) -> Any:
    return "minimize" if any(part in name for part in _COSTS) else "maximize"
