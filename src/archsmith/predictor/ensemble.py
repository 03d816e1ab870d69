"""A predictor with uncertainty: an ensemble of linear models, with its mean and spread."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Columns that vary less than this are not scaled.
_CONSTANT = 1e-6


class Ensemble:
    """All linear models of the columns, weighted by how well they fit the observations.

    Bayesian ridge regression in closed form: weights have a normal prior, observations a normal
    error. Instead of a few networks with random initialisations (five in White et al. 2021,
    BANANAS, arXiv:1910.11858), the ensemble is the whole posterior distribution, whose mean and
    standard deviation at a row are exact.

    Args:
        rows: observed rows, shape (n, d), n >= 1. Columns are centred and scaled.
        targets: of each row, shape (n,), of about unit variance.
        noise: variance of the error. It includes what a linear model cannot represent, so it is
            large: with a small one the ensemble becomes overconfident too early.
    """

    def __init__(self, rows: Array, targets: Array, noise: float) -> None:
        self._centre = rows.mean(axis=0)
        spread = rows.std(axis=0)
        self._scale = np.where(spread > _CONSTANT, spread, 1.0) * np.sqrt(max(1, rows.shape[1]))
        self._mean = float(targets.mean())
        left, sizes, self._axes = np.linalg.svd(self._standardise(rows), full_matrices=False)
        power = sizes**2
        self._weights = self._axes.T @ (sizes * (left.T @ (targets - self._mean)) / (power + noise))
        #: By which share observations have reduced the prior variance along each axis, in [0, 1).
        self._reduction = power / (power + noise)

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the ensemble at each row, both of shape (n,)."""
        standard = self._standardise(rows)
        along = standard @ self._axes.T
        variance = (standard**2).sum(axis=1) - (along**2) @ self._reduction
        return self._mean + standard @ self._weights, np.sqrt(np.maximum(variance, 0.0))

    def _standardise(self, rows: Array) -> Array:
        standard: Array = (rows - self._centre) / self._scale
        return standard
