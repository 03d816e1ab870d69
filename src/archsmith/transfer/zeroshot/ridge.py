"""Ridge regression from descriptions to features (Shigeto et al. 2015, arXiv:1507.00825)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from ...predictor.gaussian import squared_distances
from .base import ZeroShotClassifier
from .checks import Array, Indices
from .eszsl import divided, one_hot
from .folds import Scorer, Solver
from .scaling import Scale


class Ridge(ZeroShotClassifier):
    """Predicts where a class lies in the space of features; the nearest prediction wins.

    Mapping descriptions to features, instead of the reverse, creates fewer hubs: places that are
    nearest to everything. The intercept is not penalised. Scores are negative squared distances.

    Args:
        lam: penalty on squared weights, in units of examples.
    """

    name = "ridge"
    grid: ClassVar[Mapping[str, Sequence[float]]] = {
        "lam": tuple(10.0 ** (k / 2) for k in range(-6, 9))
    }

    def __init__(
        self,
        lam: float | None = None,
        *,
        features_scale: Scale = "centre",
        descriptions_scale: Scale = "unit",
        seed: int = 0,
    ) -> None:
        super().__init__(
            features_scale=features_scale, descriptions_scale=descriptions_scale, seed=seed, lam=lam
        )

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        sizes = np.bincount(labels, minlength=len(descriptions)).astype(np.float64)
        centre = features.mean(axis=0)
        middle = sizes @ descriptions / sizes.sum()
        moved = descriptions - middle
        # Examples of a class share their description, so its mean can replace them all.
        sums = one_hot(labels, len(descriptions)).T @ features - sizes[:, None] * centre
        strength, basis = np.linalg.eigh(moved.T @ (moved * sizes[:, None]))
        strength, target = np.maximum(strength, 0), basis.T @ (moved.T @ sums)

        def solve(lam: float) -> Scorer:
            below = np.broadcast_to((strength + lam)[:, None], target.shape)
            weight = basis @ divided(target, below)
            return lambda given, described: (
                -squared_distances(given, centre + (described - middle) @ weight)
            )

        return solve
