"""The contract of a zero-shot classifier: learned on seen classes, scores any described class."""

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
    """Learns how features and descriptions of classes belong together; then needs no examples.

    Arrays and tensors are both taken; arrays of float64 come back. Hyperparameters that are
    ``None`` are chosen from :attr:`grid` by accuracy on held-out seen classes, the classes of
    training and validation being disjoint. With fewer than four seen classes nothing can be held
    out, and the middle of the grid is taken.

    Subclasses say how they learn (:meth:`prepare`).

    Args:
        features_scale, descriptions_scale: see :class:`~.scaling.Scaling`; fitted to the training
            examples and to the seen classes. ``"none"`` gives the bare formulas of the papers.
        seed: of the folds and of whatever is drawn while learning.

    Attributes:
        chosen: hyperparameters that are used, once fitted.
        validation: class-averaged accuracy on held-out seen classes of the chosen
            hyperparameters; ``None`` where nothing was chosen or could be held out.
        notes: what the reader should know, as lines for people.
    """

    name: ClassVar[str]
    #: Values of each hyperparameter that are tried.
    grid: ClassVar[Mapping[str, Sequence[float]]] = {}
    #: Most folds of seen classes that hyperparameters are chosen by.
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
        #: Attributes that are looked at whatever the examples; ``None``: those that vary.
        self._kept: Indices | None = None
        self._columns = np.zeros(0, dtype=np.int64)

    @abstractmethod
    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        """What is the same for all hyperparameters, done once; gives a function of them.

        Args:
            features: (n, d), scaled.
            labels: (n,) rows of ``descriptions``.
            descriptions: (seen, a), scaled.
        """

    def fit(self, features: Any, labels: Any, descriptions: Any) -> Self:
        """Learn from examples of the seen classes.

        Args:
            features: (n, d).
            labels: (n,) rows of ``descriptions``. Rows without examples are not looked at.
            descriptions: (classes, a).

        Raises:
            DataError: shapes, values that are not finite, labels without a description, a class
                whose attributes are missing, classes that are described alike, or no two seen
                classes.
        """
        known = rows("features", features)
        described = descriptions_of(descriptions)
        numbers = class_numbers("labels", labels, len(known), len(described))
        seen = np.unique(numbers)
        if len(seen) < 2:
            raise DataError("labels", "examples of two classes or more", listed(seen, "class"))
        self._columns = varying(described[seen]) if self._kept is None else self._kept
        self._width, self._attributes = known.shape[1], described.shape[1]
        self.notes = self._dropped()
        own, numbers = described[seen][:, self._columns], np.searchsorted(seen, numbers)
        self._choose(known, numbers, own)
        made = self._scaled(known, numbers, own)
        _refuse_alike(made.describe(own))
        score = made.solve(**self.chosen)

        def scorer(given: Array, to: Array) -> Array:
            described = made.describe(to)
            _refuse_alike(described)
            return score(made.scale(given), described)

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
        given, described = rows("features", features), descriptions_of(descriptions)
        for where, found, width in (
            ("features", given, self._width),
            ("descriptions", described, self._attributes),
        ):
            if found.shape[1] != width:
                raise DataError(where, f"{width} columns, as in fit", str(found.shape[1]))
        return self._scorer(given, described[:, self._columns])

    def predict(
        self, features: Any, descriptions: Any, among: Sequence[int] | Indices | None = None
    ) -> Indices:
        """The row of ``descriptions`` that fits best, (n,).

        Args:
            among: rows that are looked at; all of them without it.

        Raises:
            DataError: as in :meth:`scores`, or ``among`` names no row.
        """
        described = descriptions_of(descriptions)
        kept = np.arange(len(described)) if among is None else np.asarray(among)
        kept = class_numbers("among", kept, len(kept), len(described))
        if not len(kept):
            raise DataError("among", "one class or more", "none")
        best: Indices = kept[self.scores(features, described[kept]).argmax(axis=1)]
        return best

    def with_chosen(self) -> Self:
        """One to be fitted on a part of the examples: same hyperparameters, same attributes."""
        again = copy.copy(self)
        again.given, again._scorer = {**self.given, **self.chosen}, None
        # An attribute may be constant in a part and still tell classes apart outside it.
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
            self._scaled, features, labels, descriptions, tried, self.seed, self.folds
        )

    def _scaled(self, features: Array, labels: Indices, descriptions: Array) -> Prepared:
        scale = Scaling(self.features_scale, features, f"{self.name} features_scale")
        describe = Scaling(self.descriptions_scale, descriptions, f"{self.name} descriptions_scale")
        solve = self.prepare(scale(features), labels, describe(descriptions))
        return Prepared(solve, scale, describe)

    def _dropped(self) -> tuple[str, ...]:
        gone = np.setdiff1d(np.arange(self._attributes), self._columns)
        if not len(gone):
            return ()
        return (f"left out, the same for all seen classes: {listed(gone, 'attribute')}",)


def _refuse_alike(scaled: Array) -> None:
    """Rows that differed and no longer do: by an attribute that was left out, or by size alone."""
    refuse_alike(np.round(scaled, 12))
