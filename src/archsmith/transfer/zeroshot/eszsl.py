"""An embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from scipy.linalg import eigh

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
            features_scale=features_scale, descriptions_scale=descriptions_scale, seed=seed,
            gamma=gamma, lam=lam,
        )  # fmt: skip

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        # Both inverses are diagonal in these bases, so that a grid costs one decomposition.
        spread, left = eigh(features.T @ features)
        strength, right = eigh(descriptions.T @ descriptions)
        spread, strength = np.maximum(spread, 0), np.maximum(strength, 0)
        target = np.full((len(features), len(descriptions)), -1.0)
        target[np.arange(len(labels)), labels] = 1.0
        middle = left.T @ (features.T @ target) @ (descriptions @ right)

        def solve(gamma: float, lam: float) -> Scorer:
            weight = left @ divided(middle, np.outer(spread + gamma, strength + lam)) @ right.T
            return lambda given, described: given @ weight @ described.T

        return solve


def divided(above: Array, below: Array) -> Array:
    """Quotients; 0 where the divisor vanishes, as a pseudo-inverse has it."""
    least = 1e-12 * float(np.abs(below).max(initial=0.0))
    return np.divide(above, below, out=np.zeros_like(above), where=np.abs(below) > least)
