"""An embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .base import ZeroShotClassifier
from .checks import Array, Indices
from .folds import Scorer, Solver
from .scaling import Scale


class ESZSL(ZeroShotClassifier):
    """A bilinear map ``x' V s`` in closed form, with squared loss to labels of -1 and 1.

    With examples X (d, n), labels Y (n, classes) and descriptions S (a, classes)::

        V = (X X' + gamma I)^-1  X Y S'  (S S' + lam I)^-1

    Args:
        gamma: penalty in the space of features.
        lam: penalty in the space of descriptions.
    """

    name = "eszsl"
    grid: ClassVar[Mapping[str, Sequence[float]]] = {
        "gamma": tuple(10.0**k for k in range(-1, 6)),
        "lam": tuple(10.0**k for k in range(-3, 4)),
    }

    def __init__(
        self,
        gamma: float | None = None,
        lam: float | None = None,
        *,
        features_scale: Scale = "centre",
        descriptions_scale: Scale = "unit",
        seed: int = 0,
    ) -> None:
        super().__init__(
            features_scale=features_scale,
            descriptions_scale=descriptions_scale,
            seed=seed,
            gamma=gamma,
            lam=lam,
        )

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        gram = features.T @ features
        # The other inverse is diagonal in this basis: for a grid, each gamma is solved for once.
        strength, basis = np.linalg.eigh(descriptions.T @ descriptions)
        strength = np.maximum(strength, 0)
        target = 2 * one_hot(labels, len(descriptions)) - 1
        middle = (features.T @ target) @ (descriptions @ basis)
        solved: dict[float, Array] = {}

        def solve(gamma: float, lam: float) -> Scorer:
            if gamma not in solved:
                solved[gamma] = _solve(gram, gamma, middle)
            below = np.broadcast_to(strength + lam, middle.shape)
            weight = divided(solved[gamma], below) @ basis.T
            return lambda given, described: given @ weight @ described.T

        return solve


def _solve(gram: Array, gamma: float, right: Array) -> Array:
    """``(gram + gamma I)^-1 right``; by a pseudo-inverse if gamma is negligible."""
    if gamma <= 1e-12 * float(np.trace(gram)):
        solution: Array = np.linalg.pinv(gram, hermitian=True, rcond=1e-12) @ right
    else:
        solution = cho_solve(cho_factor(gram + gamma * np.eye(len(gram))), right)
    return solution


def one_hot(labels: Indices, classes: int) -> Array:
    """(n, classes), 1 at the label and 0 elsewhere."""
    encoded = np.zeros((len(labels), classes))
    encoded[np.arange(len(labels)), labels] = 1.0
    return encoded


def divided(above: Array, below: Array) -> Array:
    """Quotients; 0 where the divisor vanishes, as in a pseudo-inverse."""
    least = 1e-12 * float(np.abs(below).max(initial=0.0))
    return np.divide(above, below, out=np.zeros_like(above), where=np.abs(below) > least)
