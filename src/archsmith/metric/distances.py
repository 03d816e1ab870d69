"""Distances between embeddings."""

from __future__ import annotations

import torch
from torch import Tensor


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances, (..., n, m) of (..., n, d) and (..., m, d).

    Expanded into a single matrix product; values that rounding makes negative become 0.
    """
    # Distances do not depend on the origin; one near the points keeps precision.
    middle = b.mean(dim=-2, keepdim=True)
    a, b = a - middle, b - middle
    lengths = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
    return (lengths - 2 * (a @ b.mT)).clamp_min(0)


def same_class(targets: Tensor) -> Tensor:
    """Which pairs are of the same class, bool (n, n), excluding an example with itself."""
    same = targets[:, None] == targets[None, :]
    return same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
