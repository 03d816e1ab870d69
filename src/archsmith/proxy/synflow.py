"""SynFlow (Tanaka et al. 2020, Pruning neural networks without any data by iteratively conserving
synaptic flow, arXiv:2006.05467)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._support.trees import call, first_tensor, map_tensors
from .base import Proxy
from .layers import NORMS, TABLES, replace, weights_of
from .passes import Passes, gradient


class SynFlow(Proxy):
    """Sum of |weight x gradient of R|, R being the sum of outputs for an input of ones.

    It is computed in double precision, with the absolute value of every parameter, and with
    normalisation bypassed: the paper bypasses BatchNorm, since flow is conserved only in
    homogeneous layers, and the same is true of other normalisation layers. If inputs are indices,
    their embeddings are replaced by ones. Batch and seed do not matter.
    """

    name = "synflow"

    def value(self, passes: Passes) -> float:
        model = replace(passes.fresh(), NORMS, nn.Identity).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.abs_()
        for module in model.modules():
            if isinstance(module, TABLES):
                module.register_forward_hook(lambda _, __, output: torch.ones_like(output))
        fed = map_tensors(_ones, passes.fed(0, 1))
        weights = weights_of(model)
        with passes.running():
            output = first_tensor(call(model, fed))
            if output is None:
                raise self.refuse("a model that returns a tensor", "none")
            slopes = gradient(output.sum(), list(weights.values()))
        pairs = zip(weights.values(), slopes, strict=True)
        return sum((w.detach() * g).abs().sum().item() for w, g in pairs)


def _ones(inputs: Tensor) -> Tensor:
    """Ones in place of numbers; indices unchanged."""
    return torch.ones_like(inputs, dtype=torch.float64) if inputs.is_floating_point() else inputs
