"""An ensemble of feed-forward networks trained on the mean absolute error (White et al. 2021,
BANANAS, arXiv:1910.11858), all of them together in numpy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

_EPSILON = 1e-8
_DECAYS = 0.9, 0.999


class FeedForward:
    """Networks of equal size with different random initialisations, trained by Adam on |error|.

    Args:
        rows: training inputs, (n, columns).
        targets: (n,).
        seed: of initialisations and batches.
        members, layers, width: number of networks, hidden layers of each and their units (5, 10
            and 20 in the paper).
        rate: learning rate of Adam (0.01 in the paper).
        steps: of Adam, on batches of 32 that each network draws independently.
    """

    def __init__(
        self,
        rows: Array,
        targets: Array,
        seed: int,
        members: int = 5,
        layers: int = 10,
        width: int = 20,
        rate: float = 0.01,
        steps: int = 400,
    ) -> None:
        rng = np.random.default_rng(seed)
        sizes = [rows.shape[1], *[width] * layers, 1]
        self._weights = [
            rng.normal(size=(members, m, n)) * (2.0 / max(1, m)) ** 0.5 for m, n in pairwise(sizes)
        ]
        self._biases = [np.zeros((members, 1, n)) for n in sizes[1:]]
        self._centre, self._scale = float(targets.mean()), float(targets.std()) or 1.0
        self._train(rows, (targets - self._centre) / self._scale, rng, rate, steps)

    def predict(self, rows: Array) -> Array:
        """The prediction of each network for each row, (members, n)."""
        outputs: Array = self._activations(
            np.broadcast_to(rows, (len(self._biases[0]), *rows.shape))
        )[-1]
        return outputs[..., 0] * self._scale + self._centre

    def _activations(self, rows: Array) -> list[Array]:
        """Inputs (members, n, columns) and the outputs of each layer."""
        activations = [rows]
        for place, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            output = activations[-1] @ weight + bias
            activations.append(
                output if place == len(self._weights) - 1 else np.maximum(output, 0.0)
            )
        return activations

    def _train(
        self, rows: Array, targets: Array, rng: np.random.Generator, rate: float, steps: int
    ) -> None:
        parameters = [*self._weights, *self._biases]
        moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        shape = (len(self._biases[0]), min(32, len(rows)))
        for step in range(1, steps + 1):
            batch = rng.integers(len(rows), size=shape)
            # Decays to zero over the second half, so that the result does not depend on the last
            # batch.
            speed = rate * min(1.0, 2.0 * (1.0 - step / (steps + 1)))
            gradients = self._gradients(rows[batch], targets[batch])
            for value, gradient, (mean, square) in zip(parameters, gradients, moments, strict=True):
                mean += (1 - _DECAYS[0]) * (gradient - mean)
                square += (1 - _DECAYS[1]) * (gradient**2 - square)
                root = np.sqrt(square / (1 - _DECAYS[1] ** step)) + _EPSILON
                value -= speed * mean / (1 - _DECAYS[0] ** step) / root

    def _gradients(self, rows: Array, targets: Array) -> list[Array]:
        """Gradients of the mean absolute error, for all weights and then all biases."""
        activations = self._activations(rows)
        back = np.sign(activations[-1] - targets[..., None]) / rows.shape[1]
        weights: list[Array] = []
        biases: list[Array] = []
        for place in reversed(range(len(self._weights))):
            weights.append(activations[place].transpose(0, 2, 1) @ back)
            biases.append(back.sum(axis=1, keepdims=True))
            if place:
                back = (back @ self._weights[place].transpose(0, 2, 1)) * (activations[place] > 0)
        return weights[::-1] + biases[::-1]
