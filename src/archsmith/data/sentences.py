"""Sentence pairs: two columns of a CSV, TSV or Parquet file, optionally one of parts; or text files
in two languages, one sentence per line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._support.errors import DataError, unknown
from .lines import open_rows
from .names import shown
from .partition import drawn_parts, split
from .raw import TEST, TRAIN, VALIDATION
from .tables import SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

#: The optional column with the part that a row belongs to.
PARTS = "split"
_NAMES = {
    TRAIN: ("train", "training"),
    VALIDATION: ("val", "valid", "validation", "dev"),
}
#: Part of rows that are not used.
_UNUSED = -1


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

    Raises:
        UnknownNameError: no such column, ending or part.
        DataError: neither a table nor such a folder, no rows, an empty part, empty sentences, or
            two files with different numbers of lines.
    """
    names = source, target
    texts = _folder(path, names) if path.is_dir() else _table(path, names)
    notes = list(texts.notes)
    if texts.parts is not None:
        parts = _parts(path, texts.parts, test_name, notes)
    else:
        parts = np.full(len(texts.lines), TRAIN, dtype=np.int8)
    parts = _drop_empty(path, texts, parts, unreadable, notes)
    drawn = drawn_parts(parts)
    inside = np.flatnonzero(parts != _UNUSED)
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


def _table(path: Path, names: tuple[str, str]) -> _Texts:
    if path.suffix.lower() not in SUFFIXES:
        expected = f"a table of sentences ({', '.join(SUFFIXES)}), or a folder of text files"
        raise DataError(str(path), expected, path.suffix or "a file without an ending")
    rows = open_rows(path)
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


def _parts(path: Path, cells: Sequence[str], test_name: str, notes: list[str]) -> NDArray[np.int8]:
    """The part of each row by the names in the column ``split``."""
    names = Counter(cells)
    tests = sorted(name for name in names if name.lower().startswith("test"))
    if test_name and test_name not in names:
        raise unknown(f"test part of {path.name}", test_name, tests)
    chosen = test_name or ("test" if "test" in tests else next(iter(tests), ""))
    part_of = {name: part for part, usual_names in _NAMES.items() for name in usual_names}
    part_of_name = {name: part_of.get(name.lower(), _UNUSED) for name in names} | {chosen: TEST}
    for part, expected in ((TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")):
        if part not in {part_of_name[name] for name in names}:
            got = f"only {', '.join(map(repr, sorted(names)))}"
            if path.is_dir():
                where, wanted = str(path), f"files of a part {expected!r}"
                hint = "rename the files, or leave only two to draw the parts at random"
            else:
                where, wanted = f"{path}, column {PARTS!r}", f"rows of a part {expected!r}"
                hint = "rename the parts, or remove the column to draw the parts at random"
            raise DataError(where, wanted, got, hint)
    ignored = sorted(name for name in names if part_of_name[name] == _UNUSED)
    notes.append(f"test part: {chosen}" + (f"; not used: {', '.join(ignored)}" if ignored else ""))
    return np.array([part_of_name[cell] for cell in cells], dtype=np.int8)


def _drop_empty(
    path: Path,
    texts: _Texts,
    parts: NDArray[np.int8],
    unreadable: Unreadable,
    notes: list[str],
) -> NDArray[np.int8]:
    """The parts, without pairs that have an empty sentence."""
    empty = [
        (row, column)
        for row in np.flatnonzero(parts != _UNUSED).tolist()
        for column in (0, 1)
        if not texts.columns[column][row].strip()
    ]
    if not empty:
        return parts
    where = texts.place(*empty[0])
    count = len({row for row, _ in empty})
    total = int((parts != _UNUSED).sum())
    got = f"an empty one ({count} of {total} pairs)"
    if unreadable == "refuse":
        hint = "fill or remove these pairs, or skip them: --unreadable skip"
        raise DataError(where, "a sentence", got, hint)
    notes.append(f"{count} of {total} pairs with an empty sentence skipped")
    parts = parts.copy()
    parts[[row for row, _ in empty]] = _UNUSED
    if not (parts != _UNUSED).any():
        raise DataError(str(path), "pairs of sentences", "none without an empty sentence")
    return parts
