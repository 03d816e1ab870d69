"""Sentence pairs from CSV, TSV and Parquet files: two text columns, optionally one of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError, unknown
from .lines import Rows, open_rows
from .names import shown
from .partition import PARTS, UNUSED, drawn_parts, named_parts, split
from .raw import TRAIN
from .tables import SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable


@dataclass(frozen=True)
class Side:
    """One part of the pairs: sentences and their translations, in the same order."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs in parts.

    Attributes:
        notes: how the file was interpreted, as lines for people.
        drawn: parts that the file does not have, as in :class:`archsmith.task.base.Data`.
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
    where: str | None = None,
) -> Pairs:
    """Sentence pairs of a table.

    Args:
        source, target: names of the columns.
        test_name: of the test part in the column ``split``; by default ``test``, else the first
            name that begins with it.
        shares: of validation and test, if there is no column ``split``.
        unreadable: whether pairs with an empty sentence are an error, or skipped with a note.
        where: ``column=value``, see :func:`archsmith.data.lines.open_rows`.

    Raises:
        UnknownNameError: no such column or part.
        DataError: not a table, no rows, an empty part, or empty sentences.
    """
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        expected = f"a table of sentences ({', '.join(SUFFIXES)})"
        raise DataError(str(path), expected, "a folder" if path.is_dir() else path.suffix or "none")
    rows = open_rows(path, where)
    columns = dict(zip(rows.header, rows.columns, strict=True))
    for name in (source, target):
        if name not in columns:
            raise unknown(f"column of {path.name}", name, rows.header)
    if not rows.lines:
        raise DataError(str(path), "rows below the header", "none")
    notes = list(rows.notes)
    if PARTS in columns and PARTS not in (source, target):
        parts = named_parts(columns[PARTS], test_name, str(path), notes)
    else:
        parts = np.full(len(rows.lines), TRAIN, dtype=np.int8)
    parts = drop_empty(path, rows, columns, (source, target), parts, unreadable, notes)
    drawn = drawn_parts(parts)
    inside = np.flatnonzero(parts != UNUSED)
    groups = np.zeros(len(inside), dtype=np.int64)
    indices = split(groups, parts[inside], *shares, seed, str(path))
    sources, translations = columns[source], columns[target]
    train, validation, test = (
        Side([sources[i] for i in inside[index]], [translations[i] for i in inside[index]])
        for index in indices
    )
    return Pairs(shown(path.stem), train, validation, test, tuple(notes), drawn)


def drop_empty(
    path: Path,
    rows: Rows,
    columns: Mapping[str, Sequence[str]],
    names: Sequence[str],
    parts: NDArray[np.int8],
    unreadable: Unreadable,
    notes: list[str],
) -> NDArray[np.int8]:
    """The parts, without rows that have an empty sentence.

    Raises:
        DataError: there are such rows and ``unreadable`` is ``"refuse"``, or no others.
    """
    empty = [
        (place, name)
        for place in np.flatnonzero(parts != UNUSED).tolist()
        for name in names
        if not columns[name][place].strip()
    ]
    if not empty:
        return parts
    first, name = empty[0]
    where = f"{path} row {rows.lines[first]}, column {name!r}"
    count = len({place for place, _ in empty})
    total = int((parts != UNUSED).sum())
    got = f"an empty one ({count} of {total} rows)"
    if unreadable == "refuse":
        hint = "fill or remove these rows, or skip them: --unreadable skip"
        raise DataError(where, "a sentence", got, hint)
    notes.append(f"{count} of {total} rows with an empty sentence skipped")
    parts = parts.copy()
    parts[[place for place, _ in empty]] = UNUSED
    if not (parts != UNUSED).any():
        raise DataError(str(path), "rows with sentences", "none without an empty one")
    return parts
