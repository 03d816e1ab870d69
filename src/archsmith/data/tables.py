"""Tables from CSV and Parquet files: deciding which columns are numbers or categories."""

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
#: Names of pandas' index column in CSV (saved once or twice) and in Parquet.
INDEX = {"", "unnamed: 0", "__index_level_0__"}
TARGETS = ("target", "label", "class", "y")
#: A text column with more distinct texts than this and than a tenth of the rows is a name.
FEW = 32
#: float64 cannot represent all integers beyond this.
_MAX_EXACT = 2.0**53


@dataclass(frozen=True)
class _Sheet:
    """An open table and how the numbers of its columns are written."""

    rows: Rows
    notation: Mapping[str, Notation | None]

    def cells(self, name: str) -> Sequence[str]:
        return self.rows.columns[self.rows.header.index(name)]


class _SheetCache:
    """Caches the last inspected table until it is read, so that it is parsed only once."""

    key: tuple[object, ...] | None = None
    sheet: _Sheet | None = None

    def get(
        self, path: Path, decimal: Decimal | None, keep: bool, where: str | None = None
    ) -> _Sheet:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(str(path), "a readable table", str(error)) from error
        key = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino, decimal, where)
        sheet = self.sheet if key == self.key else None
        self.key = self.sheet = None
        if sheet is None:
            rows = open_rows(path, where)
            columns = dict(zip(rows.header, rows.columns, strict=True))
            sheet = _Sheet(
                rows,
                decide(
                    str(path), columns, delimiter=rows.delimiter, exact=rows.exact, asked=decimal
                ),
            )
        if keep:
            self.key, self.sheet = key, sheet
        return sheet


_cache = _SheetCache()


def target_index(path: Path, header: Sequence[str], target: str | None) -> int:
    """Index of the target column: the given name, else a usual name, else the last column.

    Raises:
        UnknownNameError: no such column; the message suggests the nearest one.
    """
    if target is not None:
        if target not in header:
            raise unknown(f"column of {path.name}", target, header)
        return header.index(target)
    lower = [name.lower() for name in header]
    last = max((i for i, name in enumerate(header) if name), default=len(header) - 1)
    return next((lower.index(name) for name in TARGETS if name in lower), last)


def kind_of(
    path: Path,
    target: str | None = None,
    decimal: Decimal | None = None,
    where: str | None = None,
) -> Kind:
    """Whether a table's target looks like classes or values."""
    sheet = _cache.get(path, decimal, keep=True, where=where)
    name = sheet.rows.header[target_index(path, sheet.rows.header, target)]
    values = _target(sheet.cells(name), sheet.notation[name])
    return "classes" if looks_like_classes(values) else "values"


def _target(cells: Sequence[str], notation: Notation | None) -> NDArray[Any]:
    """Texts, or float64 if all cells are numbers or missing, with NaN for missing ones."""
    if notation is not None:
        return np.array(numerals.values(cells, notation), dtype=np.float64)
    return np.array(cells)


def _column(
    name: str, cells: Sequence[str], notation: Notation | None
) -> tuple[Column, NDArray[np.float64]]:
    """A feature and its values: numbers, or codes of sorted texts, with NaN for missing ones."""
    if notation is not None:
        values = np.array(numerals.values(cells, notation), dtype=np.float64)
        return Column(name, notation=notation), values
    categories = sorted({cell for cell in cells if not is_missing(cell)})
    codes = {text: float(code) for code, text in enumerate(categories)}
    return Column(name, tuple(categories)), np.array([codes.get(cell, math.nan) for cell in cells])


def is_index(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a column is pandas' index: unnamed row numbers, possibly shuffled."""
    if name.lower() not in INDEX or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)


