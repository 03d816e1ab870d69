"""What an architecture is worth, learned from those that were evaluated."""

from __future__ import annotations

from ..registry import Registry
from .base import Prediction, Predictor
from .validation import Validation, cross_validate, fit_on

#: Predictors by name. Plug-ins register in the entry-point group ``archsmith.predictors``.
predictors = Registry(
    "predictor",
    "archsmith.predictors",
    {
        "boosted": "archsmith.predictor.boosted:BoostedTrees",
        "gaussian": "archsmith.predictor.process:GaussianPredictor",
        "graph": "archsmith.predictor.graph:GraphNetwork",
        "linear": "archsmith.predictor.linear:LinearEnsemble",
        "mlp": "archsmith.predictor.mlp:MLPEnsemble",
    },
)

__all__ = ["Prediction", "Predictor", "Validation", "cross_validate", "fit_on", "predictors"]
