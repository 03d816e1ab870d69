"""Normalisation statistics for one subnet, before it is evaluated."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from .._support.trees import call


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> bool:
    """Set the running statistics of a model's normalisation to those of some batches.

    The running statistics of shared weights are a mixture over all paths and fit none of them; a
    few forward passes give a path its own (Yu et al. 2019, arXiv:1903.05134; Guo et al. 2020,
    arXiv:1904.00420). Everything else, dropout included, is in evaluation mode meanwhile, and
    the model stays in it afterwards.

    Args:
        model: with buffers of its own, as ``supernet.subnet(architecture, own_buffers=True)``.
        batches: prepared inputs, on the model's device. All have the same weight.

    Returns:
        Whether there was anything to set.
    """
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]
    if not norms:
        return False
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for batch in batches:
            call(model, batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return True
