"""Predictors fitted on what is known, and held against what they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError, unknown
from ..history.trial import History
from ..space.architecture import Architecture
from .base import Predictor, checked
from .validation import Validation

if TYPE_CHECKING:
    from ..space import Space

    Values = Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]


def cross_validate(
    predictor: str | Predictor,
    space: Space,
    architectures: Sequence[Architecture],
    values: Values,
    folds: int = 5,
    seed: int = 0,
) -> Validation:
    """Predict each part of the architectures from the others, and compare.

    Args:
        predictor: a name (``"mlp"``, ``"boosted"``, ``"gaussian"``, ``"graph"``) or a predictor.
        values: (n,), of any unit.
        folds: parts; all spellings of one graph are in one part.

    Raises:
        InputError: what :meth:`Predictor.fit` refuses, or fewer than two folds.
        UnknownNameError: no predictor of that name.
    """
    chosen = predictor_of(predictor)
    plain = checked(chosen.name, space, architectures, values)
    if folds < 2:
        raise InputError("folds", "2 or more", str(folds))
    apart = chosen.out_of_fold(space, architectures, plain, folds, seed)
    return apart.validation(chosen.name, plain, seed)


def fit_on(
    predictor: str | Predictor,
    space: Space,
    history: History,
    metric: str | None = None,
    seed: int = 0,
) -> Predictor:
    """A predictor fitted on the finished full trials of a study; its ``validation`` says how far
    it may be believed.

    Args:
        predictor: a name, or a predictor, which is fitted in place.
        metric: what is predicted; the first objective if left out.

    Raises:
        InputError: too few trials that have the metric as a finite number.
        UnknownNameError: no trial has the metric.
    """
    chosen = predictor_of(predictor)
    chosen.fit(space, *known_values(history, metric), seed)
    return chosen


def known_values(
    history: History, metric: str | None = None
) -> tuple[list[Architecture], list[float]]:
    """Architectures of the finished full trials, with their finite values of a metric.

    Raises:
        UnknownNameError: no trial has the metric.
    """
    name = metric or history.objectives[0].metric
    known = {found for trial in history.full for found in trial.metrics}
    if history.full and name not in known:
        raise unknown("metric of the trials", name, known)
    pairs = [(t.architecture, t.metrics.get(name, np.nan)) for t in history.full]
    kept = [(architecture, value) for architecture, value in pairs if np.isfinite(value)]
    return [architecture for architecture, _ in kept], [value for _, value in kept]


def predictor_of(predictor: str | Predictor) -> Predictor:
    """The predictor itself, made by its name where that is given.

    Raises:
        UnknownNameError: no predictor of that name.
    """
    from .registry import predictors

    if not isinstance(predictor, str):
        return predictor
    made: Predictor = predictors.get(predictor)()
    return made
