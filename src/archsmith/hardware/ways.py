"""The ways in which a latency predictor can be fitted to descriptions of architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .blocks import BlockSum
from .regress import Array, Boosted, Linear, Row
from .work import ANSWER, Operation


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known about an architecture without timing it: its features and operations."""

    row: Row
    operations: Sequence[Operation]


@dataclass(frozen=True, slots=True)
class _RowModel:
    """A regression on rows of features."""

    inner: Linear | Boosted

    def predict(self, rows: Sequence[Seen]) -> Array:
        return self.inner.predict([seen.row for seen in rows])

    def to_json(self) -> dict[str, Any]:
        return self.inner.to_json()


@dataclass(frozen=True, slots=True)
class _OperationModel:
    """A sum over the operations."""

    inner: BlockSum

    def predict(self, rows: Sequence[Seen]) -> Array:
        return self.inner.predict([seen.operations for seen in rows])

    def to_json(self) -> dict[str, Any]:
        return self.inner.to_json()


Model = _RowModel | _OperationModel
Fit = Callable[[Sequence[Seen], Array], Model]


def _fit_linear(seen: Sequence[Seen], times: Array) -> Linear:
    return Linear.fit([s.row for s in seen], times, lambda name: not name.startswith(ANSWER))


def ways(blocks: Mapping[str, float]) -> dict[str, Fit]:
    """How a predictor can be fitted, by name, simpler ways first; ``blocks`` only with a table."""

    def linear(seen: Sequence[Seen], times: Array) -> Model:
        return _RowModel(_fit_linear(seen, times))

    def boosted(seen: Sequence[Seen], times: Array) -> Model:
        rows = [one.row for one in seen]
        return _RowModel(Boosted.fit(_fit_linear(seen, times), rows, times))

    def by_blocks(seen: Sequence[Seen], times: Array) -> Model:
        return _OperationModel(BlockSum.fit([one.operations for one in seen], times, blocks))

    fits: dict[str, Fit] = {"linear": linear, "boosted": boosted}
    return {**fits, "blocks": by_blocks} if blocks else fits


def read(values: Mapping[str, Any]) -> Model:
    """A model from the values of its ``to_json``."""
    kind = values["kind"]
    if kind == "blocks":
        return _OperationModel(BlockSum.from_json(values))
    return _RowModel((Linear if kind == "linear" else Boosted).from_json(values))
