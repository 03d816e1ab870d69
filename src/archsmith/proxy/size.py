"""Proxies without data: the size of a model."""

from __future__ import annotations

from ..hardware.cost import cost
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

    Convolutions, matrix products and attention count, as in the static costs; AZ-NAS calls this
    complexity.
    """

    name = "flops"

    def value(self, passes: Passes) -> float:
        return cost(passes.original, passes.fed(0, 1))["flops"]


class L2Norm(Proxy):
    """Sum over layers of the Euclidean norm of their weights (Abdelfattah et al. 2021,
    arXiv:2101.08134)."""

    name = "l2_norm"

    def value(self, passes: Passes) -> float:
        return float(sum(w.detach().norm().item() for w in weights_of(passes.original).values()))
