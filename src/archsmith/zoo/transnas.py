"""The two spaces of TransNAS-Bench-101 (Duan et al. 2021, arXiv:2105.11871) and their notation.

*Micro*: a cell of four nodes whose six edges carry one of four operations, 4^6 = 4,096 cells.
*Macro*: four to six modules of residual blocks, each of which may halve the height and width, or
double the channels, or both; 3,256 networks. The benchmark has heads for seven vision tasks; only
the one for classification is implemented here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import choose, graph_form, one_of, subset
from ..space.architecture import Answer, Architecture
from .nasbench201 import EDGES, ReLUConvBN, edge_names
from .paths import path_features

#: Operations of a cell, in the order of the published digits 0 to 3.
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_NODES = 4
#: How many modules of a macro network may double the channels, and halve the size.
_WIDER, _SMALLER = (1, 2, 3), (1, 2, 3, 4)


@graph_form(lambda architecture: canonical(architecture), lambda a: features(a))
def transnas_micro(channels: int, classes: int, width: int = 64) -> nn.Module:
    """The cell-based network: images (n, channels, height, width) to logits (n, classes).

    Two convolutions of stride 2, five modules of two cells each, of which the first, third and
    fifth halve the height and width and double the channels, and a linear layer on averaged
    features. All cells of the network are equal.

    Args:
        channels: of the images.
        classes: outputs.
        width: channels before the first module; 64 in the paper.
    """
    layers = _stem(channels, width)
    for reduces in (True, False, True, False, True):
        inside, stride = width, 2 if reduces else 1
        width = 2 * width if reduces else width
        layers.append(nn.Sequential(Cell(inside, width, stride), Cell(width, width, 1)))
    return nn.Sequential(*layers, *_head(width, classes))


def transnas_macro(channels: int, classes: int, width: int = 64) -> nn.Module:
    """The network of residual blocks: images (n, channels, height, width) to logits (n, classes).

    Two convolutions of stride 2, four to six modules of two blocks each, and a linear layer on
    averaged features. As in the paper one to three modules double the channels and one to four
    halve the height and width.

    Args:
        channels: of the images.
        classes: outputs.
        width: channels before the first module; 64 in the paper.
    """
    modules: int = choose("modules", [4, 5, 6])
    numbers = range(1, modules + 1)
    wider = subset("wider", numbers, _WIDER, default=(2,))
    smaller = subset("smaller", numbers, _SMALLER, default=(2, 4))
    layers = _stem(channels, width)
    for number in numbers:
        inside, stride = width, 2 if number in smaller else 1
        width = 2 * width if number in wider else width
        layers.append(nn.Sequential(Block(inside, width, stride), Block(width, width, 1)))
    return nn.Sequential(*layers, *_head(width, classes))


class Cell(nn.Module):
    """Four nodes in order, each connected to every later one.

    (n, inside, h, w) to (n, outside, h/stride, w/stride), rounded up; the edges out of the first
    node change the shape.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            one_of(
                name,
                _ops(outside if source else inside, outside, 1 if source else stride),
                default="nor_conv_3x3",
            )
            for name, (source, _) in zip(edge_names(), EDGES, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in range(1, _NODES):
            arriving = [
                edge(nodes[source])
                for (source, into), edge in zip(EDGES, self.edges, strict=True)
                if into == target
            ]
            nodes.append(reduce(torch.add, arriving))
        return nodes[-1]


class Zero(nn.Module):
    """Zeros: (n, inside, h, w) to (n, outside, h/stride, w/stride), rounded up."""

    def __init__(self, outside: int, stride: int) -> None:
        super().__init__()
        self.outside, self.stride = outside, stride

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x[:, :, :: self.stride, :: self.stride].shape
        return x.new_zeros(n, self.outside, height, width)


class ShiftedReduction(nn.Module):
    """A skip that changes the shape: (n, inside, h, w) to (n, outside, h/2, w/2), rounded up.

    Two 1x1 convolutions of stride 2, the second one on the image shifted by a pixel, so that
    together they see the even and the odd diagonal; each gives half the channels.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        half = outside // 2
        self.activation = nn.ReLU()
        self.here = nn.Conv2d(inside, half, 1, stride=2, bias=False)
        self.shifted = nn.Conv2d(inside, outside - half, 1, stride=2, bias=False)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        both = torch.cat([self.here(x), self.shifted(self.pad(x)[:, :, 1:, 1:])], dim=1)
        out: Tensor = self.norm(both)
        return out


class Block(nn.Module):
    """The residual block, activations first: (n, inside, h, w) to (n, outside, h/s, w/s)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReLUConvBN(inside, outside, 3, stride), ReLUConvBN(outside, outside, 3)
        )
        self.shortcut = (
            nn.Identity()
            if (inside, stride) == (outside, 1)
            else nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


def from_micro(digits: Sequence[int]) -> Architecture:
    """The architecture of six digits from 0 to 3, in the order of nasbench201's ``EDGES``.

    The paper writes them ``64-41414-3_02_301``.

    Raises:
        SpaceError: invalid digits.
    """
    if len(digits) != len(EDGES) or any(digit not in range(len(OPS)) for digit in digits):
        raise SpaceError("arch", f"{len(EDGES)} digits from 0 to 3", repr(tuple(digits)))
    answers = zip(edge_names(), digits, strict=True)
    return Architecture({name: OPS[digit] for name, digit in answers})


def to_micro(architecture: Mapping[str, Answer]) -> tuple[int, ...]:
    """The inverse of :func:`from_micro`.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    return tuple(OPS.index(_op(architecture, name)) for name in edge_names())


def from_macro(digits: Sequence[int]) -> Architecture:
    """The architecture of four to six digits; the paper writes ``64-1234-basic``.

    1 is a plain module, 2 doubles the channels, 3 halves the height and width, 4 does both.

    Raises:
        SpaceError: invalid digits, or a network that the space does not have.
    """
    if not 4 <= len(digits) <= 6 or any(digit not in (1, 2, 3, 4) for digit in digits):
        raise SpaceError("arch", "four to six digits from 1 to 4", repr(tuple(digits)))
    wider = tuple(number for number, digit in enumerate(digits, start=1) if digit in (2, 4))
    smaller = tuple(number for number, digit in enumerate(digits, start=1) if digit in (3, 4))
    if len(wider) not in _WIDER or len(smaller) not in _SMALLER:
        raise SpaceError(
            "arch", "one to three digits 2 or 4, and one to four digits 3 or 4", repr(tuple(digits))
        )
    return Architecture({"modules": len(digits), "wider": wider, "smaller": smaller})


def to_macro(architecture: Mapping[str, Answer]) -> tuple[int, ...]:
    """The inverse of :func:`from_macro`.

    Raises:
        SpaceError: a decision is missing or of another type.
    """
    modules, wider, smaller = (architecture.get(n) for n in ("modules", "wider", "smaller"))
    if not (isinstance(modules, int) and isinstance(wider, tuple) and isinstance(smaller, tuple)):
        raise SpaceError("architecture", "modules, wider and smaller", repr(dict(architecture)))
    return tuple(1 + (n in wider) + 2 * (n in smaller) for n in range(1, modules + 1))


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for micro architectures with the same graph.

    As :func:`archsmith.zoo.nasbench201.canonical`, the expression of the output with ``0`` as the
    input: terms of a sum are sorted, terms that ``none`` disconnects are left out, and skips are
    the identity, except those from the first node, which change the shape in every second cell. A
    list of all used operations follows, because two nodes may share one or have one each.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    ops = {e: _op(architecture, name) for e, name in zip(EDGES, edge_names(), strict=True)}
    nodes: list[list[str]] = [["0"], [], [], []]
    terms: dict[tuple[int, int], str] = {}
    for (source, target), op in ops.items():
        if op == "skip_connect" and source:
            nodes[target] += nodes[source]
        elif op != "none" and nodes[source]:
            terms[source, target] = f"({'+'.join(sorted(nodes[source]))})@{op}"
            nodes[target].append(terms[source, target])
    needed = {_NODES - 1}
    for source, target in reversed(EDGES):
        if target in needed and ops[source, target] != "none":
            needed.add(source)
    used = sorted(term for (_, target), term in terms.items() if target in needed)
    return f"{'+'.join(sorted(nodes[-1])) or '#'} of {', '.join(used)}"


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """Features of a micro cell for surrogates, the same for equal graphs: the
    :func:`~archsmith.zoo.paths.path_features`.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    arriving: list[Counter[tuple[str, ...]]] = [Counter({(): 1}), Counter(), Counter(), Counter()]
    for (source, target), name in zip(EDGES, edge_names(), strict=True):
        op = _op(architecture, name)
        for path, count in arriving[source].items():
            if op == "skip_connect" and source:
                arriving[target][path] += count
            elif op != "none":
                arriving[target][(*path, op)] += count
    return path_features(arriving[-1])


def _ops(inside: int, outside: int, stride: int) -> Mapping[str, Callable[[], nn.Module]]:
    same = inside == outside and stride == 1
    return {
        "none": partial(Zero, outside, stride),
        "skip_connect": nn.Identity if same else partial(ShiftedReduction, inside, outside),
        "nor_conv_1x1": partial(ReLUConvBN, inside, outside, 1, stride),
        "nor_conv_3x3": partial(ReLUConvBN, inside, outside, 3, stride),
    }


def _stem(channels: int, width: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, width // 2, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width // 2),
        ReLUConvBN(width // 2, width, 3, stride=2),
    ]


def _head(width: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]


def _op(architecture: Mapping[str, Answer], name: str) -> str:
    op = architecture.get(name)
    if op not in OPS:
        got = repr(op) if name in architecture else "no answer"
        raise SpaceError(name, f"one of {', '.join(OPS)}", got)
    return str(op)
