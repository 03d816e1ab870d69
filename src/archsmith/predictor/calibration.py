"""Spreads that are true: the 80 % interval holds 80 % of what was not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

#: The interval that is reported, and the normal deviations from the mean to its ends.
LEVEL, Z = 0.8, 1.2815515655446004
#: How much of the learned spread counts, from nothing up, and of a constant one.
_SHARES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
_CONSTANTS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class Calibration:
    """The learned spread s becomes ``scale * sqrt((share * s)^2 + constant^2)``.

    ``share`` and ``constant`` have the largest normal likelihood of the residuals out of fold:
    they say how much the learned spread tells. ``scale`` then brings the 80 % interval to hold 80 %
    of them, whatever their distribution (as in split conformal prediction, Vovk et al. 2005).
    """

    share: float
    constant: float
    scale: float

    @classmethod
    def of(cls, residuals: Array, spreads: Array) -> Calibration:
        """From residuals and the learned spreads beside them, (n,) each, n >= 1."""
        least = max(float(np.sqrt(np.mean(residuals**2))), 1e-12)
        unit = max(float(np.sqrt(np.mean(spreads**2))), 1e-12)
        shares, constants = np.meshgrid(_SHARES * least / unit, _CONSTANTS * least)
        variances = (shares[..., None] * spreads) ** 2 + constants[..., None] ** 2
        unlikely = (np.log(variances) + residuals**2 / variances).mean(axis=-1)
        best = np.unravel_index(int(np.argmin(unlikely)), unlikely.shape)
        share, constant = float(shares[best]), float(constants[best])
        apart = np.sort(np.abs(residuals) / np.sqrt(variances[best]))
        # The quantile of n residuals that the next one is below with this probability.
        place = min(int(np.ceil(LEVEL * (len(apart) + 1))), len(apart)) - 1
        return cls(share, constant, max(float(apart[place]), 1e-12) / Z)

    def __call__(self, spreads: Array) -> Array:
        """Calibrated standard deviations, of the shape of the learned ones."""
        true: Array = self.scale * np.sqrt((self.share * spreads) ** 2 + self.constant**2)
        return true

    def interval(self, spreads: Array) -> Array:
        """Half the width of the 80 % interval, of the shape of the learned spreads."""
        return Z * self(spreads)
