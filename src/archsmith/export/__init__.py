"""A trained model as files that load without archsmith, and predictions with them."""

from .bundle import export
from .parity import Check, Parity
from .predict import load_model, predict

__all__ = ["Check", "Parity", "export", "load_model", "predict"]
