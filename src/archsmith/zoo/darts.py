"""The cell space of DARTS, with the cells that several papers found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from torch import nn

from ..space import choose, graph_form, scope
from ..space.architecture import Answer
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
    max_pool,
    skip,
    stacked,
    stages,
    start,
)
from .named import Named
from .paths import path_features
from .references import conv


class Dilated(nn.Sequential):
    """ReLU, a depthwise convolution of dilation 2, a 1x1 convolution, batch norm."""

    def __init__(self, kernel: int, inside: int, outside: int, stride: int) -> None:
        depthwise = nn.Conv2d(
            *(inside, inside, kernel, stride),
            padding=kernel - 1,
            dilation=2,
            groups=inside,
            bias=False,
        )
        project = conv(inside, outside, 1)
        super().__init__(nn.ReLU(), depthwise, project, nn.BatchNorm2d(outside))


#: Operations by label.
OPS: dict[str, Op] = {
    "max_pool_3x3": partial(max_pool, 3),
    "avg_pool_3x3": partial(average_pool, 3),
    "skip_connect": skip,
    "sep_conv_3x3": partial(Separable, 3),
    "sep_conv_5x5": partial(Separable, 5),
    "dil_conv_3x3": partial(Dilated, 3),
    "dil_conv_5x5": partial(Dilated, 5),
}


@graph_form(lambda architecture: canonical(architecture), lambda a: features(a))
def darts(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    filters: int = 16,
    cells: int = 2,
    nodes: int = 4,
) -> nn.Module:
    """The network of DARTS (Liu et al. 2019, arXiv:1806.09055): images to logits (n, classes).

    A cell has four nodes, each the sum of two of seven operations on two different earlier states;
    it concatenates its nodes. There are 10^9 normal cells and as many reduction cells, so 10^18
    networks. The operations of all possible edges are asked, including those of edges that are not
    chosen, so that questions never depend on answers: that makes 10^28 spellings. By default each
    node adds a separable convolution of the last cell's output to the output of the cell before.

    Images of less than 64 pixels meet the stem that was published for CIFAR, a 3x3 convolution.
    Others meet that for ImageNet, three convolutions of stride 2, of which the first has stride 1
    below 128 pixels. The two reduction cells halve what comes from it: 32 pixels become 8, 224
    become 7.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels.
        filters: channels of each state in the first stage; 36 in the paper's network for CIFAR, 48
            in that for ImageNet, 16 in its search.
        cells: normal cells in each of the three stages; 6, 4 and 2 in the paper, which counts 20,
            14 and 8 with the reduction cells.
        nodes: in each cell.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    first = start(channels, filters, height, width)
    network, wide = stacked(first, partial(_cell, nodes), stages(filters, cells))
    return nn.Sequential(network, *head(wide, classes))


def _cell(count: int, plan: Plan) -> Cell:
    entries = plan.entry(plan.before), plan.entry(plan.last)
    nodes = []
    for node in range(2, 2 + count):
        with scope(f"node{node}"):
            for source in range(node):
                # The names that these decisions have inside the choice of edges.
                with scope("inputs"), scope(str(source)):
                    choose("op", list(OPS), _usual(source))
            slot = edges("inputs", (0, 1), plan, OPS, [plan.filters] * node, _usual)
        nodes.append(Node([slot]))
    return Cell(entries, nodes, {str(node): nn.Identity() for node in range(2, 2 + count)})


