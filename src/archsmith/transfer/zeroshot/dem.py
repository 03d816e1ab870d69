"""A network from descriptions to features (Zhang et al. 2017, arXiv:1611.05088; loads torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...predictor.gaussian import squared_distances
from .base import ZeroShotClassifier
from .checks import Array, Indices
from .descent import minimise
from .eszsl import one_hot
from .folds import Scorer, Solver
from .ranking import applied, check_descent, projection
from .scaling import Scale


class DEM(ZeroShotClassifier):
    """Like :class:`~.ridge.Ridge`, with a perceptron with a hidden layer instead of a linear map.

    Trained on squared distances between features and the images of their classes' descriptions.
    Scores are negative squared distances.

    Args:
        decay: penalty on squared weights.
        hidden: units of the hidden layer.
        steps: number of Adam steps.
        rate: highest learning rate.
    """

    name = "dem"
    grid: ClassVar[Mapping[str, Sequence[float]]] = {"decay": (1e-4, 1e-3, 1e-2)}
    folds = 3

    def __init__(
        self,
        decay: float | None = None,
        *,
        hidden: int = 128,
        steps: int = 150,
        rate: float = 0.01,
        features_scale: Scale = "centre",
        descriptions_scale: Scale = "unit",
        seed: int = 0,
    ) -> None:
        super().__init__(
            features_scale=features_scale,
            descriptions_scale=descriptions_scale,
            seed=seed,
            decay=decay,
        )
        check_descent(self.name, steps, rate, 1, hidden)
        self.hidden, self.steps, self.rate = hidden, steps, rate

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        classes = len(descriptions)
        sizes = np.bincount(labels, minlength=classes)
        sums = one_hot(labels, classes).T @ features
        # For a squared distance the mean of a class can replace its examples.
        means = torch.from_numpy((sums / sizes[:, None]).astype(np.float32))
        shares = torch.from_numpy((sizes / sizes.sum()).astype(np.float32))
        described = torch.from_numpy(descriptions.astype(np.float32))

        def solve(decay: float) -> Scorer:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                torch.manual_seed(self.seed)
                model = projection(described.shape[1], means.shape[1], self.hidden)

                def loss(batch: Tensor) -> Tensor:
                    away = (model(described[batch]) - means[batch]).square().mean(dim=1)
                    mean: Tensor = (shares[batch] * away).sum()
                    return mean

                minimise(
                    model,
                    loss,
                    classes,
                    steps=self.steps,
                    rate=self.rate,
                    decay=decay,
                    batch=classes,
                    seed=self.seed,
                )
            return lambda rows, to: -squared_distances(rows, applied(model, to))

        return solve
