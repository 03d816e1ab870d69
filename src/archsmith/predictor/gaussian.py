"""Gaussian processes over blocks of features (Rasmussen and Williams 2006, chapters 2 and 5).

An architecture is described in several ways: its answers, how often each answer occurs, the paths
of its graph. Each description is a block with one length scale, so that the evidence decides how
much it matters. The process works only with squared distances by block, shaped (blocks, n, m).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

#: Added to the diagonal, relative to the signal's variance, to keep matrices with equal rows
#: invertible. If that fails, ten times as much is tried, and so on, up to the largest variance.
_JITTER, _GROWTH = 1e-6, 10.0
#: Prior means and standard deviations of the logarithms. Distances are scaled to 1 on average.
_LENGTH = (0.0, 1.5)
_NOISE = (float(np.log(0.05)), 1.5)
_BOUNDS_LENGTH, _BOUNDS_NOISE = (-4.0, 5.0), (-8.0, 1.0)
_STEPS = 30
_ROOT5 = float(np.sqrt(5.0))


@dataclass(frozen=True)
class Kernel:
    """A Matérn 5/2 kernel of unit variance over the sum of the blocks' scaled squared distances.

    Attributes:
        lengths: the length scale of each block.
        noise: variance of the noise, relative to that of the signal.
    """

    lengths: tuple[float, ...]
    noise: float

    def __call__(self, distances: Array) -> Array:
        """Covariances, shape (n, m), for squared distances of shape (blocks, n, m)."""
        scales = np.array([length**-2 for length in self.lengths], dtype=distances.dtype)
        return _matern(np.tensordot(scales, distances, axes=1))


def prior_kernel(blocks: int) -> Kernel:
    """The kernel of the prior, without any evidence."""
    return Kernel((float(np.exp(_LENGTH[0])),) * blocks, float(np.exp(_NOISE[0])))


def squared_distances(a: Array, b: Array) -> Array:
    """Squared Euclidean distances, shape (n, m), between rows of ``a`` (n, d) and ``b`` (m, d).

    They are computed in float64 and relative to the mean of ``a``: if small differences of large
    numbers were lost, covariances of the distances might not be positive definite.
    """
    middle = a.mean(axis=0, dtype=np.float64)
    a, b = a - middle, b - middle
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * (a @ b.T)
    positive: Array = np.maximum(squares, 0.0)
    return positive


def fit(distances: Array, values: Array) -> Kernel:
    """The kernel with the largest posterior density, with the signal's variance profiled out.

    Args:
        distances: squared distances of shape (blocks, n, n).
        values: shape (n,), centred.
    """
    from scipy.optimize import minimize

    blocks = len(distances)
    start = np.array([_LENGTH[0]] * blocks + [_NOISE[0]])
    # The second start has long length scales: a smooth function is the other common optimum.
    starts = [start, start + np.array([1.5] * blocks + [-1.0])]
    bounds = [_BOUNDS_LENGTH] * blocks + [_BOUNDS_NOISE]
    wide = distances.astype(np.float64)
    results = [
        minimize(
            _cost,
            point,
            args=(wide, values),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _STEPS},
        )
        for point in starts
    ]
    best = min(results, key=lambda result: float(result.fun)).x
    return Kernel(tuple(float(np.exp(x)) for x in best[:-1]), float(np.exp(best[-1])))


class GaussianProcess:
    """A process with zero mean, conditioned on observed values.

    Args:
        kernel: its covariance.
        distances: squared distances between the observed architectures, (blocks, n, n).
        values: observed values, (n,), centred and of about unit variance.
    """

    def __init__(self, kernel: Kernel, distances: Array, values: Array) -> None:
        self.kernel = kernel
        self.values = np.asarray(values, dtype=np.float64)
        self._prior = kernel(distances.astype(np.float64))
        self._root = _cholesky(self._prior, kernel.noise)
        self._weights = _solve(self._root.T, _solve(self._root, self.values), lower=False)
        #: Variance of the signal, by maximum likelihood.
        self.signal = max(float(self.values @ self._weights) / max(len(self.values), 1), 1e-12)

    @property
    def noise(self) -> float:
        """Variance of the noise."""
        return self.kernel.noise * self.signal

    def predict(self, covariance: Array) -> tuple[Array, Array]:
        """Means and variances (m,) of the noise-free values.

        Args:
            covariance: the kernel between observed and requested architectures, (n, m).
        """
        means = self._weights.astype(covariance.dtype) @ covariance
        explained = _solve(self._root.astype(covariance.dtype), covariance)
        remaining = 1.0 - np.einsum("nm,nm->m", explained, explained)
        return means.astype(np.float64), self.signal * np.maximum(remaining, 1e-9).astype(
            np.float64
        )

    def at_seen(self) -> tuple[Array, Array]:
        """Means (n,) and covariances (n, n) of the noise-free values that were observed."""
        explained = _solve(self._root, self._prior)
        means = explained.T @ _solve(self._root, self.values)
        return means, self.signal * (self._prior - explained.T @ explained)

    def sampled(self, normal: Array, covariance: Array) -> tuple[Array, Array, Array]:
        """The process conditioned on each of s draws of the noise-free observed values.

        Args:
            normal: standard normal numbers, (n, s).
            covariance: the kernel between observed and requested architectures, (n, m).

        Returns:
            The draws (n, s); the means (m, s) and variances (m,) given them.
        """
        means, spread = self.at_seen()
        draws = means[:, None] + _cholesky(spread, 1e-6 * self.signal) @ normal
        explained = _solve(self._noise_free_root.astype(covariance.dtype), covariance)
        conditional = explained.T @ _solve(self._noise_free_root, draws).astype(covariance.dtype)
        remaining = 1.0 - np.einsum("nm,nm->m", explained, explained)
        variances = self.signal * np.maximum(remaining, 1e-6)
        return draws, conditional.astype(np.float64), variances.astype(np.float64)

    @cached_property
    def _noise_free_root(self) -> Array:
        """The Cholesky root of the covariance for values without noise."""
        return _cholesky(self._prior, 1e-3)


def robust(values: Sequence[float] | Array, others: Array | None = None) -> Array:
    """Values (n,), larger being better, centred and scaled, with a clipped lower tail.

    Accuracies have a long tail of networks that learn nothing. How bad these are says nothing about
    good networks and would dominate the scale, so they are raised to the median minus twice the
    distance from the median to the upper quartile.

    Args:
        others: values to return on the scale of ``values``, in place of these.
    """
    plain = np.asarray(values, dtype=np.float64)
    median, upper = np.percentile(plain, [50, 75])
    lowest = median - 2 * (upper - median) if upper > median else -np.inf
    lifted = np.maximum(plain, lowest)
    deviation = float(lifted.std())
    asked = lifted if others is None else np.maximum(others, lowest)
    centred: Array = (asked - lifted.mean()) / (deviation if deviation > 0 else 1.0)
    return centred


def _matern(squares: Array) -> Array:
    scaled = _ROOT5 * np.sqrt(squares)
    covariance: Array = (1.0 + scaled + scaled * scaled / 3.0) * np.exp(-scaled)
    return covariance


def _cost(point: Array, distances: Array, values: Array) -> tuple[float, Array]:
    """Negative log posterior density of log lengths and log noise, and its gradient."""
    n, blocks = len(values), len(distances)
    scales, noise = np.exp(-2 * point[:blocks]), np.exp(point[-1])
    total = np.tensordot(scales, distances, axes=1)
    try:
        root = _cholesky(_matern(total), noise)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(point)
    inverse = _solve(root.T, _solve(root, np.eye(n)), lower=False)
    weights = inverse @ values
    signal = max(float(values @ weights) / n, 1e-12)
    cost = 0.5 * n * np.log(signal) + float(np.log(np.diag(root)).sum())
    pull = 0.5 * (inverse - np.outer(weights, weights) / signal)
    scaled = _ROOT5 * np.sqrt(total)
    slope = pull * (-5.0 / 6.0) * (1.0 + scaled) * np.exp(-scaled)
    gradient = np.empty_like(point)
    gradient[:blocks] = -2 * scales * np.tensordot(distances, slope, axes=2)
    gradient[-1] = noise * np.trace(pull)
    means = np.array([_LENGTH[0]] * blocks + [_NOISE[0]])
    spread = np.array([_LENGTH[1]] * blocks + [_NOISE[1]])
    away = (point - means) / spread
    return cost + 0.5 * float(away @ away), gradient + away / spread


def _cholesky(covariance: Array, noise: float) -> Array:
    """The lower Cholesky root of the covariance with noise, or with more if it has no root."""
    added, most = noise + _JITTER, max(noise + _JITTER, float(np.diag(covariance).max(initial=0.0)))
    while True:
        try:
            root: Array = np.linalg.cholesky(covariance + added * np.eye(len(covariance)))
            return root
        except np.linalg.LinAlgError:
            if not added <= most:  # not reached by a covariance matrix, apart from rounding
                raise
            added *= _GROWTH


def _solve(root: Array, right: Array, lower: bool = True) -> Array:
    from scipy.linalg import solve_triangular

    solved: Array = solve_triangular(root, right, lower=lower, check_finite=False)
    return solved
