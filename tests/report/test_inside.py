"""Modules that a picture shows as one box are drawn once for each kind."""

from __future__ import annotations

import torch

import archsmith as nas
from archsmith.report.diagram import trace_graph
from archsmith.report.grouping import group
from archsmith.report.inside import insides
from archsmith.report.picture import Box, Picture
from archsmith.zoo.convnet import convnet
from archsmith.zoo.darts import darts


def drawn(builder, **arguments) -> list[tuple[str, Picture]]:
    space = nas.Space(builder, channels=1, classes=10, height=16, width=16, **arguments)
    graph = trace_graph(space.build(space.default()), torch.zeros(1, 1, 16, 16))
    return insides(graph, group(graph))


def boxes(picture: Picture) -> list[Box]:
    assert all(isinstance(item, Box) for item in picture.items)
    return [item for item in picture.items if isinstance(item, Box)]


def test_cells_are_drawn_once_for_each_kind() -> None:
    normal, reduction, after = drawn(darts, cells=4, filters=4)
    assert normal[0].startswith("Cell ×10: ")
    assert reduction[0] == "Cell ×2: 0.cells.4, 0.cells.9"
    assert after[0] == "Cell ×2: 0.cells.5, 0.cells.10"
    inside = boxes(normal[1])
    assert [box.title for box in inside if box.kind == "input"] == ["Input 1", "Input 2"]
    # Each of four nodes adds a separable convolution of the last cell to the one before it.
    operations = [n for n, box in enumerate(inside) if box.title == "Separable"]
    sums = [n for n, box in enumerate(inside) if box.title == "+"]
    assert len(operations) == len(sums) == 4
    assert {(a, b) for a, b in normal[1].edges if a in operations} == set(zip(operations, sums))
    assert inside[operations[0]].detail == "Depthwise 3×3 · Conv 1×1"
    assert any(box.title == "ShiftedReduction" for box in boxes(reduction[1]))


def test_a_network_that_is_drawn_as_a_whole_has_none() -> None:
    assert drawn(convnet) == []
