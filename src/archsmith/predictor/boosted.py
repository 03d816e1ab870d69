"""Gradient-boosted trees (Friedman 2001; stochastic, Friedman 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..space.architecture import Architecture
from .base import Predictor
from .table import Rows

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]


class BoostedTrees(Predictor):
    """Several boosted ensembles, each on its own random rows and columns; their mean and spread.

    Args:
        members: number of boosted ensembles.
        trees: number of trees of each.
        depth: of a tree.
        rate: learning rate: factor of each tree's output.

    Raises:
        InputError: fewer than 2 members.
    """

    name = "boosted"

    def __init__(
        self, members: int = 4, trees: int = 60, depth: int = 3, rate: float = 0.15
    ) -> None:
        if members < 2:
            raise InputError(self.name, "members >= 2", str(members), "a single one has no spread")
        self.members, self.trees, self.depth, self.rate = members, trees, depth, rate

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _Forests:
        from sklearn.ensemble import GradientBoostingRegressor

        rows = Rows(space, architectures)
        inputs = rows(architectures)
        members = [
            GradientBoostingRegressor(
                n_estimators=self.trees,
                max_depth=self.depth,
                learning_rate=self.rate,
                subsample=0.7,
                max_features=0.3,
                min_samples_leaf=2,
                random_state=(seed + 7919 * member) % 2**32,
            ).fit(inputs, targets)
            for member in range(self.members)
        ]
        return _Forests(rows, members)


class _Forests:
    def __init__(self, rows: Rows, members: Sequence[Any]) -> None:
        self._rows, self._members = rows, members

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        rows = self._rows(architectures)
        predictions = np.stack([member.predict(rows) for member in self._members])
        return predictions.mean(axis=0), predictions.std(axis=0)
