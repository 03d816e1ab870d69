"""Architectures as rows of numbers, for surrogate models."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..space.architecture import Answer, Architecture
from ..space.decision import Decision
from ..space.listed import ListedSpace

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float32]]

#: Highest number of cached rows; beyond it the cache is cleared and rows are computed again.
_KEPT = 60_000


class Features:
    """Rows of float32 for architectures of one space, cached.

    A row starts with what ``encode(architecture)`` returns in a new copy of the space:
    :attr:`width` numbers in [0, 1], with a flag for each decision that tells whether it is active.
    In an unbounded space these are the decisions that are met first. Graph features
    (``space.graph_features``, such as path counts, on their own scale) follow. Architectures
    introduce new graph features over time, so their number grows; a feature that an architecture
    does not have is 0.0.

    :meth:`matrix` depends only on the space and the given architectures, not on earlier calls, so
    that a strategy makes the same proposals in a resumed study.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names, self._decisions = _layout(space)
        self._columns = {name: place for place, name in enumerate(self.names)}
        #: Length of the decisions' part of a row.
        self.width = len(self.names)
        self._places: dict[str, int] = {}  # graph feature -> column after the decisions'
        self._index: dict[Architecture, int] = {}
        self._rows = np.zeros((64, self.width + 8), dtype=np.float32)

    def row(self, architecture: Architecture) -> Array:
        """The row of one architecture, float32 of shape (columns,): ``matrix([it])[0]``."""
        row: Array = self.matrix([architecture])[0]
        return row

    def matrix(self, architectures: Sequence[Architecture]) -> Array:
        """Rows of the architectures, float32 of shape (n, columns).

        The first :attr:`width` columns are the decisions; then come the graph features that at
        least one of these architectures has, by name.
        """
        places = [self._place(a) for a in architectures]
        if len(self._index) > _KEPT:
            self._index.clear()
            places = [self._place(a) for a in architectures]
        rows = self._rows[places]
        graph = self._graph_columns(rows)
        return rows[:, [*range(self.width), *(self.width + self._places[n] for n in graph)]]

    def columns(self, architectures: Sequence[Architecture]) -> list[str]:
        """Names of the columns of :meth:`matrix` for the same architectures."""
        places = [self._place(a) for a in architectures]
        return [*self.names, *self._graph_columns(self._rows[places])]

    def aligned(self, architectures: Sequence[Architecture], names: Sequence[str]) -> Array:
        """Rows with the columns of these names, float32 (n, len(names)).

        A graph feature that none of the architectures has is 0.0; one that is not among ``names``
        is left out, since a model fitted without it cannot use it.
        """
        rows, present = self.matrix(architectures), self.columns(architectures)
        places = {name: place for place, name in enumerate(names)}
        kept = [i for i, name in enumerate(present) if name in places]
        matrix = np.zeros((len(architectures), len(names)), dtype=np.float32)
        matrix[:, [places[present[i]] for i in kept]] = rows[:, kept]
        return matrix

    def groups(self) -> list[tuple[int, int]]:
        """For each decision the columns ``[start, stop)`` of its part of a row.

        The first of them is the flag that tells whether the decision is active.
        """
        groups: list[tuple[int, int]] = []
        start = 0
        while start < self.width:
            decision = self.names[start].removesuffix("?")
            stop = start + 1
            while stop < self.width and (
                self.names[stop] == decision or self.names[stop].startswith(f"{decision}=")
            ):
                stop += 1
            groups.append((start, stop))
            start = stop
        return groups

    def _graph_columns(self, rows: Array) -> list[str]:
        used = (rows[:, self.width :] != 0).sum(axis=0)
        return sorted(name for name, place in self._places.items() if used[place])

    def _place(self, architecture: Architecture) -> int:
        place = self._index.get(architecture)
        if place is not None:
            return place
        graph = self.space.graph_features(architecture)
        for name in graph:
            self._places.setdefault(name, len(self._places))
        place = len(self._index)
        self._make_room(place)
        row = self._rows[place]
        row[:] = 0.0
        for name, answer in architecture.items():
            self._encode(name, answer, row)
        for name, value in graph.items():
            row[self.width + self._places[name]] = value
        self._index[architecture] = place
        return place

    def _encode(self, name: str, answer: Answer, row: Array) -> None:
        """Write one answer into a row, as the decision of that name that accepts it encodes it."""
        flag = self._columns.get(f"{name}?")
        if flag is None:
            return  # a decision without columns: it had not been met
        row[flag] = 1.0
        for decision in self._decisions[name]:
            if decision.accepts(answer):
                for column, number in zip(decision.columns(), decision.encode(answer), strict=True):
                    row[self._columns[column]] = number
                return

    def _make_room(self, place: int) -> None:
        high, wide = self._rows.shape
        needed = self.width + len(self._places)
        if place < high and needed <= wide:
            return
        larger = np.zeros(
            (high if place < high else 2 * high, wide if needed <= wide else 2 * needed),
            dtype=np.float32,
        )
        larger[:high, :wide] = self._rows
        self._rows = larger


def _layout(space: Space) -> tuple[list[str], dict[str, list[Decision]]]:
    """Columns of the decisions of a space, and those decisions by name.

    The columns of a space in use depend on its earlier use, so they are taken from a new copy. Nor
    may a row depend on whether the builder, which may refuse the architecture, has to run for it.
    """
    while isinstance(space, ListedSpace):
        space = space._inner
    fresh = copy(space)
    names = fresh.columns()
    decisions: dict[str, list[Decision]] = {}
    for decision in sorted(fresh._tree.met, key=lambda d: (d.name, d.describe())):
        decisions.setdefault(decision.name, []).append(decision)
    return names, decisions


@lru_cache(maxsize=4)
def features_of(space: Space) -> Features:
    """The features of a space, shared by all strategies and histories that use it."""
    return Features(space)
