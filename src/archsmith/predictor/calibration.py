"""Calibrated spreads: the 80 % interval holds 80 % of unseen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

#: The interval that is reported, and the normal deviations from the mean to its ends.
LEVEL, Z = 0.8, 1.2815515655446004
#: Candidate weights of the learned spread, from 0 up, and of a constant one.
_SHARES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
_CONSTANTS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class Calibration:
    """The learned spread s becomes ``scale * sqrt((share * s)^2 + constant^2)``.

    ``share`` and ``constant`` maximise the normal likelihood of the out-of-fold residuals: they
    reflect how informative the learned spread is. ``scale`` then makes the 80 % interval hold 80 %
    of the residuals, whatever their distribution (as in split conformal prediction, Vovk et al.
    2005).
    """

    share: float
    constant: float
    scale: float

    @classmethod
    def of(cls, residuals: Array, spreads: Array) -> Calibration:
        """Fit to residuals and their learned spreads, (n,) each, n >= 1."""
        residual_scale = max(float(np.sqrt(np.mean(residuals**2))), 1e-12)
        spread_scale = max(float(np.sqrt(np.mean(spreads**2))), 1e-12)
        shares, constants = np.meshgrid(
            _SHARES * residual_scale / spread_scale, _CONSTANTS * residual_scale
        )
        variances = (shares[..., None] * spreads) ** 2 + constants[..., None] ** 2
        losses = (np.log(variances) + residuals**2 / variances).mean(axis=-1)
        best = np.unravel_index(int(np.argmin(losses)), losses.shape)
        share, constant = float(shares[best]), float(constants[best])
        ratios = np.sort(np.abs(residuals) / np.sqrt(variances[best]))
        # The order statistic that the next residual is below with this probability.
        place = min(int(np.ceil(LEVEL * (len(ratios) + 1))), len(ratios)) - 1
        return cls(share, constant, max(float(ratios[place]), 1e-12) / Z)

    def __call__(self, spreads: Array) -> Array:
        """Calibrated standard deviations, of the shape of the learned ones."""
        calibrated: Array = self.scale * np.sqrt((self.share * spreads) ** 2 + self.constant**2)
        return calibrated

    def interval(self, spreads: Array) -> Array:
        """Half the width of the 80 % interval, of the shape of the learned spreads."""
        return Z * self(spreads)
