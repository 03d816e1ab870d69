"""A Gaussian process for each number of epochs, each with the one below as its trend.

The autoregressive model of Kennedy and O'Hagan 2000 (Predicting the Output from a Complex Computer
Code when Fast Approximations Are Available) in the recursive form of Le Gratiet and Garnier 2014,
arXiv:1210.0686: the value after more epochs is a multiple of the value after fewer, plus a process
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..predictor.blocks import blocks_of, distances
from ..predictor.gaussian import Kernel
from ..space.architecture import Architecture
from .surrogate import SEEN, Kernels, Target

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Prior variances, relative to that of a process, of its constant and of the slope of its trend.
#: The prior mean of the slope is 1 between levels and 0 for advice. A flat prior ended searches:
#: after two results in the wrong order no short training seemed to say anything.
_CONSTANT, _SLOPE = 25.0, 1.0
#: The prior on a process's variance: this many observations of that value.
_PRIOR, _VARIANCE = 2.0, 0.5
#: Variance of the noise, relative to that of the process, of all levels but the lowest: they have
#: too few observations to estimate it.
_NOISE = 0.1


@dataclass(frozen=True)
class Level:
    """What is believed of all architectures of a pool after some number of epochs.

    Attributes:
        means, variances: of the noise-free values, (m,), on the scale of the target.
        noise: variance of an observation around them.
        slope: how much they change with the value at the level below; 0.0 for the lowest.
    """

    means: Array
    variances: Array
    noise: float
    slope: float = 0.0


class Surface:
    """Covariances between the architectures of one pool, and processes over it.

    Args:
        pool: every architecture that is asked about or was observed, each once.
        places: their positions in a listed space, or ``None``.
    """

    def __init__(
        self,
        space: Space,
        kernels: Kernels,
        pool: Sequence[Architecture],
        places: Sequence[int] | None,
    ) -> None:
        blocks = blocks_of(space)
        self.trend: Array = blocks.trend(pool)
        self._kernels, self._places = kernels, places
        self._rows = None if places is not None else blocks.rows(pool)

    def level(
        self,
        target: Target,
        observed: Sequence[int],
        running: Sequence[int] = (),
        below: Level | None = None,
        lowest: Target | None = None,
    ) -> Level:
        """The process of a target.

        Args:
            observed: the index in the pool of each of the target's trials.
            running: those of running trials at this level, which count as ending as predicted.
            below: the level of fewer epochs, the trend; without it, advice is.
            lowest: the target whose kernel is used, if not the target's own. Its length scales
                serve all levels, since the others have too few observations.
        """
        kernel = self._kernels.of(lowest or target)
        if lowest is not None:
            kernel = Kernel(kernel.lengths, _NOISE)
        kept = target.kept(SEEN)
        at, values = [observed[i] for i in kept], target.values[kept]
        trend, rise = (self.trend, 0.0) if below is None else (below.means, 1.0)
        level = _conditioned(kernel, self._covariance(kernel, at), at, values, trend, rise)
        if running:
            at = [*at, *running]
            values = np.concatenate([values, level.means[list(running)]])
            level = _conditioned(kernel, self._covariance(kernel, at), at, values, trend, rise)
        if below is None:
            return replace(level, slope=0.0)
        return replace(level, variances=level.variances + level.slope**2 * below.variances)

    def _covariance(self, kernel: Kernel, seen: Sequence[int]) -> Array:
        """Covariances (n, m) of some of the pool, by index, with all of it."""
        if self._rows is None:
            assert self._places is not None
            return self._kernels.to_listed(kernel, [self._places[i] for i in seen], self._places)
        some = {name: block[list(seen)] for name, block in self._rows.items()}
        return kernel(distances(some, self._rows))


def _conditioned(
    kernel: Kernel,
    covariance: Array,
    at: Sequence[int],
    values: Array,
    trend: Array,
    rise: float,
) -> Level:
    """A process with an unknown constant and a rising trend, given some values.

    Args:
        covariance: between the observed and all, (n, m).
        at: indices of the observed, (n,).
        values: observed, (n,).
        trend: of all, (m,). Its slope is estimated, and is not negative: an architecture that is
            better after fewer epochs is not expected to be worse after more.
        rise: prior mean of the slope.
    """
    from scipy.linalg import solve_triangular

    across = covariance + np.float32(_CONSTANT)
    within = across[:, at].astype(np.float64) + (kernel.noise + 1e-5) * np.eye(len(at))
    root = np.linalg.cholesky(within)
    ahead = trend[at]

    def solved(right: Array) -> Array:
        found: Array = solve_triangular(
            root.astype(right.dtype), right, lower=True, check_finite=False
        )
        return found

    steep, wanted = solved(ahead), solved(values)
    weight = float(steep @ steep) + 1 / _SLOPE
    slope = max((float(steep @ wanted) + rise / _SLOPE) / weight, 0.0)
    rest, explained = wanted - slope * steep, solved(across)
    signal = (_PRIOR * _VARIANCE + float(rest @ rest)) / (_PRIOR + len(values))
    means = rest.astype(explained.dtype) @ explained
    left = 1.0 + _CONSTANT - np.einsum("nm,nm->m", explained, explained).astype(np.float64)
    variances = signal * np.maximum(left, 1e-4)
    return Level(means.astype(np.float64) + slope * trend, variances, kernel.noise * signal, slope)
