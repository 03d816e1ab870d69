"""Rows of a table as model inputs: numbers standardised, categories one-hot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError
from ..data import arrays, lines
from ..data.numerals import Notation, decide, is_missing, narrowed
from ..data.raw import RawTable

if TYPE_CHECKING:
    from numpy.typing import NDArray


def facts(table: RawTable, train: NDArray[np.int64]) -> dict[str, Any]:
    """What the preparation of rows needs. ``expansion`` has one entry per feature: its column; the
    code of its category, or -1 for a number; and the mean and standard deviation of a number in the
    training part. ``notation`` is how numbers are written, for columns that do not write them the
    usual way."""
    base = table.values[train[0]]
    # Relative to a value of the column, so that sums of large numbers keep their precision.
    values = table.values[train] - base
    mean, std = base + values.mean(axis=0), values.std(axis=0)
    std = np.where(std < 1e-15 * (1 + np.abs(mean)), 1.0, std)
    columns, entries = [], []
    for index, column in enumerate(table.columns):
        categories = None if column.categories is None else list(column.categories)
        columns.append({"name": column.name, "categories": categories})
        if categories is None:
            entries.append((index, -1.0, float(mean[index]), float(std[index])))
        else:
            entries += [(index, float(code), 0.0, 1.0) for code in range(len(categories))]
    names = ("column", "code", "mean", "std")
    expansion = {name: [entry[i] for entry in entries] for i, name in enumerate(names)}
    notation = {c.name: asdict(c.notation) for c in table.columns if c.notation != Notation()}
    dtype = str(raw(table).dtype)
    row_facts = {"columns": columns, "features": len(entries), "expansion": expansion}
    # Left out where they have no effect, as in exports by versions that did not have them.
    row_facts |= {"notation": notation} if notation else {}
    return row_facts | ({"dtype": dtype} if dtype != "float32" else {})


def raw(table: RawTable) -> NDArray[Any]:
    """Rows as a model takes them, (n, columns): float32, or float64 if float32 would lose too much
    precision."""
    return narrowed(table.values)


def precision(table: RawTable) -> tuple[str, ...]:
    """A note if rows are float64, else nothing."""
    if raw(table).dtype == np.float32:
        return ()
    lossy = [
        column.name
        for column, values in zip(table.columns, table.values.T, strict=True)
        if narrowed(values[:, None]).dtype != np.float32
    ]
    listed = ", ".join(map(repr, lossy[:3])) + (", ..." if len(lossy) > 3 else "")
    return (f"rows are float64: float32 cannot distinguish the values of {listed}",)


def _dtype(facts: Mapping[str, Any]) -> torch.dtype:
    return torch.float64 if facts.get("dtype") == "float64" else torch.float32


def spread(targets: Tensor) -> dict[str, float]:
    """Mean and standard deviation (population) of the training targets."""
    values = targets.double()
    std = float(values.std(correction=0))
    return {"target_mean": float(values.mean()), "target_std": std or 1.0}


def layout(facts: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Column (int64), code, mean and std (of the type of rows) of each feature, each
    (features,)."""
    expansion, dtype = facts["expansion"], _dtype(facts)
    code, mean, std = (
        torch.tensor(expansion[name], dtype=dtype) for name in ("code", "mean", "std")
    )
    column = torch.tensor(expansion["column"])
    sizes = {tuple(statistic.shape) for statistic in (column, code, mean, std)}
    if sizes != {(facts["features"],)} or column.dtype != torch.int64:
        # Statistics of another length could be broadcast without an error.
        raise ValueError(f"statistics of shapes {sorted(sizes)} for {facts['features']} features")
    return column, code, mean, std


