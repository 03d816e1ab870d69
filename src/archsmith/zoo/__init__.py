"""Ready search spaces: plain builder functions."""

from __future__ import annotations

from ..registry import Registry

#: Builders by name. Plug-ins register in the entry-point group ``archsmith.spaces``.
spaces = Registry(
    "space",
    "archsmith.spaces",
    {
        "convnet": "archsmith.zoo.convnet:convnet",
        "mlp": "archsmith.zoo.mlp:mlp",
        "nasbench201": "archsmith.zoo.nasbench201:nasbench201",
    },
)

__all__ = ["spaces"]
