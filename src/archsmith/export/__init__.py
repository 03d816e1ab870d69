"""A trained model as files that load without archsmith, and predictions with them."""

from .bundle import export
from .parity import Check, Parity
from .predict import predict
from .support import predict_from_support

__all__ = ["Check", "Parity", "export", "predict", "predict_from_support"]
