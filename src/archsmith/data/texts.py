"""Texts with classes: tables with a column of each, and folders of class folders of text files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError, UnknownNameError, unknown
from .folder import Kind, folder_classes, holds_class_folders
from .lines import Rows
from .names import shown
from .partition import PARTS, UNUSED, named_parts
from .raw import TRAIN, labelled
from .sentences import drop_empty, lines_of
from .tables import INDEX, SUFFIXES, TARGETS, missing_targets, open_cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

FILES = Kind({".txt"}, "texts")
#: Names that decide between several columns of texts.
_NAMES = ("text", "sentence", "review", "content", "body", "message", "question")
#: Texts have at least so many words on average, and so large a share of them differs.
_WORDS, _DIFFERENT = 3, 0.5
#: Rows that are looked at to tell texts from other cells.
_LOOKED_AT = 2000


@dataclass(frozen=True)
class Texts:
    """Texts with classes.

    Attributes:
        labels: int64, (n,), indices into ``class_names``.
        parts: int8, (n,): ``TRAIN``, ``VALIDATION`` or ``TEST`` as given by the source.
        column, target: names of the columns; empty for files.
        notes: how the source was interpreted, as lines for people.
    """

    name: str
    texts: list[str]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    column: str
    target: str
    notes: tuple[str, ...]


def read_texts(
    path: Path,
    text: str = "",
    target: str | None = None,
    where: str | None = None,
    test_name: str = "",
    unreadable: Unreadable = "refuse",
) -> Texts:
    """Texts of a table or a folder.

    Args:
        text, target: names of the columns; without them the columns are told by their cells.
        where: ``column=value``, see :func:`archsmith.data.lines.open_rows`.
        test_name: of the test part in the column ``split``, see
            :func:`archsmith.data.partition.named_parts`.
        unreadable: whether empty texts are an error, or skipped with a note.

    Raises:
        UnknownNameError: no such column or part.
        DataError: columns that cannot be told, empty texts, fewer than two classes, missing labels,
            or another kind of file.
    """
    if path.is_dir():
        return _read_folder(path, unreadable)
    if path.suffix.lower() not in SUFFIXES:
        expected = f"a table of texts ({', '.join(SUFFIXES)}) or a folder of class folders"
        raise DataError(str(path), expected, path.suffix or "none")
    rows = open_cached(path, where)
    if not rows.lines:
        raise DataError(str(path), "rows below the header", "none")
    column, label = columns_of(path, rows, text, target)
    cells = dict(zip(rows.header, rows.columns, strict=True))
    notes = [*rows.notes, f"texts: column {column!r}; classes: column {label!r}"]
    if others := _others(rows.header, column, label):
        notes.append(f"columns not used: {', '.join(others)}")
    parts = np.full(len(rows.lines), TRAIN, dtype=np.int8)
    if PARTS in cells:
        parts = named_parts(cells[PARTS], test_name, str(path), notes)

    def place(row: int, _: int) -> str:
        return f"{path} row {rows.lines[row]}, column {column!r}"

    parts = drop_empty(path, (cells[column],), place, parts, unreadable, notes)
    inside = np.flatnonzero(parts != UNUSED).tolist()
    targets = [cells[label][i] for i in inside]
    lines = [rows.lines[i] for i in inside]
    if missing := set(missing_targets(path, lines, label, targets, unreadable)):
        notes.append(f"{len(missing)} of {len(targets)} rows without a class skipped")
        inside = [one for n, one in enumerate(inside) if n not in missing]
        targets = [cells[label][i] for i in inside]
    labels, names = _labelled(targets, f"{path.name} column {label!r}")
    texts = [cells[column][i] for i in inside]
    return Texts(
        shown(path.stem) + (f" {where.partition('=')[2]}" if where else ""),
        texts,
        labels,
        names,
        parts[inside],
        column,
        label,
        tuple(notes),
    )


def holds_texts(path: Path, target: str | None = None, where: str | None = None) -> bool:
    """Whether a source evidently is texts with classes: a column of each and at most one other, or
    a folder with text files and no images in class folders."""
    if path.is_dir():
        return holds_class_folders(path, FILES) and not holds_class_folders(path)
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        rows = open_cached(path, where, keep=True)
        column, label = columns_of(path, rows, "", target)
    except (DataError, UnknownNameError):  # the task that is meant says what is wrong
        return False
    cells = rows.columns[rows.header.index(label)]
    return len(_others(rows.header, column, label)) <= 1 and _may_be_classes(cells)


def _others(header: Sequence[str], *used: str) -> list[str]:
    return [name for name in header if name not in (*used, PARTS) and name.lower() not in INDEX]


def columns_of(path: Path, rows: Rows, text: str, target: str | None) -> tuple[str, str]:
    """The names of the columns of texts and of classes.

    Raises:
        UnknownNameError: no such column.
        DataError: none or several could be meant, or one column is named as both.
    """
    for name in filter(None, (text, target)):
        if name not in rows.header:
            raise unknown(f"column of {path.name}", name, rows.header)
    if text and text == target:
        raise DataError(str(path), "different columns of texts and classes", f"{text!r} as both")
    cells = dict(zip(rows.header, rows.columns, strict=True))
    free = [name for name in rows.header if name not in (PARTS, target)]
    hint = "name it: --task text-classification:text=COLUMN"
    where, what = str(path), "one column of texts: several words each, most of them different"
    column = text or _only_one(free, cells, _are_texts, _NAMES, (where, what, hint))
    free = [name for name in free if name != column]
    usual = next((n for n in free for usual in TARGETS if n.lower() == usual), None)
    asked = where, "one column of classes: a few values that repeat", "name it: --target COLUMN"
    return column, target or usual or _only_one(free, cells, _may_be_classes, (), asked)


def _only_one(
    names: Sequence[str],
    cells: dict[str, Sequence[str]],
    suits: Callable[[Sequence[str]], bool],
    usual: Sequence[str],
    told: tuple[str, str, str],
) -> str:
    """The only column that suits, or the only one with a usual name among several."""
    found = [name for name in names if suits(cells[name])]
    if len(found) > 1:
        found = [name for name in found if name.lower() in usual] or found
    if len(found) != 1:
        where, expected, hint = told
        raise DataError(where, expected, ", ".join(map(repr, found)) or "none", hint)
    return found[0]


def _are_texts(cells: Sequence[str]) -> bool:
    looked_at = [cell for cell in cells[:: max(1, len(cells) // _LOOKED_AT)] if cell.strip()]
    words = sum(len(cell.split()) for cell in looked_at)
    different = len(set(looked_at))
    return different > _DIFFERENT * len(looked_at) and words >= _WORDS * len(looked_at)


def _may_be_classes(cells: Sequence[str]) -> bool:
    return 2 <= len(set(cells)) <= max(20, len(cells) // 20)


def _labelled(cells: Sequence[str], where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    whole = all(cell.lstrip("-").isdecimal() for cell in cells)
    labels, names = labelled(np.array([int(c) for c in cells] if whole else cells), where)
    if not _may_be_classes(cells):
        got = f"{len(names)} different ones in {len(cells)} rows"
        raise DataError(where, "classes that repeat", got, "name another column: --target COLUMN")
    return labels, names


def _read_folder(root: Path, unreadable: Unreadable) -> Texts:
    files, names = folder_classes(root, FILES)
    texts = [text_in(file.path) for file in files]
    empty = [files[i].path for i, text in enumerate(texts) if not text.strip()]
    notes = [f"{len(empty)} of {len(files)} empty files skipped"] * bool(empty)
    if empty and unreadable == "refuse":
        got = f"an empty file ({len(empty)} of {len(files)})"
        raise DataError(str(empty[0]), "a text", got, "or skip them: --unreadable skip")
    kept = [i for i, text in enumerate(texts) if text.strip()]
    return Texts(
        shown(root.name),
        [texts[i] for i in kept],
        np.array([files[i].label for i in kept], dtype=np.int64),
        names,
        np.array([files[i].part for i in kept], dtype=np.int8),
        "",
        "folder",
        tuple(notes),
    )


def text_in(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error


def lines_in(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, each a text.

    Raises:
        DataError: it cannot be read, is empty, or has an empty line before its last text.
    """
    lines = lines_of(path)
    if not lines:
        raise DataError(str(path), "one sentence per line", "an empty file")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise DataError(f"{path} line {number}", "a sentence", "an empty line")
    return lines
