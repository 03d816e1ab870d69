"""Tables of series in long form: a row for each time, with a column that names the series."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError, unknown
from . import numerals
from .lines import Rows, open_rows
from .numerals import Decimal, Notation, decide, is_missing
from .tables import SUFFIXES, is_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Usual names of columns, in lower case.
SERIES = ("series", "series_id", "id", "unique_id", "item_id")
TIMES = ("time", "timestamp", "date", "datetime", "ds", "datetime_gmt", "month", "quarter", "year")
VALUES = ("value", "y", "target")


@dataclass(frozen=True)
class LongTable:
    """An open table and how the numbers of its columns are written."""

    path: Path
    rows: Rows
    notation: Mapping[str, Notation | None]

    def cells(self, name: str) -> Sequence[str]:
        return self.rows.columns[self.rows.header.index(name)]

    def column(self, asked: str, usual: Collection[str]) -> str | None:
        """The column of this name, or one with a usual name.

        Raises:
            UnknownNameError: no column has the name that was asked for.
        """
        header = self.rows.header
        if asked:
            if asked not in header:
                raise unknown(f"column of {self.path.name}", asked, header)
            return asked
        lower = [name.lower() for name in header]
        return next((header[lower.index(name)] for name in usual if name in lower), None)

    def place(self, row: int, name: str) -> str:
        """Where a cell is, for messages."""
        return f"{self.path} line {self.rows.lines[row]}, column {name!r}"

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The values of a column, NaN where they are missing.

        Raises:
            DataError: a cell that is no number.
        """
        cells, notation = self.cells(name), self.notation[name]
        if notation is None:
            strays = [i for i, c in enumerate(cells) if not is_missing(c) and not _is_number(c)]
            if strays:
                got = f"{cells[strays[0]]!r} ({len(strays)} of {len(cells)} are none)"
                hint = "correct these cells, or leave the column out"
                raise DataError(self.place(strays[0], name), "numbers", got, hint)
        return np.array(numerals.values(cells, notation or Notation()), dtype=np.float64)

    def features(self, others: Collection[str]) -> tuple[list[str], list[str]]:
        """The columns of numbers besides others, and notes about those that are left out."""
        kept, notes = [], []
        for name in self.rows.header:
            if name in others:
                continue
            cells = {cell for cell in self.cells(name) if not is_missing(cell)}
            numeric = self.notation[name] is not None
            if not numeric and 2 * sum(map(_is_number, cells)) < len(cells):
                notes.append(f"column {name!r} left out: texts such as {min(cells)!r}")
            elif len(cells) < 2:
                notes.append(f"column {name!r} left out: it is always {next(iter(cells), '')!r}")
            elif is_index(name, self.numbers(name)):
                notes.append(f"column {name!r} left out: it contains row numbers")
            else:
                kept.append(name)
        return kept, notes

    def groups(self, name: str | None) -> dict[str, NDArray[np.int64]]:
        """The rows of each series, in order; all of them, as ``""``, without a column.

        Raises:
            DataError: a row without the name of its series.
        """
        if name is None:
            return {"": np.arange(len(self.rows.lines))}
        rows: dict[str, list[int]] = {}
        for row, cell in enumerate(self.cells(name)):
            if is_missing(cell):
                raise DataError(self.place(row, name), "the name of a series", repr(cell))
            rows.setdefault(cell, []).append(row)
        return {series: np.array(index) for series, index in rows.items()}


def open_long(path: Path, decimal: Decimal | None = None) -> LongTable:
    """Open a CSV or Parquet file.

    Raises:
        DataError: another file, an empty or ragged one, or ambiguous numbers.
    """
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        got = "a folder" if path.is_dir() else path.suffix or "a file without a suffix"
        raise DataError(str(path), f"a table of series ({', '.join(SUFFIXES)})", got)
    rows = open_rows(path)
    if not rows.lines:
        raise DataError(str(path), "rows below the header", "none")
    columns = dict(zip(rows.header, rows.columns, strict=True))
    notation = decide(str(path), columns, delimiter=rows.delimiter, exact=rows.exact, asked=decimal)
    return LongTable(path, rows, notation)


def _is_number(cell: str) -> bool:
    return numerals.number(cell) is not None


def filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (channels, steps) whose missing steps are on lines between their neighbours; missing
    ends repeat the nearest value."""
    steps, out = np.arange(values.shape[1]), values.copy()
    for row in out:
        known = np.isfinite(row)
        if known.any():
            row[~known] = np.interp(steps[~known], steps[known], row[known])
    return out
