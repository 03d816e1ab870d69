"""The contract of a predictor: architectures and values in; a mean and an honest spread out."""

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

#: Architectures that a predictor is fitted on at least.
FEWEST = 5
#: Values farther from the median than so many times the wider of the two middle quarters are moved
#: to there: how bad a network is that learned nothing says nothing about the good ones.
_REACH = 4.0


class Prediction(NamedTuple):
    """What is expected of n architectures, in the unit of the values.

    Attributes:
        mean: float64 (n,).
        std: standard deviation of a new evaluation around it, calibrated, float64 (n,), above 0.
    """

    mean: Array
    std: Array


class Learned(Protocol):
    """What a predictor has learned from one set of architectures."""

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        """Mean and spread of the targets, (n,) each; the spread may be 0 and need not be true."""


@dataclass(frozen=True)
class Scale:
    """Brings values to about zero mean and unit variance, without their far tails.

    It does not know which way is better, so it treats both tails alike.
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
        """The values on the scale that is learned."""
        scaled: Array = (np.clip(values, self.low, self.high) - self.centre) / self.spread
        return scaled


class Predictor(ABC):
    """Learns from evaluated architectures what others would reach.

    A predictor is fitted out of fold first: each fifth of the architectures is predicted from the
    others. That gives :attr:`validation`, how far it may be believed, and the scale of its
    uncertainty; then it is fitted on all. Subclasses say how they learn (:meth:`learn`).
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Parts of the architectures, each of which is predicted from the others.
    folds: ClassVar[int] = 5

    @abstractmethod
    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> Learned:
        """Learn the targets.

        Args:
            architectures: n >= 2 of the space.
            targets: float64 (n,), of about zero mean and unit variance.
            seed: of all that is random; global random state is left alone.
        """

    def fit(
        self,
        space: Space,
        architectures: Sequence[Architecture],
        values: Sequence[float] | Array,
        seed: int = 0,
    ) -> Validation:
        """Fit to architectures and their values; how far it may be believed.

        Args:
            values: (n,), of any unit; which way is better does not matter.

        Raises:
            InputError: fewer than five different architectures, values that are all alike or not
                finite, or not one for each architecture.
        """
        plain = checked(self.name, space, architectures, values)
        apart = self.out_of_fold(space, architectures, plain, self.folds, seed)
        self.validation: Validation = apart.validation(self.name, plain, seed)
        self._calibration = Calibration.of(plain - apart.mean, apart.std)
        self._scale = Scale.of(plain)
        targets = self._scale.targets(plain)
        self._learned = self.learn(space, architectures, targets, seed)
        return self.validation

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """What the architectures are expected to reach.

        Raises:
            InputError: it was not fitted.
        """
        if not self.fitted:
            raise InputError(self.name, "a predictor that was fitted", "one that was not")
        if not len(architectures):
            return Prediction(np.zeros(0), np.zeros(0))
        mean, std = _unscaled(self._learned, self._scale, architectures)
        return Prediction(mean, self._calibration(std))

    @property
    def fitted(self) -> bool:
        """Whether it has learned something."""
        return "_learned" in vars(self)

    def out_of_fold(
        self,
        space: Space,
        architectures: Sequence[Architecture],
        values: Array,
        folds: int,
        seed: int,
    ) -> OutOfFold:
        """Predict each part of the architectures from the others; the spread is as it is learned.

        All spellings of one graph are in one part, or the answer would be known.
        """
        parts = folds_of([space.canonical(a) for a in architectures], folds, seed)
        mean, std = np.zeros(len(values)), np.zeros(len(values))
        for part in range(parts.max() + 1):
            out = parts == part
            known = [a for a, inside in zip(architectures, out, strict=True) if not inside]
            asked = [a for a, inside in zip(architectures, out, strict=True) if inside]
            scale = Scale.of(values[~out])
            learned = self.learn(space, known, scale.targets(values[~out]), seed)
            mean[out], std[out] = _unscaled(learned, scale, asked)
        return OutOfFold(parts, mean, std)


def checked(
    where: str,
    space: Space,
    architectures: Sequence[Architecture],
    values: Sequence[float] | Array,
) -> Array:
    """The values as float64 (n,), if a predictor can learn from them.

    Raises:
        InputError: saying why not.
    """
    plain = np.asarray(values, dtype=np.float64)
    if plain.shape != (len(architectures),):
        got = f"{len(architectures)} architectures and values of shape {plain.shape}"
        raise InputError(where, "a value for each architecture", got)
    wrong = np.flatnonzero(~np.isfinite(plain))
    if wrong.size:
        raise InputError(
            where,
            "finite values",
            f"{plain[wrong[0]]:g} at place {wrong[0]}",
            "leave out architectures whose evaluation failed",
        )
    different = len({space.canonical(a) for a in architectures})
    if different < FEWEST:
        raise InputError(where, f"at least {FEWEST} different architectures", str(different))
    if plain.min() == plain.max():
        raise InputError(where, "values that differ", f"{plain[0]:g} for all of them")
    return plain


def _unscaled(
    learned: Learned, scale: Scale, architectures: Sequence[Architecture]
) -> tuple[Array, Array]:
    mean, std = learned.predict(architectures)
    return scale.centre + scale.spread * mean, scale.spread * std
