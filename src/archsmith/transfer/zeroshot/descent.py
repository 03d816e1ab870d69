"""Plain gradient descent over examples or classes, seeded (loads torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ...train import batches


def minimise(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    *,
    steps: int,
    rate: float,
    decay: float,
    batch: int,
    seed: int,
) -> None:
    """Train ``model`` in place by Adam with a rate that falls to zero along a cosine.

    Args:
        loss: from indices of a batch to a scalar, ``decay`` times the squared weights (two
            dimensions or more) not yet in it.
        count: examples to draw batches from; each is used once before any comes again.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    weights = [p for p in model.parameters() if p.ndim > 1]
    drawn = _batches(count, batch, torch.Generator().manual_seed(seed))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * rate * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        squares = torch.stack([w.square().sum() for w in weights]).sum()
        total = loss(next(drawn)) + decay * squares
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _batches(count: int, size: int, order: torch.Generator) -> Iterator[Tensor]:
    whole = torch.arange(count)
    while True:
        if count <= size:
            yield whole
        else:
            yield from batches(torch.randperm(count, generator=order), size)
