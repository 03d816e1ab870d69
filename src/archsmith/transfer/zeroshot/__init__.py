"""Zero-shot classification: classes without examples, described by attributes or text."""

from __future__ import annotations

from .base import ZeroShotClassifier
from .data import ZeroShotData
from .evaluate import ZeroShotResult, evaluate_zero_shot
from .registry import zero_shot
from .standard import read_zero_shot

__all__ = [
    "ZeroShotClassifier",
    "ZeroShotData",
    "ZeroShotResult",
    "evaluate_zero_shot",
    "read_zero_shot",
    "zero_shot",
]
