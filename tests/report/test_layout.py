"""Layered layout: edges point down, nothing overlaps, the spine is straight."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.report.layout import Extent, layered


def box(width: float = 100.0, height: float = 40.0) -> Extent:
    return Extent(width / 2, width / 2, height)


def test_a_chain_is_a_straight_column() -> None:
    layout = layered([box()] * 3, [(0, 1), (1, 2)])
    assert [x for x, _ in layout.anchors] == [50, 50, 50]
    assert [y for _, y in layout.anchors] == [0, 64, 128]
    assert (layout.width, layout.height) == (100, 168)
    assert layout.routes == ((), ())


def test_a_skip_runs_straight_beside_the_chain() -> None:
    layout = layered([box()] * 4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert len({x for x, _ in layout.anchors}) == 1
    route = layout.routes[3]
    assert len({x for x, _ in route}) == 1
    assert abs(route[0][0] - layout.anchors[0][0]) >= 50
    assert [y for _, y in route] == sorted(y for _, y in route)


def test_branches_stand_side_by_side() -> None:
    layout = layered([box(), box(), box(), box()], [(0, 1), (0, 2), (1, 3), (2, 3)])
    (x1, y1), (x2, y2) = layout.anchors[1:3]
    assert y1 == y2
    assert abs(x1 - x2) >= 100


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        layered([box(), box()], [(0, 1), (1, 0)])


def test_more_edges_than_one_can_read_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        layered([box()] * 60, [(a, b) for b in range(60) for a in range(b)])


def test_branches_are_ordered_without_crossings() -> None:
    # Two chains from one source, their ends given in the other order.
    edges = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5)]
    anchors = layered([box()] * 6, edges).anchors
    assert (anchors[1][0] < anchors[2][0]) == (anchors[4][0] < anchors[3][0])


def test_nothing_to_place() -> None:
    assert layered([], []).height == 0


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Extent], list[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    widths = [draw(st.sampled_from([30.0, 100.0, 180.0])) for _ in range(count)]
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return [box(width) for width in widths], edges


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_edges_point_down_and_boxes_do_not_overlap(
    graph: tuple[list[Extent], list[tuple[int, int]]],
) -> None:
    extents, edges = graph
    layout = layered(extents, edges)
    for a, b in edges:
        assert layout.anchors[a][1] + extents[a].height < layout.anchors[b][1]
    boxes = [
        (x - e.left, x + e.right, y, y + e.height)
        for (x, y), e in zip(layout.anchors, extents, strict=True)
    ]
    for i, (left, right, top, bottom) in enumerate(boxes):
        assert left >= -1e-6
        assert right <= layout.width + 1e-6
        for other in boxes[i + 1 :]:
            apart = right < other[0] or other[1] < left or bottom < other[2] or other[3] < top
            assert apart
