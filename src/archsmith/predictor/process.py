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

#: Highest numbers of architectures that length scales are estimated from, and that are observed.
_FITTED, _OBSERVED = 150, 1000
#: Architectures that are predicted at once.
_BATCH = 2000


class GaussianPredictor(Predictor):
    """The Gaussian process of the ``bayesian`` strategy (Rasmussen and Williams 2006, chapter 5).

    A Matérn 5/2 kernel with a length scale for answers, ranks, counts and each family of graph
    features.
    """

    name = "gaussian"

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _Process:
        kept = np.arange(len(targets))
        if len(kept) > _OBSERVED:
            kept = np.sort(np.random.default_rng(seed).choice(len(kept), _OBSERVED, replace=False))
        remembered = [architectures[int(i)] for i in kept]
        return _Process(blocks_of(space), remembered, targets[kept], seed)


class _Process:
    def __init__(
        self, blocks: Blocks, observed: Sequence[Architecture], targets: Array, seed: int
    ) -> None:
        self._blocks, self._observed = blocks, observed
        self._middle = float(targets.mean())
        centred = targets - self._middle
        rows = blocks.rows(observed)
        squared = distances(rows, rows)
        n, subset = len(observed), np.arange(len(observed))
        if n > _FITTED:
            subset = np.sort(np.random.default_rng(seed).choice(n, _FITTED, replace=False))
        kernel = fit(squared[:, subset][:, :, subset], centred[subset])
        self._process = GaussianProcess(kernel, squared, centred)

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        chunks = [
            self._predict_chunk(architectures[start : start + _BATCH])
            for start in range(0, len(architectures), _BATCH)
        ]
        return np.concatenate([m for m, _ in chunks]), np.concatenate([s for _, s in chunks])

    def _predict_chunk(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        n = len(self._observed)
        rows = self._blocks.rows([*self._observed, *architectures])
        observed = {name: block[:n] for name, block in rows.items()}
        requested = {name: block[n:] for name, block in rows.items()}
        covariance = self._process.kernel(distances(observed, requested))
        means, variances = self._process.predict(covariance)
        return means + self._middle, np.sqrt(variances)
