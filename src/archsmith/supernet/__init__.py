"""Weight sharing: one store of weights for all architectures of a space, and what trains it."""

from __future__ import annotations

from .._support.registry import Registry

#: Name to :class:`~archsmith.supernet.method.Method` class.
methods = Registry(
    "one-shot method",
    "archsmith.methods",
    {
        "attentive": "archsmith.supernet.attentive:AttentiveNAS",
        "beta-darts": "archsmith.supernet.relax.beta_darts:BetaDARTS",
        "bignas": "archsmith.supernet.sandwich:BigNAS",
        "darts": "archsmith.supernet.relax.darts:DARTS",
        "darts-2nd": "archsmith.supernet.relax.darts:SecondOrderDARTS",
        "drnas": "archsmith.supernet.relax.drnas:DrNAS",
        "enas": "archsmith.supernet.enas:ENAS",
        "fair-darts": "archsmith.supernet.relax.fair_darts:FairDARTS",
        "fairnas": "archsmith.supernet.fair:FairNAS",
        "few-shot-nas": "archsmith.supernet.fewshot:FewShotNAS",
        "gdas": "archsmith.supernet.relax.gdas:GDAS",
        "ofa": "archsmith.supernet.progressive:OFA",
        "pc-darts": "archsmith.supernet.relax.pc_darts:PCDARTS",
        "snas": "archsmith.supernet.relax.gdas:SNAS",
        "spos": "archsmith.supernet.uniform:SPOS",
    },
)

__all__ = ["methods"]
