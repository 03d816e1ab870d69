"""The cell space of NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) and its notation.

A cell has four nodes; each of its six edges carries one of five operations, and a node is the sum
of its edges. All cells of the network are equal, so there are 5^6 = 15,625 architectures with
6,466 distinct graphs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import graph_form, one_of
from ..space.architecture import Answer, Architecture
from .paths import path_features

#: Operations, in the order of the published tables.
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: Source and target of each edge, in the order of the published tables. Decisions are ``"0>1"``, …
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_NODES = 4
_TERM = re.compile(r"^(\w+)~(\d+)$")


@graph_form(lambda architecture: canonical(architecture), lambda a: features(a))
def nasbench201(channels: int, classes: int, width: int = 16, cells: int = 5) -> nn.Module:
    """The network of NAS-Bench-201: images (n, channels, height, width) to logits (n, classes).

    A 3x3 convolution, three stages of cells at 1, 2 and 4 times ``width``, a residual block of
    stride 2 between stages, and a linear head on averaged features.

    Args:
        channels: of the images.
        classes: outputs.
        width: channels of the first stage; 16 in the paper.
        cells: in each stage; 5 in the paper.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
    ]
    for stage in range(3):
        if stage:
            layers.append(Reduction(width, 2 * width))
            width *= 2
        layers += [Cell(width) for _ in range(cells)]
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(width, classes))


class Cell(nn.Module):
    """Four nodes in order, each connected to every later one; keeps the shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        options: Mapping[str, Callable[[], nn.Module]] = {
            "none": Zero,
            "skip_connect": nn.Identity,
            "nor_conv_1x1": partial(ReLUConvBN, width, width, 1),
            "nor_conv_3x3": partial(ReLUConvBN, width, width, 3),
            "avg_pool_3x3": partial(nn.AvgPool2d, 3, stride=1, padding=1, count_include_pad=False),
        }
        self.edges = nn.ModuleList(
            one_of(name, options, default="nor_conv_3x3") for name in edge_names()
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


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch norm: (n, inside, h, w) to (n, outside, h, w)."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
        )


class Reduction(nn.Module):
    """The residual block between stages: half the height and width, other channels."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReLUConvBN(inside, outside, 3, stride=2), ReLUConvBN(outside, outside, 3)
        )
        # Rounding up matches the convolutions for odd sizes; even ones are as in the paper.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inside, outside, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class Zero(nn.Module):
    """Zeros of the input's shape: no edge."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def edge_names() -> tuple[str, ...]:
    """The six decisions of the space, in the order of :data:`EDGES`."""
    return tuple(f"{source}>{target}" for source, target in EDGES)


def to_arch_str(architecture: Mapping[str, Answer]) -> str:
    """The architecture in the benchmark's notation, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    nodes = []
    for target in range(1, _NODES):
        terms = [f"{_op(architecture, s, t)}~{s}" for s, t in EDGES if t == target]
        nodes.append(f"|{'|'.join(terms)}|")
    return "+".join(nodes)


def from_arch_str(text: str) -> Architecture:
    """The inverse of :func:`to_arch_str`.

    Raises:
        SpaceError: an invalid text, with the node.
    """
    nodes = text.strip().split("+")
    if len(nodes) != _NODES - 1:
        raise SpaceError("arch_str", "three nodes joined by +", f"{len(nodes)} in {text!r}")
    ops: dict[str, Answer] = {}
    for target, node in enumerate(nodes, start=1):
        where = f"arch_str, node {target}"
        terms = node.removeprefix("|").removesuffix("|").split("|")
        if len(terms) != target or node != f"|{'|'.join(terms)}|":
            raise SpaceError(where, f"{target} terms as in |op~0|", repr(node))
        for source, term in enumerate(terms):
            match = _TERM.match(term)
            if match is None or match[2] != str(source):
                raise SpaceError(where, f"op~{source}", repr(term))
            if match[1] not in OPS:
                raise SpaceError(where, f"one of {', '.join(OPS)}", repr(match[1]))
            ops[f"{source}>{target}"] = match[1]
    return Architecture({name: ops[name] for name in edge_names()})


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for architectures with the same graph: 6,466 in the whole space.

    As in the paper: ``skip_connect`` is the identity, ``none`` and anything that depends only on it
    is ``#``, and the terms of a sum are unordered. The string is the expression of the output, with
    ``0`` as the cell's input: ``((0)@nor_conv_3x3)@avg_pool_3x3+0``.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    nodes = ["0"]
    for target in range(1, _NODES):
        terms = []
        for source, into in EDGES:
            if into == target:
                terms.append(_term(nodes[source], _op(architecture, source, target)))
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """Features for surrogates, the same for every spelling of a graph.

    The :func:`~archsmith.zoo.paths.path_features` without ``skip_connect``, and ``term:``, how many
    distinct results of each operation the output uses.

    Raises:
        SpaceError: an edge is missing or holds no operation of the space.
    """
    features = path_features(_paths(architecture))
    for term in set(_terms(canonical(architecture))):
        if "0" in term:  # reached by the input
            name = f"term:{term.rpartition('@')[2]}"
            features[name] = features.get(name, 0.0) + 1.0
    return features


def _paths(architecture: Mapping[str, Answer]) -> Counter[tuple[str, ...]]:
    """The sequences of operations on paths to the output, with their counts."""
    nodes: list[Counter[tuple[str, ...]]] = [Counter([()])]
    for target in range(1, _NODES):
        arriving: Counter[tuple[str, ...]] = Counter()
        for source in range(target):
            op = _op(architecture, source, target)
            if op != "none":
                step = () if op == "skip_connect" else (op,)
                for path, times in nodes[source].items():
                    arriving[path + step] += times
        nodes.append(arriving)
    return nodes[-1]


def _terms(expression: str) -> Iterator[str]:
    """The operations in a canonical expression with their arguments: ``(0)@op``."""
    opened = []
    for place, letter in enumerate(expression):
        if letter == "(":
            opened.append(place)
        elif letter == ")":
            end = re.compile(r"@\w+").match(expression, place + 1)
            assert end is not None
            yield expression[opened.pop() : end.end()]


def _term(node: str, op: str) -> str:
    if op == "none" or node == "#":
        return "#"
    return node if op == "skip_connect" else f"({node})@{op}"


def _op(architecture: Mapping[str, Answer], source: int, target: int) -> str:
    name = f"{source}>{target}"
    op = architecture.get(name)
    if op not in OPS:
        got = repr(op) if name in architecture else "no answer"
        raise SpaceError(name, f"one of {', '.join(OPS)}", got)
    return str(op)
