"""How good an architecture is: by training, by shared weights, by a predictor, by static cost, by
latency."""

from __future__ import annotations

from ..registry import Registry
from .base import Evaluator, Price, Stages, TrialFailed, TrialPruned, Watch

#: Evaluators by name. Plug-ins register in the entry-point group ``archsmith.evaluators``.
evaluators = Registry(
    "evaluator",
    "archsmith.evaluators",
    {
        "cost": "archsmith.evaluate.cost:CostEvaluator",
        "latency": "archsmith.evaluate.latency:LatencyEvaluator",
        "predictor": "archsmith.evaluate.predicted:PredictorEvaluator",
        "shared-weights": "archsmith.evaluate.shared:SharedWeightsEvaluator",
        "table": "archsmith.evaluate.table:TableEvaluator",
        "training": "archsmith.evaluate.training:TrainingEvaluator",
    },
)

__all__ = [
    "Evaluator",
    "Price",
    "Stages",
    "TrialFailed",
    "TrialPruned",
    "Watch",
    "evaluators",
]
