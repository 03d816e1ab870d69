"""EfficientNet-Lite as it was published with weights (Tan and Le 2019, arXiv:1905.11946; the Lite
variants: 2020); the space ``efficientnet`` has it with symmetric padding.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

#: Factors of width and depth of the variants that a package has weights of.
VARIANTS = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}
#: Width of the embeddings.
TOP = 1280
#: Kernel, stride, expansion, width and repeats of each stage of Lite0.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM, _EPS = 32, 1e-3


class SameConv2d(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's ``SAME`` does: more on the far side."""

    def __init__(
        self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inside, outside, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        extra = [
            max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
            for side in input.shape[2:]
        ]
        if any(extra):
            high, wide = extra
            input = F.pad(input, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Expansion, a depthwise convolution and projection; with a shortcut if shapes allow it."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden, layers = inside * expansion, OrderedDict[str, nn.Module]()
        if expansion > 1:
            layers["expand"] = _conv(inside, hidden, 1)
        layers["depthwise"] = _conv(hidden, hidden, kernel, stride, hidden)
        layers["project"] = _conv(hidden, outside, 1, active=False)
        self.body = nn.Sequential(layers)
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.shortcut else out


def efficientnet_lite(width: float = 1.0, depth: float = 1.0) -> nn.Sequential:
    """Images (n, 3, h, w) to embeddings (n, 1280), with newly initialised weights.

    Squeeze-and-excitation is left out, activations are ReLU6, and the first and last stages are
    not scaled: this is what makes it Lite. Stochastic depth is left out as well.

    Args:
        width, depth: factors of the widths and repeats of Lite0.
    """
    layers = OrderedDict[str, nn.Module](stem=_conv(3, _STEM, 3, 2))
    inside = _STEM
    for number, (kernel, stride, expansion, usual, repeats) in enumerate(_STAGES):
        outside = _round_width(usual * width)
        ends = number in (0, len(_STAGES) - 1)
        count = repeats if ends else math.ceil(repeats * depth)
        blocks = [
            InvertedResidual(
                outside if i else inside, outside, kernel, 1 if i else stride, expansion
            )
            for i in range(count)
        ]
        layers[f"stage{number + 1}"] = nn.Sequential(*blocks)
        inside = outside
    layers["top"] = _conv(inside, TOP, 1)
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(layers)


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
) -> nn.Sequential:
    layers = OrderedDict[str, nn.Module](
        conv=SameConv2d(inside, outside, kernel, stride, groups),
        norm=nn.BatchNorm2d(outside, _EPS, 0.01),
    )
    if active:
        layers["act"] = nn.ReLU6()
    return nn.Sequential(layers)


def _round_width(width: float) -> int:
    """The nearest multiple of 8, never more than a tenth below."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded
