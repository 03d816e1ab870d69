"""The cell space that ENAS searches, called micro, and the cells that its authors published."""

from __future__ import annotations

from functools import partial

from torch import nn

from ..space import scope
from .cells import (
    Cell,
    Node,
    Op,
    Plan,
    Separable,
    average_pool,
    edges,
    genotype,
    head,
    loose,
    max_pool,
    skip,
    stacked,
    stages,
    start,
)
from .named import Named
from .nasbench201 import ReLUConvBN

#: Operations, in the order of the published numbers 0 to 4.
OPS: dict[str, Op] = {
    "sep_conv_3x3": partial(Separable, 3),
    "sep_conv_5x5": partial(Separable, 5),
    "avg_pool_3x3": partial(average_pool, 3),
    "max_pool_3x3": partial(max_pool, 3),
    "identity": skip,
}


def enas_micro(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    filters: int = 16,
    cells: int = 2,
    nodes: int = 5,
) -> nn.Module:
    """The network of ENAS's micro space (Pham et al. 2018, arXiv:1802.03268): images to logits.

    A cell has five nodes, each the sum of two of five operations on earlier states, which may be
    the same; it concatenates the states that no node reads. There are 10^12 normal cells and as
    many reduction cells, so 10^25 networks; swapping the two sides of a node gives the same one. By
    default each node adds a separable convolution of the last cell's output to the output of the
    cell before.

    Images of less than 64 pixels meet the published stem, a 3x3 convolution. The paper has none for
    larger ones; they are first halved by up to three convolutions, as in DARTS. The two reduction
    cells halve what comes from the stem: 32 pixels become 8, 224 become 7.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels.
        filters: channels of each state in the first stage; 36 in the paper.
        cells: normal cells in each of the three stages; 6 in the paper, 5 in the authors' script.
        nodes: in each cell.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    first = start(channels, filters, height, width)
    network, wide = stacked(first, partial(_cell, nodes), stages(filters, cells))
    return nn.Sequential(network, nn.ReLU(), *head(wide, classes, bias=False))


def _cell(count: int, plan: Plan) -> Cell:
    wide = plan.filters
    # As in the authors' code, the last cell's output passes two convolutions.
    last = nn.Sequential(plan.entry(plan.last), ReLUConvBN(wide, wide, 1))
    nodes = []
    for node in range(2, 2 + count):
        with scope(f"node{node}"):
            left = edges("left", (1,), plan, OPS, [wide] * node, lambda source: "sep_conv_3x3")
            right = edges("right", (0,), plan, OPS, [wide] * node, lambda source: "identity")
        nodes.append(Node([left, right]))
    ends = {str(state): plan.end(state, wide) for state in loose(nodes)}
    return Cell((plan.entry(plan.before), last), nodes, ends)


_SLOTS = "left", "right"
#: The cells of the authors' script, in the form of the paper.
ENAS = Named(
    space="enas_micro",
    answers={
        **genotype(
            "normal",
            "avg_pool_3x3~0 sep_conv_3x3~0 identity~0 sep_conv_5x5~0 identity~0 sep_conv_5x5~1 "
            "sep_conv_3x3~1 sep_conv_5x5~0 avg_pool_3x3~0 sep_conv_5x5~1",
            _SLOTS,
        ),
        **genotype(
            "reduce",
            "sep_conv_3x3~1 sep_conv_3x3~1 max_pool_3x3~0 avg_pool_3x3~0 sep_conv_5x5~1 "
            "sep_conv_5x5~3 sep_conv_3x3~1 identity~0 max_pool_3x3~0 sep_conv_5x5~1",
            _SLOTS,
        ),
    },
    parameters=4_587_372,
    source="Pham et al. 2018, arXiv:1802.03268",
    arguments={"filters": 36, "cells": 6},
    side=32,
    classes=10,
)
