"""Latency of an architecture by a predictor, without running it."""

from __future__ import annotations

from ..hardware.predictor import LatencyPredictor
from ..history.trial import Fidelity
from ..space.architecture import Architecture
from .base import Evaluator, Price, Remeasured, Watch
from .latency import LatencyEvaluator


class PredictedLatencyEvaluator(Evaluator, Remeasured):
    """Latency by a predictor that was fitted on the device.

    It provides ``latency_ms``, in milliseconds per batch, ``latency_error``, the predictor's mean
    relative error on architectures that it was not fitted to, and the conditions of both:
    ``latency_batch`` and ``latency_threads``. It only needs a build on ``meta``, so that a limit on
    latency stops a trial before anything is trained or timed.

    Args:
        predictor: of the same space.
        measured: measures the latency of finalists; without it their latency is predicted, too.
    """

    name = "predicted-latency"
    price = Price.STATIC
    clocked = ("latency_ms",)
    estimated = True

    def __init__(
        self, predictor: LatencyPredictor, measured: LatencyEvaluator | None = None
    ) -> None:
        self.predictor, self.measured = predictor, measured

    @property
    def provides(self) -> tuple[str, ...]:
        return ("latency_ms", "latency_error", "latency_batch", "latency_threads")

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        held = self.predictor.held
        return {
            "latency_ms": float(self.predictor.predict([architecture])[0]),
            "latency_error": self.predictor.error,
            "latency_batch": float(held.batch),
            "latency_threads": float(held.threads),
        }

    def remeasure(self, architecture: Architecture) -> dict[str, float]:
        if self.measured is None:
            return {"latency_ms": float(self.predictor.predict([architecture])[0])}
        return self.measured.remeasure(architecture)
