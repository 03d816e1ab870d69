"""Plain gradient descent over examples or classes, seeded (loads torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ...data.batches import batches


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

    The objective is ``loss`` plus ``decay`` times the squares of all weights of two dimensions or
    more.

    Args:
        loss: from indices of a batch to a scalar.
        count: examples to draw batches from; each is used once before any is repeated.
    """
    # Adam adds weight_decay times the weight to the gradient: that of half its square.
    wide = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": wide, "weight_decay": 2 * decay},
        {"params": rest},
    ]
    optimizer = torch.optim.Adam(groups, lr=rate, fused=True)
    drawn = _batches(count, batch, torch.Generator().manual_seed(seed))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * rate * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        loss(next(drawn)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _batches(count: int, size: int, order: torch.Generator) -> Iterator[Tensor]:
    whole = torch.arange(count)
    while True:
        if count <= size:
            yield whole
        else:
            yield from batches(torch.randperm(count, generator=order), size)
