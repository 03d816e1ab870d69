"""Inverted bottlenecks and the layers around them: what networks for phones are made of.

Functions give *parts*: the layers in order, in groups that are named by what they do. Spaces build
them :func:`grouped`, so that a group has the same name whether or not there are others before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .references import conv

Parts = dict[str, list[nn.Module]]
Activation = type[nn.Module]

#: Activations of the published networks.
ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
}
#: Squeeze and excitation in a block: none; a quarter of the expanded channels, with a hard sigmoid,
#: as in MobileNetV3; a quarter of the block's input, as in MnasNet and EfficientNet.
EXCITATIONS = ("none", "expanded", "input")


class Shape(NamedTuple):
    """Of a block: its kernel, and the channels that its first convolution makes of those that come
    in. ``None`` leaves that out, which gives a depthwise-separable convolution."""

    kernel: int
    expanded: int | None


class Bottleneck(nn.Module):
    """``body(x)``, and ``x`` added to it if the block is residual."""

    def __init__(self, body: nn.Module, residual: bool) -> None:
        super().__init__()
        self.body, self.residual = body, residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out + x if self.residual else out


class Excitation(nn.Module):
    """Channels weighted by what the whole image shows (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(
        self, wide: int, squeezed: int, activation: Activation, gate: type[nn.Module]
    ) -> None:
        super().__init__()
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(wide, squeezed, 1),
            activation(),
            nn.Conv2d(squeezed, wide, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighted: Tensor = x * self.weights(x)
        return weighted


def stage(
    inside: int,
    outside: int,
    shapes: Sequence[Shape],
    stride: int,
    halves: bool,
    activation: Activation,
    excitation: str,
    named: bool = True,
) -> list[nn.Module]:
    """Blocks in a row, of which the first has the stride.

    Args:
        shapes: of the blocks.
        halves: whether the published stage halves its images. Then its first block is not residual,
            also where the images are so small that they are not halved: the network is the same.
        excitation: one of :data:`EXCITATIONS`.
        named: whether groups of layers have names.
    """
    blocks: list[nn.Module] = []
    for number, shape in enumerate(shapes):
        now = 1 if number else stride
        parts = bottleneck(inside, outside, shape, now, activation, excitation)
        body = nn.Sequential(grouped(parts)) if named else nn.Sequential(*flat(parts))
        blocks.append(Bottleneck(body, inside == outside and not (halves and number == 0)))
        inside = outside
    return blocks


def bottleneck(
    inside: int, outside: int, shape: Shape, stride: int, activation: Activation, excitation: str
) -> Parts:
    """The layers of an inverted bottleneck (Sandler et al. 2018, arXiv:1801.04381)."""
    parts: Parts = {}
    kernel, expanded = shape
    wide = inside if expanded is None else expanded
    if expanded is not None:
        parts["expand"] = [*normed(inside, wide, 1), activation()]
    parts["filter"] = [*normed(wide, wide, kernel, stride, wide), activation()]
    if excitation == "expanded":
        parts["excite_expanded"] = [Excitation(wide, rounded(wide / 4), nn.ReLU, nn.Hardsigmoid)]
    elif excitation == "input":
        parts["excite_input"] = [Excitation(wide, max(1, inside // 4), activation, nn.Sigmoid)]
    parts["project"] = [*normed(wide, outside, 1)]
    return parts


def resized(height: int, width: int, factor: float) -> Parts:
    """An interpolation of images of this size, or nothing if that does not change it."""
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return {} if size == (height, width) else {"resize": [nn.Upsample(size, mode="bilinear")]}


def stem(channels: int, wide: int, stride: int, activation: Activation) -> Parts:
    """The first convolution."""
    return {"stem": [*normed(channels, wide, 3, stride), activation()]}


def head(
    inside: int,
    wide: int,
    classes: int,
    activation: Activation,
    features: int = 0,
    dropout: float = 0.2,
    bias: bool = True,
) -> Parts:
    """A last convolution, the average over the image, and a linear layer.

    Args:
        wide: channels of the convolution.
        features: of a layer between the average and the last one; 0 for none.
        bias: whether that layer has biases.
    """
    parts: Parts = {"last": [*normed(inside, wide, 1), activation()]}
    parts |= {"pool": [nn.AdaptiveAvgPool2d(1)], "flatten": [nn.Flatten()]}
    if features:
        parts["mix"] = [nn.Linear(wide, features, bias), activation()]
    parts["dropout"] = [nn.Dropout(dropout)]
    parts["classify"] = [nn.Linear(features or wide, classes)]
    return parts


def flat(parts: Parts) -> list[nn.Module]:
    """The layers of all groups."""
    return [layer for group in parts.values() for layer in group]


def grouped(parts: Parts) -> OrderedDict[str, nn.Module]:
    """A module for each group."""
    return OrderedDict(
        (name, group[0] if len(group) == 1 else nn.Sequential(*group))
        for name, group in parts.items()
    )


def normed(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    """A convolution and its batch norm."""
    norm = nn.BatchNorm2d(outside, eps=1e-3)
    return conv(inside, outside, kernel, stride, groups), norm


def rounded(wide: float) -> int:
    """The nearest multiple of 8, but not less than 8, nor than nine tenths of the width."""
    near = max(8, int(wide + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wide else near


def scaled(widths: Iterable[int], usual: int, scale: float) -> dict[int, int]:
    """Published widths, and what a factor makes of them: different multiples of 8, and 0 of 0.

    Of widths that become equal one is kept, the usual one if it is among them. So a name means the
    same for every factor.
    """
    names: dict[int, int] = {}
    for wide in (usual, *widths):
        names.setdefault(rounded(wide * scale) if wide else 0, wide)
    return {name: wide for wide, name in sorted(names.items())}


def nearest(options: Sequence[float], usual: float) -> float:
    """The option that is nearest to a usual value."""
    return min(options, key=lambda option: abs(option - usual))
