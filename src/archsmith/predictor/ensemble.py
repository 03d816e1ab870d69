"""A predictor that knows how sure it is: an ensemble of linear models, with its mean and spread."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Columns that vary less than this are left as they are.
_CONSTANT = 1e-6


class Ensemble:
    """All linear models of the columns that agree with what was observed, by how well they do.

    Bayesian ridge regression in closed form: weights have a normal prior, observations a normal
    error. Instead of a handful of networks trained from random starts (White et al. 2021, BANANAS,
    arXiv:1910.11858, have five), the ensemble is the whole posterior distribution, whose mean and
    standard deviation at a row are exact.

    Args:
        rows: observed rows, shape (n, d), n >= 1. Columns are centred and scaled.
        targets: of each row, shape (n,), of about unit variance.
        noise: variance of the error. It also stands for what a linear model cannot say, so it is
            large: with a small one the ensemble is sure of itself too early.
    """

    def __init__(self, rows: Array, targets: Array, noise: float) -> None:
        self._centre = rows.mean(axis=0)
        spread = rows.std(axis=0)
        self._scale = np.where(spread > _CONSTANT, spread, 1.0) * np.sqrt(max(1, rows.shape[1]))
        self._mean = float(targets.mean())
        left, sizes, self._axes = np.linalg.svd(self._standard(rows), full_matrices=False)
        power = sizes**2
        self._weights = self._axes.T @ (sizes * (left.T @ (targets - self._mean)) / (power + noise))
        #: By how much observation has narrowed the prior variance along each axis, in [0, 1).
        self._known = power / (power + noise)

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the ensemble at each row, both of shape (n,)."""
        standard = self._standard(rows)
        along = standard @ self._axes.T
        variance = (standard**2).sum(axis=1) - (along**2) @ self._known
        return self._mean + standard @ self._weights, np.sqrt(np.maximum(variance, 0.0))

    def _standard(self, rows: Array) -> Array:
        standard: Array = (rows - self._centre) / self._scale
        return standard
