"""Predictors of the quality of architectures, learned from those that were evaluated."""

from __future__ import annotations

from .base import Prediction, Predictor
from .fitting import cross_validate, fit_on
from .registry import predictors
from .validation import Validation

__all__ = ["Prediction", "Predictor", "Validation", "cross_validate", "fit_on", "predictors"]
