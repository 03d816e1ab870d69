"""A Gaussian process over blocks of features as a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..space.architecture import Architecture
from .base import Predictor
from .blocks import Blocks, blocks_of, distances
from .gaussian import GaussianProcess, fit

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Architectures that the length scales are estimated from, and that the process remembers, at most.
_FITTED, _SEEN = 150, 1000
#: Architectures that are predicted at once.
_BATCH = 2000


class GaussianPredictor(Predictor):
    """The process of the ``bayesian`` strategy (Rasmussen and Williams 2006, chapter 5).

    A Matérn 5/2 kernel with a length scale for answers, ranks, counts and each family of graph
    features.
    """

    name = "gaussian"

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _Process:
        kept = np.arange(len(targets))
        if len(kept) > _SEEN:
            kept = np.sort(np.random.default_rng(seed).choice(len(kept), _SEEN, replace=False))
        known = [architectures[int(i)] for i in kept]
        return _Process(blocks_of(space), known, targets[kept], seed)


class _Process:
    def __init__(
        self, blocks: Blocks, known: Sequence[Architecture], targets: Array, seed: int
    ) -> None:
        self._blocks, self._known = blocks, known
        self._middle = float(targets.mean())
        centred = targets - self._middle
        rows = blocks.rows(known)
        between = distances(rows, rows)
        n, some = len(known), np.arange(len(known))
        if n > _FITTED:
            some = np.sort(np.random.default_rng(seed).choice(n, _FITTED, replace=False))
        kernel = fit(between[:, some][:, :, some], centred[some])
        self._process = GaussianProcess(kernel, between, centred)

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        found = [
            self._some(architectures[start : start + _BATCH])
            for start in range(0, len(architectures), _BATCH)
        ]
        return np.concatenate([m for m, _ in found]), np.concatenate([s for _, s in found])

    def _some(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        n = len(self._known)
        rows = self._blocks.rows([*self._known, *architectures])
        known = {name: block[:n] for name, block in rows.items()}
        asked = {name: block[n:] for name, block in rows.items()}
        covariance = self._process.kernel(distances(known, asked))
        means, variances = self._process.predict(covariance)
        return means + self._middle, np.sqrt(variances)
