"""The contract of a predictor: architectures and values in; a mean and a calibrated spread out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from .._support.errors import InputError
from ..space.architecture import Architecture
from .calibration import Calibration
from .folds import OutOfFold, folds_of

if TYPE_CHECKING:
    from ..space import Space
    from .validation import Validation

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Lowest number of architectures that a predictor is fitted to.
FEWEST = 5
#: Values are clipped to this many times the wider distance from the median to a quartile: how bad a
#: network is that learned nothing says nothing about good ones.
_REACH = 4.0


class Prediction(NamedTuple):
    """The predicted values of n architectures, in the unit of the values.

    Attributes:
        mean: float64 (n,).
        std: standard deviation of a new evaluation around it, calibrated, float64 (n,), above 0.
    """

    mean: Array
    std: Array


class Learned(Protocol):
    """What a predictor has learned from one set of architectures."""

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        """Mean and spread of the targets, (n,) each; the spread may be 0 and is not calibrated."""


@dataclass(frozen=True)
class Scale:
    """Scales values to about zero mean and unit variance, with clipped tails.

    It does not know which direction is better, so it treats both tails alike.
    """

    low: float
    high: float
    centre: float
    spread: float

    @classmethod
    def of(cls, values: Array) -> Scale:
        lower, median, upper = np.percentile(values, [25, 50, 75])
        wide = max(upper - median, median - lower)
        low, high = (
            (median - _REACH * wide, median + _REACH * wide)
            if wide > 0
            else (values.min(), values.max())
        )
        kept = np.clip(values, low, high)
        return cls(float(low), float(high), float(kept.mean()), float(kept.std()) or 1.0)

    def targets(self, values: Array) -> Array:
        """The values on the scale of the targets, (n,)."""
        scaled: Array = (np.clip(values, self.low, self.high) - self.centre) / self.spread
        return scaled


class Predictor(ABC):
    """Learns from evaluated architectures to predict the values of others.

    A predictor is cross-validated first: each fifth of the architectures is predicted from the
    others. That gives :attr:`validation`, which tells how far it can be trusted, and the scale of
    its uncertainty; then it is fitted to all. Subclasses define how they learn (:meth:`learn`).
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Number of parts, each of which is predicted from the others.
    folds: ClassVar[int] = 5

    @abstractmethod
    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> Learned:
        """Learn the targets.

        Args:
            architectures: n >= 2 of the space.
            targets: float64 (n,), of about zero mean and unit variance.
            seed: of everything random; global random state must not change.
        """

    def fit(
        self,
        space: Space,
        architectures: Sequence[Architecture],
        values: Sequence[float] | Array,
        seed: int = 0,
    ) -> Validation:
        """Fit to architectures and their values, and return how far the predictor can be trusted.

        >>> predictor.fit(space, architectures, accuracies).tau.value
        >>> mean, std = predictor.predict(candidates)

        Args:
            values: (n,), in any unit; the better direction does not matter.

        Raises:
            InputError: fewer than five different architectures, values that are all equal or not
                finite, or not one value for each architecture.
        """
        array = checked(self.name, space, architectures, values)
        out_of_fold = self.out_of_fold(space, architectures, array, self.folds, seed)
        self.validation: Validation = out_of_fold.validation(self.name, array, seed)
        self._calibration = Calibration.of(array - out_of_fold.mean, out_of_fold.std)
        self._scale = Scale.of(array)
        targets = self._scale.targets(array)
        self._learned = self.learn(space, architectures, targets, seed)
        return self.validation

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """The predicted values of architectures: mean and standard deviation, (n,) each.

        Raises:
            InputError: the predictor has not been fitted.
        """
        if not self.fitted:
            raise InputError(self.name, "a fitted predictor", "one that has not been fitted")
        if not len(architectures):
            return Prediction(np.zeros(0), np.zeros(0))
        mean, std = _unscaled(self._learned, self._scale, architectures)
        return Prediction(mean, self._calibration(std))

    @property
    def fitted(self) -> bool:
        """Whether the predictor has been fitted."""
        return "_learned" in vars(self)

    def out_of_fold(
        self,
        space: Space,
        architectures: Sequence[Architecture],
        values: Array,
        folds: int,
        seed: int,
    ) -> OutOfFold:
        """Predict each part of the architectures from the others; the spread is not calibrated.

        Equivalent architectures (the same graph) are in the same part, or their value would be
        known.
        """
        parts = folds_of([space.canonical(a) for a in architectures], folds, seed)
        mean, std = np.zeros(len(values)), np.zeros(len(values))
        for part in range(parts.max() + 1):
            out = parts == part
            training = [a for a, inside in zip(architectures, out, strict=True) if not inside]
            held_out = [a for a, inside in zip(architectures, out, strict=True) if inside]
            scale = Scale.of(values[~out])
            learned = self.learn(space, training, scale.targets(values[~out]), seed)
            mean[out], std[out] = _unscaled(learned, scale, held_out)
        return OutOfFold(parts, mean, std)


def checked(
    where: str,
    space: Space,
    architectures: Sequence[Architecture],
    values: Sequence[float] | Array,
) -> Array:
    """The values as float64 (n,), if a predictor can learn from them.

    Raises:
        InputError: it cannot; the message tells why.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(architectures),):
        got = f"{len(architectures)} architectures and values of shape {array.shape}"
        raise InputError(where, "a value for each architecture", got)
    invalid = np.flatnonzero(~np.isfinite(array))
    if invalid.size:
        raise InputError(
            where,
            "finite values",
            f"{array[invalid[0]]:g} at index {invalid[0]}",
            "leave out architectures whose evaluation failed",
        )
    distinct = len({space.canonical(a) for a in architectures})
    if distinct < FEWEST:
        raise InputError(where, f"at least {FEWEST} different architectures", str(distinct))
    if array.min() == array.max():
        raise InputError(where, "values that differ", f"{array[0]:g} for all of them")
    return array


def _unscaled(
    learned: Learned, scale: Scale, architectures: Sequence[Architecture]
) -> tuple[Array, Array]:
    mean, std = learned.predict(architectures)
    return scale.centre + scale.spread * mean, scale.spread * std
