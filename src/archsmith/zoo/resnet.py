"""Residual networks: the family of ResNet, ResNeXt and wide residual networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from ..space import choose, one_of, scope
from ..space.architecture import Answer
from .inverted import nearest
from .named import Named
from .references import (
    Padded,
    PreActivated,
    Residual,
    basic,
    conv,
    projection,
    started,
    stem,
    stem_halvings,
)
from .strides import fitted

_KINDS = ("basic", "bottleneck", "preactivated")
_USUAL_DEPTH, _USUAL_WIDTH = 3, 16  # those of ResNet-20


def resnet(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    depths: Sequence[int] = (1, 2, 3, 4, 5),
    widths: Sequence[int] = (8, 12, 16, 24, 32),
) -> nn.Module:
    """Residual networks (He et al. 2015, arXiv:1512.03385): images to logits (n, classes).

    A stem, three or four stages of blocks, and a linear layer on averaged features. Searched are
    the depth and width of each stage, and for the whole network the kind of block (two 3x3
    convolutions; a bottleneck with its ratio and number of groups, which makes ResNeXt, Xie et al.
    2016, arXiv:1611.05431; or norm and activation before two convolutions, as in wide residual
    networks, Zagoruyko and Komodakis 2016, arXiv:1605.07146), how shortcuts change shapes, and the
    stem (one convolution, or three 3x3 ones as in Inception; He et al. 2018, arXiv:1812.01187,
    section 4, which also has the shortcut that averages before its convolution). About 10^8
    networks with the default arguments.

    Images of up to 56 pixels meet the stem for CIFAR, larger ones are first reduced to that, as for
    ImageNet. Each stage but the first halves them, unless less than 4 pixels would be left. The
    default is ResNet-20 with 1x1 convolutions in its shortcuts; above 56 pixels it has a fourth
    stage.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        depths: numbers of blocks that a stage may have.
        widths: channels that the first stage may have; each later one has twice as many as the one
            before to choose from. :data:`PUBLISHED` are the lists for all named architectures.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    side = max(height, width)
    kind: str = choose("block", _KINDS)
    start, inside = _stem(channels, side, bare=kind == "preactivated")
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=start)
    halvings = stem_halvings(side)
    stages: int = choose("stages", [3, 4], default=4 if halvings else 3)
    strides = fitted([1, 2, 2, 2][:stages], min(height, width) >> halvings)
    for number, stride in enumerate(strides):
        with scope(f"stage{number + 1}"):
            options = [w << number for w in widths]
            wide: int = choose("width", options, default=nearest(options, _USUAL_WIDTH << number))
            depth: int = choose("depth", depths, default=nearest(depths, _USUAL_DEPTH))
        blocks = [_block(inside, wide, stride), *(_block(wide, wide, 1) for _ in range(depth - 1))]
        layers[f"stage{number + 1}"], inside = nn.Sequential(*blocks), wide
    if kind == "preactivated":
        layers["end"] = nn.Sequential(nn.BatchNorm2d(inside), nn.ReLU(inplace=True))
    if not classes:
        return started(nn.Sequential(layers))
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers["classifier"] = nn.Linear(inside, classes)
    return started(nn.Sequential(layers))


def bottleneck(
    inside: int,
    hidden: int,
    outside: int,
    stride: int,
    groups: int = 1,
    weighing: nn.Module | None = None,
) -> nn.Module:
    """1x1, 3x3 and 1x1 convolutions with batch norm and activations between them.

    Args:
        hidden: channels of the 3x3 convolution, which has the stride and the groups.
        weighing: what follows it.
    """
    return nn.Sequential(
        conv(inside, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        conv(hidden, hidden, 3, stride, groups),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Identity() if weighing is None else weighing,
        conv(hidden, outside, 1),
        nn.BatchNorm2d(outside),
    )


def _stem(channels: int, side: int, bare: bool) -> tuple[nn.Module, int]:
    with scope("stem"):
        wide: int = choose("width", [16, 32, 64])
        build = partial(stem, channels, wide, side, bare)
        return one_of("kind", {"plain": build, "deep": partial(build, deep=True)}), wide


def _block(inside: int, outside: int, stride: int) -> nn.Module:
    # Asked outside any scope: one decision for the whole network.
    def with_bottleneck() -> nn.Module:
        ratio: float = choose("ratio", [0.25, 0.5, 1.0])
        cardinality: int = choose("groups", [1, 4, 32])
        hidden = max(1, round(outside * ratio))
        # Each group has the same number of channels; few channels have fewer groups.
        body = bottleneck(inside, hidden, outside, stride, math.gcd(hidden, cardinality))
        return Residual(body, _shortcut(inside, outside, stride))

    options: Mapping[str, Callable[[], nn.Module]] = {
        "basic": lambda: Residual(
            basic(inside, outside, stride), _shortcut(inside, outside, stride)
        ),
        "bottleneck": with_bottleneck,
        "preactivated": partial(PreActivated, inside, outside, stride),
    }
    block: nn.Module = one_of("block", options)
    return block


def _shortcut(inside: int, outside: int, stride: int) -> nn.Module:
    shortcut: nn.Module = one_of(
        "shortcut",
        {
            "projected": partial(projection, inside, outside, stride),
            "padded": partial(Padded, inside, outside, stride),
            "averaged": partial(_averaged, inside, outside, stride),
        },
    )
    return shortcut


def _averaged(inside: int, outside: int, stride: int) -> nn.Module:
    # Rounding up matches the convolutions for odd sizes.
    pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, projection(inside, outside, 1))