def _features(
    sheet: _Sheet, others: set[int]
) -> tuple[list[Column], list[NDArray[np.float64]], list[str]]:
    """Informative columns, their values, and notes about those left out."""
    columns, values, notes = [], [], []
    for index, (name, cells) in enumerate(zip(sheet.rows.header, sheet.rows.columns, strict=True)):
        if index in others:
            continue
        column, numbers = _column(name, cells, sheet.notation[name])
        distinct = len(set(cells))
        if all(map(is_missing, cells)):
            notes.append(f"column {name!r} left out: it is empty")
        elif is_index(name, numbers):
            notes.append(f"column {name!r} left out: it contains row numbers")
        elif distinct == 1:
            notes.append(f"column {name!r} left out: it is always {cells[0]!r}")
        elif column.categories and len(column.categories) > max(FEW, len(numbers) // 10):
            stray = _stray_texts(column.categories)
            notes.append(f"column {name!r} left out: {distinct} different texts{stray}")
        else:
            notes += _rounding_note(column, numbers, distinct)
            columns.append(column)
            values.append(numbers)
    return columns, values, notes


def _stray_texts(texts: Sequence[str]) -> str:
    """The few texts that prevent a column from being numeric, if only a few do."""
    others = [text for text in texts if number(text) is None]
    if not others or 2 * len(others) > len(texts):
        return ""
    return f", numbers except for {len(others)} such as {others[0]!r}"


def _rounding_note(column: Column, numbers: NDArray[np.float64], distinct: int) -> list[str]:
    """A note if integers are too large to be distinguished."""
    if column.categories is not None or not (np.abs(numbers) > _MAX_EXACT).any():
        return []
    lost = distinct - len(np.unique(numbers))
    note = (
        f"column {column.name!r}: integers beyond 2**53 are rounded, {lost} become equal to others"
    )
    return [note] if lost > 0 else []


def read_table(
    path: Path,
    target: str | None = None,
    unreadable: Unreadable = "refuse",
    decimal: Decimal | None = None,
    group: str | None = None,
    order: str | None = None,
    where: str | None = None,
) -> RawTable:
    """Read a CSV (any of ``, ; tab |``) or Parquet file.

    Numeric columns are features, text columns become categories. Text columns with mostly distinct
    texts, columns with a single value or none, and pandas' index are not informative and are left
    out with a note. The notation of numbers is decided for whole columns, see
    :func:`archsmith.data.numerals.decide`.

    Args:
        target: the column to predict; see :func:`target_index`.
        unreadable: whether rows with missing features are an error, or skipped with a note. A
            missing target is always an error.
        decimal: the decimal separator of ambiguous numbers such as ``1,288``.
        group, order: columns used for the split, which are not features then.
        where: ``column=value``, see :func:`archsmith.data.lines.open_rows`.

    Returns:
        Values (rows, columns) with their target (rows,).

    Raises:
        DataError: an empty or ragged file, missing or infinite values, no features, or ambiguous
            numbers.
    """
    sheet = _cache.get(path, decimal, keep=False, where=where)
    rows = sheet.rows
    position = target_index(path, rows.header, target)
    name, targets = rows.header[position], rows.columns[position]
    if not targets:
        raise DataError(str(path), "rows below the header", "none")
    expect_targets(path, rows.lines, name, targets)
    split_by = [_split_column(path, sheet, column_name, position) for column_name in (group, order)]
    columns, values, notes = _features(sheet, {position, *(i for i in split_by if i is not None)})
    if not columns:
        raise DataError(str(path), "at least one column to predict from", "; ".join(notes) or None)
    used = [*(column.name for column in columns), name]
    notation_notes = numerals.notation_notes(
        {n: sheet.notation[n] for n in used},
        dict(zip(rows.header, rows.columns, strict=True)),
        rows.delimiter,
    )
    table = RawTable(
        shown(path.stem),
        tuple(columns),
        np.stack(values, axis=1),
        name,
        _target(targets, sheet.notation[name]),
        np.zeros(len(targets), dtype=np.int8),
        notes=(*rows.notes, *notation_notes, *notes),
        groups=_codes(rows.columns[split_by[0]]) if split_by[0] is not None else None,
        order=_times(rows.columns[split_by[1]], sheet.notation[str(order)])
        if split_by[1] is not None
        else None,
    )
    return drop_bad_rows(table, str(path), np.asarray(rows.lines), "line", unreadable)


def expect_targets(path: Path, lines: Sequence[int], name: str, targets: Sequence[str]) -> None:
    """Raises DataError if a cell of the target column is missing."""
    missing = [i for i, cell in enumerate(targets) if is_missing(cell)]
    if missing:
        where = f"{path} line {lines[missing[0]]}, column {name!r}"
        got = f"{targets[missing[0]]!r} ({len(missing)} of {len(targets)} targets are missing)"
        raise DataError(where, "a target in every row", got, "fill or remove these rows")


def open_cached(path: Path, where: str | None = None, keep: bool = False) -> Rows:
    """The rows of a table, parsed once for looking at it (``keep``) and reading it."""
    return _cache.get(path, None, keep, where).rows


def _split_column(path: Path, sheet: _Sheet, name: str | None, target: int) -> int | None:
    """Index of a column used for the split.

    Raises:
        UnknownNameError: no such column.
        DataError: the target column, or one with missing values.
    """
    if name is None:
        return None
    position = target_index(path, sheet.rows.header, name)
    if position == target:
        raise DataError(str(path), "a column other than the target to split by", repr(name))
    missing = [i for i, cell in enumerate(sheet.rows.columns[position]) if is_missing(cell)]
    if missing:
        where = f"{path} line {sheet.rows.lines[missing[0]]}, column {name!r}"
        raise DataError(where, "a value in every row to split by", "none")
    return position


def _codes(cells: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(cells), return_inverse=True)[1].astype(np.int64)


def _times(cells: Sequence[str], notation: Notation | None) -> NDArray[Any]:
    """Numbers unchanged; texts in alphabetical order, which sorts dates like 2026-01-31."""
    if notation is not None:
        return np.array(numerals.values(cells, notation), dtype=np.float64)
    return _codes(cells)


def drop_bad_rows(
    table: RawTable, where: str, numbers: NDArray[Any], word: str, unreadable: Unreadable
) -> RawTable:
    """The table without rows that have missing or infinite features, with a note.

    Args:
        numbers: (n,) number of each row for messages, after ``word`` (``line``, ``row``).

    Raises:
        DataError: a target that is not finite; such features if ``unreadable`` is ``"refuse"``.
    """
    if table.target.dtype.kind == "f" and not np.isfinite(table.target).all():
        bad = np.flatnonzero(~np.isfinite(table.target))
        place = f"{where} {word} {numbers[bad[0]]}, {table.target_name!r}"
        got = f"{table.target[bad[0]]} ({len(bad)} of {len(table.target)} targets)"
        raise DataError(place, "a finite target in every row", got, "fill or remove these rows")
    invalid = ~np.isfinite(table.values)
    if not invalid.any():
        return table
    bad_rows = np.flatnonzero(invalid.any(axis=1))
    examples = [
        f"{word} {numbers[row]} column {table.columns[column].name!r}"
        for row, column in np.argwhere(invalid)[:3]
    ]
    summary = f"{len(bad_rows)} of {len(invalid)} rows with missing or infinite values"
    first = f"{', '.join(examples)}{', ...' if invalid.sum() > 3 else ''}"
    if unreadable == "refuse":
        hint = "fill or remove these rows, or skip them: --unreadable skip"
        raise DataError(where, "a finite value in every cell", f"{summary}: {first}", hint)
    valid = ~invalid.any(axis=1)
    if not valid.any():
        raise DataError(where, "a row without missing values", summary)
    return replace(
        table,
        values=table.values[valid],
        target=table.target[valid],
        parts=table.parts[valid],
        notes=(*table.notes, f"{summary} skipped: {first}"),
        groups=None if table.groups is None else table.groups[valid],
        order=None if table.order is None else table.order[valid],
    )
