"""Zen-score (Lin et al. 2021, Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition,
arXiv:2102.01063)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import Tree, call, first_tensor, leaves, map_tensors, shapes
from .base import Proxy
from .layers import BATCH_NORMS, CONVOLUTIONS, gaussian
from .links import WithoutLinks
from .passes import Passes

#: How far the second input is from the first.
_STEP = 0.01
_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


class Zen(Proxy):
    """log E||f(x) - f(x + 0.01 e)|| plus, for each BatchNorm, log of the root of its mean variance.

    Weights, x and e are standard normal (the model's own weights do not matter); f ends before the
    global pooling. The second term puts back the scale that BatchNorm takes away. Residual links
    are left out, as in the paper: with them a deep network looks like a shallow one. Defined for
    convolutional networks.
    """

    name = "zen"
    smallest = 2

    def value(self, passes: Passes) -> float:
        model = passes.fresh()
        if not any(isinstance(m, CONVOLUTIONS) for m in model.modules()):
            raise self.refuse("a convolutional network", "a model without convolutions")
        if not passes.batch.numbers:
            raise self.refuse("inputs that are numbers", shapes(passes.batch.inputs))
        watch = _Watch(model)
        with passes.running(), torch.no_grad():
            gaussian(model)
            inputs = passes.noise()
            noise = iter(list(leaves(passes.noise())))
            moved = map_tensors(lambda tensor: tensor + _STEP * next(noise), inputs)
            output = watch.features(_plain(model, inputs))
            scales = list(watch.scales)  # of the first pass alone
            apart = output - watch.features(_plain(model, moved))
        distance = apart.flatten(1).norm(dim=1).mean().item()
        if distance == 0:
            raise self.refuse(
                "features that depend on the input",
                "features that do not",
                "no path leads from input to output; score by params, flops or synflow",
            )
        # What never varies, behind a cut in the graph, was not scaled either.
        return math.log(distance) + sum(math.log(scale) for scale in scales if scale > 0)


def _plain(model: nn.Module, inputs: Tree) -> Any:
    with WithoutLinks():
        return call(model, inputs)


class _Watch:
    """What goes into the last global pooling (or linear layer), and into BatchNorms."""

    def __init__(self, model: nn.Module) -> None:
        self.scales: list[float] = []
        self._pooled: Tensor | None = None
        self._flat: Tensor | None = None
        for module in model.modules():
            if isinstance(module, BATCH_NORMS):
                module.register_forward_pre_hook(self._normalised)
            elif isinstance(module, _POOLS):
                module.register_forward_pre_hook(self._pooling)
            elif isinstance(module, nn.Linear):
                module.register_forward_pre_hook(self._linear)

    def features(self, output: Any) -> Tensor:
        """What the pass that gave ``output`` showed; ready for another pass."""
        found = self._pooled if self._pooled is not None else self._flat
        whole = first_tensor(output)
        self._pooled = self._flat = None
        result = found if found is not None else whole
        assert result is not None
        return result

    def _normalised(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        variance = given[0].transpose(0, 1).flatten(1).var(dim=1, correction=0)
        self.scales.append(variance.mean().sqrt().item())

    def _pooling(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._pooled = given[0].clone()

    def _linear(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._flat = given[0].clone()
