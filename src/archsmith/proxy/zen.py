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

#: Scale of the difference between the two inputs.
_STEP = 0.01
_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


class Zen(Proxy):
    """log E||f(x) - f(x + 0.01 e)|| plus, for each BatchNorm, log of the root of its mean variance.

    Weights, x and e are standard normal (the model's own weights do not matter); f ends before the
    global pooling. The second term restores the scale that BatchNorm removes. Residual links are
    left out, as in the paper: with them a deep network looks like a shallow one. Only defined for
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
        recorder = _Recorder(model)
        with passes.running(), torch.no_grad():
            gaussian(model)
            inputs = passes.noise()
            noise = iter(list(leaves(passes.noise())))
            shifted = map_tensors(lambda tensor: tensor + _STEP * next(noise), inputs)
            output = recorder.features(_without_links(model, inputs))
            scales = list(recorder.scales)  # of the first pass only
            difference = output - recorder.features(_without_links(model, shifted))
        distance = difference.flatten(1).norm(dim=1).mean().item()
        if distance == 0:
            raise self.refuse(
                "features that depend on the input",
                "features that do not",
                "no path leads from input to output; score by params, flops or synflow",
            )
        # Constant features, behind a cut in the graph, have no scale to restore.
        return math.log(distance) + sum(math.log(scale) for scale in scales if scale > 0)


def _without_links(model: nn.Module, inputs: Tree) -> Any:
    with WithoutLinks():
        return call(model, inputs)


class _Recorder:
    """Records the inputs of the last global pooling (or linear layer), and the scales of the inputs
    of BatchNorms."""

    def __init__(self, model: nn.Module) -> None:
        self.scales: list[float] = []
        self._pooled: Tensor | None = None
        self._flat: Tensor | None = None
        for module in model.modules():
            if isinstance(module, BATCH_NORMS):
                module.register_forward_pre_hook(self._on_batch_norm)
            elif isinstance(module, _POOLS):
                module.register_forward_pre_hook(self._on_pool)
            elif isinstance(module, nn.Linear):
                module.register_forward_pre_hook(self._on_linear)

    def features(self, output: Any) -> Tensor:
        """The features of the pass that returned ``output``; resets the recorder."""
        features = self._pooled if self._pooled is not None else self._flat
        whole = first_tensor(output)
        self._pooled = self._flat = None
        result = features if features is not None else whole
        assert result is not None
        return result

    def _on_batch_norm(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance = inputs[0].transpose(0, 1).flatten(1).var(dim=1, correction=0)
        self.scales.append(variance.mean().sqrt().item())

    def _on_pool(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._pooled = inputs[0].clone()

    def _on_linear(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._flat = inputs[0].clone()