def expand(rows: Tensor, column: Tensor, code: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Raw rows (n, columns) as features (n, features), float32."""
    values = rows.index_select(1, column).to(mean.dtype)
    return torch.where(code < 0, (values - mean) / std, (values == code).to(mean.dtype)).float()


class Expand(nn.Module):
    """:func:`expand` with the statistics as buffers."""

    column: Tensor
    code: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        for name, values in zip(("column", "code", "mean", "std"), layout(facts), strict=True):
            self.register_buffer(name, values)

    def forward(self, rows: Tensor) -> Tensor:
        return expand(rows, self.column, self.code, self.mean, self.std)


def described(facts: Mapping[str, Any]) -> str:
    """The raw rows that a deployed model takes, in words."""
    names = [column["name"] for column in facts["columns"]]
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    codes = any(column["categories"] is not None for column in facts["columns"])
    dtype = str(_dtype(facts)).removeprefix("torch.")
    return f"{dtype} (n, {len(names)}): {shown}" + (" (categories as codes)" if codes else "")


def load(path: Path, facts: Mapping[str, Any]) -> Tensor:
    """Raw rows (n, columns) of a CSV, Parquet, ``.npy`` or ``.npz`` file.

    Columns are matched by name, in any order; other columns are ignored.

    Raises:
        DataError: a column is missing, a cell is empty or not a number, or a category does not
            occur in the training data.
    """
    if not path.is_file():
        raise DataError(str(path), "a CSV, Parquet, .npy or .npz file of rows", "no such file")
    columns = facts["columns"]
    if path.suffix.lower() in (".npy", ".npz"):
        array = arrays.load_one(path)
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != len(columns) or array.dtype.kind not in "biuf":
            got = f"{array.shape} {array.dtype}"
            raise DataError(str(path), f"numbers of shape (n, {len(columns)})", got)
        if not np.isfinite(array).all():
            raise DataError(str(path), "finite numbers", "NaN or infinity")
        return torch.from_numpy(array.astype(np.float64)).to(_dtype(facts))
    table = lines.open_rows(path)
    places = {name: index for index, name in enumerate(table.header)}
    missing = [column["name"] for column in columns if column["name"] not in places]
    if missing:
        got = "columns " + ", ".join(table.header)
        raise DataError(str(path), f"a column {missing[0]!r}", got)
    if not table.lines:
        raise DataError(str(path), "rows below the header", "none")
    cells = {column["name"]: table.columns[places[column["name"]]] for column in columns}
    written = _notations(path, table, cells, facts)
    values = [
        [_cell(cell, column, written, f"{path} line {line}") for column, cell in zip(columns, row)]
        for line, row in zip(table.lines, zip(*cells.values(), strict=True), strict=True)
    ]
    return torch.tensor(values, dtype=_dtype(facts))


def _notations(
    path: Path, table: lines.Rows, cells: Mapping[str, Sequence[str]], facts: Mapping[str, Any]
) -> dict[str, Notation]:
    """How the numbers of a file are written: as the file shows, or else as in the training data."""
    recorded = {name: Notation(**fields) for name, fields in facts.get("notation", {}).items()}
    numeric = [c["name"] for c in facts["columns"] if c["categories"] is None]
    trained = {name: recorded.get(name, Notation()) for name in numeric}
    decided = decide(
        str(path),
        {name: cells[name] for name in numeric},
        delimiter=table.delimiter,
        exact=table.exact,
        known={name: notation.decimal for name, notation in trained.items()},
        option=False,
    )
    return {name: notation if (notation := decided[name]) else trained[name] for name in numeric}


def _cell(
    cell: str, column: Mapping[str, Any], written: Mapping[str, Notation], where: str
) -> float:
    place = f"{where} column {column['name']!r}"
    if column["categories"] is not None:
        if cell not in column["categories"]:
            listed = ", ".join(column["categories"][:8])
            more = ", ..." if len(column["categories"]) > 8 else ""
            raise DataError(place, f"one of {listed}{more}", repr(cell))
        return float(column["categories"].index(cell))
    value = None if is_missing(cell) else written[column["name"]].value(cell)
    if value is None or not np.isfinite(value):
        raise DataError(place, "a finite number", repr(cell))
    return value
