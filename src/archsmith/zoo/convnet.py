"""Convolutional networks for image classification, from a LeNet to a small ResNet or MobileNet."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from ..space import choose, one_of, repeat, scope

#: Widths of a stage.
WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
#: Widths of the stages by default, see ``docs/benchmarks.md``.
_USUAL = (32, 64, 128, 128)
_MOST_STAGES = 4


def convnet(
    channels: int, classes: int, height: int = 32, width: int = 32, *, largest: int = 48
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes).

    A stem, then stages of blocks with half the height and width from one stage to the next, then
    global pooling and a linear layer. The number of stages is limited by how often the images can
    be halved. Each block is a plain convolution, two of them (the basic block of He et al. 2016,
    arXiv:1512.03385), a depthwise-separable one (Chollet 2017, arXiv:1610.02357) or an inverted
    bottleneck (Sandler et al. 2018, arXiv:1801.04381), with batch norm, and with a shortcut if its
    stage is residual.

    The default is a small residual network, 16 to 128 wide, in four stages for images of 28 pixels
    or more and in fewer for smaller ones: of those tried by hand, the one with the best accuracy
    after a few minutes of training on one core.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        largest: the stem reduces images until no side is longer.

    Example:
        >>> space = nas.Space(convnet, channels=1, classes=10, height=28, width=28)
    """
    activation: type[nn.Module] = choose(
        "activation", {"relu": nn.ReLU, "silu": nn.SiLU, "hardswish": nn.Hardswish}
    )
    stem, wide = _stem(channels, max(height, width), largest, activation)
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    counts, usual = _stage_counts(min(height, width))
    stages: int = choose("stages", counts, default=usual)
    for number in range(1, stages + 1):
        if number > 1:
            layers[f"down{number}"] = _downsample(wide)
        with scope(f"stage{number}"):
            layers[f"stage{number}"], wide = _stage(wide, number, activation)
    if classes:
        layers["head"] = _head(wide, classes)
    return nn.Sequential(layers)


class Block(nn.Module):
    """``activation(body(x) + shortcut(x))``, or without the shortcut if it is ``None``."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        if self.shortcut is not None:
            out = out + self.shortcut(x)
        activated: Tensor = self.activation(out)
        return activated


def _stage_counts(side: int) -> tuple[list[int], int]:
    """Numbers of stages for images of this side, and the usual one.

    The last stage works on 2x2 pixels or more, by default on about 4x4.
    """
    most = max(1, min(_MOST_STAGES, side.bit_length() - 1))
    counts = list(range(min(2, most), most + 1))
    return counts, max(counts[0], min(most, int(math.log2(side / 3.5)) + 1))


def _stem(
    channels: int, side: int, largest: int, activation: type[nn.Module]
) -> tuple[nn.Module, int]:
    stride = 1
    while side / stride > largest:
        stride *= 2
    smallest = max(3, 2 * stride - 1)  # a kernel smaller than the stride would skip pixels
    with scope("stem"):
        width: int = choose("width", [8, 16, 24, 32], default=16)
        kernel: int = choose("kernel", [smallest, smallest + 2])
    return nn.Sequential(*_conv(channels, width, kernel, stride), activation()), width


def _stage(inside: int, number: int, activation: type[nn.Module]) -> tuple[nn.Module, int]:
    width: int = choose("width", WIDTHS, default=_USUAL[number - 1])
    kernel: int = choose("kernel", [3, 5])
    residual: bool = choose("residual", [False, True], default=number > 1)

    def block(number: int) -> nn.Module:
        before = width if number else inside
        body = one_of("op", _ops(before, width, kernel, activation))
        return Block(body, _shortcut(before, width) if residual else None, activation)

    return repeat("depth", [1, 2, 3], block), width


def _ops(
    inside: int, outside: int, kernel: int, activation: type[nn.Module]
) -> dict[str, Callable[[], nn.Module]]:
    def plain() -> nn.Module:
        return nn.Sequential(*_conv(inside, outside, kernel))

    def basic() -> nn.Module:
        return nn.Sequential(
            *_conv(inside, outside, kernel), activation(), *_conv(outside, outside, kernel)
        )

    def separable() -> nn.Module:
        return nn.Sequential(
            *_conv(inside, inside, kernel, groups=inside), activation(), *_conv(inside, outside, 1)
        )

    def bottleneck() -> nn.Module:
        hidden = inside * choose("expansion", [2, 4])
        return nn.Sequential(
            *_conv(inside, hidden, 1),
            activation(),
            *_conv(hidden, hidden, kernel, groups=hidden),
            activation(),
            *_conv(hidden, outside, 1),
        )

    return {"conv": plain, "basic": basic, "separable": separable, "bottleneck": bottleneck}


def _shortcut(inside: int, outside: int) -> nn.Module:
    if inside == outside:
        return nn.Identity()
    return nn.Sequential(*_conv(inside, outside, 1))


def _downsample(width: int) -> nn.Module:
    # Asked outside any scope: one decision for the whole network. Odd sizes are rounded up.
    smaller: nn.Module = one_of(
        "downsample",
        {
            "max": lambda: nn.MaxPool2d(2, ceil_mode=True),
            "average": lambda: nn.AvgPool2d(2, ceil_mode=True),
            "stride": lambda: nn.Sequential(*_conv(width, width, 3, stride=2)),
        },
    )
    return smaller


def _head(width: int, classes: int) -> nn.Module:
    with scope("head"):
        pool = one_of(
            "pool",
            {"average": lambda: nn.AdaptiveAvgPool2d(1), "max": lambda: nn.AdaptiveMaxPool2d(1)},
        )
        dropout: float = choose("dropout", [0.0, 0.1, 0.3])
    return nn.Sequential(pool, nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, classes))


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    )
