"""Features of architectures as scaled blocks, and the distances between them for kernels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import SpaceError
from ..space.architecture import Architecture
from .features import Features, features_of
from .gaussian import squared_distances

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float32]]

#: Spaces with at most this many architectures are enumerated.
LISTED = 30_000
#: Number of architectures that determine the scale of the blocks in a larger space.
_SAMPLED = 256
#: Family of graph features that values are expected to increase with: a trend, not a similarity.
ADVICE = "advice"
#: Highest number of columns of a block of an enumerated space.
_WIDEST = 128


class Blocks:
    """Rows of architectures, split into blocks, each of which is one kind of similarity.

    - the answers, with the flags of active decisions: the distance of two architectures grows with
      the answers that differ, and an inactive decision differs from every answer of an active one;
    - ranks: the answers of decisions between numbers, spaced evenly from 0 to 1;
    - counts: the number of decisions with each answer, for answers that several decisions share;
    - graph features, one block for each family: the part of their names before a colon.

    Features of the family ``advice`` are in none of these: their sum is :meth:`trend`.

    Blocks that are constant over the space are left out. Each is scaled so that two random
    architectures have a squared distance of 1 on average.
    """

    def __init__(self, space: Space) -> None:
        self.features = features_of(space)
        self._ranks, self._counts = ranks_of(self.features), counts_of(self.features)
        listed = listing(space)
        sample = listed or _sample_architectures(space)
        unscaled = self._split(sample)
        advice = self._advice_sums(sample)
        self._middle, self._reach = float(advice.mean()), float(advice.std())
        self._trend = self._standardise(advice) if listed else None
        self._scales: dict[str, float] = {}
        for name, block in unscaled.items():
            spread = float(block.var(axis=0, dtype=np.float64).sum())
            if spread > 1e-12:
                self._scales[name] = (2 * spread) ** -0.5
        self._canonical = space.canonical
        self._listed: dict[str, Array] | None = None
        self._places = {a: i for i, a in enumerate(listed)}
        self._graphs = {space.canonical(a): i for i, a in enumerate(listed)}
        if listed:
            self._listed = {
                name: _scaled_around_zero(_most_varying(unscaled[name]), scale)
                for name, scale in self._scales.items()
            }
            self._squares = [(block * block).sum(axis=1) for block in self._listed.values()]

    def __len__(self) -> int:
        return len(self._scales)

    def places(self, architectures: Sequence[Architecture]) -> list[int]:
        """Indices of architectures of an enumerated space, or of their equivalents, in its list."""
        return [self._place(a) for a in architectures]

    def from_place(self, place: int) -> Array:
        """Squared distances of one listed architecture to all, (blocks, 1, listed)."""
        assert self._listed is not None
        return np.stack(
            [
                np.maximum(squares[place] + squares - 2 * (block @ block[place]), 0.0)[None]
                for block, squares in zip(self._listed.values(), self._squares, strict=True)
            ]
        )

    def rows(self, architectures: Sequence[Architecture]) -> dict[str, Array]:
        """The scaled blocks of these architectures, each of shape (n, its columns).

        The columns depend on the given architectures: only rows from the same call can be compared.
        """
        if self._listed is None:
            return self._scaled(architectures)
        # Rows of an enumerated space belong to graphs: equivalent architectures share a row.
        places = self.places(architectures)
        return {name: block[places] for name, block in self._listed.items()}

    def trend(self, architectures: Sequence[Architecture]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The sum of the advice features, float64 (n,), scaled to a mean of 0 and a standard
        deviation of 1 over the space; 0 for all if there is no advice."""
        if self._trend is not None:
            return self._trend[self.places(architectures)]
        return self._standardise(self._advice_sums(architectures))

    def _standardise(self, advice: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
        if self._reach < 1e-6:
            return np.zeros(len(advice))
        return (advice.astype(np.float64) - self._middle) / self._reach

    def _advice_sums(self, architectures: Sequence[Architecture]) -> Array:
        names = self.features.columns(architectures)
        places = [i for i, name in enumerate(names) if name.startswith(f"{ADVICE}:")]
        sums: Array = self.features.matrix(architectures)[:, places].sum(axis=1)
        return sums

    def _place(self, architecture: Architecture) -> int:
        place = self._places.get(architecture)
        if place is None:
            place = self._places[architecture] = self._graphs[self._canonical(architecture)]
        return place

    def _scaled(self, architectures: Sequence[Architecture]) -> dict[str, Array]:
        blocks = self._split(architectures)
        empty = np.zeros((len(architectures), 0), dtype=np.float32)
        return {
            name: blocks.get(name, empty) * np.float32(scale)
            for name, scale in self._scales.items()
        }

    def _split(self, architectures: Sequence[Architecture]) -> dict[str, Array]:
        matrix = self.features.matrix(architectures)
        width = self.features.width
        answers = matrix[:, :width]
        blocks: dict[str, Array] = {"answers": answers}
        blocks["ranks"], blocks["counts"] = answers @ self._ranks, answers @ self._counts
        families: dict[str, list[int]] = {}
        for place, name in enumerate(self.features.columns(architectures)[width:], width):
            family = name.split(":")[0] if ":" in name else ""
            if family != ADVICE:
                families.setdefault(f"graph {family}", []).append(place)
        return blocks | {name: matrix[:, places] for name, places in families.items()}


def distances(a: dict[str, Array], b: dict[str, Array]) -> Array:
    """Squared distances (blocks, n, m) between rows from the same call of :meth:`Blocks.rows`."""
    return np.stack([squared_distances(a[name], b[name]) for name in a])


@lru_cache(maxsize=4)
def blocks_of(space: Space) -> Blocks:
    """The blocks that all histories of a space share."""
    return Blocks(space)


@lru_cache(maxsize=4)
def listing(space: Space) -> tuple[Architecture, ...]:
    """One architecture for each graph of a small space; empty for a large one."""
    size = space.size()
    if not size.exact or size.count > LISTED:
        return ()
    graphs: dict[str, Architecture] = {}
    for architecture in space.enumerate():
        graphs.setdefault(space.canonical(architecture), architecture)
    return tuple(graphs.values())


def _sample_architectures(space: Space) -> list[Architecture]:
    """Random architectures, from a fixed seed, that the builder accepts.

    Raises:
        SpaceError: the builder refuses all of them.
    """
    rng = random.Random(0)
    architectures: list[Architecture] = []
    for _ in range(_SAMPLED):
        with suppress(SpaceError):
            architectures.append(space.sample(rng))
    return architectures or [space.sample(rng)]


def _scaled_around_zero(block: Array, scale: float) -> Array:
    """A scaled block with zero column means, where float32 is most precise."""
    centred: Array = ((block - block.mean(axis=0, dtype=np.float64)) * scale).astype(np.float32)
    return centred


def _most_varying(block: Array) -> Array:
    """The columns that vary most: thousands of rare paths would cost time and add little."""
    if block.shape[1] <= _WIDEST:
        return block
    order = np.argsort(-block.var(axis=0), kind="stable")[:_WIDEST]
    kept: Array = block[:, np.sort(order)]
    return kept


def ranks_of(features: Features) -> Array:
    """A matrix that turns one-hot answers of decisions between numbers into ranks,
    (width, decisions)."""
    columns = []
    for start, stop in features.groups():
        numbers = [_number(name.partition("=")[2]) for name in features.names[start + 1 : stop]]
        if len(numbers) < 3 or None in numbers:
            continue
        column = np.zeros(features.width, dtype=np.float32)
        order = np.argsort(np.argsort(np.array(numbers, dtype=np.float64)))
        column[start + 1 : stop] = order / (len(numbers) - 1)
        columns.append(column)
    return _stack_columns(columns, features.width)


def counts_of(features: Features) -> Array:
    """A matrix that counts the decisions with each shared answer, (width, answers)."""
    places: dict[str, list[int]] = {}
    for start, stop in features.groups():
        for place in range(start + 1, stop):
            _, equals, answer = features.names[place].partition("=")
            if equals:
                places.setdefault(answer, []).append(place)
    columns = []
    for shared in places.values():
        if len(shared) > 1:
            column = np.zeros(features.width, dtype=np.float32)
            column[shared] = 1.0
            columns.append(column)
    return _stack_columns(columns, features.width)


def _stack_columns(columns: list[Array], width: int) -> Array:
    return np.stack(columns, axis=1) if columns else np.zeros((width, 0), dtype=np.float32)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
