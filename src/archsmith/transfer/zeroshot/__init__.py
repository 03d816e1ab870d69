"""Classes without examples, known by attributes or by text."""

from __future__ import annotations

from ...registry import Registry
from .base import ZeroShotClassifier
from .data import ZeroShotData
from .evaluate import ZeroShotResult, evaluate_zero_shot
from .standard import read_zero_shot

#: Zero-shot classifiers by name. Plug-ins register in the entry-point group
#: ``archsmith.zero_shot``.
zero_shot = Registry(
    "zero-shot classifier",
    "archsmith.zero_shot",
    {
        "ale": "archsmith.transfer.zeroshot.ranking:ALE",
        "dem": "archsmith.transfer.zeroshot.dem:DEM",
        "devise": "archsmith.transfer.zeroshot.ranking:DeViSE",
        "eszsl": "archsmith.transfer.zeroshot.eszsl:ESZSL",
        "nearest": "archsmith.transfer.zeroshot.nearest:Nearest",
        "ridge": "archsmith.transfer.zeroshot.ridge:Ridge",
        "sae": "archsmith.transfer.zeroshot.sae:SAE",
        "sae-s2f": "archsmith.transfer.zeroshot.sae:SAEToFeatures",
        "sje": "archsmith.transfer.zeroshot.ranking:SJE",
    },
)

__all__ = [
    "ZeroShotClassifier",
    "ZeroShotData",
    "ZeroShotResult",
    "evaluate_zero_shot",
    "read_zero_shot",
    "zero_shot",
]
