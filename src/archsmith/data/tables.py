"""Tables from CSV and Parquet files: which columns are numbers, which are categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, unknown
from .lines import number, open_rows
from .raw import Column, Kind, Table, looks_like_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = {"", "na", "n/a", "nan", "null", "?"}
#: Names of pandas' index, as it comes in CSV, read again and saved, and in Parquet.
INDEX = {"", "unnamed: 0", "__index_level_0__"}
TARGETS = ("target", "label", "class", "y")
#: A text column with more different texts than a tenth of the rows (and than this) is a name.
FEW = 32


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that its value is not known."""
    return cell.lower() in MISSING


def target_index(path: Path, header: Sequence[str], target: str | None) -> int:
    """Position of the target column: the one named, else a usual name, else the last.

    Raises:
        UnknownNameError: there is no such column; the nearest is offered.
    """
    if target is not None:
        if target not in header:
            raise unknown(f"column of {path.name}", target, header)
        return header.index(target)
    lower = [name.lower() for name in header]
    last = max((i for i, name in enumerate(header) if name), default=len(header) - 1)
    return next((lower.index(name) for name in TARGETS if name in lower), last)


def kind_of(path: Path, target: str | None = None, most_rows: int = 20_000) -> Kind:
    """Whether a table's target reads as classes or values, from its first rows."""
    rows = open_rows(path)
    position = target_index(path, rows.header, target)
    cells = [row[position] for _, (_, row) in zip(range(most_rows), rows.body, strict=False)]
    return "classes" if looks_like_classes(_target(cells)) else "values"


def _target(cells: Sequence[str]) -> NDArray[Any]:
    """Texts, or float64 where every cell that is there is a number; NaN where it is missing."""
    known = [number(cell) for cell in cells if not is_missing(cell)]
    if known and all(value is not None for value in known):
        return np.array([math.nan if is_missing(c) else float(c) for c in cells], dtype=np.float64)
    return np.array(cells)


def _column(name: str, cells: Sequence[str]) -> tuple[Column, NDArray[np.float64]]:
    """A feature and its values: numbers, or codes of sorted texts; NaN where missing."""
    known = sorted({cell for cell in cells if not is_missing(cell)})
    if all(number(cell) is not None for cell in known):
        numbers = [math.nan if is_missing(cell) else float(cell) for cell in cells]
        return Column(name), np.array(numbers, dtype=np.float64)
    codes = {text: float(code) for code, text in enumerate(known)}
    return Column(name, tuple(known)), np.array([codes.get(cell, math.nan) for cell in cells])


def is_index(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a column is what pandas writes unasked: nameless row numbers, shuffled or not."""
    if name.lower() not in INDEX or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)


def _features(
    header: Sequence[str], cells: Sequence[Sequence[str]], target: int
) -> tuple[list[Column], list[NDArray[np.float64]], list[str]]:
    """Columns that can tell something, their values, and notes about those left out."""
    columns, values, notes = [], [], []
    for index, name in enumerate(header):
        if index == target:
            continue
        column, numbers = _column(name, cells[index])
        distinct = len(set(cells[index]))
        if all(map(is_missing, cells[index])):
            notes.append(f"column {name!r} left out: it is empty")
        elif is_index(name, numbers):
            notes.append(f"column {name!r} left out: it numbers the rows")
        elif distinct == 1:
            notes.append(f"column {name!r} left out: it always says {cells[index][0]!r}")
        elif column.categories and len(column.categories) > max(FEW, len(numbers) // 10):
            notes.append(f"column {name!r} left out: {distinct} different texts")
        else:
            columns.append(column)
            values.append(numbers)
    return columns, values, notes


def read_table(path: Path, target: str | None = None, unreadable: Unreadable = "refuse") -> Table:
    """Read a CSV (any of ``, ; tab |``) or Parquet file.

    Columns of numbers are features as they are, columns of texts become categories. A text column
    of mostly different texts, one of a single value or none, and pandas' index tell nothing and
    are left out with a note.

    Args:
        target: the column to predict; see :func:`target_index`.
        unreadable: whether rows with missing features are refused, or skipped and noted. A
            missing target is always refused.

    Raises:
        DataError: an empty or ragged file, missing or infinite values, or no feature left.
    """
    rows = open_rows(path)
    header = rows.header
    position = target_index(path, header, target)
    body = list(rows.body)
    if not body:
        raise DataError(str(path), "rows below the header", "none")
    lines = np.array([line for line, _ in body])
    cells = list(zip(*(row for _, row in body), strict=True))
    wanted = cells[position]
    missing = [i for i, cell in enumerate(wanted) if is_missing(cell)]
    if missing:
        where = f"{path} line {lines[missing[0]]}, column {header[position]!r}"
        got = f"{wanted[missing[0]]!r} ({len(missing)} of {len(wanted)} targets are missing)"
        raise DataError(where, "a target in every row", got, "fill or remove these rows")
    columns, values, notes = _features(header, cells, position)
    if not columns:
        raise DataError(str(path), "at least one column to predict from", "; ".join(notes) or None)
    table = Table(
        path.stem,
        tuple(columns),
        np.stack(values, axis=1).astype(np.float32),
        header[position],
        _target(wanted),
        np.zeros(len(body), dtype=np.int8),
        notes=(*rows.notes, *notes),
    )
    return drop_bad_rows(table, str(path), lines, "line", unreadable)


def drop_bad_rows(
    table: Table, where: str, numbers: NDArray[Any], word: str, unreadable: Unreadable
) -> Table:
    """The table without rows whose features are missing or infinite, noting them.

    Args:
        numbers: (n,) what to call each row in a message, after ``word`` (``line``, ``row``).

    Raises:
        DataError: a target that is no finite number; such features, where they are to be refused.
    """
    if table.target.dtype.kind == "f" and not np.isfinite(table.target).all():
        bad = np.flatnonzero(~np.isfinite(table.target))
        place = f"{where} {word} {numbers[bad[0]]}, {table.target_name!r}"
        got = f"{table.target[bad[0]]} ({len(bad)} of {len(table.target)} targets)"
        raise DataError(place, "a finite target in every row", got, "fill or remove these rows")
    holes = ~np.isfinite(table.values)
    if not holes.any():
        return table
    bad_rows = np.flatnonzero(holes.any(axis=1))
    places = [
        f"{word} {numbers[row]} column {table.columns[column].name!r}"
        for row, column in np.argwhere(holes)[:3]
    ]
    said = f"{len(bad_rows)} of {len(holes)} rows with missing or infinite values"
    first = f"{', '.join(places)}{', ...' if holes.sum() > 3 else ''}"
    if unreadable == "refuse":
        mend = "fill or remove these rows, or ask for unreadable rows to be skipped"
        raise DataError(where, "a finite value in every cell", f"{said}: {first}", mend)
    kept = ~holes.any(axis=1)
    if not kept.any():
        raise DataError(where, "a row without missing values", said)
    return replace(
        table,
        values=table.values[kept],
        target=table.target[kept],
        parts=table.parts[kept],
        notes=(*table.notes, f"{said} skipped: {first}"),
    )
