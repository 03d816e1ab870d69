"""Evaluators of architectures: training, shared weights, proxies, predictors, costs, latency."""

from __future__ import annotations

from .._support.registry import Registry
from .base import Evaluator, Price, Remeasured, Stages, Trainer, TrialFailed, TrialPruned, Watch

#: Evaluators by name. Plug-ins register in the entry-point group ``archsmith.evaluators``.
evaluators = Registry(
    "evaluator",
    "archsmith.evaluators",
    {
        "cost": "archsmith.evaluate.cost:CostEvaluator",
        "energy": "archsmith.evaluate.energy:EnergyEvaluator",
        "latency": "archsmith.evaluate.latency:LatencyEvaluator",
        "predicted-latency": "archsmith.evaluate.predicted_latency:PredictedLatencyEvaluator",
        "predictor": "archsmith.evaluate.predicted:PredictorEvaluator",
        "proxy": "archsmith.evaluate.proxy:ProxyEvaluator",
        "shared-weights": "archsmith.evaluate.shared:SharedWeightsEvaluator",
        "table": "archsmith.evaluate.table:TableEvaluator",
        "training": "archsmith.evaluate.training:TrainingEvaluator",
    },
)

__all__ = [
    "Evaluator",
    "Price",
    "Remeasured",
    "Stages",
    "Trainer",
    "TrialFailed",
    "TrialPruned",
    "Watch",
    "evaluators",
]
