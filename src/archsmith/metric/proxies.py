"""Losses with a learned proxy for each class, trained with the model and then discarded."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import InputError
from .pairwise import EmbeddingLoss


class ProxyLoss(EmbeddingLoss):
    """Base class: a parameter ``proxies`` (classes, d), drawn from a standard normal.

    Raises:
        InputError: fewer than two classes, or no dimension.
    """

    learned = True

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        if classes < 2 or dim < 1:
            raise InputError(
                "proxies", "at least two classes and one dimension", f"{classes} and {dim}"
            )
        self.proxies = nn.Parameter(torch.randn(classes, dim))

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines of embeddings and proxies, (n, classes)."""
        return F.normalize(embeddings.float(), dim=-1) @ F.normalize(self.proxies, dim=-1).T


class ProxyNCA(ProxyLoss):
    """Cross entropy over distances to the proxies on the unit sphere (Movshovitz-Attias et al.
    2017, arXiv:1703.07464; with the own proxy in the sum, Teh et al. 2020, arXiv:2004.01113).

    Args:
        scale: that squared distances are multiplied by.
    """

    def __init__(self, classes: int, dim: int, scale: float = 8.0) -> None:
        super().__init__(classes, dim)
        self.scale = scale

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        # On the sphere the squared distance is 2 - 2 cos.
        return F.cross_entropy(-self.scale * (2 - 2 * self.cosines(embeddings)), targets)


class ProxyAnchor(ProxyLoss):
    """Proxies as anchors that weight the examples of a batch (Kim et al. 2020, arXiv:2003.13911).

    Args:
        scale, margin: alpha and delta of the paper.
    """

    def __init__(self, classes: int, dim: int, scale: float = 32.0, margin: float = 0.1) -> None:
        super().__init__(classes, dim)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        cosines = self.cosines(embeddings)
        own = F.one_hot(targets, cosines.shape[1]).bool()
        pull = torch.where(own, -self.scale * (cosines - self.margin), -torch.inf)
        push = torch.where(own, -torch.inf, self.scale * (cosines + self.margin))
        present = own.any(0)
        pulled = F.softplus(pull[:, present].logsumexp(0)).mean()
        return pulled + F.softplus(push.logsumexp(0)).mean()
