"""Losses over two views of each example, without labels. Rows 2i and 2i + 1 are one example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .._support.errors import InputError


def nt_xent(outputs: Tensor, temperature: float = 0.2) -> Tensor:
    """SimCLR's loss (Chen et al. 2020, arXiv:2002.05709): each view finds the other among all.

    Args:
        outputs: (2n, d).
    """
    unit = F.normalize(outputs.float(), dim=-1)
    logits = unit @ unit.T / temperature
    logits = logits.masked_fill(
        torch.eye(len(unit), dtype=torch.bool, device=unit.device), -torch.inf
    )
    return F.cross_entropy(logits, _partners(outputs))


def barlow_twins(outputs: Tensor, redundancy: float = 0.005) -> Tensor:
    """The cross correlation of the views should be the identity (Zbontar et al. 2021,
    arXiv:2103.03230): the mean over dimensions of (1 - c_ii)² plus ``redundancy`` times the rest.

    Args:
        outputs: (2n, d), n of 2 or more.
    """
    _partners(outputs)  # refuses what are no pairs
    first, second = (
        (view - view.mean(0)) / (view.var(0, unbiased=False) + 1e-5).sqrt()
        for view in (outputs.float()[::2], outputs.float()[1::2])
    )
    correlation = first.T @ second / len(first)
    on = (1 - correlation.diagonal()).square().sum()
    off = correlation.square().sum() - correlation.diagonal().square().sum()
    return (on + redundancy * off) / correlation.shape[0]


def found_partner(outputs: Tensor) -> Tensor:
    """Which views have the other view of their example as nearest by cosine, bool (2n,)."""
    unit = F.normalize(outputs.float(), dim=-1)
    cosines = unit @ unit.T
    cosines.fill_diagonal_(-torch.inf)
    found: Tensor = cosines.argmax(1) == _partners(outputs)
    return found


def _partners(outputs: Tensor) -> Tensor:
    """The row of each row's other view. Raises InputError where they are no pairs."""
    if outputs.ndim != 2 or len(outputs) % 2 or len(outputs) < 2:
        got = f"shape {tuple(outputs.shape)}"
        raise InputError("outputs", "two views of each example, (2n, d)", got)
    return torch.arange(len(outputs), device=outputs.device) ^ 1
