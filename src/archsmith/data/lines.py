"""Cells of CSV and Parquet files: delimiters and headers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from .._support.errors import DataError, MissingExtraError, unknown
from .header import is_data

#: Rows used to detect a header.
_HEADER_ROWS = 200


class Rows(NamedTuple):
    """The cells of a table.

    Attributes:
        header: names of the columns, in order.
        columns: the cells of each.
        lines: line number (CSV) or row number (Parquet) of each row.
        notes: how the file was interpreted, as lines for people.
        delimiter: of a CSV file.
        exact: names of the columns that the file declares as numeric.
    """

    header: list[str]
    columns: list[Sequence[str]]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()
    delimiter: str | None = None
    exact: frozenset[str] = frozenset()


def delimiter_of(path: Path, head: Sequence[str]) -> str:
    """The delimiter: a tab in ``.tsv``, else the most frequent candidate in the first line, with
    preference for those that give all first lines the same number of cells."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    counts = {sign: [len(row) - 1 for row in _parse_rows(head, sign)] for sign in ",;\t|"}
    if counts[";"] and counts[";"][0]:
        # Commas between digits are decimal commas or thousands separators.
        text = [re.sub(r"(?<=\d),(?=\d)", "", line) for line in head]
        counts[","] = [len(row) - 1 for row in _parse_rows(text, ",")]
    consistent = {sign: len(set(counts_of_sign)) == 1 for sign, counts_of_sign in counts.items()}
    return max(
        counts, key=lambda sign: (consistent[sign] and counts[sign][0] > 0, *counts[sign][:1])
    )


def _parse_rows(head: Sequence[str], delimiter: str) -> list[list[str]]:
    reader = csv.reader(head, delimiter=delimiter, skipinitialspace=True)
    try:
        return [row for row in reader if row]
    except csv.Error:
        return []  # Not this delimiter; reading with the right one will report the error.


def _lines(path: Path) -> tuple[str, list[int], list[list[str]]]:
    """The delimiter of a text file, its rows and their line numbers, without blank lines."""
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = delimiter_of(path, _head(file))
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            for row in reader:
                if row:
                    lines.append(reader.line_num)
                    rows.append([cell.strip() for cell in row])
    except UnicodeDecodeError as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error
    except (OSError, csv.Error) as error:
        raise DataError(str(path), "a readable table", str(error)) from error
    return delimiter, lines, rows


def _head(file: Iterator[str], most: int = 20) -> list[str]:
    """The first lines, excluding a last one with an unfinished quoted cell."""
    head = list(islice(file, most))
    while len(head) > 1 and "".join(head).count('"') % 2:
        head.pop()
    return head


def _parquet(path: Path) -> Rows:
    try:
        import pyarrow.parquet
    except ImportError as error:
        hint = "pip install 'archsmith[data]', or save the table as CSV"
        raise MissingExtraError(str(path), "pyarrow, which reads Parquet", None, hint) from error
    try:
        table: Any = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(str(path), "a readable Parquet file", str(error)) from error
    header = list(map(str, table.column_names))
    numeric = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_decimal)
    exact = {
        name
        for name, column in zip(header, table.columns, strict=True)
        if any(is_kind(column.type) for is_kind in numeric)
    }
    columns: list[Sequence[str]] = [
        ["" if cell is None else str(cell) for cell in column.to_pylist()]
        for column in table.columns
    ]
    return Rows(header, columns, range(1, table.num_rows + 1), exact=frozenset(exact))


def open_rows(path: Path, where: str | None = None) -> Rows:
    """The columns of a CSV or Parquet file.

    The columns of a CSV file without a header become ``column1``, ``column2``, ...; see
    :func:`archsmith.data.header.is_data`.

    Args:
        where: ``column=value``; rows with other values, and the column, are left out.

    Raises:
        DataError: an empty or ragged file, or a duplicate column name.
        UnknownNameError: ``where`` names no column, or a value that no row has.
    """
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    if not rows.header:
        raise DataError(str(path), "a header and rows", "an empty file")
    twice = sorted(name for name, count in Counter(rows.header).items() if count > 1)
    if twice:
        raise DataError(str(path), "distinct column names", f"{twice[0]!r} twice")
    return rows if where is None else _only(rows, path, where)


def _only(rows: Rows, path: Path, where: str) -> Rows:
    """The rows with a value in a column, without that column."""
    name, equals, value = where.partition("=")
    if not equals:
        raise DataError(f"rows of {path.name}", "column=value", repr(where))
    if name not in rows.header:
        raise unknown(f"column of {path.name}", name, rows.header)
    place = rows.header.index(name)
    kept = [i for i, cell in enumerate(rows.columns[place]) if cell == value]
    if not kept:
        common = [text for text, _ in Counter(rows.columns[place]).most_common(20)]
        raise unknown(f"{path.name}, {name}", value, common)
    columns = [[cells[i] for i in kept] for cells in rows.columns]
    return rows._replace(
        header=rows.header[:place] + rows.header[place + 1 :],
        columns=[*columns[:place], *columns[place + 1 :]],
        lines=[rows.lines[i] for i in kept],
        notes=(*rows.notes, f"only rows whose {name} is {value}: {len(kept):,}"),
    )


def _text(path: Path) -> Rows:
    delimiter, lines, rows = _lines(path)
    if not rows:
        raise DataError(str(path), "a header and rows", "an empty file")
    header = rows[0]
    notes: tuple[str, ...] = ()
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            where, expected = f"{path} line {line}", f"{len(header)} cells, as in the first row"
            raise DataError(where, expected, str(len(row)))
    if is_data(header, rows[1:_HEADER_ROWS]):
        start = ", ".join(header[:3]) + (", ..." if len(header) > 3 else "")
        header = [f"column{i}" for i in range(1, len(header) + 1)]
        notes = (f"no header (the first row, {start}, is data): columns column1 to {header[-1]}",)
    else:
        lines, rows = lines[1:], rows[1:]
    columns: list[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * len(header)
    return Rows(header, columns, lines, notes, delimiter)
