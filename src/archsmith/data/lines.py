"""Cells of CSV and Parquet files, row by row: dialects, and whether there is a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, MissingExtraError

#: A number as it is written where the comma is the decimal sign.
DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")

Row = tuple[int, list[str]]


class Rows(NamedTuple):
    """An open table.

    Attributes:
        header: names of the columns, in order.
        body: each row, with its line in the file (CSV) or its number (Parquet).
        notes: what was made of the file, as lines for people.
    """

    header: list[str]
    body: Iterator[Row]
    notes: tuple[str, ...]


def number(cell: str) -> float | None:
    """The number that a cell says; ``None`` where it says none."""
    try:
        return float(cell)
    except ValueError:
        return None


def delimiter_of(path: Path, head: str) -> str:
    """What parts the cells: a tab in ``.tsv``, else the commonest candidate of the first line."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    if ";" in head:
        head = re.sub(r"(?<=\d),(?=\d)", "", head)
    return max(",;\t|", key=head.count)


def _lines(path: Path) -> Iterator[Row]:
    """Rows of a text file with their line number; blank lines left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = delimiter_of(path, file.readline())
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            for row in reader:
                cells = [cell.strip() for cell in row]
                if delimiter == ";":
                    cells = [_pointed(cell) for cell in cells]
                if row:
                    yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error
    except (OSError, csv.Error) as error:
        raise DataError(str(path), "a readable table", str(error)) from error


def _pointed(cell: str) -> str:
    """``1,5`` as ``1.5``; other cells as they are."""
    found = DECIMAL_COMMA.fullmatch(cell)
    return f"{found[1]}.{found[2]}" if found else cell


def _parquet(path: Path) -> Iterator[Row]:
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
    for count, cells in enumerate(zip(*columns, strict=True), start=1):
        yield count, ["" if cell is None else str(cell) for cell in cells]


def is_data(first: Sequence[str], second: Sequence[str] | None) -> bool:
    """Whether the first row of a CSV file is data, not a header.

    It is where most of its cells are numbers with a number below. Names that pandas gives
    unasked, 0, 1, 2 and so on, are a header.
    """
    named = [cell for cell in first if number(cell) is not None]
    if len(named) > 2 and named == [str(i) for i in range(len(named))]:
        return False
    if second is None:
        return len(named) == len(first)
    both = [
        number(above) is not None and number(below) is not None
        for above, below in zip(first, second, strict=False)
    ]
    return 2 * sum(both) > len(first)


def open_rows(path: Path) -> Rows:
    """The columns and rows of a CSV or Parquet file.

    The columns of a CSV file without a header become ``column1``, ``column2``, ...; see
    :func:`is_data`.

    Raises:
        DataError: an empty or ragged file (the latter while ``body`` is read), or one column name
            twice.
    """
    parquet = path.suffix.lower() == ".parquet"
    source = _parquet(path) if parquet else _lines(path)
    first = next(source, None)
    if first is None:
        raise DataError(str(path), "a header and rows", "an empty file")
    header = first[1]
    second = next(source, None)
    body = source if second is None else chain([second], source)
    notes: tuple[str, ...] = ()
    if not parquet and is_data(header, second and second[1]):
        start = ", ".join(header[:3]) + (", ..." if len(header) > 3 else "")
        header = [f"column{i}" for i in range(1, len(header) + 1)]
        body = chain([first], body)
        notes = (f"no header (the first row, {start}, is data): columns column1 to {header[-1]}",)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(str(path), "column names that differ", f"{twice[0]!r} twice")
    return Rows(header, _even(path, len(header), body), notes)


def _even(path: Path, width: int, body: Iterator[Row]) -> Iterator[Row]:
    for line, row in body:
        if len(row) != width:
            where = f"{path} line {line}"
            raise DataError(where, f"{width} cells, as in the first row", str(len(row)))
        yield line, row
