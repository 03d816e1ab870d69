"""Sentence pairs: two columns of a CSV, TSV or Parquet file, optionally one of parts; or text files
in two languages, one sentence per line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._support.errors import DataError, unknown
from .lines import open_rows
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
    """Sentence pairs of a table, or of a folder of aligned text files.

    A folder holds two files for each part, as Multi30k and WMT have them: ``train.de``,
    ``train.en``, ``val.de``, ``val.en``, ``test.de``, ``test.en``. If there are only two files, the
    other parts are drawn from them.

    Args:
        source, target: names of the columns, or endings of the files without the dot.
        test_name: of the test part in the column ``split`` or of the files before the dot; by
            default ``test``, else the first name that begins with it.
        shares: of validation and test, if there are no parts.
        unreadable: whether pairs with an empty sentence are an error, or skipped with a note.
        where: ``column=value``, see :func:`archsmith.data.lines.open_rows`.

    Raises:
        UnknownNameError: no such column, ending or part.
        DataError: neither a table nor such a folder, no rows, an empty part, empty sentences, or
            two files with different numbers of lines.
    """
    names = source, target
    texts = _folder(path, names) if path.is_dir() else _table(path, names, where)
    notes = list(texts.notes)
    if texts.parts is not None:
        parts = named_parts(texts.parts, test_name, str(path), notes)
    else:
        parts = np.full(len(texts.lines), TRAIN, dtype=np.int8)
    parts = drop_empty(path, texts.columns, texts.place, parts, unreadable, notes)
    drawn = drawn_parts(parts)
    inside = np.flatnonzero(parts != UNUSED)
    groups = np.zeros(len(inside), dtype=np.int64)
    indices = split(groups, parts[inside], *shares, seed, str(path))
    sources, translations = texts.columns
    train, validation, test = (
        Side([sources[i] for i in inside[index]], [translations[i] for i in inside[index]])
        for index in indices
    )
    name = path.name if path.is_dir() else path.stem
    return Pairs(shown(name), train, validation, test, tuple(notes), drawn)


def lines_of(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, without those at the end that are empty.

    Only a line feed ends a line: other separators inside sentences would move all pairs after them.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        expected = "a text file in UTF-8, one sentence per line"
        raise DataError(str(path), expected, str(error)) from error
    text = text.rstrip()
    return [line.rstrip("\r") for line in text.split("\n")] if text else []


class _Texts(NamedTuple):
    """All pairs of a source.

    Attributes:
        columns: sentences and their translations.
        parts: the name of the part of each pair, if the source has parts.
        lines: the line or row of each pair.
        notes: how the source was interpreted.
        place: where a pair is, by its number and the number of the column, for messages.
    """

    columns: tuple[Sequence[str], Sequence[str]]
    parts: Sequence[str] | None
    lines: Sequence[int]
    notes: tuple[str, ...]
    place: Callable[[int, int], str]


def _table(path: Path, names: tuple[str, str], where: str | None) -> _Texts:
    if path.suffix.lower() not in SUFFIXES:
        expected = f"a table of sentences ({', '.join(SUFFIXES)}), or a folder of text files"
        raise DataError(str(path), expected, path.suffix or "a file without an ending")
    rows = open_rows(path, where)
    columns = dict(zip(rows.header, rows.columns, strict=True))
    for name in names:
        if name not in columns:
            raise unknown(f"column of {path.name}", name, rows.header)
    if not rows.lines:
        raise DataError(str(path), "rows below the header", "none")

    def place(row: int, column: int) -> str:
        return f"{path} row {rows.lines[row]}, column {names[column]!r}"

    parts = columns.get(PARTS) if PARTS not in names else None
    return _Texts((columns[names[0]], columns[names[1]]), parts, rows.lines, rows.notes, place)


def _folder(path: Path, names: tuple[str, str]) -> _Texts:
    files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix)
    found = [{file.stem: file for file in files if file.suffix == f".{ending}"} for ending in names]
    for name, of_name in zip(names, found, strict=True):
        if not of_name:
            endings = sorted({file.suffix.removeprefix(".") for file in files})
            raise unknown(f"ending of files in {path}", name, endings)
    columns: tuple[list[str], list[str]] = ([], [])
    parts: list[str] = []
    lines: list[int] = []
    for part in sorted({*found[0], *found[1]}):
        for (one, other), name in zip((found, found[::-1]), names[::-1], strict=True):
            if part not in other:
                expected = f"a file {part}.{name} beside it"
                hint = "add it, or move the file away"
                raise DataError(str(one[part]), expected, "none", hint)
        sides = [lines_of(of_name[part]) for of_name in found]
        counts = [len(side) for side in sides]
        if counts[0] != counts[1]:
            where = f"{found[0][part]} and {found[1][part].name}"
            raise DataError(where, "as many lines in both", f"{counts[0]:,} and {counts[1]:,}")
        for column, side in zip(columns, sides, strict=True):
            column.extend(side)
        parts += [part] * counts[0]
        lines += range(1, counts[0] + 1)
    if not lines:
        raise DataError(str(path), "sentences", f"empty files {', '.join(sorted(found[0]))}")

    def place(row: int, column: int) -> str:
        return f"{found[column][parts[row]]} line {lines[row]}"

    return _Texts(columns, parts if len(found[0]) > 1 else None, lines, (), place)


def drop_empty(
    path: Path,
    columns: Sequence[Sequence[str]],
    place: Callable[[int, int], str],
    parts: NDArray[np.int8],
    unreadable: Unreadable,
    notes: list[str],
) -> NDArray[np.int8]:
    """The parts, without rows that have an empty sentence.

    Args:
        place: where a sentence is, by its number and the number of the column, for messages.

    Raises:
        DataError: there are such rows and ``unreadable`` is ``"refuse"``, or no others.
    """
    empty = [
        (row, column)
        for row in np.flatnonzero(parts != UNUSED).tolist()
        for column in range(len(columns))
        if not columns[column][row].strip()
    ]
    if not empty:
        return parts
    where = place(*empty[0])
    count = len({row for row, _ in empty})
    total = int((parts != UNUSED).sum())
    got = f"an empty one ({count} of {total} rows)"
    if unreadable == "refuse":
        hint = "fill or remove these rows, or skip them: --unreadable skip"
        raise DataError(where, "a sentence", got, hint)
    notes.append(f"{count} of {total} rows with an empty sentence skipped")
    parts = parts.copy()
    parts[[row for row, _ in empty]] = UNUSED
    if not (parts != UNUSED).any():
        raise DataError(str(path), "rows with sentences", "none without an empty one")
    return parts
