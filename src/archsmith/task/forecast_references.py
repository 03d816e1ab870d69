"""References for forecasting: the seasonal-naive forecast, and a linear one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.splits import Split
from .estimators import Estimator
from .references import Fitted, FittedReference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .base import Task
    from .values import Data

    Points = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class _Points(FittedReference):
    """A forecast (n, horizon) with the quantiles of its errors on the training part, by step."""

    def fit(
        self,
        task: Task,
        data: Data,
        seed: int,
        seconds: float | None = None,
        last: Split | None = None,
    ) -> Fitted:
        inputs, values = _prepared(task, last or data.train, data)
        points, settings = self._fit(inputs, values, task, data)
        low, high = np.quantile(values - points(inputs), (0.1, 0.9), axis=0)

        def predict(raw: NDArray[Any]) -> NDArray[Any]:
            mid = points(raw)
            return np.concatenate([mid + low, mid, mid + high], axis=1)

        return Fitted(Estimator(predict), settings)

    @abstractmethod
    def _fit(
        self, inputs: NDArray[Any], values: NDArray[Any], task: Task, data: Data
    ) -> tuple[Points, dict[str, float]]:
        """The forecast of prepared contexts, and its settings."""


def _prepared(task: Task, part: Split, data: Data) -> tuple[NDArray[Any], NDArray[Any]]:
    """Contexts and what follows, in the units of the contexts."""
    inputs, targets = task.prepare_batch(part.head(len(part)), data.facts)
    level, spread = (targets[name][:, None] for name in ("level", "spread"))
    return inputs.numpy(), ((targets["values"] - level) / spread).numpy()


@dataclass(frozen=True)
class SeasonalNaive(_Points):
    """Each step is as the same step of the last season; without a season, as the last value."""

    def _fit(
        self, inputs: NDArray[Any], values: NDArray[Any], task: Task, data: Data
    ) -> tuple[Points, dict[str, float]]:
        horizon, season = data.facts["horizon"], data.facts["season"]
        return lambda raw: seasonal(raw[:, 0], horizon, season), {"season": season}


def seasonal(own: NDArray[Any], horizon: int, season: int) -> NDArray[Any]:
    """The seasonal-naive forecast (n, horizon) of contexts (n, context); the naive one if a context
    is shorter than a season."""
    season = season if season <= own.shape[1] else 1
    return own[:, np.arange(horizon) % season - season]


@dataclass(frozen=True)
class LinearForecast(_Points):
    """Ridge regression of all steps on the context less its last value (as NLinear of Zeng et al.
    2022, arXiv:2205.13504); the penalty is chosen on the validation part."""

    def _fit(
        self, inputs: NDArray[Any], values: NDArray[Any], task: Task, data: Data
    ) -> tuple[Points, dict[str, float]]:
        from sklearn.linear_model import Ridge

        held, truth = _prepared(task, data.validation, data)
        best: tuple[float, float, Points] | None = None
        for penalty in (0.1, 1.0, 10.0, 100.0, 1000.0):
            model = Ridge(penalty).fit(*_around_last(inputs, values))
            points = _linear(model)
            loss = float(np.abs(points(held) - truth).mean())
            if best is None or loss < best[0]:
                best = loss, penalty, points
        assert best is not None
        return best[2], {"penalty": best[1]}


def _linear(model: Any) -> Points:
    def points(raw: NDArray[Any]) -> NDArray[Any]:
        forecast: NDArray[Any] = model.predict(_around_last(raw)[0]) + raw[:, 0, -1:]
        return forecast

    return points


def _around_last(
    inputs: NDArray[Any], values: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    last = inputs[:, :1, -1:]
    moved = np.concatenate([inputs[:, :1] - last, inputs[:, 1:]], axis=1)
    return moved.reshape(len(inputs), -1), None if values is None else values - last[:, 0]
