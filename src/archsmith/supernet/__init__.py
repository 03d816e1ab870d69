"""Weight sharing: one store of weights for all architectures of a space, and what trains it."""

from __future__ import annotations

from ..registry import Registry

#: Name to :class:`~archsmith.supernet.method.Method` class.
methods = Registry(
    "one-shot method",
    "archsmith.methods",
    {
        "attentive": "archsmith.supernet.attentive:AttentiveNAS",
        "bignas": "archsmith.supernet.sandwich:BigNAS",
        "enas": "archsmith.supernet.enas:ENAS",
        "fairnas": "archsmith.supernet.fair:FairNAS",
        "few-shot-nas": "archsmith.supernet.fewshot:FewShotNAS",
        "ofa": "archsmith.supernet.progressive:OFA",
        "spos": "archsmith.supernet.uniform:SPOS",
    },
)

__all__ = ["methods"]
