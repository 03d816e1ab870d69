"""A trained model as files that load without archsmith, and predictions with them."""

from .bundle import export
from .parity import Check, Parity
from .predict import load_model, predict
from .support import predict_from_support

__all__ = ["Check", "Parity", "export", "load_model", "predict", "predict_from_support"]
