"""Acquisition functions: expected improvement and related ones. Larger values are better."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_ROOT_2PI = float(np.sqrt(2 * np.pi))


def expected_improvement(means: Array, variances: Array, best: Array | float) -> Array:
    """The expected improvement over ``best`` (Jones et al. 1998); arguments are broadcast."""
    from scipy.special import ndtr

    deviation = np.sqrt(variances)
    ahead = (means - best) / deviation
    improvement: Array = deviation * (ahead * ndtr(ahead) + np.exp(-0.5 * ahead**2) / _ROOT_2PI)
    positive: Array = np.maximum(improvement, 0.0)
    return positive


def noisy_expected_improvement(draws: Array, means: Array, variances: Array) -> Array:
    """Expected improvement with noisy observations (Letham et al. 2019, arXiv:1706.07094).

    Args:
        draws: s draws of the noise-free values of the n observations that may be best, (n, s).
        means: of the candidates given each draw, (m, s).
        variances: of the candidates, (m,).

    Returns:
        The improvement over each draw's own best, averaged over draws, (m,).
    """
    improvement = expected_improvement(means, variances[:, None], draws.max(axis=0))
    average: Array = improvement.mean(axis=1)
    return average


def probability_below(means: Array, variances: Array, bound: float) -> Array:
    """The probability (m,) that a value is at most ``bound``: feasibility (Gardner et al. 2014)."""
    from scipy.special import ndtr

    probability: Array = ndtr((bound - means) / np.sqrt(variances))
    return probability


def chebyshev(gains: Array, weights: Array, ideal: Array, rho: float = 0.05) -> Array:
    """The augmented Chebyshev scalarisation of ParEGO (Knowles 2006), larger is better.

    Args:
        gains: shape (..., objectives), larger is better, on a common scale.
        weights: shape (objectives,), with sum 1. The larger the weight of an objective, the nearer
            to its best are the preferred gains.
        ideal: the best of each objective, shape (objectives,).
        rho: weight of the plain sum, which excludes weakly dominated solutions.
    """
    weighted = weights * (gains - ideal)
    scalar: Array = weighted.min(axis=-1) + rho * weighted.sum(axis=-1)
    return scalar


def hypervolume_improvement(front: Array, reference: Array, samples: Array) -> Array:
    """How much each sample enlarges the area dominated by a front of two gains.

    Args:
        front: gains (k, 2), larger is better; dominated ones are ignored.
        reference: a point (2,); only what is better in both gains counts.
        samples: gains (..., 2).

    Returns:
        Areas of shape (...), 0.0 for samples that the front dominates.
    """
    kept = front[(front > reference).all(axis=1)]
    kept = kept[np.lexsort((-kept[:, 1], -kept[:, 0]))]  # by first gain, best first
    higher = kept[:, 1] > np.maximum.accumulate(np.r_[-np.inf, kept[:-1, 1]])
    kept = kept[higher]
    # Strips of the first axis, from right to left, and the dominated height in each.
    edges = np.r_[np.inf, kept[:, 0], reference[0]]
    heights = np.r_[reference[1], kept[:, 1]]
    first, second = samples[..., 0:1], samples[..., 1:2]
    right = np.minimum(first, edges[:-1])
    widths = np.maximum(right - np.maximum(edges[1:], reference[0]), 0.0)
    gained: Array = (widths * np.maximum(second - heights, 0.0)).sum(axis=-1)
    return gained
