"""Tables from CSV and Parquet files: deciding which columns are numbers or categories."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError, unknown
from . import numerals
from .kinds import ColumnKind, asked_kinds, read_column
from .lines import Rows, open_rows
from .names import shown
from .numerals import Decimal, Notation, decide, is_missing
from .raw import Column, Kind, RawTable, looks_like_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

SUFFIXES = (".csv", ".tsv", ".parquet")
#: Names of pandas' index column in CSV (saved once or twice) and in Parquet.
INDEX = {"", "unnamed: 0", "__index_level_0__"}
TARGETS = ("target", "label", "class", "y")
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


def target_indices(path: Path, header: Sequence[str], target: str | None) -> list[int]:
    """Indices of the target columns: those named, with commas between them, or one as
    :func:`target_index` finds it."""
    if target is None or target in header or "," not in target:
        return [target_index(path, header, target)]
    names = [name.strip() for name in next(csv.reader([target], skipinitialspace=True))]
    found = [target_index(path, header, name) for name in names]
    if len(set(found)) < len(found):
        raise DataError(str(path), "distinct target columns", target)
    return found


def kind_of(
    path: Path,
    target: str | None = None,
    decimal: Decimal | None = None,
    where: str | None = None,
) -> Kind:
    """Whether a table's target looks like classes or values."""
    sheet = _cache.get(path, decimal, keep=True, where=where)
    names = [sheet.rows.header[i] for i in target_indices(path, sheet.rows.header, target)]
    values = [_target(sheet.cells(name), sheet.notation[name]) for name in names]
    if len(values) > 1:
        return "values" if all(one.dtype.kind == "f" for one in values) else "classes"
    return "classes" if looks_like_classes(values[0]) else "values"


def _target(cells: Sequence[str], notation: Notation | None) -> NDArray[Any]:
    """Texts, or float64 if all cells are numbers or missing, with NaN for missing ones."""
    if notation is not None:
        return np.array(numerals.values(cells, notation), dtype=np.float64)
    return np.array(cells)


def is_index(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether a column is pandas' index: unnamed row numbers, possibly shuffled."""
    if name.lower() not in INDEX or not np.isfinite(numbers).all():
        return False
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) == len(numbers)


def _features(
    path: Path, sheet: _Sheet, others: set[int], asked: Mapping[str, ColumnKind]
) -> tuple[list[Column], list[NDArray[np.float64]], list[str]]:
    """Informative columns, their values, and notes about the others."""
    columns: list[Column] = []
    values: list[NDArray[np.float64]] = []
    notes: list[str] = []
    for index, (name, cells) in enumerate(zip(sheet.rows.header, sheet.rows.columns, strict=True)):
        if index in others:
            continue
        kind, notation = asked.get(name), sheet.notation[name]
        if kind is None and len(set(cells)) == 1 and not is_missing(cells[0]):
            notes.append(f"column {name!r} left out: it is always {cells[0]!r}")
            continue
        read = read_column(str(path), name, cells, notation, kind, sheet.rows.lines)
        notes += [read.note] if read.note else []
        if kind is None and notation is not None and read.values and is_index(name, read.values[0]):
            notes.append(f"column {name!r} left out: it contains row numbers")
            continue
        for column, numbers in zip(read.columns, read.values, strict=True):
            notes += _rounding_note(column, numbers, len(set(cells)))
            columns.append(column)
            values.append(numbers)
    return columns, values, notes


def _rounding_note(column: Column, numbers: NDArray[np.float64], distinct: int) -> list[str]:
    """A note if integers are too large to be distinguished."""
    if column.kind != "numeric" or not (np.abs(numbers) > _MAX_EXACT).any():
        return []
    lost = distinct - len(np.unique(numbers))  # those that are missing are equal, too
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
    kinds: str | None = None,
) -> RawTable:
    """Read a CSV (any of ``, ; tab |``) or Parquet file.

    Columns are numbers, categories, dates, or texts, of which the most common words are features
    (:func:`archsmith.data.kinds.read_column`). Columns with a single value or none, texts without
    words in common, and pandas' index are not informative and are left out with a note. The
    notation of numbers is decided for whole columns, see :func:`archsmith.data.numerals.decide`.

    Args:
        target: the columns to predict; see :func:`target_indices`.
        unreadable: whether rows without a target or with infinite features are an error, or skipped
            with a note.
        decimal: the decimal separator of ambiguous numbers such as ``1,288``.
        group, order: columns used for the split, which are not features then.
        where: ``column=value``, see :func:`archsmith.data.lines.open_rows`.
        kinds: of columns whose kind is not to be inferred, see
            :func:`archsmith.data.kinds.asked_kinds`.

    Returns:
        Values (rows, columns) with their target (rows,), or targets (rows, targets).

    Raises:
        DataError: an empty or ragged file, missing targets, infinite values, no features, ambiguous
            numbers or dates, or a column that is not of the kind that was asked for.
    """
    sheet = _cache.get(path, decimal, keep=False, where=where)
    places = target_indices(path, sheet.rows.header, target)
    if not sheet.rows.lines:
        raise DataError(str(path), "rows below the header", "none")
    for position in places:
        sheet = _with_targets(path, sheet, position, unreadable)
    rows = sheet.rows
    names = [rows.header[position] for position in places]
    targets = [_target(sheet.cells(name), sheet.notation[name]) for name in names]
    split_by = [_split_column(path, sheet, column_name, places) for column_name in (group, order)]
    used_otherwise = {*places, *(i for i in split_by if i is not None)}
    asked = asked_kinds(kinds, rows.header)
    for index in used_otherwise:
        if rows.header[index] in asked:
            got = f"{rows.header[index]!r}, which is the target or used for the split"
            raise DataError(str(path), "kinds of columns to predict from", got)
    columns, values, notes = _features(path, sheet, used_otherwise, asked)
    if not columns:
        raise DataError(str(path), "at least one column to predict from", "; ".join(notes) or None)
    used = [*(column.name for column in columns if column.kind == "numeric"), *names]
    notation_notes = numerals.notation_notes(
        {n: sheet.notation[n] for n in used},
        dict(zip(rows.header, rows.columns, strict=True)),
        rows.delimiter,
    )
    table = RawTable(
        shown(path.stem),
        tuple(columns),
        np.stack(values, axis=1),
        ", ".join(names),
        targets[0] if len(targets) == 1 else np.stack(targets, axis=1),
        np.zeros(len(rows.lines), dtype=np.int8),
        notes=(*rows.notes, *notation_notes, *notes),
        groups=_codes(rows.columns[split_by[0]]) if split_by[0] is not None else None,
        order=_times(rows.columns[split_by[1]], sheet.notation[str(order)])
        if split_by[1] is not None
        else None,
        target_names=tuple(names) if len(names) > 1 else (),
    )
    return drop_bad_rows(table, str(path), np.asarray(rows.lines), "line", unreadable)


