"""Bayesian linear regression as a predictor: the baseline for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..space.architecture import Architecture
from .base import Predictor
from .ensemble import Ensemble
from .table import Rows

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]


class LinearEnsemble(Predictor):
    """All linear models of answers, counts and graph features, weighted by their fit, see
    :class:`~.ensemble.Ensemble`. Fitting takes a millisecond.

    Args:
        noise: variance of the error, for targets of unit variance.

    Raises:
        InputError: a noise that is not above 0.
    """

    name = "linear"

    def __init__(self, noise: float = 0.5) -> None:
        if not noise > 0.0:
            raise InputError(f"{self.name}, noise", "a number above 0", f"{noise:g}")
        self.noise = noise

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _LinearModels:
        rows = Rows(space, architectures)
        return _LinearModels(rows, Ensemble(rows(architectures), targets, self.noise))


class _LinearModels:
    def __init__(self, rows: Rows, ensemble: Ensemble) -> None:
        self._rows, self._ensemble = rows, ensemble

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        return self._ensemble.predict(self._rows(architectures))
