"""Predictors by name."""

from __future__ import annotations

from .._support.registry import Registry

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
