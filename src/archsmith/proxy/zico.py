"""ZiCo (Li et al. 2023, Zero-shot NAS via Inverse Coefficient of Variation on Gradients,
arXiv:2301.11300)."""

from __future__ import annotations

from itertools import pairwise

import torch

from .._support.errors import InputError
from .._support.trees import call
from .base import Proxy
from .layers import weights_of
from .passes import Passes, gradient


class ZiCo(Proxy):
    """Sum over layers of log(sum over weights of E|g| / std g), with mean and deviation over
    batches.

    The batch is split into ``batches`` parts, whose gradients g are compared. Weights whose
    gradient does not vary are left out, and so are layers of only such weights. BatchNorm is kept,
    with the statistics of each part.

    Args:
        batches: number of parts; the paper uses 2.

    Raises:
        InputError: fewer than 2 parts.
    """

    name = "zico"
    labelled = True
    smallest = 4

    def __init__(self, batches: int = 2) -> None:
        if batches < 2:
            raise InputError("zico, batches", "2 or more", str(batches))
        self.batches = batches

    def value(self, passes: Passes) -> float:
        count = len(passes.batch)
        if count < 2 * self.batches:
            raise self.refuse(
                f"{2 * self.batches} examples or more", str(count), "use a larger batch"
            )
        model = passes.model
        weights = list(weights_of(model).values())
        ends = [count * i // self.batches for i in range(self.batches + 1)]
        gradients = []
        for start, end in pairwise(ends):
            with passes.running():
                loss = passes.loss(call(model, passes.fed(start, end)), start, end)
                gradients.append(gradient(loss, weights))
        total = 0.0
        for parts in zip(*gradients, strict=True):
            stacked = torch.stack(parts).double()
            spread = stacked.std(dim=0, correction=0)
            varies = spread > 0
            ratio = (stacked.abs().mean(0)[varies] / spread[varies]).sum()
            total += float(ratio.log()) if ratio > 0 else 0.0
        return total
