"""Out-of-fold predictions: each architecture is predicted without having been fitted to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..history.agreement import rank_agreement
from .calibration import Calibration
from .validation import Validation

Array = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]


def folds_of(keys: Sequence[Hashable], folds: int, seed: int) -> Places:
    """The part of each key, (n,), from 0. Equal keys are in the same part; parts have about the
    same number of distinct keys."""
    distinct = list(dict.fromkeys(keys))
    order = np.random.default_rng(seed).permutation(len(distinct))
    parts = np.empty(len(distinct), dtype=np.int64)
    parts[order] = np.arange(len(distinct)) % min(folds, len(distinct))
    part_of = dict(zip(distinct, parts, strict=True))
    return np.array([part_of[key] for key in keys])


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of each architecture from the parts that it is not in.

    Attributes:
        parts: of each architecture, (n,).
        mean, std: of each, (n,), in the unit of the values; the spread is not calibrated.
    """

    parts: Places
    mean: Array
    std: Array

    def validation(self, name: str, values: Array, seed: int) -> Validation:
        """How well the predictions agree with the values, (n,)."""
        agreement = rank_agreement(self.mean.tolist(), values.tolist(), seed=seed)
        residuals = values - self.mean
        return Validation(
            name,
            len(values),
            int(self.parts.max()) + 1,
            agreement.tau,
            agreement.rho,
            float(np.abs(residuals).mean()),
            self._coverage(residuals),
        )

    def _coverage(self, residuals: Array) -> float:
        """Share of values inside the 80 % interval, each part calibrated on the others."""
        inside = np.zeros(len(residuals), dtype=bool)
        for part in range(self.parts.max() + 1):
            out = self.parts == part
            calibration = Calibration.of(residuals[~out], self.std[~out])
            inside[out] = np.abs(residuals[out]) <= calibration.interval(self.std[out])
        return float(inside.mean())
