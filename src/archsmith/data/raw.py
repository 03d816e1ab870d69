"""What readers return: images or a table as arrays, not yet split or prepared for a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._support.errors import DataError
from .dates import Order
from .numerals import Notation

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Values of ``parts``. If a source has no validation or test part, it is drawn from TRAIN.
TRAIN, VALIDATION, TEST = 0, 1, 2

Unreadable = Literal["refuse", "skip"]
#: What determines the class of an image in a folder: the folder below the root, the parent folder
#: of the image, the folder below the root if there are such folders, or, for several classes each,
#: the rows of a file; arrays then have a row of 0 and 1 for each image.
ClassesBy = Literal["folders", "leaves", "folders or none", "rows"]
#: What is predicted: the class of an image, the class of a row, or the value of a row.
Kind = Literal["images", "classes", "values"]


def expect_room(where: str, size: int) -> None:
    """Refuse to allocate arrays of ``size`` bytes if they exceed the available memory.

    Raises:
        DataError: with the required and the available memory.
    """
    import psutil

    room = psutil.virtual_memory().available
    if size > room:
        got = f"{size / 2**30:,.1f} GiB"
        raise DataError(where, f"data that fits in memory ({room / 2**30:,.1f} GiB free)", got)


def is_large(size: int) -> bool:
    """Whether an array of ``size`` bytes is better left on disk."""
    import psutil

    # Splitting it copies it twice, for a time.
    return bool(3 * size > psutil.virtual_memory().available)


@dataclass(frozen=True)
class Images:
    """Labelled images of one size.

    Attributes:
        images: (n, channels, height, width): uint8, or floats if bytes would lose levels. Large
            ones of a folder may be a map of a file.
        labels: int64, (n,), indices into ``class_names``; or, if an image may have several labels,
            uint8, (n, classes), 1 for those that it has.
        parts: int8, (n,): ``TRAIN``, ``VALIDATION`` or ``TEST`` as given by the source.
        low, high: values of the source that became 0 and 255; for floats, their range.
        clipped: whether floats outside that range are to be clipped.
        layout: position of the channels in the source array.
        deep_white: white level of 16-bit grey files, if there are any.
        notes: how the reader interpreted the source, as lines for people.
        target_name: the name of the labels in the source.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[Any]
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
    """A feature of a table: numbers, or codes into ``categories`` if there are any.

    Attributes:
        notation: how the numbers are written, if the source is text.
        date: order of year, month and day, if the values are days since 1970.
        word: a word, if the values are 1 in rows whose text has it, and else 0.
    """

    name: str
    categories: tuple[str, ...] | None = None
    notation: Notation = field(default_factory=Notation)
    date: Order | None = None
    word: str = ""

    @property
    def kind(self) -> str:
        """``numeric``, ``categorical``, ``date`` or ``text``."""
        if self.categories is not None:
            return "categorical"
        return "date" if self.date else "text" if self.word else "numeric"


@dataclass(frozen=True)
class RawTable:
    """Rows of features and a target.

    Attributes:
        values: float64, (n, columns), categories as codes, NaN where a value is missing.
        target: (n,), texts or float64 values, or (n, targets); nothing missing.
        class_names: names of the classes 0, 1, ... if the source has them.
        parts: as in :class:`Images`.
        groups: (n,) the group of each row; a group is never split between parts.
        order: (n,) times by which the parts are ordered.
        target_names: of several targets.
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
    target_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A named data set; ``read`` opens it and ``doc`` describes it in one line."""

    kind: Kind
    read: Callable[[], Images | RawTable]
    doc: str = ""


def labelled(
    target: NDArray[Any], where: str, class_names: tuple[str, ...] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class indices (n,) and the names of the classes.

    Args:
        target: (n,) texts or integers.
        where: the source, for error messages.
        class_names: names of the classes 0, 1, ...; by default the values themselves.

    Raises:
        DataError: fewer than two classes, a named class without examples, a duplicate name, or
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
    unique, labels = np.unique(target, return_inverse=True)
    if class_names is None or unique.dtype.kind not in "iu":
        names = tuple(str(value) for value in unique)
    else:
        names = class_names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(where, "distinct class names", f"{twice[0]!r} twice")
        invalid = [int(value) for value in unique if not 0 <= value < len(names)]
        if invalid:
            raise DataError(where, f"labels from 0 to {len(names) - 1}", str(invalid[0]))
        empty = sorted(set(range(len(names))) - {int(value) for value in unique})
        if empty:
            listed = ", ".join(repr(names[i]) for i in empty)
            raise DataError(where, "examples of every class", f"none of {listed}")
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(where, "at least two classes", got, "add examples of another class")
    return labels.reshape(-1).astype(np.int64), names


def looks_like_classes(target: NDArray[Any], most: int = 20) -> bool:
    """Whether a target looks like classes: texts, or at most ``most`` different integers."""
    if target.dtype.kind not in "f":
        return target.dtype.kind not in "iu" or len(np.unique(target)) <= most
    finite = target[np.isfinite(target)]
    return bool((finite == np.round(finite)).all()) and len(np.unique(finite)) <= most
