"""Proxies that read the gradient of the loss, as Abdelfattah et al. 2021 (Zero-Cost Proxies for
Lightweight NAS, arXiv:2101.08134) apply them to whole models. BatchNorm is kept, with the
statistics of the batch."""

from __future__ import annotations

from .base import Proxy
from .layers import weights_of
from .passes import Passes


class _OfGradients(Proxy):
    """What gradient proxies have in common: they need targets and the shared pass."""

    needs = frozenset({"gradients"})
    labelled = True
    smallest = 2


class GradNorm(_OfGradients):
    """Sum over layers of the Euclidean norm of the weights' gradient."""

    name = "grad_norm"

    def value(self, passes: Passes) -> float:
        return float(sum(g.norm().item() for g in passes.gradients.values()))


class Snip(_OfGradients):
    """Sum of |weight x gradient| (Lee et al. 2019, SNIP, arXiv:1810.02340): how much the loss would
    change, to first order, if each weight were removed."""

    name = "snip"

    def value(self, passes: Passes) -> float:
        weights = weights_of(passes.model)
        return sum(
            (weights[name].detach() * g).abs().sum().item() for name, g in passes.gradients.items()
        )


class Plain(_OfGradients):
    """Sum of weight x gradient, signs kept (Mozer & Smolensky 1989; Abdelfattah et al. 2021)."""

    name = "plain"

    def value(self, passes: Passes) -> float:
        weights = weights_of(passes.model)
        return sum(
            (weights[name].detach() * g).sum().item() for name, g in passes.gradients.items()
        )


class Fisher(_OfGradients):
    """Fisher information of channels (Theis et al. 2018, arXiv:1801.05787; Turner et al. 2020,
    BlockSwap, arXiv:1906.04113).

    For each output channel of a convolution or linear layer, half the mean over examples of the
    square of (output x gradient, summed over positions); added up over channels and layers.
    """

    name = "fisher"
    needs = frozenset({"products"})

    def value(self, passes: Passes) -> float:
        if not passes.products:
            raise self.refuse(
                "convolutions or linear layers that are called as modules",
                "none of them ran (recurrent and attention layers do not expose their outputs)",
            )
        return sum(rows.pow(2).mean(0).sum().item() / 2 for rows in passes.products)