#: Arguments of the space that has all named architectures.
PUBLISHED = {"depths": (1, 2, 3, 4, 5, 6, 7, 8, 9, 18, 23, 36), "widths": (16, 64, 160, 256)}


def _named(
    source: str, block: Mapping[str, Answer], wide: int, depths: Sequence[int], parameters: int
) -> Named:
    """An architecture for CIFAR-10 if it has three stages, for ImageNet if it has four.

    Args:
        block: answers about blocks.
        wide: channels of the first stage.
    """
    side, classes, first = (32, 10, 16) if len(depths) == 3 else (224, 1000, 64)
    answers = {"stem.kind": "plain", "stem.width": first, "stages": len(depths), **block}
    for number, depth in enumerate(depths):
        answers |= {f"stage{number + 1}.depth": depth, f"stage{number + 1}.width": wide << number}
    return Named("resnet", answers, parameters, source, PUBLISHED, side, classes)


def _deep(ratio: float, groups: int, shortcut: str = "projected") -> dict[str, Answer]:
    answers: dict[str, Answer] = {"shortcut": shortcut, "ratio": ratio, "groups": groups}
    return {"block": "bottleneck", **{f"block.bottleneck.{n}": a for n, a in answers.items()}}


_HE = "He et al. 2015, arXiv:1512.03385"
_TRICKS = "He et al. 2018, arXiv:1812.01187, section 4"
_XIE = "Xie et al. 2016, arXiv:1611.05431, table 1"
_WIDE = "Zagoruyko and Komodakis 2016, arXiv:1605.07146"

_plain = partial(_named, f"{_HE}, table 1", {"block": "basic", "block.basic.shortcut": "projected"})
RESNET18 = _plain(64, (2, 2, 2, 2), 11_689_512)
RESNET34 = _plain(64, (3, 4, 6, 3), 21_797_672)

# With the strides in the 3x3 convolutions, as in torchvision; the paper has them in the first 1x1.
_bottlenecks = partial(_named, f"{_HE}, table 1", _deep(0.25, 1))
RESNET50 = _bottlenecks(256, (3, 4, 6, 3), 25_557_032)
RESNET101 = _bottlenecks(256, (3, 4, 23, 3), 44_549_160)
RESNET152 = _bottlenecks(256, (3, 8, 36, 3), 60_192_808)
_averages = {**_deep(0.25, 1, "averaged"), "stem.kind": "deep"}
RESNET50_D = _named(_TRICKS, _averages, 256, (3, 4, 6, 3), 25_576_264)
RESNEXT50_32X4D = _named(_XIE, _deep(0.5, 32), 256, (3, 4, 6, 3), 25_028_904)
WIDE_RESNET50_2 = _named(_WIDE, _deep(0.5, 1), 256, (3, 4, 6, 3), 68_883_240)

_cifar = partial(_named, f"{_HE}, table 6", {"block": "basic", "block.basic.shortcut": "padded"})
RESNET20 = _cifar(16, (3, 3, 3), 269_722)
RESNET32 = _cifar(16, (5, 5, 5), 464_154)
RESNET44 = _cifar(16, (7, 7, 7), 658_586)
RESNET56 = _cifar(16, (9, 9, 9), 853_018)
RESNET110 = _cifar(16, (18, 18, 18), 1_727_962)

_wide = partial(_named, _WIDE, {"block": "preactivated"})
WRN16_4 = _wide(64, (2, 2, 2), 2_748_890)
WRN28_10 = _wide(160, (4, 4, 4), 36_479_194)
