"""What the columns of a table are: numbers, categories, dates or texts."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .._support.errors import DataError, InputError, unknown
from . import dates, numerals
from .numerals import Notation, is_missing, number
from .raw import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

ColumnKind = Literal["numeric", "categorical", "date", "text", "ignore"]
KINDS: tuple[ColumnKind, ...] = ("numeric", "categorical", "date", "text", "ignore")
#: A text column with more distinct texts than this and than a tenth of the rows has no categories,
#: unless those that occur ``_OFTEN`` times are half of the rows.
FEW, _OFTEN = 32, 10
#: Share of distinct cells that may be texts in a column that is meant to be numeric.
_STRAYS = 0.1
#: A word is a feature if so many rows have it, and so many do not; of these the most common ones,
#: one for so many rows.
_LEAST_ROWS, _MOST_WORDS, _ROWS_OF_WORD = 5, 64, 20
_WORD = re.compile(r"[^\W\d_]{2,}")

Cells = Sequence[str]


@dataclass(frozen=True)
class Read:
    """A column of a source as columns of features.

    Attributes:
        columns: none if it is left out; one for each word of a text.
        values: of each column, NaN where a cell is missing.
        note: what has to be told.
    """

    columns: Sequence[Column]
    values: Sequence[NDArray[np.float64]]
    note: str = ""


def asked_kinds(text: str | None, header: Collection[str]) -> dict[str, ColumnKind]:
    """Kinds by column, of ``name=kind,name=kind``. A name with a comma is quoted.

    Raises:
        InputError: not of this form.
        UnknownNameError: no such column or kind.
    """
    asked: dict[str, ColumnKind] = {}
    for part in next(csv.reader([text], skipinitialspace=True)) if text else []:
        name, sign, kind = part.rpartition("=")
        if not sign:
            raise InputError("columns", "name=kind,name=kind", repr(part), f"kinds: {_LISTED}")
        if name not in header:
            raise unknown("column", name, list(header))
        known = next((one for one in KINDS if one == kind.strip()), None)
        if known is None:
            raise unknown("kind of column", kind.strip(), KINDS)
        asked[name] = known
    return asked


_LISTED = ", ".join(KINDS)


def words(text: str) -> set[str]:
    """The words of a text in lower case."""
    return set(_WORD.findall(text.lower()))


def read_column(
    where: str,
    name: str,
    cells: Cells,
    notation: Notation | None,
    kind: ColumnKind | None,
    lines: Sequence[int],
) -> Read:
    """A column in the kind that was asked for, or in the kind that fits its cells.

    Args:
        where: the file, for messages.
        notation: of its numbers, if all cells are numbers.
        lines: of the cells.

    Raises:
        DataError: cells that are not of the kind that was asked for; numbers with a few texts among
            them; dates that can be read in two ways.
    """
    place = f"{where} column {name!r}"
    present = [cell for cell in cells if not is_missing(cell)]
    if kind == "ignore":
        return Read((), (), f"column {name!r} left out, as requested")
    if not present:
        return Read((), (), f"column {name!r} left out: it is empty")
    if kind is None:
        kind = _inferred(place, name, present, notation)
    if kind == "numeric":
        return _numbers(place, name, cells, notation)
    if kind == "date":
        return _dates(place, name, cells, lines)
    return _texts(name, cells) if kind == "text" else _categories(name, cells)


def _inferred(place: str, name: str, present: Cells, notation: Notation | None) -> ColumnKind:
    """The kind of a column by its cells that are not missing."""
    if notation is not None:
        return "numeric"
    if dates.orders(sorted(set(present))):
        return "date"
    counts = Counter(present)
    if len(counts) <= max(FEW, len(present) // 10):
        return "categorical"
    strays = [text for text in counts if number(text) is None]
    if 0 < len(strays) <= _STRAYS * len(counts):
        got = f"{len(strays)} different texts among them, such as {strays[0]!r}"
        hint = f"correct these cells, or say what the column is: --columns {name}=KIND ({_LISTED}; "
        raise DataError(place, "numbers", got, hint + "with numeric such texts count as missing)")
    often = sum(count for count in counts.values() if count >= _OFTEN)
    return "categorical" if 2 * often >= len(present) else "text"


def _numbers(place: str, name: str, cells: Cells, notation: Notation | None) -> Read:
    if notation is None:
        tried = [Notation(), Notation("comma")]
        read = [numerals.values(cells, one) for one in tried]
        missing = [sum(map(math.isnan, values)) for values in read]
        best = missing.index(min(missing))
        strays = missing[best] - sum(map(is_missing, cells))
        if missing[best] == len(cells):
            raise DataError(place, "numbers, as requested", f"texts such as {cells[0]!r}")
        note = f"column {name!r}: {strays} texts count as missing" if strays else ""
        return Read((Column(name, notation=tried[best]),), (np.array(read[best]),), note)
    values = np.array(numerals.values(cells, notation), dtype=np.float64)
    return Read((Column(name, notation=notation),), (values,))


def _dates(place: str, name: str, cells: Cells, lines: Sequence[int]) -> Read:
    present = sorted({cell for cell in cells if not is_missing(cell)})
    fitting = dates.orders(present)
    if not fitting:
        # The order in which most are dates tells which one is wrong.
        best = max(dates.ORDERS, key=lambda o: sum(dates.days(c, o) is not None for c in present))
        at = next(
            i for i, c in enumerate(cells) if not is_missing(c) and dates.days(c, best) is None
        )
        where = f"{place} line {lines[at]}"
        hint = f"correct it, or choose another kind: --columns {name}=categorical"
        raise DataError(where, "a date such as 2026-01-31 or 31.1.2026", repr(cells[at]), hint)
    if len(fitting) > 1:
        got = f"{present[0]!r} and others, where day and month could be exchanged"
        hint = f"write them as 2026-01-31, or leave them out: --columns {name}=ignore"
        raise DataError(place, "dates that can be read in one way", got, hint)
    order = fitting[0]
    read = [math.nan if is_missing(cell) else dates.days(cell, order) for cell in cells]
    return Read((Column(name, date=order),), (np.array(read, dtype=np.float64),))


def _categories(name: str, cells: Cells) -> Read:
    categories = sorted({cell for cell in cells if not is_missing(cell)})
    codes = {text: float(code) for code, text in enumerate(categories)}
    values = np.array([codes.get(cell, math.nan) for cell in cells])
    return Read((Column(name, tuple(categories)),), (values,))


def _texts(name: str, cells: Cells) -> Read:
    found = [words(cell) for cell in cells]
    counts = Counter(word for row in found for word in row)
    usable = {
        word: count
        for word, count in counts.items()
        if _LEAST_ROWS <= count <= len(cells) - _LEAST_ROWS
    }
    kept = sorted(usable, key=lambda word: (-usable[word], word))
    kept = kept[: min(_MOST_WORDS, -(-len(cells) // _ROWS_OF_WORD))]
    distinct = len(set(cells))
    if not kept:
        note = f"column {name!r} left out: {distinct} different texts without words in common"
        return Read((), (), note)
    shown = ", ".join(kept[:3]) + (", ..." if len(kept) > 3 else "")
    return Read(
        [Column(name, word=word) for word in kept],
        [np.array([float(word in row) for row in found]) for word in kept],
        f"column {name!r}: {distinct} different texts, read as {len(kept)} common words ({shown})",
    )


def kinds_line(columns: Sequence[Column]) -> str:
    """The columns by kind, for the summary of the data."""
    names: dict[str, list[str]] = {}
    for column in columns:
        own = names.setdefault(column.kind, [])
        label = column.name
        if column.categories is not None:
            label = f"{label} ({len(column.categories)})"
        if label not in own:
            own.append(label)
    return "; ".join(
        f"{kind}: {', '.join(own[:6])}{f' and {len(own) - 6} more' if len(own) > 6 else ''}"
        for kind, own in names.items()
    )
