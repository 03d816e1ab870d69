"""RegNets: networks whose widths follow a quantised line."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from torch import nn

from ..space import choose, graph_form, integer, one_of, real
from ..space.architecture import Answer
from .inverted import Excitation
from .named import Named
from .references import Residual, conv, projection, started
from .resnet import bottleneck
from .strides import fitted

N = TypeVar("N", int, float)

_MOST_STAGES = 4
_STEP = 8  # widths are multiples of it


@graph_form(lambda architecture: canonical(architecture), lambda a: features(a))
def regnet(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    depths: tuple[int, int] = (4, 16),
    initial: tuple[int, int] = (8, 40),
    slopes: tuple[float, float] = (4.0, 24.0),
) -> nn.Module:
    """RegNets (Radosavovic et al. 2020, arXiv:2003.13678): images to logits (n, classes).

    A 3x3 convolution, stages of residual bottlenecks of ratio 1 with grouped convolutions (X), also
    with squeeze and excitation (Y), and a linear layer on averaged features. Block j would be
    ``initial + slope j`` wide; this is rounded to ``initial`` times a power of ``multiplier``, and
    that to a multiple of 8 and of the group width. Blocks of one width are a stage. Searched are
    the three numbers, the number of blocks, the width of groups and of the stem, and whether there
    is excitation. The paper counts 3x10^8 networks of its space, with 64 values for each number;
    the default arguments leave a corner of it, in which the numbers, some of them continuous, make
    about 2x10^5 different networks. As in the paper's networks there are at most four stages: what
    would be wider than the fourth is as wide.

    The stem and each stage halve the images, so that 224 pixels become 7. For smaller images the
    first of these strides become 1, so that 4 pixels are left. By default eleven blocks in four
    stages, 16 to 128 wide.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        depths: fewest and most blocks.
        initial: least and greatest initial width, multiples of 8.
        slopes: least and greatest slope. :data:`PUBLISHED` are the bounds that hold all named
            architectures.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    depth = integer("depth", *depths, default=_within(11, depths))
    first = integer("initial", *initial, step=_STEP, default=_within(16, initial))
    slope = real("slope", *slopes, default=_within(12.0, slopes))
    multiplier = real("multiplier", 1.5, 3.0, default=2.0)
    group: int = choose("group", [8, 16, 24, 48])
    inside: int = choose("stem", [16, 32])
    stages = quantised(depth, first, slope, multiplier, group)
    strides = fitted([2] * (1 + len(stages)), min(height, width))
    start = conv(channels, inside, 3, strides[0]), nn.BatchNorm2d(inside), nn.ReLU(inplace=True)
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(*start))
    for number, (wide, count, each) in enumerate(stages, start=1):
        blocks = []
        for place in range(count):
            stride = 1 if place else strides[number]
            blocks.append(_block(inside, wide, stride, each))
            inside = wide
        layers[f"stage{number}"] = nn.Sequential(*blocks)
    if not classes:
        return started(nn.Sequential(layers))
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers["classifier"] = nn.Linear(inside, classes)
    return started(nn.Sequential(layers))


def quantised(
    depth: int, initial: int, slope: float, multiplier: float, group: int
) -> list[tuple[int, int, int]]:
    """Width, depth and group width of each stage, by the paper's equations 2 to 4."""
    powers = [
        min(_MOST_STAGES - 1, round(math.log(1 + slope * j / initial, multiplier)))
        for j in range(depth)
    ]
    widths = (_STEP * round(initial * multiplier**power / _STEP) for power in powers)
    stages = []
    for wide, blocks in groupby(widths):
        each = min(group, wide)
        stages.append((each * round(wide / each), len(list(blocks)), each))
    return stages


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for architectures with the same layers."""
    return f"{_stages(architecture)} {architecture['stem']} {architecture['excitation']}"


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """Features for surrogates: width and depth of each stage."""
    found: dict[str, float] = {}
    for number, (wide, depth, _) in enumerate(_stages(architecture), start=1):
        found |= {f"stage{number}.width": wide, f"stage{number}.depth": depth}
    return found


def _stages(architecture: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    names = ("depth", "initial", "slope", "multiplier", "group")
    return quantised(*(architecture[name] for name in names))


def _block(inside: int, outside: int, stride: int, group: int) -> nn.Module:
    squeezed = max(1, round(inside / 4))
    excitation = partial(Excitation, outside, squeezed, nn.ReLU, nn.Sigmoid)
    weighing = one_of(
        "excitation",
        {"none": nn.Identity, "quarter": excitation},
    )
    body = bottleneck(inside, outside, outside, stride, outside // group, weighing)
    return Residual(body, projection(inside, outside, stride))


def _within(usual: N, bounds: tuple[N, N]) -> N:
    return min(max(usual, bounds[0]), bounds[1])


#: Arguments of the space that has all named architectures.
PUBLISHED = {"depths": (12, 28), "initial": (24, 88), "slopes": (20.0, 45.0)}


def _named(
    excitation: str,
    depth: int,
    initial: int,
    slope: float,
    multiplier: float,
    group: int,
    parameters: int,
) -> Named:
    answers: dict[str, Answer] = {"excitation": excitation, "stem": 32, "group": group}
    answers |= {"depth": depth, "initial": initial, "slope": slope, "multiplier": multiplier}
    source = "Radosavovic et al. 2020, arXiv:2003.13678"
    return Named("regnet", answers, parameters, source, PUBLISHED)


# The numbers of parameters are those of timm, whose widths are the paper's. torchvision rounds
# halves up where the paper rounds them to the even number, so its RegNetX-400MF (400 wide at the
# end, not 384) and RegNetY-800MF (784, not 768) are larger: 5,495,976 and 6,432,512.
_x, _y = partial(_named, "none"), partial(_named, "quarter")
REGNETX_200MF = _x(13, 24, 36.44, 2.49, 8, 2_684_792)
REGNETX_400MF = _x(22, 24, 24.48, 2.54, 16, 5_157_512)
REGNETX_800MF = _x(16, 56, 35.73, 2.28, 16, 7_259_656)
REGNETX_1600MF = _x(18, 80, 34.01, 2.25, 24, 9_190_136)
REGNETX_3200MF = _x(25, 88, 26.31, 2.25, 48, 15_296_552)
REGNETY_200MF = _y(13, 24, 36.44, 2.49, 8, 3_162_996)
REGNETY_400MF = _y(16, 48, 27.89, 2.09, 8, 4_344_144)
REGNETY_800MF = _y(14, 56, 38.84, 2.4, 16, 6_263_168)
REGNETY_1600MF = _y(27, 48, 20.71, 2.65, 24, 11_202_430)
REGNETY_3200MF = _y(21, 80, 42.63, 2.66, 24, 19_436_338)
