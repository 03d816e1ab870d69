"""Losses over embeddings, and metrics of detection and translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._support.registry import Registry

if TYPE_CHECKING:
    from .pairwise import EmbeddingLoss

#: Losses by name; plug-ins register in the entry-point group ``archsmith.losses``.
losses = Registry(
    "loss",
    "archsmith.losses",
    {
        "contrastive": "archsmith.metric.pairwise:Contrastive",
        "nca": "archsmith.metric.pairwise:NCA",
        "prototypical": "archsmith.metric.pairwise:Prototypical",
        "proxy-anchor": "archsmith.metric.proxies:ProxyAnchor",
        "proxy-nca": "archsmith.metric.proxies:ProxyNCA",
        "supervised-contrastive": "archsmith.metric.pairwise:SupervisedContrastive",
        "triplet": "archsmith.metric.pairwise:Triplet",
    },
)
#: Names with this prefix are losses of pytorch-metric-learning.
FOREIGN = "pml:"


def loss_class(name: str) -> type[EmbeddingLoss]:
    """The class of a loss: one of ours by name, or ``pml:NAME`` of pytorch-metric-learning.

    Raises:
        UnknownNameError: no such loss.
        MissingExtraError: ``pml:`` without the extra ``metric`` installed.
    """
    if name.startswith(FOREIGN):
        from .foreign import foreign_loss

        return foreign_loss(name.removeprefix(FOREIGN))
    loss: type[EmbeddingLoss] = losses.get(name)
    return loss


__all__ = ["FOREIGN", "loss_class", "losses"]
