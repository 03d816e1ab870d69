"""Images with several labels each: ``labels.csv`` in a folder of images, or rows of 0 and 1."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from . import arrays
from .names import shown
from .raw import TRAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A file of rows: an image, relative to the folder, and its labels, separated by ``;``, ``|`` or,
#: if there are neither in the file, by spaces; optionally the part (train, val, test).
LABELS = "labels.csv"
_HEADER = {"file", "files", "filename", "file_name", "image", "images", "name", "path"}


def has_marks(place: Path) -> bool:
    """Whether a source has several labels an image: a list of labels, or rows that are not one-hot
    in an ``.npz`` file of images."""
    if place.is_dir() or place.suffix.lower() != ".npz":
        return (place / LABELS).is_file()
    if arrays.kind_of(place) != "images":
        return False
    with arrays.open_archive(place) as archive:
        key = arrays.layout(place, list(archive.files)).targets[TRAIN]
        targets = arrays.load(place, archive, key)
    several = targets.ndim == 2 and targets.shape[1] > 1 and targets.dtype.kind in "biuf"
    return bool(several and np.isin(targets, (0, 1)).all() and (targets.sum(1) != 1).any())


def rarest(marks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The label (n,) of each row of marks (n, classes) that the fewest rows have, and ``classes``
    for a row without any: strata for a split in which each label is in all parts."""
    counts = np.where(marks > 0, marks.sum(0, dtype=np.int64), len(marks) + 1)
    strata: NDArray[np.int64] = np.where(marks.any(1), counts.argmin(1), marks.shape[1])
    return strata


def read_list(
    root: Path, parts: Mapping[str, int]
) -> tuple[list[tuple[Path, tuple[int, ...], int]], tuple[str, ...]]:
    """The images of :data:`LABELS`, each with its marks and its part, and the names of the labels.

    Args:
        parts: numbers of the parts by name.

    Raises:
        DataError: files that are missing or named twice, rows without labels, parts that are not
            known, or fewer than two labels.
    """
    path = root / LABELS
    rows = _rows(path)
    if rows and rows[0][0].lower() in _HEADER:
        del rows[0]
    if not rows or any(not 2 <= len(row) <= 3 for row in rows):
        got = next((",".join(row) for row in rows if not 2 <= len(row) <= 3), "none")
        raise DataError(str(path), "rows of a file and its labels (a;b, a|b or a b)", got)
    separator = r"[;|]" if any(re.search(r"[;|]", row[1]) for row in rows) else r"\s"
    listed = {row[0]: [w.strip() for w in re.split(separator, row[1]) if w.strip()] for row in rows}
    asked = [row[2].lower() if len(row) > 2 else "train" for row in rows]
    counts = Counter(row[0] for row in rows)
    hint = "remove the row, or give it a label of its own, such as none"
    _refuse(path, "files that are there", [n for n in listed if not (root / n).is_file()])
    _refuse(path, "each file once", [name for name in listed if counts[name] > 1])
    _refuse(path, "labels for each file", [n for n, words in listed.items() if not words], hint)
    _refuse(path, "train, val or test as the part", [word for word in asked if word not in parts])
    names = tuple(sorted({word for words in listed.values() for word in words}))
    if len(names) < 2:
        raise DataError(str(path), "at least two labels", f"only {names[0]!r}")
    marked = [tuple(int(name in words) for name in names) for words in listed.values()]
    return [
        (root / file, marks, parts[word])
        for file, marks, word in zip(listed, marked, asked, strict=True)
    ], names


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(str(path), "a CSV file in UTF-8", str(error)) from error


def _refuse(path: Path, expected: str, bad: Sequence[str], hint: str | None = None) -> None:
    """Raises DataError if any were found."""
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        got = "others: " + ", ".join(repr(shown(name)) for name in bad[:5]) + more
        raise DataError(str(path), expected, got, hint)
