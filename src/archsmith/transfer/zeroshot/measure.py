"""Class-averaged accuracy, on seen and unseen classes, with intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from ..._support.errors import InputError
from .checks import Array, Indices


class Estimate(NamedTuple):
    """A share with its confidence interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"


def class_accuracy(predicted: Indices, labels: Indices, confidence: float = 0.95) -> Estimate:
    """Mean over the classes of the share of their examples that is correct (top-1).

    The interval is Wilson's (1927) for the number of examples with which a mean over classes of
    equal size would be as precise, ``classes**2 / sum(1 / size)``. It refers to other examples
    of the same classes, not of other classes.

    Args:
        predicted, labels: (n,).
    """
    classes, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    right = np.bincount(inverse.reshape(-1), weights=predicted == labels, minlength=len(classes))
    value = float((right / sizes).mean())
    return wilson(value, len(classes) ** 2 / float((1 / sizes).sum()), confidence)


def wilson(value: float, count: float, confidence: float = 0.95) -> Estimate:
    """Wilson's score interval of a share that was observed on ``count`` examples."""
    if not 0 < confidence < 1:
        raise InputError("confidence", "a share above 0 and below 1", repr(confidence))
    z = float(norm.ppf(0.5 + confidence / 2))
    centre = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = (
        z
        / (1 + z * z / count)
        * math.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    )
    return Estimate(value, min(value, max(0.0, centre - half)), max(value, min(1.0, centre + half)))


def harmonic_mean(seen: float, unseen: float) -> float:
    """``2 s u / (s + u)``; 0 if one of them is (Xian et al. 2017, arXiv:1707.00600)."""
    return 2 * seen * unseen / (seen + unseen) if seen > 0 and unseen > 0 else 0.0


@dataclass(frozen=True)
class Generalised:
    """Accuracy when seen and unseen classes compete.

    Attributes:
        seen, unseen: class-averaged, on examples of seen and of unseen classes.
        harmonic: their harmonic mean; its bounds combine both bounds, which makes the interval
            wider than necessary.
    """

    seen: Estimate
    unseen: Estimate
    harmonic: Estimate

    def to_json(self) -> dict[str, dict[str, float]]:
        return {
            name: dict(zip(Estimate._fields, value))
            for name, value in ((k, getattr(self, k)) for k in asdict(self))
        }


def generalised(
    scores: Array, labels: Indices, seen: Indices, gamma: float = 0.0, confidence: float = 0.95
) -> Generalised:
    """Seen and unseen accuracy after calibrated stacking by ``gamma``.

    Args:
        scores: (n, classes) of examples of seen and unseen classes.
        labels: (n,).
        seen: numbers of the seen classes.
    """
    predicted = stacked(scores, seen, gamma).argmax(axis=1)
    of_seen = np.isin(labels, seen)
    s = class_accuracy(predicted[of_seen], labels[of_seen], confidence)
    u = class_accuracy(predicted[~of_seen], labels[~of_seen], confidence)
    return Generalised(s, u, Estimate(*(harmonic_mean(a, b) for a, b in zip(s, u))))


def stacked(scores: Array, seen: Indices, gamma: float) -> Array:
    """Calibrated stacking: ``gamma`` less for every seen class (Chao 2016, arXiv:1605.04253)."""
    shifted = scores.copy()
    shifted[:, seen] -= gamma
    return shifted


@dataclass(frozen=True)
class SeenUnseen:
    """How seen and unseen accuracy change as ``gamma`` grows.

    Attributes:
        edges: (k,), ascending, the values of ``gamma`` at which something changes.
        seen, unseen: (k + 1,) class-averaged accuracies below, between and above the edges, the
            first falling and the second rising.
    """

    edges: Array
    seen: Array
    unseen: Array

    @property
    def area(self) -> float:
        """Area under the seen-unseen curve, AUSUC (Chao 2016, arXiv:1605.04253)."""
        return float(np.trapezoid(self.seen, self.unseen))

    def harmonic_at(self, gammas: Array) -> Array:
        """Harmonic mean of both accuracies at some gammas (m,)."""
        place = np.searchsorted(self.edges, gammas)
        s, u = self.seen[place], self.unseen[place]
        return np.divide(2 * s * u, s + u, out=np.zeros_like(s), where=s + u > 0)


def seen_unseen_curve(scores: Array, labels: Indices, seen: Indices) -> SeenUnseen:
    """The curve at every ``gamma`` where something changes, exactly.

    An example goes to the seen classes while ``gamma`` is below the difference of its best
    seen and best unseen score; the order within each group never changes.

    Args:
        scores: (n, classes).
        labels: (n,).
        seen: numbers of the seen classes.

    Raises:
        InputError: no class, or no example, on one of the two sides.
    """
    unseen = np.setdiff1d(np.arange(scores.shape[1]), seen)
    of_seen = np.isin(labels, seen)
    if not len(seen) or not len(unseen) or of_seen.all() or not of_seen.any():
        raise InputError("seen and unseen", "classes and examples of both", "one side is empty")
    best_seen, best_unseen = seen[scores[:, seen].argmax(1)], unseen[scores[:, unseen].argmax(1)]
    every = np.arange(len(labels))
    margin = scores[every, best_seen] - scores[every, best_unseen]
    edges = np.unique(margin)
    right = np.where(of_seen, best_seen, best_unseen) == labels
    s = _share_below(margin[of_seen], right[of_seen], labels[of_seen], edges)
    return SeenUnseen(
        edges, s[-1] - s, _share_below(margin[~of_seen], right[~of_seen], labels[~of_seen], edges)
    )


def between(edges: Array) -> Array:
    """A value below all of (k,) ascending edges, one between each two neighbours, one above all."""
    return np.concatenate([[edges[0] - 1.0], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1.0]])


def _share_below(margin: Array, right: Array, labels: Indices, edges: Array) -> Array:
    """Class-averaged share of correct examples whose margin lies below each edge, (k + 1,)."""
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    weight = right / (sizes[inverse.reshape(-1)] * len(sizes))
    at = np.bincount(np.searchsorted(edges, margin), weights=weight, minlength=len(edges))
    return np.concatenate([[0.0], np.cumsum(at)])
