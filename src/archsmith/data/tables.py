"""Tables from CSV and Parquet files: which columns are numbers, which are categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError, unknown
from . import numerals
from .lines import Rows, open_rows
from .names import shown
from .numerals import Decimal, Notation, decide, is_missing, number
from .raw import Column, Kind, RawTable, looks_like_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

SUFFIXES = (".csv", ".tsv", ".parquet")
#: Names of pandas' index, as it comes in CSV, read again and saved, and in Parquet.
INDEX = {"", "unnamed: 0", "__index_level_0__"}
TARGETS = ("target", "label", "class", "y")
#: A text column with more different texts than a tenth of the rows (and than this) is a name.
FEW = 32
#: Beyond it float64 does not tell whole numbers apart.
_WHOLE = 2.0**53


@dataclass(frozen=True)
class _Sheet:
    """An open table and how the numbers of its columns are written."""

    rows: Rows
    notation: Mapping[str, Notation | None]

    def cells(self, name: str) -> Sequence[str]:
        return self.rows.columns[self.rows.header.index(name)]


class _Opened:
    """The table that was looked at last, until it is read: it is parsed once, not once a task."""

    key: tuple[object, ...] | None = None
    sheet: _Sheet | None = None

    def get(self, path: Path, decimal: Decimal | None, keep: bool) -> _Sheet:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(str(path), "a readable table", str(error)) from error
        key = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino, decimal)
        found = self.sheet if key == self.key else None
        self.key = self.sheet = None
        if found is None:
            rows = open_rows(path)
            columns = dict(zip(rows.header, rows.columns, strict=True))
            found = _Sheet(
                rows,
                decide(
                    str(path), columns, delimiter=rows.delimiter, exact=rows.exact, asked=decimal
                ),
            )
        if keep:
            self.key, self.sheet = key, found
        return found


_opened = _Opened()


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


def kind_of(path: Path, target: str | None = None, decimal: Decimal | None = None) -> Kind:
    """Whether a table's target reads as classes or values."""
    sheet = _opened.get(path, decimal, keep=True)
    name = sheet.rows.header[target_index(path, sheet.rows.header, target)]
    values = _target(sheet.cells(name), sheet.notation[name])
    return "classes" if looks_like_classes(values) else "values"


def _target(cells: Sequence[str], notation: Notation | None) -> NDArray[Any]:
    """Texts, or float64 where every cell that is there is a number; NaN where it is missing."""
    if notation is not None:
        return np.array(numerals.values(cells, notation), dtype=np.float64)
    return np.array(cells)


def _column(
    name: str, cells: Sequence[str], notation: Notation | None
) -> tuple[Column, NDArray[np.float64]]:
    """A feature and its values: numbers, or codes of sorted texts; NaN where missing."""
    if notation is not None:
        values = np.array(numerals.values(cells, notation), dtype=np.float64)
        return Column(name, notation=notation), values
    known = sorted({cell for cell in cells if not is_missing(cell)})
    codes = {text: float(code) for code, text in enumerate(known)}
    return Column(name, tuple(known)), np.array([codes.get(cell, math.nan) for cell in cells])


