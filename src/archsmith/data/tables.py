"""Tables from CSV and Parquet files: which columns are numbers, which are categories."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, MissingExtraError, unknown
from .raw import Column, Kind, Table, looks_like_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = {"", "na", "n/a", "nan", "null", "?"}
TARGETS = ("target", "label", "class", "y")
#: A text column with more different texts than a tenth of the rows (and than this) is a name.
FEW = 32


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a text file with their line number; blank lines left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.readline()
            delimiter = max(",;\t|", key=head.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            for row in reader:
                if row:
                    yield reader.line_num, [cell.strip() for cell in row]
    except UnicodeDecodeError as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error
    except (OSError, csv.Error) as error:
        raise DataError(str(path), "a readable table", str(error)) from error


def _parquet(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        mend = "pip install 'archsmith[data]', or save the table as CSV"
        raise MissingExtraError(str(path), "pyarrow, which reads Parquet", None, mend) from error
    try:
        table: Any = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(str(path), "a readable Parquet file", str(error)) from error
    yield 0, list(map(str, table.column_names))
    columns = [column.to_pylist() for column in table.columns]
    for number, cells in enumerate(zip(*columns, strict=True), start=1):
        yield number, ["" if cell is None else str(cell) for cell in cells]


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and then each row, with its line in the file (CSV) or its number (Parquet).

    A CSV file whose first row is all numbers has no header: its columns become ``x0``, ``x1``, ...

    Raises:
        DataError: an empty or ragged file, or one column name twice.
    """
    source = _parquet(path) if path.suffix.lower() == ".parquet" else _lines(path)
    first = next(source, None)
    if first is None:
        raise DataError(str(path), "a header and rows", "an empty file")
    number, header = first
    if all(_number(cell) is not None for cell in header):
        header, body = [f"x{i}" for i in range(len(header))], first
    else:
        body = None
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(str(path), "column names that differ", f"{twice[0]!r} twice")
    yield number, header
    if body is not None:
        yield body
    for number, row in source:
        if len(row) != len(header):
            where = f"{path} line {number}"
            raise DataError(where, f"{len(header)} cells, as in the header", str(len(row)))
        yield number, row


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


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
    return next((lower.index(name) for name in TARGETS if name in lower), len(header) - 1)


def kind_of(path: Path, target: str | None = None, most_rows: int = 20_000) -> Kind:
    """Whether a table's target reads as classes or values, from its first rows."""
    source = rows(path)
    _, header = next(source)
    position = target_index(path, header, target)
    cells = [row[position] for _, (_, row) in zip(range(most_rows), source, strict=False)]
    return "classes" if looks_like_classes(_target(cells)) else "values"


def _target(cells: Sequence[str]) -> NDArray[Any]:
    """Texts, or float64 where every cell that is there is a number; NaN where it is missing."""
    known = [_number(cell) for cell in cells if not is_missing(cell)]
    if known and all(value is not None for value in known):
        return np.array([math.nan if is_missing(c) else float(c) for c in cells], dtype=np.float64)
    return np.array(cells)


def _column(name: str, cells: Sequence[str]) -> tuple[Column, NDArray[np.float64]]:
    """A feature and its values: numbers, or codes of sorted texts; NaN where missing."""
    known = sorted({cell for cell in cells if not is_missing(cell)})
    if all(_number(cell) is not None for cell in known):
        numbers = [math.nan if is_missing(cell) else float(cell) for cell in cells]
        return Column(name), np.array(numbers, dtype=np.float64)
    codes = {text: float(code) for code, text in enumerate(known)}
    return Column(name, tuple(known)), np.array([codes.get(cell, math.nan) for cell in cells])


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
        if distinct == 1 and not is_missing(cells[index][0]):
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
    of mostly different texts, and one of a single value, tell nothing and are left out with a note.

    Args:
        target: the column to predict; see :func:`target_index`.
        unreadable: whether rows with missing features are refused, or skipped and noted. A
            missing target is always refused.

    Raises:
        DataError: an empty or ragged file, missing or infinite values, or no feature left.
    """
    source = rows(path)
    _, header = next(source)
    position = target_index(path, header, target)
    body = list(source)
    if not body:
        raise DataError(str(path), "rows below the header", "none")
    lines = np.array([number for number, _ in body])
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
        notes=tuple(notes),
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
