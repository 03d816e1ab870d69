"""Fitting predictors to known values, and testing them on values they were not fitted to."""

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
    """Predict each part of the architectures from the others, and compare with the true values.

    >>> print(cross_validate("gaussian", space, architectures, accuracies).sentence)
    gaussian: cross-validated tau 0.62 (0.41 to 0.77)

    Args:
        predictor: a name (``"mlp"``, ``"boosted"``, ``"gaussian"``, ``"graph"``) or a predictor.
        values: (n,), in any unit.
        folds: number of parts; equivalent architectures (the same graph) are in the same part.

    Raises:
        InputError: what :meth:`Predictor.fit` refuses, or fewer than two folds.
        UnknownNameError: no predictor of that name.
    """
    chosen = predictor_of(predictor)
    array = checked(chosen.name, space, architectures, values)
    if folds < 2:
        raise InputError("folds", "2 or more", str(folds))
    out_of_fold = chosen.out_of_fold(space, architectures, array, folds, seed)
    return out_of_fold.validation(chosen.name, array, seed)


def fit_on(
    predictor: str | Predictor,
    space: Space,
    history: History,
    metric: str | None = None,
    seed: int = 0,
) -> Predictor:
    """A predictor fitted to the finished full trials of a study; its ``validation`` tells how far
    it can be trusted.

    Args:
        predictor: a name, or a predictor, which is fitted in place.
        metric: the metric to predict; the first objective if left out.

    Raises:
        InputError: too few trials with a finite value of the metric.
        UnknownNameError: no trial has the metric, or no predictor has this name.
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
    recorded = {metric_name for trial in history.full for metric_name in trial.metrics}
    if history.full and name not in recorded:
        raise unknown("metric of the trials", name, recorded)
    pairs = [(t.architecture, t.metrics.get(name, np.nan)) for t in history.full]
    finite = [(architecture, value) for architecture, value in pairs if np.isfinite(value)]
    return [architecture for architecture, _ in finite], [value for _, value in finite]


def predictor_of(predictor: str | Predictor) -> Predictor:
    """The predictor of this name; a predictor object is returned unchanged.

    Raises:
        UnknownNameError: no predictor has this name.
    """
    from .registry import predictors

    if not isinstance(predictor, str):
        return predictor
    created: Predictor = predictors.get(predictor)()
    return created
