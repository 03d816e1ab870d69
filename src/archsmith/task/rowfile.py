"""Rows of a user's file as a deployed model takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .._support.errors import DataError
from ..data import arrays, lines
from ..data.dates import days
from ..data.kinds import words
from ..data.numerals import Notation, decide, is_missing
from .rows import MISSING, dtype_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(path: Path, facts: Mapping[str, Any]) -> Tensor:
    """Raw rows (n, columns) of a CSV, Parquet, ``.npy`` or ``.npz`` file.

    Columns are matched by name, in any order; other columns are ignored. A category that the
    training data did not have counts as unknown.

    Raises:
        DataError: a column is missing, or a cell is not of its column's kind, or is empty in a
            column that had no empty cell in the training data.
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
        array = array.astype(np.float64)
        if np.isinf(array).any() or np.isnan(array[:, ~_may_miss(facts)]).any():
            raise DataError(str(path), "finite numbers", "NaN or infinity")
        return torch.from_numpy(array).to(dtype_of(facts))
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
        [
            _cell(cell, column, written, may_miss, f"{path} line {line}")
            for cell, line in zip(cells[column["name"]], table.lines, strict=True)
        ]
        for column, may_miss in zip(columns, _may_miss(facts), strict=True)
    ]
    return torch.tensor(values, dtype=dtype_of(facts)).T.contiguous()


def _may_miss(facts: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Whether values of each column may be missing: in categories, and where some were before."""
    expansion = facts["expansion"]
    pairs = zip(expansion["column"], expansion["code"], strict=True)
    missed = {column for column, code in pairs if code == MISSING}
    return np.array(
        [i in missed or c["categories"] is not None for i, c in enumerate(facts["columns"])]
    )


def _notations(
    path: Path, table: lines.Rows, cells: Mapping[str, Sequence[str]], facts: Mapping[str, Any]
) -> dict[str, Notation]:
    """How the numbers of a file are written: as the file shows, or else as in the training data."""
    recorded = {name: Notation(**fields) for name, fields in facts.get("notation", {}).items()}
    others = ("date", "word")
    numeric = [
        c["name"]
        for c in facts["columns"]
        if c["categories"] is None and not any(kind in c for kind in others)
    ]
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
    cell: str,
    column: Mapping[str, Any],
    written: Mapping[str, Notation],
    may_miss: bool,
    where: str,
) -> float:
    """A cell as a value of its column."""
    if "word" in column:
        return float(column["word"] in words(cell))
    if is_missing(cell) and may_miss:
        return math.nan
    if (categories := column["categories"]) is not None:
        return float(categories.index(cell) if cell in categories else len(categories))
    if "date" in column:
        value, expected = days(cell, column["date"]), "a date as in the training data"
    else:
        value = None if is_missing(cell) else written[column["name"]].value(cell)
        expected = "a finite number"
    if value is None or not np.isfinite(value):
        hint = "in the training data it was never empty: fill it" if is_missing(cell) else None
        raise DataError(f"{where} column {column['name']!r}", expected, repr(cell), hint)
    return value