def _usual(source: int) -> str:
    return "sep_conv_3x3" if source else "skip_connect"


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for architectures with the same chosen edges and operations."""
    return ", ".join(
        f"{kind}: " + " ".join(f"{op}~{source}>{node}" for source, node, op in chosen)
        for kind, chosen in _chosen(architecture).items()
    )


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """The :func:`~archsmith.zoo.paths.path_features` of each kind of cell, for surrogates.

    Paths lead from an input to a node; the first operation on one is named with the input.
    """
    found: dict[str, float] = {}
    for kind, chosen in _chosen(architecture).items():
        states: dict[int, Counter[tuple[str, ...]]] = {}
        for source, node, op in chosen:
            step, reached = (op, states[source]) if source > 1 else (f"{op}~{source}", {(): 1})
            into = states.setdefault(node, Counter())
            into.update({(*path, step): count for path, count in reached.items()})
        paths = path_features(sum(states.values(), Counter()))
        found |= {f"{kind}:{name}": value for name, value in paths.items()}
    return found


def _chosen(architecture: Mapping[str, Answer]) -> dict[str, list[tuple[int, int, str]]]:
    """Source, node and operation of the edges of each kind of cell, by node."""
    found: dict[str, list[tuple[int, int, str]]] = {}
    for name, chosen in architecture.items():
        if name.endswith(".inputs"):
            kind, node, _ = name.split(".")
            assert isinstance(chosen, tuple)
            found.setdefault(kind, []).extend(
                (int(str(s)), int(node.removeprefix("node")), str(architecture[f"{name}.{s}.op"]))
                for s in chosen
            )
    return found


def _named(
    source: str,
    parameters: int,
    normal: str,
    reduction: str,
    large: bool = False,
    filters: int | None = None,
) -> Named:
    """The network of two cells in the form for CIFAR-10 or, if ``large``, for ImageNet."""
    slots = "inputs", "inputs"
    return Named(
        space="darts",
        answers=genotype("normal", normal, slots) | genotype("reduce", reduction, slots),
        parameters=parameters,
        source=source,
        arguments={"filters": filters or (48 if large else 36), "cells": 4 if large else 6},
        side=224 if large else 32,
        classes=1000 if large else 10,
    )


_DARTS = "Liu et al. 2019, arXiv:1806.09055"
_PC_DARTS = "Xu et al. 2020, arXiv:1907.05737"
_DRNAS = "Chen et al. 2021, arXiv:2006.10355"
_GDAS = "Dong and Yang 2019, arXiv:1910.04465"

#: The cells of the first version of the authors' code.
DARTS_V1 = _named(
    _DARTS,
    3_169_414,
    "sep_conv_3x3~0 sep_conv_3x3~1 skip_connect~0 sep_conv_3x3~1 "
    "skip_connect~0 sep_conv_3x3~1 sep_conv_3x3~0 skip_connect~2",
    "max_pool_3x3~0 max_pool_3x3~1 max_pool_3x3~0 skip_connect~2 "
    "max_pool_3x3~0 skip_connect~2 avg_pool_3x3~0 skip_connect~2",
)
_V2 = (
    "sep_conv_3x3~0 sep_conv_3x3~1 sep_conv_3x3~0 sep_conv_3x3~1 "
    "skip_connect~0 sep_conv_3x3~1 skip_connect~0 dil_conv_3x3~2",
    "max_pool_3x3~0 max_pool_3x3~1 max_pool_3x3~1 skip_connect~2 "
    "max_pool_3x3~0 skip_connect~2 max_pool_3x3~1 skip_connect~2",
)
DARTS_V2 = _named(_DARTS, 3_349_342, *_V2)
DARTS_V2_IMAGENET = _named(_DARTS, 4_718_752, *_V2, large=True)
PC_DARTS = _named(
    _PC_DARTS,
    3_634_678,
    "skip_connect~0 sep_conv_3x3~1 sep_conv_3x3~0 dil_conv_3x3~1 "
    "sep_conv_5x5~0 sep_conv_3x3~1 avg_pool_3x3~0 dil_conv_3x3~1",
    "max_pool_3x3~0 sep_conv_5x5~1 sep_conv_5x5~1 sep_conv_5x5~2 "
    "sep_conv_3x3~0 sep_conv_3x3~3 sep_conv_3x3~1 sep_conv_3x3~2",
)
PC_DARTS_IMAGENET = _named(
    _PC_DARTS,
    5_342_464,
    "sep_conv_3x3~0 skip_connect~1 sep_conv_3x3~0 skip_connect~1 "
    "sep_conv_3x3~1 sep_conv_3x3~3 sep_conv_3x3~1 dil_conv_5x5~4",
    "sep_conv_3x3~0 skip_connect~1 max_pool_3x3~1 dil_conv_5x5~2 "
    "sep_conv_3x3~1 sep_conv_3x3~2 sep_conv_5x5~0 sep_conv_3x3~3",
    large=True,
)
DRNAS = _named(
    _DRNAS,
    4_099_294,
    "sep_conv_3x3~0 sep_conv_5x5~1 sep_conv_3x3~1 sep_conv_3x3~2 "
    "skip_connect~0 sep_conv_3x3~1 sep_conv_3x3~2 dil_conv_5x5~3",
    "max_pool_3x3~0 sep_conv_5x5~1 sep_conv_5x5~1 dil_conv_5x5~2 "
    "sep_conv_5x5~1 dil_conv_5x5~3 sep_conv_5x5~1 skip_connect~4",
)
DRNAS_IMAGENET = _named(
    _DRNAS,
    5_726_368,
    "sep_conv_3x3~0 sep_conv_3x3~1 sep_conv_3x3~0 sep_conv_3x3~1 "
    "sep_conv_3x3~0 dil_conv_3x3~3 skip_connect~0 sep_conv_3x3~1",
    "max_pool_3x3~0 sep_conv_3x3~1 sep_conv_3x3~0 skip_connect~2 "
    "sep_conv_3x3~0 sep_conv_3x3~2 sep_conv_3x3~1 sep_conv_3x3~3",
    large=True,
)
_GDAS_V1 = (
    "skip_connect~0 skip_connect~1 skip_connect~0 sep_conv_5x5~2 "
    "skip_connect~0 sep_conv_3x3~3 sep_conv_3x3~3 sep_conv_5x5~4",
    "sep_conv_5x5~0 sep_conv_3x3~1 sep_conv_5x5~1 sep_conv_5x5~2 "
    "sep_conv_3x3~1 dil_conv_5x5~2 sep_conv_5x5~0 sep_conv_5x5~1",
)
GDAS = _named(_GDAS, 3_368_782, *_GDAS_V1)
GDAS_IMAGENET = _named(_GDAS, 5_345_075, *_GDAS_V1, large=True, filters=50)
