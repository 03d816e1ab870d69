"""Episodes: small classification problems drawn from many classes (N ways, K shots, Q queries)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError, InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Index = NDArray[np.int64]


class Episodes:
    """Draws episodes from labelled examples (Vinyals et al. 2016, arXiv:1606.04080).

    An episode has ``ways`` classes, each with ``shots`` examples to learn from (the support) and
    ``queries`` others to evaluate on. Classes and examples are drawn uniformly.

    Args:
        labels: (n,) class of each example, numbers or texts.
        groups: (n,) group of each example, such as the alphabet of a letter. All classes of an
            episode are then from one group; groups are drawn uniformly.
        names: names of the classes for messages, in sorted order of the labels.

    Attributes:
        classes: (C,) labels that occur, sorted.

    Raises:
        InputError: ways below 2, shots or queries below 1.
        DataError: a class with fewer than shots + queries examples, a group (or all data) with
            fewer classes than ways, or a class in two groups.

    Example:
        >>> episodes = Episodes(labels, ways=5, shots=1)
        >>> support, query = episodes.draw(100, rng=0)  # (100, 5, 1) and (100, 5, 15)
    """

    def __init__(
        self,
        labels: ArrayLike,
        ways: int = 5,
        shots: int = 1,
        queries: int = 15,
        *,
        groups: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        for what, value, least in (("ways", ways, 2), ("shots", shots, 1), ("queries", queries, 1)):
            if value < least:
                raise InputError(f"episodes {what}", f"{least} or more", str(value))
        self.ways, self.shots, self.queries = ways, shots, queries
        self.classes, self._codes = _codes(labels, "labels")
        self._names = tuple(str(c) for c in self.classes) if names is None else tuple(names)
        if len(self._names) != len(self.classes):
            got = f"{len(self._names)} for {len(self.classes)} classes"
            raise DataError("names", "one for each class", got)
        self._order, self._starts, self._counts = _runs(self._codes, len(self.classes))
        self._check_class_sizes()
        if groups is None:
            group_of = np.zeros(len(self.classes), np.int64)
            group_names: Any = ["all examples"]
        else:
            group_names, group_of = group_of_class(groups, self._codes, self._names)
        self._members, self._first, self._sizes = _runs(group_of, len(group_names))
        for name, size in zip(group_names, self._sizes, strict=True):
            if size < ways:
                raise DataError(
                    "episodes ways" if groups is None else f"group {name}",
                    f"at least {ways} classes for episodes of {ways} ways",
                    str(size),
                    "use fewer ways, or leave out groups that are too small",
                )

    def draw(self, count: int, rng: np.random.Generator | int) -> tuple[Index, Index]:
        """Draw ``count`` episodes; the same seed always gives the same episodes.

        Returns:
            Indices of examples: support (count, ways, shots) and query (count, ways, queries).
            Those at [:, n] are of one class; no example occurs twice in an episode.

        Raises:
            InputError: count below 1.
        """
        if count < 1:
            raise InputError("episodes", "1 or more", str(count))
        rng = np.random.default_rng(rng)
        group = rng.integers(len(self._sizes), size=count)
        place = without_replacement(rng, self._sizes[group], self.ways)
        classes = self._members[self._first[group][:, None] + place].reshape(-1)
        place = without_replacement(rng, self._counts[classes], self.shots + self.queries)
        drawn = self._order[self._starts[classes][:, None] + place]
        drawn = drawn.reshape(count, self.ways, -1)
        return drawn[:, :, : self.shots], drawn[:, :, self.shots :]

    def __len__(self) -> int:
        """The number of examples to draw from."""
        return len(self._codes)

    def _check_class_sizes(self) -> None:
        least = self.shots + self.queries
        small = np.flatnonzero(self._counts < least)
        if len(small):
            listed = ", ".join(f"{self._names[c]!r} has {self._counts[c]}" for c in small[:10])
            more = f", and {len(small) - 10} more classes" if len(small) > 10 else ""
            raise DataError(
                "episodes",
                f"at least {least} examples of every class ({self.shots} shots and "
                f"{self.queries} queries)",
                listed + more,
                "use fewer shots or queries, or leave those classes out",
            )


def one_drawer_each(
    labels: ArrayLike,
    drawers: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    ways: int = 20,
    count: int = 20,
    rng: np.random.Generator | int = 0,
) -> tuple[Index, Index]:
    """One-shot episodes that compare examples of two drawers.

    The one-shot test of Omniglot (Lake et al. 2015): ``ways`` characters of an alphabet, drawn by
    one person as support and by another as queries.

    Args:
        labels, drawers: (n,) class and drawer of each example. If a drawer has several examples of
            a class, the first is used.
        groups: (n,) group of each example (alphabet); without it all classes are one group.
        count: number of episodes per group.

    Returns:
        Support and query indices, each (groups * count, ways, 1), group after group.

    Raises:
        InputError: ways below 2, or count below 1.
        DataError: a group with fewer classes than ways, or with fewer than two drawers who each
            drew all its classes.
    """
    if ways < 2 or count < 1:
        raise InputError("one-shot test", "at least 2 ways and 1 episode", f"{ways} and {count}")
    classes, codes = _codes(labels, "labels")
    people, person = _codes(drawers, "drawers", len(codes))
    if groups is None:
        group_of, group_names = np.zeros(len(classes), np.int64), np.array(["all examples"])
    else:
        group_names, group_of = group_of_class(groups, codes, [str(c) for c in classes])
    table = np.full((len(classes), len(people)), -1, np.int64)
    reverse = np.arange(len(codes))[::-1]
    table[codes[reverse], person[reverse]] = reverse
    rng = np.random.default_rng(rng)
    support, query = [], []
    for number, name in enumerate(group_names):
        rows = table[group_of == number]
        complete = np.flatnonzero((rows >= 0).all(axis=0))
        if len(rows) < ways or len(complete) < 2:
            raise DataError(
                f"group {name}",
                f"at least {ways} classes, all of them drawn by each of two drawers",
                f"{len(rows)} classes and {len(complete)} such drawers",
                "use fewer ways, or leave the group out",
            )
        chosen = without_replacement(rng, np.full(count, len(rows)), ways)
        pair = complete[without_replacement(rng, np.full(count, len(complete)), 2)]
        support.append(rows[chosen, pair[:, :1]])
        query.append(rows[chosen, pair[:, 1:]])
    return np.concatenate(support)[:, :, None], np.concatenate(query)[:, :, None]


def group_of_class(
    groups: ArrayLike, codes: Index, names: Sequence[str]
) -> tuple[NDArray[Any], Index]:
    """The sorted groups, and the group (C,) of each class.

    Args:
        groups: (n,) group of each example.
        codes: (n,) class of each example, from 0.

    Raises:
        DataError: a class in two groups.
    """
    occurring, group = _codes(groups, "groups", len(codes))
    of_class = np.empty(len(names), np.int64)
    of_class[codes] = group
    wrong = np.flatnonzero(of_class[codes] != group)
    if len(wrong):
        both = sorted({str(occurring[of_class[codes[wrong[0]]]]), str(occurring[group[wrong[0]]])})
        name = names[codes[wrong[0]]]
        raise DataError(f"class {name!r}", "all its examples in one group", " and ".join(both))
    return occurring, of_class


def without_replacement(rng: np.random.Generator, sizes: Index, count: int) -> Index:
    """For each row ``count`` different numbers below ``sizes[row]``, in random order.

    Floyd's algorithm on all rows at once: its cost does not grow with the sizes.
    """
    drawn = np.empty((len(sizes), count), np.int64)
    for step in range(count):
        top = sizes - count + step
        # Capped, because the product may round up to the next integer.
        new = np.minimum((rng.random(len(sizes)) * (top + 1)).astype(np.int64), top)
        duplicate = (drawn[:, :step] == new[:, None]).any(axis=1)
        drawn[:, step] = np.where(duplicate, top, new)
    return rng.permuted(drawn, axis=1)


def _codes(values: ArrayLike, what: str, count: int | None = None) -> tuple[NDArray[Any], Index]:
    """The sorted unique values, and the index of each example's value among them."""
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0 or count not in (None, len(array)):
        expected = "one for each example" if count is None else f"one for each of {count} examples"
        raise DataError(what, expected, f"an array of shape {array.shape}")
    if array.dtype.kind == "O":
        array = array.astype(str)
    unique, codes = np.unique(array, return_inverse=True)
    return unique, codes.reshape(-1).astype(np.int64)


def _runs(codes: Index, count: int) -> tuple[Index, Index, Index]:
    """Indices sorted by code, and the start and length of each code's run."""
    sizes = np.bincount(codes, minlength=count).astype(np.int64)
    return np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes, sizes