def is_index(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a column is what pandas writes unasked: nameless row numbers, shuffled or not."""
    if name.lower() not in INDEX or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)


def _features(
    sheet: _Sheet, others: set[int]
) -> tuple[list[Column], list[NDArray[np.float64]], list[str]]:
    """Columns that can tell something, their values, and notes about those left out."""
    columns, values, notes = [], [], []
    for index, (name, cells) in enumerate(zip(sheet.rows.header, sheet.rows.columns, strict=True)):
        if index in others:
            continue
        column, numbers = _column(name, cells, sheet.notation[name])
        distinct = len(set(cells))
        if all(map(is_missing, cells)):
            notes.append(f"column {name!r} left out: it is empty")
        elif is_index(name, numbers):
            notes.append(f"column {name!r} left out: it numbers the rows")
        elif distinct == 1:
            notes.append(f"column {name!r} left out: it always says {cells[0]!r}")
        elif column.categories and len(column.categories) > max(FEW, len(numbers) // 10):
            stray = _stray(column.categories)
            notes.append(f"column {name!r} left out: {distinct} different texts{stray}")
        else:
            notes += _rounded(column, numbers, distinct)
            columns.append(column)
            values.append(numbers)
    return columns, values, notes


def _stray(texts: Sequence[str]) -> str:
    """Which texts keep a column from being one of numbers, where that is a matter of a few."""
    others = [text for text in texts if number(text) is None]
    if not others or 2 * len(others) > len(texts):
        return ""
    return f", numbers but for {len(others)} such as {others[0]!r}"


def _rounded(column: Column, numbers: NDArray[np.float64], distinct: int) -> list[str]:
    """A note where whole numbers are too large to be told apart."""
    if column.categories is not None or not (np.abs(numbers) > _WHOLE).any():
        return []
    lost = distinct - len(np.unique(numbers))
    said = f"column {column.name!r}: whole numbers beyond 2**53 are rounded, {lost} become alike"
    return [said] if lost > 0 else []


def read_table(
    path: Path,
    target: str | None = None,
    unreadable: Unreadable = "refuse",
    decimal: Decimal | None = None,
    group: str | None = None,
    order: str | None = None,
) -> RawTable:
    """Read a CSV (any of ``, ; tab |``) or Parquet file.

    Columns of numbers are features as they are, columns of texts become categories. A text column
    of mostly different texts, one of a single value or none, and pandas' index tell nothing and
    are left out with a note. How numbers are written is a matter of whole columns, see
    :func:`archsmith.data.numerals.decide`.

    Args:
        target: the column to predict; see :func:`target_index`.
        unreadable: whether rows with missing features are refused, or skipped and noted. A
            missing target is always refused.
        decimal: the decimal sign of numbers such as ``1,288`` that can be read in two ways.
        group, order: columns that the split goes by, which are no features then.

    Raises:
        DataError: an empty or ragged file, missing or infinite values, no feature left, or numbers
            that can be read in two ways.
    """
    sheet = _opened.get(path, decimal, keep=False)
    rows = sheet.rows
    position = target_index(path, rows.header, target)
    name, wanted = rows.header[position], rows.columns[position]
    if not wanted:
        raise DataError(str(path), "rows below the header", "none")
    missing = [i for i, cell in enumerate(wanted) if is_missing(cell)]
    if missing:
        where = f"{path} line {rows.lines[missing[0]]}, column {name!r}"
        got = f"{wanted[missing[0]]!r} ({len(missing)} of {len(wanted)} targets are missing)"
        raise DataError(where, "a target in every row", got, "fill or remove these rows")
    by = [_split_column(path, sheet, name_, position) for name_ in (group, order)]
    columns, values, notes = _features(sheet, {position, *(i for i in by if i is not None)})
    if not columns:
        raise DataError(str(path), "at least one column to predict from", "; ".join(notes) or None)
    kept = [*(column.name for column in columns), name]
    told = numerals.told(
        {n: sheet.notation[n] for n in kept},
        dict(zip(rows.header, rows.columns, strict=True)),
        rows.delimiter,
    )
    table = RawTable(
        shown(path.stem),
        tuple(columns),
        np.stack(values, axis=1),
        name,
        _target(wanted, sheet.notation[name]),
        np.zeros(len(wanted), dtype=np.int8),
        notes=(*rows.notes, *told, *notes),
        groups=_codes(rows.columns[by[0]]) if by[0] is not None else None,
        order=_times(rows.columns[by[1]], sheet.notation[str(order)])
        if by[1] is not None
        else None,
    )
    return drop_bad_rows(table, str(path), np.asarray(rows.lines), "line", unreadable)


def _split_column(path: Path, sheet: _Sheet, name: str | None, target: int) -> int | None:
    """Position of a column that the split goes by.

    Raises:
        UnknownNameError: no such column.
        DataError: the target, or one with missing values.
    """
    if name is None:
        return None
    position = target_index(path, sheet.rows.header, name)
    if position == target:
        raise DataError(str(path), "a column beside the target to split by", repr(name))
    missing = [i for i, cell in enumerate(sheet.rows.columns[position]) if is_missing(cell)]
    if missing:
        where = f"{path} line {sheet.rows.lines[missing[0]]}, column {name!r}"
        raise DataError(where, "a value in every row to split by", "none")
    return position


def _codes(cells: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(cells), return_inverse=True)[1].astype(np.int64)


def _times(cells: Sequence[str], notation: Notation | None) -> NDArray[Any]:
    """Numbers as they are; else texts by their alphabet, as dates like 2026-01-31 sort."""
    if notation is not None:
        return np.array(numerals.values(cells, notation), dtype=np.float64)
    return _codes(cells)


def drop_bad_rows(
    table: RawTable, where: str, numbers: NDArray[Any], word: str, unreadable: Unreadable
) -> RawTable:
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
        hint = "fill or remove these rows, or ask for unreadable rows to be skipped"
        raise DataError(where, "a finite value in every cell", f"{said}: {first}", hint)
    kept = ~holes.any(axis=1)
    if not kept.any():
        raise DataError(where, "a row without missing values", said)
    return replace(
        table,
        values=table.values[kept],
        target=table.target[kept],
        parts=table.parts[kept],
        notes=(*table.notes, f"{said} skipped: {first}"),
        groups=None if table.groups is None else table.groups[kept],
        order=None if table.order is None else table.order[kept],
    )
