"""Semantic autoencoder (Kodirov, Xiang and Gong 2017, arXiv:1704.08345)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .base import ZeroShotClassifier
from .checks import Array, Indices
from .eszsl import divided
from .folds import Scorer, Solver
from .scaling import Scale, unit


class SAE(ZeroShotClassifier):
    """One matrix W (a, d) maps features to descriptions, and its transpose maps them back.

    It minimises ``|X - W' S|^2 + lam |W X - S|^2`` over examples X (d, n) with the descriptions S
    (a, n) of their classes, which is a Sylvester equation::

        S S' W + lam W X X' = (1 + lam) S X'

    An example is mapped to a description and compared with those of the classes by cosine ("F to
    S" in the paper).

    Args:
        lam: weight of the map from features to descriptions.
    """

    name = "sae"
    grid: ClassVar[Mapping[str, Sequence[float]]] = {
        "lam": tuple(10.0 ** (k / 2) for k in range(-8, 9))
    }
    #: Whether descriptions are mapped to features instead of features to descriptions.
    back: ClassVar[bool] = False

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
        own = descriptions[labels]
        # Both sides are symmetric: in the bases of their eigenvectors the equation separates into
        # quotients. This serves a whole grid, and also the singular case (fewer seen classes than
        # attributes, fewer examples than features), where Schur forms break down.
        outer, left = np.linalg.eigh(own.T @ own)
        inner, right = np.linalg.eigh(features.T @ features)
        outer, inner = np.maximum(outer, 0), np.maximum(inner, 0)
        middle = left.T @ (own.T @ features) @ right

        def solve(lam: float) -> Scorer:
            sums = outer[:, None] + lam * inner[None, :]
            weight = left @ divided((1 + lam) * middle, sums) @ right.T
            return _Cosine(weight, self.back)

        return solve


class SAEToFeatures(SAE):
    """The same matrix used the other way: descriptions are mapped to features ("S to F")."""

    name = "sae-s2f"
    back = True


class _Cosine:
    def __init__(self, weight: Array, back: bool) -> None:
        self.weight, self.back = weight, back

    def __call__(self, given: Array, described: Array) -> Array:
        if self.back:
            return unit(given) @ unit(described @ self.weight).T
        return unit(given @ self.weight.T) @ unit(described).T
