"""Losses over two views of each example, without labels. Rows i and i + n/2 are one example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError


def nt_xent(outputs: Tensor, temperature: float = 0.2) -> Tensor:
    """SimCLR's loss (Chen et al. 2020, arXiv:2002.05709): each view finds the other among all.

    Args:
        outputs: (2n, d).
    """
    unit = F.normalize(outputs.float(), dim=-1)
    count = _half(outputs)
    logits = unit @ unit.T / temperature
    logits = logits.masked_fill(
        torch.eye(len(unit), dtype=torch.bool, device=unit.device), -torch.inf
    )
    partner = torch.arange(2 * count, device=unit.device).roll(count)
    return F.cross_entropy(logits, partner)


def barlow_twins(outputs: Tensor, redundancy: float = 0.005) -> Tensor:
    """The cross correlation of the views should be the identity (Zbontar et al. 2021,
    arXiv:2103.03230): the mean over dimensions of (1 - c_ii)² plus ``redundancy`` times the rest.

    Args:
        outputs: (2n, d), n of 2 or more.
    """
    count = _half(outputs)
    first, second = torch.split(outputs.float(), count)
    first, second = (
        (view - view.mean(0)) / (view.var(0, unbiased=False) + 1e-5).sqrt()
        for view in (first, second)
    )
    correlation = first.T @ second / count
    on = (1 - correlation.diagonal()).square().sum()
    off = correlation.square().sum() - correlation.diagonal().square().sum()
    return (on + redundancy * off) / correlation.shape[0]


def found_partner(outputs: Tensor) -> Tensor:
    """Which views have the other view of their example as nearest by cosine, bool (2n,)."""
    unit = F.normalize(outputs.float(), dim=-1)
    count = _half(outputs)
    cosines = unit @ unit.T
    cosines.fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * count, device=unit.device).roll(count)
    found: Tensor = cosines.argmax(1) == partner
    return found


def _half(outputs: Tensor) -> int:
    if outputs.ndim != 2 or len(outputs) % 2 or len(outputs) < 2:
        got = f"shape {tuple(outputs.shape)}"
        raise InputError("outputs", "two views of each example, (2n, d)", got)
    return len(outputs) // 2
