"""Extrapolation of learning curves (families of Domhan et al. 2015, Speeding up Automatic
Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves, IJCAI)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._support.errors import InputError

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Candidate standard deviations of the noise, relative to the range of the curve so far.
_NOISE = np.array([0.003, 0.01, 0.03, 0.1, 0.3])
#: Prior standard deviations of the last value around the newest one and of the fall, likewise.
_LAST, _FALL = 1.0, 3.0
#: Weight of the uniform prior, in curves, relative to the curves that a model has learned from.
_PLAIN = 1.0
#: Positive values that differ by more than this factor are extrapolated as logarithms.
_WIDE = 10.0


class Outlook(NamedTuple):
    """The predicted value at the last epoch, as a mixture of normal distributions.

    Attributes:
        weights, means, stds: of the components, (components,) each.
    """

    weights: Array
    means: Array
    stds: Array

    @property
    def mean(self) -> float:
        """The expected value."""
        return float(self.weights @ self.means)

    @property
    def std(self) -> float:
        """The standard deviation."""
        return float(np.sqrt(self.weights @ (self.stds**2 + (self.means - self.mean) ** 2)))

    def chance_below(self, bar: float) -> float:
        """The probability that the value is below ``bar``."""
        from scipy.special import ndtr

        return float(self.weights @ ndtr((bar - self.means) / self.stds))


@dataclass(frozen=True)
class _Shapes:
    """Shapes of curves that fall from 1 at the first epoch to 0 at the last.

    Attributes:
        names: the family of each shape.
        falls: (shapes, epochs).
    """

    names: tuple[str, ...]
    falls: Array


@lru_cache(maxsize=8)
def _shapes_over(epochs: int) -> _Shapes:
    x = np.arange(1.0, epochs + 1.0)
    shapes: list[tuple[str, Array]] = [("ilog2", 1.0 / np.log(x + 1.0))]
    shapes += [("pow3", x**-power) for power in np.geomspace(0.1, 4.0, 24)]
    for scale in np.geomspace(0.5, 2.0 * epochs, 32):
        shapes.append(("exp3", np.exp(-x / scale)))
        shapes += [("janoschek", np.exp(-((x / scale) ** d))) for d in (0.5, 0.75, 1.5, 2.0, 3.0)]
        shapes += [("mmf", 1.0 / (1.0 + (x / scale) ** d)) for d in (0.5, 0.75, 1.0, 1.5, 2.0, 4.0)]
    kept = [(name, fall) for name, fall in shapes if fall[0] - fall[-1] > 1e-9]
    falls = np.array([(fall - fall[-1]) / (fall[0] - fall[-1]) for _, fall in kept])
    return _Shapes(tuple(name for name, _ in kept), falls)


class CurveModel:
    """Extrapolates a learning curve to its last epoch.

    A curve is ``f + d * fall(x) + noise`` with the last value ``f`` and one of hundreds of shapes
    of its fall: the families pow3, exp3, Janoschek, MMF (which includes the log power curve) and
    ilog2, each over a grid of its parameters. Given shape and noise, the posterior is normal and
    has a closed form; the prediction is the mixture over shapes and noises, weighted by their
    evidence. Unlike Domhan et al., who sample parameters by Markov chains, nothing is random here.

    Finished curves of the same training schedule inform the prior of the shapes: it is their
    average evidence.

    Args:
        epochs: of a whole curve, 2 or more.
        ended: whole curves, (epochs,) each.

    Raises:
        InputError: fewer than two epochs, or an ended curve of another length.
    """

    def __init__(self, epochs: int, ended: Sequence[Sequence[float]] = ()) -> None:
        if epochs < 2:
            raise InputError("curve", "2 or more epochs", str(epochs))
        for curve in ended:
            if len(curve) != epochs:
                raise InputError("ended curve", f"{epochs} values", str(len(curve)))
        self.epochs = epochs
        values = np.array([value for curve in ended for value in curve])
        #: Whether logarithms are extrapolated.
        self.logarithmic = bool(
            values.size and values.min() > 0 and values.max() > _WIDE * values.min()
        )
        flat = np.ones((len(self._shapes.falls), len(_NOISE)))
        prior = _PLAIN * flat / flat.size
        for curve in ended:
            prior = prior + self._posterior(self._to_scale(curve), flat)[0]
        self._prior = prior / prior.sum()

    @property
    def _shapes(self) -> _Shapes:
        return _shapes_over(self.epochs)

    def outlook(self, values: Sequence[float]) -> Outlook:
        """The predicted value at the last epoch.

        Args:
            values: of the first epochs, two or more and fewer than all.

        Raises:
            InputError: too few or too many values, or one that is not finite.
        """
        if not 2 <= len(values) < self.epochs:
            raise InputError("curve", f"2 to {self.epochs - 1} values", str(len(values)))
        if not np.isfinite(values).all():
            raise InputError("curve", "finite values", "NaN or infinity")
        weights, means, stds = self._posterior(self._to_scale(values), self._prior)
        return Outlook(weights.ravel(), means.ravel(), stds.ravel())

    def chance_below(self, values: Sequence[float], bar: float) -> float:
        """The probability that the last value is below ``bar``."""
        if self.logarithmic:
            bar = float(np.log(bar)) if bar > 0 else -np.inf
        return self.outlook(values).chance_below(bar)

    def _to_scale(self, values: Sequence[float]) -> Array:
        """The values, or their logarithms if these are extrapolated, (n,)."""
        array = np.asarray(values, dtype=np.float64)
        return np.log(np.maximum(array, 1e-12)) if self.logarithmic else array

    def _posterior(self, values: Array, prior: Array) -> tuple[Array, Array, Array]:
        """Weights, means and deviations of the last value, (shapes, noises) each."""
        n, newest = len(values), float(values[-1])
        scale = max(float(np.ptp(values)), 1e-3 * float(np.abs(values).max()), 1e-9)
        fall, rest = self._shapes.falls[:, :n, None], ((values - newest) / scale)[None, :, None]
        noise = (_NOISE**2)[None, :]
        # The posterior of (last value, fall) is normal, with a 2 x 2 precision matrix.
        a = n / noise + _LAST**-2
        b = fall.sum(axis=1) / noise
        c = (fall**2).sum(axis=1) / noise + _FALL**-2
        u, v = rest.sum(axis=1) / noise, (fall * rest).sum(axis=1) / noise
        determinant = a * c - b * b
        mean = (c * u - b * v) / determinant
        drop = (a * v - b * u) / determinant
        evidence = -0.5 * (
            n * np.log(noise)
            + np.log(determinant)
            + (rest**2).sum(axis=1) / noise
            - u * mean
            - v * drop
        )
        likely = np.log(prior) + evidence
        weights = np.exp(likely - likely.max())
        deviation = np.sqrt(c / determinant + noise)
        return weights / weights.sum(), newest + scale * mean, scale * deviation
