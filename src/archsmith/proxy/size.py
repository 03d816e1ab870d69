"""Proxies without data: how large a model is."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .base import Proxy
from .layers import weights_of
from .passes import Passes


class Params(Proxy):
    """Trainable parameters, a shared one counted once."""

    name = "params"

    def value(self, passes: Passes) -> float:
        parameters = passes.original.parameters()
        return float(sum(p.numel() for p in parameters if p.requires_grad))


class Flops(Proxy):
    """Floating-point operations of one example, a multiply-add being two.

    Convolutions, matrix products and attention count, as in the static costs; AZ-NAS calls it
    complexity.
    """

    name = "flops"

    def value(self, passes: Passes) -> float:
        inputs = passes.fed(0, 1)
        try:
            return _flops(copy.deepcopy(passes.fresh()).to("meta"), inputs.to("meta"))
        except Exception:
            # Models that read values, or keep tensors that nobody registered, run where they are.
            with passes.running():
                return _flops(passes.fresh(), inputs)


def _flops(model: nn.Module, inputs: Tensor) -> float:
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs)
    return float(counter.get_total_flops())


class L2Norm(Proxy):
    """Sum over layers of the Euclidean norm of their weights (Abdelfattah et al. 2021,
    arXiv:2101.08134)."""

    name = "l2_norm"

    def value(self, passes: Passes) -> float:
        return float(sum(w.detach().norm().item() for w in weights_of(passes.original).values()))
