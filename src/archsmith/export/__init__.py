"""A trained model as files that load without archsmith, and predictions with them."""

from .bundle import export
from .parity import Check, Parity
from .predict import predict

__all__ = ["Check", "Parity", "export", "predict"]
