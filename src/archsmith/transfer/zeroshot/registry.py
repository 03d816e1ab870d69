"""Zero-shot classifiers by name."""

from __future__ import annotations

from ..._support.registry import Registry

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
