"""Evaluation by prediction from other evaluated architectures: it takes milliseconds, and is as
reliable as the predictor's rank correlation on architectures that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from ..history.trial import Fidelity, History
from ..predictor.base import Predictor
from ..predictor.fitting import known_values, predictor_of
from ..predictor.validation import Validation
from ..space.architecture import Architecture
from .base import Evaluator, Price, Watch

if TYPE_CHECKING:
    from ..space import Space


class PredictorEvaluator(Evaluator):
    """Returns a predictor's values of architectures.

    It provides the metric, and its standard deviation as ``{metric}_std``. The predictor is fitted
    when the evaluator is created, and again, with the same result, in each worker process.

    Args:
        space: of the architectures.
        architectures, values: evaluated architectures and their values, (n,) each.
        metric: name of the values.
        predictor: a name, or a predictor, which is fitted in place.
        seed: of the fit.
        trusting: use the predictor even if its cross-validated tau is not clearly above 0.

    Attributes:
        validation: how far the predictor can be trusted.

    Raises:
        InputError: what :meth:`Predictor.fit` refuses; or the predictor cannot be trusted.
    """

    name = "predictor"
    price = Price.MEASURED

    def __init__(
        self,
        space: Space,
        architectures: Sequence[Architecture],
        values: Sequence[float],
        metric: str = "accuracy",
        predictor: str | Predictor = "gaussian",
        seed: int = 0,
        trusting: bool = False,
    ) -> None:
        self.space, self.metric, self.predictor, self.seed = space, metric, predictor, seed
        self.architectures, self.values = tuple(architectures), tuple(map(float, values))
        self._fitted: Predictor | None = self._fit()
        self.validation: Validation = self._fitted.validation
        if not (trusting or self.validation.believed):
            raise InputError(
                f"predictor {self._fitted.name}",
                "a cross-validated tau that is clearly above 0",
                self.validation.sentence,
                "evaluate more architectures, try another predictor, or pass trusting=True",
            )

    @classmethod
    def of(
        cls,
        space: Space,
        history: History,
        predictor: str | Predictor = "gaussian",
        metric: str | None = None,
        **options: Any,
    ) -> PredictorEvaluator:
        """An evaluator whose predictor is fitted to the finished full trials of a study.

        Args:
            metric: the metric to predict; the first objective if left out.
            options: ``seed`` and ``trusting``.

        Raises:
            InputError, UnknownNameError: as for :func:`~archsmith.predictor.fit_on`; or the
                predictor cannot be trusted.
        """
        name = metric or history.objectives[0].metric
        return cls(space, *known_values(history, name), name, predictor, **options)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_fitted": None}

    @property
    def provides(self) -> tuple[str, ...]:
        return (self.metric, f"{self.metric}_std")

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        self.space.validate(architecture)
        if self._fitted is None:
            self._fitted = self._fit()
        mean, std = self._fitted.predict([architecture])
        return {self.metric: float(mean[0]), f"{self.metric}_std": float(std[0])}

    def _fit(self) -> Predictor:
        chosen = predictor_of(self.predictor)
        chosen.fit(self.space, self.architectures, self.values, self.seed)
        return chosen
