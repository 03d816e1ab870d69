"""Checks of features, labels and descriptions of classes before training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..._support.errors import DataError

Array = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

#: How many classes or attributes an error lists.
_LISTED = 8


def rows(where: str, values: Any) -> Array:
    """Finite float64 (n, columns) from an array or a tensor.

    Raises:
        DataError: another shape, not numbers, no rows, or values that are not finite.
    """
    array = _plain(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise DataError(where, "rows of numbers (n, columns)", f"{array.shape} {array.dtype}")
    finite = np.asarray(array, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(finite).all(axis=1))
    if len(bad):
        raise DataError(where, "finite numbers", f"NaN or infinity in {listed(bad, 'row')}")
    return finite


def class_numbers(where: str, values: Any, count: int, classes: int) -> Indices:
    """Labels (count,) from 0 to ``classes - 1``.

    Raises:
        DataError: another number of labels, fractions, or one beyond the descriptions.
    """
    array = _plain(values)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        expected = f"whole numbers ({count},), one per example"
        raise DataError(where, expected, f"{array.shape} {array.dtype}")
    numbers = np.asarray(array, dtype=np.int64)
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < classes):
        wrong = int(numbers.min() if numbers.min() < 0 else numbers.max())
        expected = f"rows of the {classes} descriptions, 0 to {classes - 1}"
        raise DataError(where, expected, str(wrong))
    return numbers


def descriptions_of(values: Any, names: Sequence[str] | None = None) -> Array:
    """Descriptions (classes, a), different for each class.

    Raises:
        DataError: a class whose attributes are missing (NaN, or all zero), or two classes that
            have equal descriptions; each is named.
    """
    array = _plain(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        got = f"{array.shape} {array.dtype}"
        raise DataError("descriptions", "rows of numbers (classes, attributes)", got)
    described = np.asarray(array, dtype=np.float64)
    if names is not None and len(names) != len(described):
        raise DataError("class names", f"{len(described)}, one per description", str(len(names)))
    missing = np.flatnonzero(~np.isfinite(described).all(axis=1) | ~described.any(axis=1))
    if len(missing):
        raise DataError(
            "descriptions",
            "attributes of every class",
            f"none, NaN or only zeros for {listed(missing, 'class', names)}",
            "fill in these rows, or leave the classes and their examples out",
        )
    refuse_alike(described, names)
    return described


def refuse_alike(found: Array, names: Sequence[str] | None = None) -> None:
    """Check that no two classes have the same description.

    Raises:
        DataError: two have.
    """
    _, first, inverse = np.unique(found, axis=0, return_index=True, return_inverse=True)
    twins = np.flatnonzero(first[inverse.reshape(-1)] != np.arange(len(found)))
    if len(twins):
        pair = [int(first[inverse.reshape(-1)][twins[0]]), int(twins[0])]
        raise DataError(
            "descriptions",
            "classes that are described differently",
            f"the same for {listed(pair, 'class', names)}",
            "add an attribute in which they differ",
        )


def varying(seen: Array) -> Indices:
    """Columns that differ between seen classes: nothing can be learned from the others."""
    spread = np.ptp(seen, axis=0)
    return np.flatnonzero(spread > 1e-12 * np.abs(seen).max(axis=0, initial=1e-300))


def refuse_overlap(seen: Iterable[int], unseen: Iterable[int], names: Sequence[str]) -> None:
    """Check that no class is both seen and unseen.

    Raises:
        DataError: some are.
    """
    both = sorted(set(seen) & set(unseen))
    if both:
        raise DataError(
            "unseen classes",
            "classes without training examples",
            listed(both, "class", names),
            "remove these classes from one of the two lists",
        )


def listed(places: Sequence[int] | Indices, kind: str, names: Sequence[str] | None = None) -> str:
    """``classes 'cat' and 'dog'``, or numbers if there are no names; the first few."""
    several = {"class": "classes", "attribute": "attributes", "row": "rows"}[kind]
    labels = [repr(names[i]) if names is not None else str(int(i)) for i in places[:_LISTED]]
    text = " and ".join([", ".join(labels[:-1]), labels[-1]]) if len(labels) > 1 else labels[0]
    if len(places) > _LISTED:
        text = f"{', '.join(labels)} and {len(places) - _LISTED} more"
    return f"{kind if len(places) == 1 else several} {text}"


def _plain(values: Any) -> np.ndarray[Any, Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
