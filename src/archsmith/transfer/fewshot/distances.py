"""How embeddings are compared, and what is known of classes, for many episodes at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Squared Euclidean distances (E, A, B) of (E, A, D) and (E, B, D)."""
    # Distances do not change with the origin; one inside the cloud keeps digits.
    middle = right.mean(dim=1, keepdim=True)
    left, right = left - middle, right - middle
    squares = left.square().sum(-1)[..., None] + right.square().sum(-1)[:, None]
    return torch.baddbmm(squares, left, right.mT, alpha=-2).clamp_min(0)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine similarities (E, A, B) of (E, A, D) and (E, B, D)."""
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).mT


def centroids(features: Tensor, members: Tensor) -> Tensor:
    """Means of classes (E, N, D) of embeddings (E, S, D) with classes (E, S, N)."""
    return (members / members.sum(dim=1, keepdim=True)).mT @ features


def similarity(metric: str, left: Tensor, right: Tensor) -> Tensor:
    """``"euclidean"``: negative squared distances; ``"cosine"``: cosines; (E, A, B)."""
    return cosines(left, right) if metric == "cosine" else -squared_distances(left, right)
