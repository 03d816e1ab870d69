"""The interface of a zero-shot classifier: trained on seen classes, scores any described class."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..._support.errors import DataError, InputError
from .checks import (
    Array,
    Indices,
    class_numbers,
    descriptions_of,
    listed,
    refuse_alike,
    rows,
    varying,
)
from .folds import FEWEST, Prepared, Scorer, Solver, best_on_held_out, candidates
from .scaling import Scale, Scaling


class ZeroShotClassifier(ABC):
    """Learns how features and descriptions of classes relate; then needs no examples of a class.

    Arrays and tensors are both accepted; arrays of float64 are returned. Hyperparameters that are
    ``None`` are chosen from :attr:`grid` by accuracy on held-out seen classes, the classes of
    training and validation being disjoint. With fewer than four seen classes none can be held
    out, and the middle of the grid is used.

    Subclasses define how they learn (:meth:`prepare`).

    Args:
        features_scale, descriptions_scale: see :class:`~.scaling.Scaling`; fitted to the training
            examples and to the seen classes. ``"none"`` gives the bare formulas of the papers.
        seed: of the folds and of all random draws in training.

    Attributes:
        chosen: the hyperparameters in use, once fitted.
        validation: class-averaged accuracy on held-out seen classes of the chosen
            hyperparameters; ``None`` if nothing was chosen or could be held out.
        notes: remarks about the fit, as lines of text.
    """

    name: ClassVar[str]
    #: Values of each hyperparameter that are tried.
    grid: ClassVar[Mapping[str, Sequence[float]]] = {}
    #: Most folds of seen classes by which hyperparameters are chosen.
    folds: ClassVar[int] = 12

    def __init__(
        self,
        *,
        features_scale: Scale = "centre",
        descriptions_scale: Scale = "unit",
        seed: int = 0,
        **given: float | None,
    ) -> None:
        for name, value in given.items():
            if name not in self.grid:
                raise InputError(self.name, f"one of {', '.join(self.grid)}", repr(name))
            if value is not None and not 0 <= value < np.inf:
                raise InputError(f"{self.name} {name}", "None, 0 or a number above it", repr(value))
        self.features_scale, self.descriptions_scale = features_scale, descriptions_scale
        self.seed, self.given = seed, given
        self.chosen: dict[str, Any] = {}
        self.validation: float | None = None
        self.notes: tuple[str, ...] = ()
        self._scorer: Scorer | None = None
        #: Attributes that are used whatever the examples; ``None``: those that vary.
        self._kept: Indices | None = None
        self._columns = np.zeros(0, dtype=np.int64)

    @abstractmethod
    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        """Computes what all hyperparameters share; returns a function of the hyperparameters.

        Args:
            features: (n, d), scaled.
            labels: (n,) rows of ``descriptions``.
            descriptions: (seen, a), scaled.
        """

    def fit(self, features: Any, labels: Any, descriptions: Any) -> Self:
        """Learn from examples of the seen classes.

        Args:
            features: (n, d).
            labels: (n,) rows of ``descriptions``. Rows without examples are ignored.
            descriptions: (classes, a).

        Raises:
            DataError: shapes, values that are not finite, labels without a description, a class
                whose attributes are missing, classes with equal descriptions, or fewer than two
                seen classes.
        """
        examples = rows("features", features)
        described = descriptions_of(descriptions)
        numbers = class_numbers("labels", labels, len(examples), len(described))
        seen = np.unique(numbers)
        if len(seen) < 2:
            raise DataError("labels", "examples of two classes or more", listed(seen, "class"))
        self._columns = varying(described[seen]) if self._kept is None else self._kept
        self._width, self._attributes = examples.shape[1], described.shape[1]
        self.notes = self._dropped_note()
        own, numbers = described[seen][:, self._columns], np.searchsorted(seen, numbers)
        self._choose(examples, numbers, own)
        prepared = self._prepare_scaled(examples, numbers, own)
        _refuse_alike(prepared.describe(own))
        score = prepared.solve(**self.chosen)

        def scorer(given: Array, to: Array) -> Array:
            described = prepared.describe(to)
            _refuse_alike(described)
            return score(prepared.scale(given), described)

        self._scorer = scorer
        return self

    def scores(self, features: Any, descriptions: Any) -> Array:
        """How well each class fits each example, (n, classes); larger is better.

        Args:
            features: (n, d).
            descriptions: (classes, a) of any classes, seen or not.

        Raises:
            InputError: not fitted yet.
            DataError: as in :meth:`fit`, or another width than there.
        """
        if self._scorer is None:
            raise InputError(self.name, "fit before scores", "a classifier that is not fitted")
        examples, described = rows("features", features), descriptions_of(descriptions)
        for where, array, width in (
            ("features", examples, self._width),
            ("descriptions", described, self._attributes),
        ):
            if array.shape[1] != width:
                raise DataError(where, f"{width} columns, as in fit", str(array.shape[1]))
        return self._scorer(examples, described[:, self._columns])

    def predict(
        self, features: Any, descriptions: Any, among: Sequence[int] | Indices | None = None
    ) -> Indices:
        """The row of ``descriptions`` that fits best, (n,).

        Args:
            among: rows to choose from; all of them by default.

        Raises:
            DataError: as in :meth:`scores`, or ``among`` names no row.
        """
        described = descriptions_of(descriptions)
        candidate_rows = np.arange(len(described)) if among is None else np.asarray(among)
        candidate_rows = class_numbers("among", candidate_rows, len(candidate_rows), len(described))
        if not len(candidate_rows):
            raise DataError("among", "one class or more", "none")
        best: Indices = candidate_rows[
            self.scores(features, described[candidate_rows]).argmax(axis=1)
        ]
        return best

    def with_chosen(self) -> Self:
        """A copy to fit on a part of the examples: same hyperparameters, same attributes."""
        again = copy.copy(self)
        again.given, again._scorer = {**self.given, **self.chosen}, None
        # An attribute may be constant in a part and still distinguish classes outside it.
        again._kept = self._columns
        return again

    def _choose(self, features: Array, labels: Indices, descriptions: Array) -> None:
        tried = candidates(self.grid, self.given)
        self.validation, self.chosen = None, tried[len(tried) // 2]
        if len(tried) == 1:
            return
        if len(descriptions) < FEWEST:
            self.notes += (
                f"{len(descriptions)} seen classes are too few to hold some out: the middle of "
                f"the grid is used",
            )
            return
        self.chosen, self.validation = best_on_held_out(
            self._prepare_scaled, features, labels, descriptions, tried, self.seed, self.folds
        )

    def _prepare_scaled(self, features: Array, labels: Indices, descriptions: Array) -> Prepared:
        scale = Scaling(self.features_scale, features, f"{self.name} features_scale")
        describe = Scaling(self.descriptions_scale, descriptions, f"{self.name} descriptions_scale")
        solve = self.prepare(scale(features), labels, describe(descriptions))
        return Prepared(solve, scale, describe)

    def _dropped_note(self) -> tuple[str, ...]:
        gone = np.setdiff1d(np.arange(self._attributes), self._columns)
        if not len(gone):
            return ()
        return (f"left out, the same for all seen classes: {listed(gone, 'attribute')}",)


def _refuse_alike(scaled: Array) -> None:
    """Rows that differed before and no longer do: in an attribute left out, or only in size."""
    refuse_alike(np.round(scaled, 12))
