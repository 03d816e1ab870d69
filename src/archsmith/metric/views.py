"""Losses over two views of each example, without labels. Rows 2i and 2i + 1 are one example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .._support.errors import InputError


def nt_xent(outputs: Tensor, temperature: float = 0.2) -> Tensor:
    """SimCLR's loss (Chen et al. 2020, arXiv:2002.05709): each view must identify its partner.

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
    """Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230): the cross-correlation matrix of the
    views should be the identity. (1 - c_ii)² summed over the diagonal plus ``redundancy`` times
    the sum of squares off the diagonal, divided by the number of dimensions.

    Args:
        outputs: (2n, d), n at least 2.

    Raises:
        InputError: the outputs are not pairs of views.
    """
    _partners(outputs)  # refuses outputs that are not pairs
    first, second = (
        (view - view.mean(0)) / (view.var(0, unbiased=False) + 1e-5).sqrt()
        for view in (outputs.float()[::2], outputs.float()[1::2])
    )
    correlation = first.T @ second / len(first)
    on = (1 - correlation.diagonal()).square().sum()
    off = correlation.square().sum() - correlation.diagonal().square().sum()
    return (on + redundancy * off) / correlation.shape[0]


def found_partner(outputs: Tensor) -> Tensor:
    """Which views have their example's other view as nearest neighbour by cosine, bool (2n,)."""
    unit = F.normalize(outputs.float(), dim=-1)
    cosines = unit @ unit.T
    cosines.fill_diagonal_(-torch.inf)
    correct: Tensor = cosines.argmax(1) == _partners(outputs)
    return correct


def _partners(outputs: Tensor) -> Tensor:
    """The row of each row's other view. Raises InputError if the rows are not pairs."""
    if outputs.ndim != 2 or len(outputs) % 2 or len(outputs) < 2:
        got = f"shape {tuple(outputs.shape)}"
        raise InputError("outputs", "two views of each example, (2n, d)", got)
    return torch.arange(len(outputs), device=outputs.device) ^ 1
