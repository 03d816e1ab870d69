"""Predictions of architectures by what never saw them."""

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
    """The part of each key, (n,), from 0; equal keys are in one part, parts are of equal size."""
    different = list(dict.fromkeys(keys))
    order = np.random.default_rng(seed).permutation(len(different))
    parts = np.empty(len(different), dtype=np.int64)
    parts[order] = np.arange(len(different)) % min(folds, len(different))
    of = dict(zip(different, parts, strict=True))
    return np.array([of[key] for key in keys])


@dataclass(frozen=True)
class OutOfFold:
    """Each architecture as predicted from the parts that it is not in.

    Attributes:
        parts: of each architecture, (n,).
        mean, std: of each, (n,), in the unit of the values; the spread is not calibrated.
    """

    parts: Places
    mean: Array
    std: Array

    def validation(self, name: str, values: Array, seed: int) -> Validation:
        """How well the values were predicted."""
        found = rank_agreement(self.mean.tolist(), values.tolist(), seed=seed)
        residuals = values - self.mean
        return Validation(
            name,
            len(values),
            int(self.parts.max()) + 1,
            found.tau,
            found.rho,
            float(np.abs(residuals).mean()),
            self._coverage(residuals),
        )

    def _coverage(self, residuals: Array) -> float:
        """Share of values inside the 80 % interval, each part calibrated by the others."""
        inside = np.zeros(len(residuals), dtype=bool)
        for part in range(self.parts.max() + 1):
            out = self.parts == part
            calibration = Calibration.of(residuals[~out], self.std[~out])
            inside[out] = np.abs(residuals[out]) <= calibration.interval(self.std[out])
        return float(inside.mean())
