"""Distances between embeddings."""

from __future__ import annotations

import torch
from torch import Tensor


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances, (..., n, m) of (..., n, d) and (..., m, d).

    By the binomial formula, one matrix product; what rounding makes negative is 0.
    """
    # Distances do not change with the origin; one inside the cloud keeps digits.
    middle = b.mean(dim=-2, keepdim=True)
    a, b = a - middle, b - middle
    lengths = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :]
    return (lengths - 2 * (a @ b.mT)).clamp_min(0)


def same_class(targets: Tensor) -> Tensor:
    """Which pairs are of one class, bool (n, n), and not an example with itself."""
    same = targets[:, None] == targets[None, :]
    return same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
