"""Rows of a table as model inputs: numbers standardised, categories one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import arrays, lines
from ..data.raw import Table
from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def facts(table: Table, train: NDArray[np.int64]) -> dict[str, Any]:
    """What preparing rows needs. ``expansion`` has one entry a feature: its column; its category's
    code or -1 for a number; and the mean and spread of a number in the training part."""
    values = table.values[train].astype(np.float64)
    mean, std = values.mean(axis=0), values.std(axis=0)
    std = np.where(std < 1e-12 * (1 + np.abs(mean)), 1.0, std)
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
    return {"columns": columns, "features": len(entries), "expansion": expansion}


def spread(targets: Tensor) -> dict[str, float]:
    """Mean and standard deviation (population) of the training targets."""
    values = targets.double()
    std = float(values.std(correction=0))
    return {"target_mean": float(values.mean()), "target_std": std or 1.0}


def layout(facts: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Column (int64), code, mean and std (float32) of each feature, each (features,)."""
    expansion = facts["expansion"]
    return (
        torch.tensor(expansion["column"]),
        torch.tensor(expansion["code"]),
        torch.tensor(expansion["mean"]),
        torch.tensor(expansion["std"]),
    )


def expand(rows: Tensor, column: Tensor, code: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Raw rows (n, columns) as features (n, features)."""
    values = rows.index_select(1, column)
    return torch.where(code < 0, (values - mean) / std, (values == code).to(values.dtype))


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
    return f"float32 (n, {len(names)}): {shown}" + (" (categories as codes)" if codes else "")


def load(path: Path, facts: Mapping[str, Any]) -> Tensor:
    """Raw rows (n, columns), float32, of a CSV, Parquet, ``.npy`` or ``.npz`` file.

    Columns are found by name, in any order; others are left aside.

    Raises:
        DataError: a column is missing, a cell is empty or no number, a category was never seen.
    """
    if not path.is_file():
        raise DataError(str(path), "a CSV, Parquet, .npy or .npz file of rows", "nothing there")
    columns = facts["columns"]
    if path.suffix.lower() in (".npy", ".npz"):
        array = arrays.load_one(path)
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != len(columns) or array.dtype.kind not in "biuf":
            got = f"{array.shape} {array.dtype}"
            raise DataError(str(path), f"numbers of shape (n, {len(columns)})", got)
        if not np.isfinite(array).all():
            raise DataError(str(path), "finite numbers", "NaN or infinity")
        return torch.from_numpy(array.astype(np.float32))
    table = lines.open_rows(path)
    header = table.header
    missing = [column["name"] for column in columns if column["name"] not in header]
    if missing:
        got = "columns " + ", ".join(header)
        raise DataError(str(path), f"a column {missing[0]!r}", got)
    places = [(header.index(column["name"]), column) for column in columns]
    values = [
        [_cell(row[index], column, f"{path} line {line}") for index, column in places]
        for line, row in table.body
    ]
    if not values:
        raise DataError(str(path), "rows below the header", "none")
    return torch.tensor(values, dtype=torch.float32)


def _cell(cell: str, column: Mapping[str, Any], where: str) -> float:
    place = f"{where} column {column['name']!r}"
    if column["categories"] is not None:
        if cell not in column["categories"]:
            listed = ", ".join(column["categories"][:8])
            more = ", ..." if len(column["categories"]) > 8 else ""
            raise DataError(place, f"one of {listed}{more}", repr(cell))
        return float(column["categories"].index(cell))
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(place, "a finite number", repr(cell))
    return value
