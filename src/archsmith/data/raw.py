"""What readers give: images or a table as arrays, not yet split and not yet a task's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._support.errors import DataError
from .numerals import Notation

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What ``parts`` holds. Where a source brings no validation or test part, it is drawn from TRAIN.
TRAIN, VALIDATION, TEST = 0, 1, 2

Unreadable = Literal["refuse", "skip"]
#: What tells the class of an image in a folder: the folder below the root, the one right above the
#: image, or the first where there are folders and nothing else.
ClassesBy = Literal["folders", "leaves", "folders or none"]
#: What is to be predicted: a class of an image, a class of a row, a value of a row.
Kind = Literal["images", "classes", "values"]


def expect_room(where: str, size: int) -> None:
    """Refuse to make arrays of so many bytes where memory has no room for them.

    Raises:
        DataError: how much is wanted, and how much there is.
    """
    import psutil

    room = psutil.virtual_memory().available
    if size > room:
        got = f"{size / 2**30:,.1f} GiB"
        raise DataError(where, f"data that fits the memory ({room / 2**30:,.1f} GiB free)", got)


@dataclass(frozen=True)
class Images:
    """Labelled images of one size.

    Attributes:
        images: (n, channels, height, width): uint8, or floats where bytes would lose levels.
        labels: int64, (n,), indices into ``class_names``.
        parts: int8, (n,): ``TRAIN``, ``VALIDATION`` or ``TEST`` as the source brings them.
        low, high: values of the source that became 0 and 255; of floats, their range.
        clipped: whether floats beyond that range are to be clipped.
        layout: where the channels stood in an array.
        deep_white: what is white in the files of 16-bit greys, where there are any.
        notes: what the reader understood, as lines for people.
        target_name: what the source calls the labels.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    low: float = 0.0
    high: float = 255.0
    notes: tuple[str, ...] = ()
    target_name: str = "label"
    clipped: bool = False
    layout: Literal["first", "last"] | None = None
    deep_white: float | None = None


@dataclass(frozen=True)
class Column:
    """A feature of a table: numbers, or codes into ``categories`` where there are any.

    Attributes:
        notation: how the numbers are written where they are texts.
    """

    name: str
    categories: tuple[str, ...] | None = None
    notation: Notation = field(default_factory=Notation)


@dataclass(frozen=True)
class RawTable:
    """Rows of features and a target.

    Attributes:
        values: float64, (n, columns), categories as codes.
        target: (n,), texts or float64 values; nothing missing.
        class_names: names of the classes 0, 1, ... where the source brings them.
        parts: as in :class:`Images`.
        groups: (n,) a number for the group of each row, which stays together in one part.
        order: (n,) times by which the parts follow each other.
    """

    name: str
    columns: tuple[Column, ...]
    values: NDArray[np.float64]
    target_name: str
    target: NDArray[Any]
    parts: NDArray[np.int8]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    order: NDArray[Any] | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set that is known by name; ``read`` opens it and ``doc`` says in a line what it is."""

    kind: Kind
    read: Callable[[], Images | RawTable]
    doc: str = ""


def labelled(
    target: NDArray[Any], where: str, class_names: tuple[str, ...] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices (n,) and the names of the classes.

    Args:
        target: (n,) texts or whole numbers.
        where: what to name in an error.
        class_names: names of the classes 0, 1, ...; without them the values name themselves.

    Raises:
        DataError: fewer than two classes, a named class without examples, one name twice, or
            fractions.
    """
    if target.dtype.kind == "f":
        if not np.isfinite(target).all():
            first = int(np.flatnonzero(~np.isfinite(target))[0])
            raise DataError(where, "a class for every example", f"{target[first]} at row {first}")
        if (target != np.round(target)).any():
            hint = "choose a regression task, or round the column to classes"
            raise DataError(where, "classes", "numbers with fractions", hint)
        target = target.astype(np.int64)
    elif target.dtype.kind in "bu":
        target = target.astype(np.int64)
    found, labels = np.unique(target, return_inverse=True)
    if class_names is None or found.dtype.kind not in "iu":
        names = tuple(str(value) for value in found)
    else:
        names = class_names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(where, "class names that differ", f"{twice[0]!r} twice")
        beyond = [int(value) for value in found if not 0 <= value < len(names)]
        if beyond:
            raise DataError(where, f"labels from 0 to {len(names) - 1}", str(beyond[0]))
        empty = sorted(set(range(len(names))) - {int(value) for value in found})
        if empty:
            listed = ", ".join(repr(names[i]) for i in empty)
            raise DataError(where, "examples of every class", f"none of {listed}")
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(where, "at least two classes", got, "add examples of another class")
    return labels.reshape(-1).astype(np.int64), names


def looks_like_classes(target: NDArray[Any], most: int = 20) -> bool:
    """Whether a target reads as classes: texts, or at most ``most`` different whole numbers."""
    if target.dtype.kind not in "f":
        return target.dtype.kind not in "iu" or len(np.unique(target)) <= most
    known = target[np.isfinite(target)]
    return bool((known == np.round(known)).all()) and len(np.unique(known)) <= most
