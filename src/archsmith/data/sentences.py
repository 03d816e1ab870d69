"""Sentence pairs from CSV, TSV and Parquet files: two columns of text, and perhaps one of parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError, unknown
from .lines import Rows, open_rows
from .names import shown
from .partition import drawn_parts, split
from .raw import TEST, TRAIN, VALIDATION
from .tables import SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

#: The column that says which part a row belongs to, where a file has one.
PARTS = "split"
_NAMES = {
    TRAIN: ("train", "training"),
    VALIDATION: ("val", "valid", "validation", "dev"),
}
#: A row of no part that is used.
_ASIDE = -1


@dataclass(frozen=True)
class Side:
    """One part of the pairs: sentences and their translations, index for index."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs in parts.

    Attributes:
        notes: what was made of the file, as lines for people.
        drawn: parts that the file does not bring, as in :class:`archsmith.task.base.Data`.
    """

    name: str
    train: Side
    validation: Side
    test: Side
    notes: tuple[str, ...]
    drawn: tuple[str, ...]


def read_pairs(
    path: Path,
    source: str,
    target: str,
    test_name: str = "",
    shares: tuple[float, float] = (0.2, 0.2),
    seed: int = 0,
    unreadable: Unreadable = "refuse",
) -> Pairs:
    """Sentence pairs of a table.

    Args:
        source, target: names of the columns.
        test_name: of the test part in the column ``split``; if not given, ``test``, else the first
            name that begins so.
        shares: of validation and test, where there is no column ``split``.
        unreadable: whether pairs with an empty sentence are refused, or skipped and noted.

    Raises:
        UnknownNameError: no such column, no such part.
        DataError: no table, one without rows or with an empty part, or empty sentences.
    """
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        expected = f"a table of sentences ({', '.join(SUFFIXES)})"
        raise DataError(str(path), expected, "a folder" if path.is_dir() else path.suffix or "none")
    rows = open_rows(path)
    columns = dict(zip(rows.header, rows.columns, strict=True))
    for name in (source, target):
        if name not in columns:
            raise unknown(f"column of {path.name}", name, rows.header)
    if not rows.lines:
        raise DataError(str(path), "rows below the header", "none")
    notes = list(rows.notes)
    if PARTS in columns and PARTS not in (source, target):
        parts = _parts(path, columns[PARTS], test_name, notes)
    else:
        parts = np.full(len(rows.lines), TRAIN, dtype=np.int8)
    parts = _filled(path, rows, columns, (source, target), parts, unreadable, notes)
    drawn = drawn_parts(parts)
    inside = np.flatnonzero(parts != _ASIDE)
    groups = np.zeros(len(inside), dtype=np.int64)
    found = split(groups, parts[inside], *shares, seed, str(path))
    one, two = columns[source], columns[target]
    train, validation, test = (
        Side([one[i] for i in inside[index]], [two[i] for i in inside[index]]) for index in found
    )
    return Pairs(shown(path.stem), train, validation, test, tuple(notes), drawn)


def _parts(path: Path, cells: Sequence[str], test_name: str, notes: list[str]) -> NDArray[np.int8]:
    """The part of each row by the names in the column ``split``."""
    names = Counter(cells)
    tests = sorted(name for name in names if name.lower().startswith("test"))
    if test_name and test_name not in names:
        raise unknown(f"test part of {path.name}", test_name, tests)
    chosen = test_name or ("test" if "test" in tests else next(iter(tests), ""))
    part_of = {name: part for part, usual in _NAMES.items() for name in usual}
    known = {name: part_of.get(name.lower(), _ASIDE) for name in names} | {chosen: TEST}
    for part, expected in ((TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")):
        if part not in {known[name] for name in names}:
            where = f"{path}, column {PARTS!r}"
            got = f"only {', '.join(map(repr, sorted(names)))}"
            hint = "name the rows so, or leave the column out: the parts are drawn then"
            raise DataError(where, f"rows of a part {expected!r}", got, hint)
    aside = sorted(name for name in names if known[name] == _ASIDE)
    notes.append(f"test part: {chosen}" + (f"; left aside: {', '.join(aside)}" if aside else ""))
    return np.array([known[cell] for cell in cells], dtype=np.int8)


def _filled(
    path: Path,
    rows: Rows,
    columns: dict[str, Sequence[str]],
    names: tuple[str, str],
    parts: NDArray[np.int8],
    unreadable: Unreadable,
    notes: list[str],
) -> NDArray[np.int8]:
    """The parts, with pairs aside in which a sentence is empty."""
    empty = [
        (place, name)
        for place in np.flatnonzero(parts != _ASIDE).tolist()
        for name in names
        if not columns[name][place].strip()
    ]
    if not empty:
        return parts
    first, name = empty[0]
    where = f"{path} row {rows.lines[first]}, column {name!r}"
    count = len({place for place, _ in empty})
    total = int((parts != _ASIDE).sum())
    got = f"an empty one ({count} of {total} pairs)"
    if unreadable == "refuse":
        hint = "fill or remove these rows, or ask for unreadable rows to be skipped"
        raise DataError(where, "a sentence", got, hint)
    notes.append(f"{count} of {total} pairs with an empty sentence skipped")
    parts = parts.copy()
    parts[[place for place, _ in empty]] = _ASIDE
    if not (parts != _ASIDE).any():
        raise DataError(str(path), "pairs of sentences", "none without an empty one")
    return parts
