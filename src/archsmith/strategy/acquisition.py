"""Acquisition functions: expected improvement and related ones. Larger values are better."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_ROOT_2, _ROOT_2PI = float(np.sqrt(2)), float(np.sqrt(2 * np.pi))
_ROOT_HALF_PI = float(np.sqrt(np.pi / 2))
#: Distances in deviations where :func:`log_expected_improvement` changes its form.
_NEAR, _FAR = -1.0, -200.0
#: Variance of a gain that is known, on a scale where gains vary by about 1.
_KNOWN = 1e-18
#: Points of the quadrature over what a look may show.
#: Where going on stops paying there is a kink, so a close grid is better than Gauss's few points.
LUCKIEST = 4.0
_NODES = np.linspace(-LUCKIEST, LUCKIEST, 33)


def expected_improvement(means: Array, variances: Array, best: Array | float) -> Array:
    """The expected improvement over ``best`` (Jones et al. 1998); arguments are broadcast."""
    from scipy.special import ndtr

    deviation = np.sqrt(variances)
    ahead = (means - best) / deviation
    improvement: Array = deviation * (ahead * ndtr(ahead) + np.exp(-0.5 * ahead**2) / _ROOT_2PI)
    positive: Array = np.maximum(improvement, 0.0)
    return positive


def log_expected_improvement(means: Array, variances: Array, best: Array | float) -> Array:
    """The logarithm of :func:`expected_improvement`, exact where that is too small for a float.

    With z the distance in deviations, the improvement is the deviation times h(z) = z Φ(z) + φ(z).
    For negative z, h(z) = φ(z) (1 - √(π/2) |z| erfcx(|z| / √2)); far out the bracket cancels, and
    its expansion 1/z² - 3/z⁴ + 15/z⁶ takes its place (Ament et al. 2023, arXiv:2310.20708).
    """
    from scipy.special import erfcx, ndtr

    deviation = np.sqrt(variances)
    z = np.asarray((means - best) / deviation, dtype=np.float64)
    near = np.maximum(z, _NEAR)
    plain = np.log(near * ndtr(near) + np.exp(-0.5 * near**2) / _ROOT_2PI)
    middle = np.clip(z, _FAR, _NEAR)
    bracket = 1.0 + _ROOT_HALF_PI * middle * erfcx(-middle / _ROOT_2)
    far = np.minimum(z, _FAR)
    square = far**-2.0
    expansion = square * (1.0 - square * (3.0 - square * (15.0 - 105.0 * square)))
    tail = -0.5 * np.minimum(z, 0.0) ** 2 - np.log(_ROOT_2PI)
    below = tail + np.log(np.where(z < _FAR, expansion, bracket))
    logarithm: Array = np.log(deviation) + np.where(z > _NEAR, plain, below)
    return logarithm


def option_rate(
    means: Array,
    variances: Array,
    best: float,
    learned: Array,
    look: Array,
    rest: Array,
) -> Array:
    """The logarithm of what a look is worth for each unit of cost, as an option on going on.

    A look at cost ``look`` moves the mean by a normal draw of variance ``learned``; after it one
    may pay ``rest`` for the value itself. The rate r is where both are in balance: the mean over
    draws of max(improvement - r rest, 0) equals r look. Without anything to learn it is the
    expected improvement for each unit of the whole cost. It is the fair charge of Weitzman 1979
    (Optimal Search for the Best Alternative), used for costs of evaluations by Xie et al. 2024,
    arXiv:2406.20062.

    Args:
        means, variances: of the values that count, (m,).
        best: what is to be improved on.
        learned: the part of ``variances`` that the look would explain, (m,).
        look, rest: costs, (m,), above 0.
    """
    moved = means[:, None] + np.sqrt(learned)[:, None] * _NODES
    left = np.maximum(variances - learned, 1e-12 * variances)[:, None]
    gains = log_expected_improvement(moved, left, best)
    top = gains.max(axis=1, keepdims=True)
    gains, weights = np.exp(gains - top), np.exp(-0.5 * _NODES**2)
    weights /= weights.sum()
    # Above every gain the option is worth nothing, so the rate lies between 0 and the mean gain for
    # the cost of the look. The equation is piecewise linear in it: Newton from below is exact.
    rate = np.zeros(len(means))
    for _ in range(len(_NODES) + 1):
        goes = (gains > (rate * rest)[:, None]) * weights
        before, rate = rate, (goes * gains).sum(axis=1) / (look + rest * goes.sum(axis=1))
        if (rate <= before).all():
            break
    logarithm: Array = np.log(np.maximum(rate, np.finfo(float).tiny)) + top[:, 0]
    return logarithm


def log_noisy_expected_improvement(draws: Array, means: Array, variances: Array) -> Array:
    """The logarithm of expected improvement with noisy observations (Letham et al. 2019,
    arXiv:1706.07094).

    Args:
        draws: s draws of the noise-free values of the n observations that may be best, (n, s).
        means: of the candidates given each draw, (m, s).
        variances: of the candidates, (m,).

    Returns:
        The logarithm of the improvement over each draw's own best, averaged over draws, (m,).
    """
    from scipy.special import logsumexp

    improvement = log_expected_improvement(means, variances[:, None], draws.max(axis=0))
    average: Array = logsumexp(improvement, axis=1) - np.log(draws.shape[1])
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


def log_hypervolume_improvement(
    front: Array, reference: Array, means: Array, variances: Array
) -> Array:
    """The logarithm of the area by which candidates are expected to enlarge what a front dominates.

    In closed form (Emmerich et al. 2011; Yang et al. 2019, arXiv:1904.12672): between two
    neighbours of the front the area is a product of two improvements of independent gains. As a
    logarithm it tells candidates apart where every area is too small for a float (Ament et al.
    2023, arXiv:2310.20708).

    Args:
        front: gains (k, 2), larger is better; dominated ones are ignored.
        reference: a point (2,); only what is better in both gains counts.
        means, variances: of the candidates' gains, (m, 2); a variance of 0.0 means that the gain
            is known.

    Returns:
        Shape (m,).
    """
    from scipy.special import logsumexp

    kept = front[(front > reference).all(axis=1)]
    kept = kept[np.lexsort((-kept[:, 1], -kept[:, 0]))]  # by first gain, best first
    higher = kept[:, 1] > np.maximum.accumulate(np.r_[-np.inf, kept[:-1, 1]])
    kept = kept[higher]
    # Strips of the first axis, from right to left, and the dominated height in each.
    edges = np.r_[kept[:, 0], reference[0]]
    heights = np.r_[reference[1], kept[:, 1]]
    spread = np.maximum(variances, _KNOWN)
    wide = log_expected_improvement(means[:, :1], spread[:, :1], edges)
    # What lies beyond the right edge of a strip belongs to the strips before.
    beyond = np.concatenate([np.full((len(means), 1), -np.inf), wide[:, :-1]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(np.isneginf(wide), -np.inf, beyond - wide)
        widths = wide + np.log1p(-np.exp(np.minimum(ratio, 0.0)))
    tall = log_expected_improvement(means[:, 1:], spread[:, 1:], heights)
    area: Array = logsumexp(widths + tall, axis=1)
    return area
