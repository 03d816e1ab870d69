"""The cell space of NAS-Bench-101 (Ying et al. 2019, arXiv:1902.09635).

A cell is a directed acyclic graph of two to seven vertices and at most nine edges; its inner
vertices carry one of three operations. As in the paper, edges are chosen among those of seven
vertices, and vertices on no path from input to output are pruned: the space has all 423,624 graphs,
most of them in many spellings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..space import choose, graph_form, one_of, subset
from .nasbench101_graph import (
    INNER,
    MOST_EDGES,
    OPS,
    OUTPUT,
    PAIRS,
    Edge,
    canonical,
    features,
    op_name,
    pruned,
)

#: A chain of three operations with a shortcut around it.
_DEFAULT = ("0>1", "1>2", "2>3", "0>6", "3>6")


@graph_form(canonical, features)
def nasbench101(
    channels: int, classes: int, width: int = 128, stacks: int = 3, cells: int = 3
) -> nn.Module:
    """The network of NAS-Bench-101: images (n, channels, height, width) to logits (n, classes).

    A 3x3 convolution, stacks of cells with half the height and width and twice the channels from
    one to the next, and a linear layer on averaged features. All cells of the network are equal.

    Args:
        channels: of the images.
        classes: outputs.
        width: channels of the first stack; 128 in the paper.
        stacks: 3 in the paper.
        cells: in each stack; 3 in the paper.
    """
    labels = subset("edges", list(PAIRS), range(1, MOST_EDGES + 1), default=_DEFAULT)
    edges = pruned(PAIRS[label] for label in labels)
    for vertex in INNER:
        # All are asked, including pruned ones, so that questions never depend on the edges.
        choose(op_name(vertex), OPS)
    layers: list[nn.Module] = [ConvBNReLU(channels, width, 3)]
    inside = width
    for stack in range(stacks):
        if stack:
            # Rounding up handles odd sizes; even ones are as in the paper.
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            width *= 2
        for _ in range(cells):
            layers.append(Cell(inside, width, edges))
            inside = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Cell(nn.Module):
    """A pruned graph as a module: (n, inside, h, w) to (n, outside, h, w).

    Edges from the input are 1x1 projections; an inner vertex processes the sum of its inputs; the
    output concatenates its vertices along the channels, and adds the input's projection.

    Args:
        edges: pairs of vertices, source first, by target.
    """

    def __init__(self, inside: int, outside: int, edges: Sequence[Edge]) -> None:
        super().__init__()
        self.wide = vertex_channels(outside, edges)
        #: For each vertex, in order, the inner vertices with an edge to it.
        self.sources = {v: [s for s, t in edges if t == v and s] for v in self.wide}
        self.projections = nn.ModuleDict(
            {str(t): ConvBNReLU(inside, self.wide[t], 1) for s, t in edges if not s}
        )
        self.ops = nn.ModuleDict(
            {str(v): one_of(op_name(v), _ops(wide)) for v, wide in self.wide.items() if v != OUTPUT}
        )

    def forward(self, x: Tensor) -> Tensor:
        values: dict[int, Tensor] = {}
        for vertex, sources in self.sources.items():
            if vertex == OUTPUT:
                break
            # A source has one channel more than needed only if channels do not divide evenly.
            terms = [values[source][:, : self.wide[vertex]] for source in sources]
            values[vertex] = self.ops[str(vertex)](self._with_input(vertex, x, terms))
        joined = [values[source] for source in self.sources[OUTPUT]]
        return self._with_input(OUTPUT, x, [torch.cat(joined, dim=1)] if joined else [])

    def _with_input(self, vertex: int, x: Tensor, terms: list[Tensor]) -> Tensor:
        """The sum of the terms and, if there is an edge from the input, its projection."""
        if str(vertex) in self.projections:
            terms = [*terms, self.projections[str(vertex)](x)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU: (n, inside, h, w) to (n, outside, h, w)."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        )


def vertex_channels(outside: int, edges: Sequence[Edge]) -> dict[int, int]:
    """Channels of the inner vertices in order and of the output, by the paper's rule.

    The output's channels are divided among the vertices with an edge to it, the first ones taking
    the remainder; any other vertex has as many as the widest of its successors.
    """
    into_output = [source for source, target in edges if target == OUTPUT and source]
    share, remainder = divmod(outside, max(1, len(into_output)))
    wide = {vertex: share + (place < remainder) for place, vertex in enumerate(into_output)}
    for vertex in sorted({source for source, _ in edges if source}, reverse=True):
        if vertex not in wide:
            wide[vertex] = max(wide[target] for source, target in edges if source == vertex)
    return {**dict(sorted(wide.items())), OUTPUT: outside}


def _ops(width: int) -> Mapping[str, Callable[[], nn.Module]]:
    return {
        "conv3x3": partial(ConvBNReLU, width, width, 3),
        "conv1x1": partial(ConvBNReLU, width, width, 1),
        "maxpool3x3": partial(nn.MaxPool2d, 3, stride=1, padding=1),
    }
