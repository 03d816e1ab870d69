"""Mobile networks: the space around MobileNetV2 and V3, MnasNet, ProxylessNAS, FBNet and OFA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from ..space import choose, scope
from .inverted import (
    ACTIVATIONS,
    EXCITATIONS,
    Activation,
    Shape,
    grouped,
    head,
    nearest,
    resized,
    rounded,
    scaled,
    stage,
    stem,
)
from .strides import fitted


class Row(NamedTuple):
    """What a stage is chosen from: the stride of its first block, numbers of blocks, and widths;
    of these the usual ones."""

    stride: int
    depths: Sequence[int]
    widths: Sequence[int]
    depth: int
    width: int


#: Stages of the published networks, with all their depths and widths.
STAGES = (
    Row(1, (0, 1), (16, 24), 0, 16),
    Row(2, (1, 2, 3, 4), (16, 24, 32, 40), 1, 24),
    Row(2, (1, 2, 3, 4), (24, 32, 40, 48, 56), 2, 40),
    Row(2, (1, 2, 3, 4), (40, 64, 80, 88, 96, 112), 2, 80),
    Row(1, (1, 2, 3, 4), (48, 96, 104, 112, 128, 136), 2, 112),
    Row(2, (1, 2, 3, 4), (96, 160, 184, 192, 216, 256), 2, 160),
    Row(1, (0, 1), (320, 352, 360, 432, 448), 0, 320),
)
#: How many of the stages have ReLU in MobileNetV3, whatever the activation of the others.
RELU_STAGES = 3
EXPANSIONS = (0, 1, 2, 3, 4, 6)
_RESOLUTIONS = (0.571, 0.714, 0.857, 1.0)  # 128, 160, 192 and 224 pixels of 224
_STEMS = (16, 24, 32, 40, 48)
_HEADS = (576, 960, 1152, 1280, 1432, 1728, 1792, 1984)
_FEATURES = (0, 1024, 1280, 1536)
_SIMPLE = (0, RELU_STAGES)
_STEM, _HEAD, _EXPANSION = 32, 576, 4  # the usual ones


def mobilenet(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    scale: float = 0.5,
    expansions: Sequence[float] = EXPANSIONS,
    deepest: int = 4,
    bias: bool = True,
) -> nn.Module:
    """Networks of inverted bottlenecks for phones: images to logits (n, classes).

    MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) and V3 (Howard et al. 2019,
    arXiv:1905.02244), and what was searched around them: MnasNet (Tan et al. 2018,
    arXiv:1807.11626), FBNet (Wu et al. 2018, arXiv:1812.03443), ProxylessNAS (Cai et al. 2018,
    arXiv:1812.00332) and Once-for-All (Cai et al. 2019, arXiv:1908.09791).

    Searched are the size to which images are interpolated first, relative to theirs; of each of
    seven stages the depth, the width, and squeeze and excitation; of each block the kernel and the
    expansion; the widths of stem and head; and the activation, for all of the network or, as in
    MobileNetV3, with ReLU in the first stages. The first and the last stage may be absent. About
    10^38 networks with the default arguments.

    The published networks halve images of 224 pixels five times, to 7. Smaller ones are halved less
    often, so that 4 pixels are left: images of 32 pixels by the last three strides. Neither the
    side nor the number of pixels changes the number of parameters. The default has half the width
    of published networks and nine blocks, 0.2 million parameters.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        scale: factor of all widths, which are then rounded to a multiple of 8. Answers name the
            published widths, so that they fit other factors too.
        expansions: candidates for the width inside a block, relative to what comes in; 0 for the
            depthwise-separable block, which has no first convolution.
        deepest: blocks in a stage at most; published networks have up to 4.
        bias: whether the layer between the average and the last layer, as MobileNetV3 has it, has
            biases.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    strides = fitted([2, *(row.stride for row in STAGES)], min(height, width))
    layers = grouped(resized(height, width, choose("resolution", _RESOLUTIONS, default=1.0)))
    activation: Activation = choose("activation", ACTIVATIONS)
    simple: int = 0 if activation is nn.ReLU else choose("relu_stages", _SIMPLE)
    with scope("stem"):
        inside = _width(_STEMS, _STEM, scale)
    layers |= grouped(stem(channels, inside, strides[0], activation))
    for number, row in enumerate(STAGES, start=1):
        with scope(f"stage{number}"):
            excitation, shapes, outside = _stage(row, inside, scale, expansions, deepest)
        if shapes:
            now, halves = nn.ReLU if number <= simple else activation, row.stride > 1
            blocks = stage(inside, outside, shapes, strides[number], halves, now, excitation)
            layers[f"stage{number}"], inside = nn.Sequential(*blocks), outside
    if not classes:
        return nn.Sequential(layers)
    with scope("head"):
        wide = _width(_HEADS, _HEAD, scale)
        features = _width(_FEATURES, 0, scale, "features")
    layers |= grouped(head(inside, wide, classes, activation, features, bias=bias))
    return nn.Sequential(layers)


def _stage(
    row: Row, inside: int, scale: float, expansions: Sequence[float], deepest: int
) -> tuple[str, list[Shape], int]:
    """Of a stage: its excitation, the shapes of its blocks, and its width."""
    depths = [depth for depth in row.depths if depth <= deepest]
    depth: int = choose("depth", depths, default=min(row.depth, deepest))
    if not depth:
        return "none", [], inside
    outside = _width(row.widths, row.width, scale)
    excitation: str = choose("excitation", EXCITATIONS)
    shapes = []
    for number in range(depth):
        with scope(f"block{number}"):
            kernel: int = choose("kernel", [3, 5, 7])
            expansion = choose("expansion", expansions, default=nearest(expansions, _EXPANSION))
        before = outside if number else inside
        shapes.append(Shape(kernel, rounded(before * expansion) if expansion else None))
    return excitation, shapes, outside


def _width(widths: Sequence[int], usual: int, scale: float, name: str = "width") -> int:
    wide = scaled(widths, usual, scale)
    return wide[choose(name, list(wide), default=usual)]
