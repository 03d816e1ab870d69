"""The cell space of NASNet, with NASNet-A and AmoebaNet-A."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from ..space import scope, subset
from ..space.architecture import Answer
from .cells import (
    LARGE_SIDE,
    Cell,
    Node,
    Op,
    Plan,
    Separable,
    average_pool,
    edges,
    first_stride,
    genotype,
    head,
    loose,
    max_pool,
    small_start,
    stacked,
    stages,
)
from .named import Named
from .nasbench201 import ReLUConvBN


class Bottleneck(nn.Sequential):
    """Convolutions between two 1x1 convolutions, which make the image narrower and wide again.

    ReLU before and batch norm after each.

    Args:
        share: of the output's channels that the inner convolutions work on.
        kernels: of the inner convolutions, (height, width) each.
        dilation: of these.
    """

    def __init__(
        self,
        share: float,
        kernels: Sequence[tuple[int, int]],
        dilation: int,
        inside: int,
        outside: int,
        stride: int,
    ) -> None:
        narrow = max(1, int(share * outside))
        layers = list(ReLUConvBN(inside, narrow, 1))
        for high, wide in kernels:
            inner = nn.Conv2d(
                *(narrow, narrow, (high, wide)),
                # Each convolution has the stride along the sides of its kernel that are not 1.
                stride=(stride if high > 1 else 1, stride if wide > 1 else 1),
                padding=(dilation * (high // 2), dilation * (wide // 2)),
                dilation=dilation,
                bias=False,
            )
            layers += [nn.ReLU(), inner, nn.BatchNorm2d(narrow)]
        super().__init__(*layers, *ReLUConvBN(narrow, outside, 1))


def identity(inside: int, outside: int, stride: int) -> nn.Module:
    """No operation, or a 1x1 convolution where shapes change."""
    if inside == outside and stride == 1:
        return nn.Identity()
    return ReLUConvBN(inside, outside, 1, stride)


def _convolution(kernel: int, inside: int, outside: int, stride: int) -> nn.Module:
    return ReLUConvBN(inside, outside, kernel, stride)


#: Operations by label.
OPS: dict[str, Op] = {
    "identity": identity,
    "conv_1x1": partial(_convolution, 1),
    "conv_3x3": partial(Bottleneck, 1 / 4, [(3, 3)], 1),
    "conv_1x3_3x1": partial(Bottleneck, 3 / 8, [(1, 3), (3, 1)], 1),
    "conv_1x7_7x1": partial(Bottleneck, 1 / 4, [(1, 7), (7, 1)], 1),
    "dil_conv_3x3": partial(Bottleneck, 1 / 4, [(3, 3)], 2),
    "sep_conv_3x3": partial(Separable, 3),
    "sep_conv_5x5": partial(Separable, 5),
    "sep_conv_7x7": partial(Separable, 7),
    "avg_pool_3x3": partial(average_pool, 3),
    "max_pool_3x3": partial(max_pool, 3),
    "max_pool_5x5": partial(max_pool, 5),
    "max_pool_7x7": partial(max_pool, 7),
}


def nasnet(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    filters: int = 12,
    cells: int = 2,
    nodes: int = 5,
    stem: int | None = None,
    skips: bool = False,
) -> nn.Module:
    """The network of NASNet (Zoph et al. 2018, arXiv:1707.07012): images to logits (n, classes).

    A cell has five nodes, each the sum of two of 13 operations on earlier states, which may be the
    same; it concatenates the states that no node reads, and up to two others: the published cells
    do so, although the paper does not say it. There are 10^18 normal cells and as many reduction
    cells, so 10^36 networks; swapping the two sides of a node gives the same one. By default each
    node adds a separable convolution of the last cell's output to the output of the cell before.
    Convolutions with kernels of 3 and 7 that are not separable work on a part of the channels,
    between 1x1 convolutions, as in the code of AmoebaNet (Real et al. 2019, arXiv:1802.01548).

    Images of less than 64 pixels meet the stem that was published for CIFAR, a 3x3 convolution.
    Others meet that for ImageNet, a convolution of stride 2 (1 below 128 pixels) and two reduction
    cells with a quarter and half of the channels. Two further reduction cells halve what comes from
    it: 32 pixels become 8, 224 become 7.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels.
        filters: channels of each state in the first stage, F in the papers; NASNet-A (6 @ 768) has
            32, a 24th of the published number.
        cells: normal cells in each of the three stages, N in the papers.
        nodes: in each cell.
        stem: channels of the first convolution; by default three times ``filters`` for small
            images, and 32 for large ones.
        skips: the cell after a reduction cell reads the output of the cell before the last one of
            the stage, as in NASNet-A (6 @ 4032), instead of the last one.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    row = stages(filters, cells)
    if min(height, width) < LARGE_SIDE:
        first = small_start(channels, stem or 3 * filters)
    else:
        first = small_start(channels, stem or 32, first_stride(height, width))
        row = [(filters // 4, True), (filters // 2, True), *row]
    early = len(row) - len(stages(filters, cells))
    skipped = (early + cells, early + 2 * cells + 1) if skips else ()
    network, wide = stacked(first, partial(_cell, nodes), row, skipped)
    return nn.Sequential(network, nn.ReLU(), *head(wide, classes))


def _cell(count: int, plan: Plan) -> Cell:
    wide = plan.filters
    # The first cell takes one input as it is.
    raw = plan.place == 0
    before = nn.Identity() if raw else plan.entry(plan.before)
    widths = [plan.before.channels if raw else wide, *[wide] * (1 + count)]
    nodes = []
    for node in range(2, 2 + count):
        with scope(f"node{node}"):
            left = edges("left", (1,), plan, OPS, widths[:node], lambda source: "sep_conv_3x3")
            right = edges("right", (0,), plan, OPS, widths[:node], lambda source: "identity")
        nodes.append(Node([left, right]))
    kept = subset("kept", list(range(1 + count)), (0, 1, 2), ())
    ends = [*loose(nodes), *(state for state in kept if state not in loose(nodes))]
    return Cell(
        (before, plan.entry(plan.last)),
        nodes,
        {str(state): plan.end(state, widths[state]) for state in ends},
    )


_Kept = tuple[int, ...]


def _cells(normal: str, kept: _Kept, reduction: str, reduction_kept: _Kept) -> dict[str, Answer]:
    """Answers for both kinds of cells, with the states that are kept although nodes read them."""
    slots = "left", "right"
    return {
        **genotype("normal", normal, slots),
        "normal.kept": kept,
        **genotype("reduce", reduction, slots),
        "reduce.kept": reduction_kept,
    }


_NASNET_A = _cells(
    "sep_conv_5x5~1 sep_conv_3x3~0 sep_conv_5x5~0 sep_conv_3x3~0 avg_pool_3x3~1 identity~0 "
    "avg_pool_3x3~0 avg_pool_3x3~0 sep_conv_3x3~1 identity~1",
    (0,),
    "sep_conv_5x5~1 sep_conv_7x7~0 max_pool_3x3~1 sep_conv_7x7~0 avg_pool_3x3~1 sep_conv_5x5~0 "
    "identity~3 avg_pool_3x3~2 sep_conv_3x3~2 max_pool_3x3~1",
    (3,),
)
_AMOEBANET_A = _cells(
    "avg_pool_3x3~1 max_pool_3x3~1 sep_conv_3x3~0 identity~0 identity~1 avg_pool_3x3~0 "
    "sep_conv_3x3~1 sep_conv_5x5~2 avg_pool_3x3~5 sep_conv_3x3~1",
    (0,),
    "sep_conv_3x3~0 avg_pool_3x3~1 max_pool_3x3~1 sep_conv_7x7~2 max_pool_3x3~0 max_pool_3x3~1 "
    "sep_conv_3x3~4 conv_1x7_7x1~1 avg_pool_3x3~0 sep_conv_7x7~1",
    (2, 4),
)
_ZOPH = "Zoph et al. 2018, arXiv:1707.07012, and the authors' code"
_REAL = "Real et al. 2019, arXiv:1802.01548, and the authors' code"


def _nasnet_a(parameters: int, side: int, **arguments: object) -> Named:
    classes = 10 if side == 32 else 1000
    return Named("nasnet", _NASNET_A, parameters, _ZOPH, arguments, side, classes)


def _amoebanet_a(parameters: int, side: int, **arguments: object) -> Named:
    classes = 10 if side == 32 else 1000
    return Named("nasnet", _AMOEBANET_A, parameters, _REAL, arguments, side, classes)


NASNET_A_CIFAR = _nasnet_a(3_346_538, 32, filters=32, cells=6)
NASNET_A_MOBILE = _nasnet_a(5_289_978, 224, filters=44, cells=4)
NASNET_A_LARGE = _nasnet_a(88_753_150, 331, filters=168, cells=6, stem=96, skips=True)
AMOEBANET_A_CIFAR = _amoebanet_a(3_218_266, 32, filters=36, cells=6)
AMOEBANET_A_CIFAR_SMALL = _amoebanet_a(2_567_754, 32, filters=32, cells=6)
AMOEBANET_A_MOBILE = _amoebanet_a(5_086_930, 224, filters=50, cells=4)
AMOEBANET_A_LARGE = _amoebanet_a(86_718_797, 331, filters=190, cells=6)