def missing_targets(
    path: Path, lines: Sequence[int], name: str, targets: Sequence[str], unreadable: Unreadable
) -> list[int]:
    """Indices of the rows whose target is missing.

    Raises:
        DataError: there are such rows, and they are not to be skipped; or no others.
    """
    missing = [i for i, cell in enumerate(targets) if is_missing(cell)]
    if missing and (unreadable == "refuse" or len(missing) == len(targets)):
        where = f"{path} line {lines[missing[0]]}, column {name!r}"
        got = f"{targets[missing[0]]!r} ({len(missing)} of {len(targets)} targets are missing)"
        hint = "fill or remove these rows, or skip them: --unreadable skip"
        raise DataError(where, "a target in every row", got, hint)
    return missing


def open_cached(path: Path, where: str | None = None, keep: bool = False) -> Rows:
    """The rows of a table, parsed once for looking at it (``keep``) and reading it."""
    return _cache.get(path, None, keep, where).rows


def _with_targets(path: Path, sheet: _Sheet, position: int, unreadable: Unreadable) -> _Sheet:
    """The sheet without rows whose target is missing."""
    rows, targets = sheet.rows, sheet.rows.columns[position]
    missing = missing_targets(path, rows.lines, rows.header[position], targets, unreadable)
    if not missing:
        return sheet
    kept = np.ones(len(targets), dtype=bool)
    kept[missing] = False
    columns: list[Sequence[str]] = [list(compress(cells, kept)) for cells in rows.columns]
    count = f"{len(missing)} of {len(targets)} targets are missing"
    notes = (*rows.notes, f"{count}: their rows are skipped")
    lines = list(compress(rows.lines, kept))
    return replace(sheet, rows=rows._replace(columns=columns, lines=lines, notes=notes))


def _split_column(
    path: Path, sheet: _Sheet, name: str | None, targets: Sequence[int]
) -> int | None:
    """Index of a column used for the split.

    Raises:
        UnknownNameError: no such column.
        DataError: the target column, or one with missing values.
    """
    if name is None:
        return None
    position = target_index(path, sheet.rows.header, name)
    if position in targets:
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
    """The table without rows that have no target or infinite features, with notes about these and
    about missing features, which stay.

    Args:
        numbers: (n,) number of each row for messages, after ``word`` (``line``, ``row``).

    Raises:
        DataError: such rows if ``unreadable`` is ``"refuse"``, or no others.
    """
    table = _noting_missing(table)
    hint = "fill or remove these rows, or skip them: --unreadable skip"
    no_target = np.zeros(len(table.target), dtype=bool)
    if table.target.dtype.kind == "f":
        no_target = ~np.isfinite(table.target).reshape(len(table.target), -1).all(axis=1)
    if no_target.any() and unreadable == "refuse":
        first = np.flatnonzero(no_target)[0]
        place = f"{where} {word} {numbers[first]}, {table.target_name!r}"
        got = f"{table.target[first]} ({no_target.sum()} of {len(no_target)} targets)"
        raise DataError(place, "a finite target in every row", got, hint)
    infinite = np.isinf(table.values)
    valid = ~(no_target | infinite.any(axis=1))
    if valid.all():
        return table
    examples = [
        f"{word} {numbers[row]} column {table.columns[column].name!r}"
        for row, column in np.argwhere(infinite)[:3]
    ]
    summary = f"{(~valid).sum()} of {len(valid)} rows with infinite values or without a target"
    first = f"{', '.join(examples)}{', ...' if infinite.sum() > 3 else ''}"
    if unreadable == "refuse":
        raise DataError(where, "no infinite values", f"{summary}: {first}", hint)
    if not valid.any():
        raise DataError(where, "a row without infinite values", summary)
    return replace(
        table,
        values=table.values[valid],
        target=table.target[valid],
        parts=table.parts[valid],
        notes=(*table.notes, f"{summary} skipped{': ' if first else ''}{first}"),
        groups=None if table.groups is None else table.groups[valid],
        order=None if table.order is None else table.order[valid],
    )


def _noting_missing(table: RawTable) -> RawTable:
    """The table with a note about the columns in which values are missing."""
    counts = np.isnan(table.values).sum(axis=0)
    if not counts.any():
        return table
    named = [f"{c.name!r} ({n})" for c, n in zip(table.columns, counts, strict=True) if n]
    listed = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    return replace(table, notes=(*table.notes, f"missing values in {listed}"))
