"""Architectures as rows of numbers, for surrogates."""

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

#: Rows kept at once; beyond it they are forgotten and made again when asked for.
_KEPT = 60_000


class Features:
    """Rows of float32 for architectures of one space, cached.

    A row begins with what ``encode(architecture)`` gives of a space that was never used:
    :attr:`width` numbers in [0, 1], with a flag for each decision that says whether it is active.
    Of an unbounded space these are the decisions met first. The graph features
    (``space.graph_features``, such as path counts, on their own scale) follow. Names of graph
    features come up as architectures do, so how many there are grows, and a feature that an
    architecture does not name is 0.0.

    :meth:`matrix` is a function of the space and of the given architectures alone, whatever was
    asked before: what a strategy makes of it is then the same in a resumed study.
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
        """Names of the columns that :meth:`matrix` gives for the same architectures."""
        places = [self._place(a) for a in architectures]
        return [*self.names, *self._graph_columns(self._rows[places])]

    def aligned(self, architectures: Sequence[Architecture], names: Sequence[str]) -> Array:
        """Rows with the columns of these names, float32 (n, len(names)).

        A graph feature that none of the architectures has is 0.0; one that is not named says
        nothing to whoever learned without it, and is left out.
        """
        rows, present = self.matrix(architectures), self.columns(architectures)
        places = {name: place for place, name in enumerate(names)}
        kept = [i for i, name in enumerate(present) if name in places]
        found = np.zeros((len(architectures), len(names)), dtype=np.float32)
        found[:, [places[present[i]] for i in kept]] = rows[:, kept]
        return found

    def groups(self) -> list[tuple[int, int]]:
        """For each decision the columns ``[start, stop)`` of its part of a row.

        The first of them is the flag that says whether the decision is active.
        """
        found: list[tuple[int, int]] = []
        start = 0
        while start < self.width:
            decision = self.names[start].removesuffix("?")
            stop = start + 1
            while stop < self.width and (
                self.names[stop] == decision or self.names[stop].startswith(f"{decision}=")
            ):
                stop += 1
            found.append((start, stop))
            start = stop
        return found

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
        """Write one answer, by the decision of that name which accepts it."""
        flag = self._columns.get(f"{name}?")
        if flag is None:
            return  # of a decision that was not met
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

    The columns of a space in use hang on what it was used for before, so they are those of a new
    one. Nor may a row hang on whether the builder, which may refuse it, has to run for it.
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
    """The features that all strategies and histories share that look at this space."""
    return Features(space)
