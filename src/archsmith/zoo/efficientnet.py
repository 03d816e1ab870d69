"""EfficientNets: one network whose depth, width and resolution are scaled together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from ..space import choose
from ..space.architecture import Answer
from .inverted import Shape, grouped, head, nearest, resized, rounded, stage, stem
from .named import Named
from .strides import fitted


class Row(NamedTuple):
    """A stage of the baseline: kernel, expansion, width, depth, and the stride of its first
    block."""

    kernel: int
    expansion: int
    width: int
    depth: int
    stride: int


#: Table 1 of the paper: EfficientNet-B0, without stem and head.
_ROWS = (
    Row(3, 1, 16, 1, 1),
    Row(3, 6, 24, 2, 2),
    Row(5, 6, 40, 2, 2),
    Row(3, 6, 80, 3, 2),
    Row(5, 6, 112, 3, 1),
    Row(5, 6, 192, 4, 2),
    Row(3, 6, 320, 1, 1),
)
_STEM, _HEAD = 32, 1280
#: What depth, width and resolution are multiplied by if the compound coefficient grows by one.
_ALPHA, _BETA, _GAMMA = 1.2, 1.1, 1.15


def efficientnet(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    scale: float = 0.25,
    depths: Sequence[float] = (0.5, 0.75, 1.0, 1.1, 1.2, 1.4, 1.8, 2.2, 2.6, 3.1),
    widths: Sequence[float] = (0.5, 0.75, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0),
    resolutions: Sequence[float] = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0),
    phis: Sequence[float] = (-3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7),
) -> nn.Module:
    """EfficientNet (Tan & Le 2019, arXiv:1905.11946): images to logits (n, classes).

    Searched is how the baseline is scaled: either by coefficients of depth, width and resolution
    that are independent of each other, or by one compound coefficient phi, with 1.2^phi, 1.1^phi
    and 1.15^phi as in the paper. What a scaled network may cost is a limit of the search, not of
    the space. Further, the dropout; and whether the network is an EfficientNet-Lite, for hardware
    without squeeze and excitation and with ReLU6, whose stem, head, first and last stage are not
    scaled. About 10^4 networks with the default arguments.

    The resolution multiplies the side of the images that come in: they are interpolated first. The
    published baseline halves 224 pixels five times, to 7; smaller images are halved less often, so
    that 4 pixels are left (those of 32 pixels by the last three strides). Neither changes the
    number of parameters. The default is the baseline with a quarter of its width, 0.3 million
    parameters. Blocks are not left out at random during training, as they are in the paper.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        scale: factor of all widths of the baseline, which is EfficientNet-B0 for 1.0.
        depths, widths, resolutions: candidates for the coefficients.
        phis: candidates for the compound coefficient.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    lite: bool = choose("lite", [False, True])
    if choose("scaling", ["independent", "compound"]) == "compound":
        phi = _near("phi", phis, 0)
        deep, wide, sharp = _ALPHA**phi, _BETA**phi, _GAMMA**phi
    else:
        deep, wide = _near("depth", depths, 1), _near("width", widths, 1)
        sharp = _near("resolution", resolutions, 1)
    activation, excitation = (nn.ReLU6, "none") if lite else (nn.SiLU, "input")
    ends = scale if lite else scale * wide  # of stem and head
    strides = fitted([2, *(row.stride for row in _ROWS)], min(height, width))
    inside = rounded(_STEM * ends)
    layers = grouped(resized(height, width, sharp) | stem(channels, inside, strides[0], activation))
    for number, row in enumerate(_ROWS, start=1):
        fixed = lite and number in (1, len(_ROWS))
        outside, depth = rounded(row.width * scale * wide), math.ceil(row.depth * deep)
        shapes = []
        for block in range(row.depth if fixed else depth):
            before = outside if block else inside
            shapes.append(Shape(row.kernel, before * row.expansion if row.expansion > 1 else None))
        halves, now = row.stride > 1, strides[number]
        blocks = stage(inside, outside, shapes, now, halves, activation, excitation)
        layers[f"stage{number}"], inside = nn.Sequential(*blocks), outside
    if not classes:
        return nn.Sequential(layers)
    dropout: float = choose("dropout", [0.2, 0.3, 0.4, 0.5])
    layers |= grouped(head(inside, rounded(_HEAD * ends), classes, activation, dropout=dropout))
    return nn.Sequential(layers)


def _near(name: str, options: Sequence[float], usual: float) -> float:
    chosen: float = choose(name, options, default=nearest(options, usual))
    return chosen


def _named(
    width: float, depth: float, side: int, dropout: float, parameters: int, lite: bool = False
) -> Named:
    answers: dict[str, Answer] = {"lite": lite, "scaling": "independent"}
    answers |= {"depth": depth, "width": width, "resolution": 1.0, "dropout": dropout}
    source = "Tan & Le 2019 (arXiv:1905.11946), table 1, and their code for the coefficients"
    return Named("efficientnet", answers, parameters, source, {"scale": 1.0}, side)


B0 = _named(1.0, 1.0, 224, 0.2, 5_288_548)
B1 = _named(1.0, 1.1, 240, 0.2, 7_794_184)
B2 = _named(1.1, 1.2, 260, 0.3, 9_109_994)
B3 = _named(1.2, 1.4, 300, 0.3, 12_233_232)
B4 = _named(1.4, 1.8, 380, 0.4, 19_341_616)
B5 = _named(1.6, 2.2, 456, 0.4, 30_389_784)
B6 = _named(1.8, 2.6, 528, 0.5, 43_040_704)
B7 = _named(2.0, 3.1, 600, 0.5, 66_347_960)

LITE0 = _named(1.0, 1.0, 224, 0.2, 4_652_008, lite=True)
LITE1 = _named(1.0, 1.1, 240, 0.2, 5_416_680, lite=True)
LITE2 = _named(1.1, 1.2, 260, 0.3, 6_092_072, lite=True)
LITE3 = _named(1.2, 1.4, 280, 0.3, 8_197_096, lite=True)
LITE4 = _named(1.4, 1.8, 300, 0.3, 13_006_568, lite=True)
