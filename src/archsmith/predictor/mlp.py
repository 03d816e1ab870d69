"""An ensemble of small neural networks (White et al. 2021, BANANAS, arXiv:1910.11858)."""

from __future__ import annotations

import warnings
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


class MLPEnsemble(Predictor):
    """Perceptrons with different random initialisations; their mean and their disagreement.

    Args:
        members: number of networks.
        hidden: units of each hidden layer.
        decay: penalty of squared weights.
        steps: of L-BFGS for each network.

    Raises:
        InputError: fewer than 2 members.
    """

    name = "mlp"

    def __init__(
        self,
        members: int = 5,
        hidden: tuple[int, ...] = (64,),
        decay: float = 1.0,
        steps: int = 100,
    ) -> None:
        if members < 2:
            raise InputError(self.name, "members >= 2", str(members), "a single one has no spread")
        self.members, self.hidden, self.decay, self.steps = members, hidden, decay, steps

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _Networks:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        rows = Rows(space, architectures)
        inputs = rows(architectures)
        networks = [
            MLPRegressor(
                hidden_layer_sizes=self.hidden,
                solver="lbfgs",
                alpha=self.decay,
                max_iter=self.steps,
                random_state=(seed + 7919 * member) % 2**32,
            )
            for member in range(self.members)
        ]
        with warnings.catch_warnings():  # stopping early is intended
            warnings.simplefilter("ignore", ConvergenceWarning)
            for network in networks:
                network.fit(inputs, targets)
        return _Networks(rows, networks)


class _Networks:
    def __init__(self, rows: Rows, networks: Sequence[Any]) -> None:
        self._rows, self._networks = rows, networks

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        rows = self._rows(architectures)
        predictions = np.stack([network.predict(rows) for network in self._networks])
        return predictions.mean(axis=0), predictions.std(axis=0)
