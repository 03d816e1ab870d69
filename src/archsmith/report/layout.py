"""Where boxes go: a layered drawing from top to bottom, after Sugiyama et al. 1981.

Layers by longest path, order by barycentres, positions by least squares with minimum distances
(isotonic regression, pool adjacent violators). The longest path runs straight down as a spine,
with branches next to it. This module knows nothing about what is drawn.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

_LANE = 22.0  # width kept free for an edge that passes a layer
_BETWEEN = 22.0  # between boxes of a layer
_DOWN, _MOST_DOWN = 24.0, 46.0  # between layers; more where edges go far sideways
_MOST_PASSING = 1500  # places where an edge passes a layer
_SLOPE = 0.11  # of that room for each pixel sideways


@dataclass(frozen=True, slots=True)
class Extent:
    """How far an item reaches to the left and right of its anchor, and its height, in pixels."""

    left: float
    right: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing.

    Attributes:
        anchors: x of each item's anchor and y of its top, in the order of the items.
        routes: for each edge the points it passes between its ends, top to bottom.
        width, height: of everything.
    """

    anchors: tuple[tuple[float, float], ...]
    routes: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


@dataclass(slots=True)
class _Vertex:
    """An item, or a place where an edge passes a layer."""

    extent: Extent
    layer: int
    item: bool
    up: list[int]
    down: list[int]
    x: float = 0.0
    spine: bool = False


def layered(extents: Sequence[Extent], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place items so that every edge points down.

    Args:
        extents: sizes of the items.
        edges: pairs of item positions (source, target).

    Raises:
        ValueError: the edges hold a cycle, or are too many for a readable drawing.
    """
    if not extents:
        return Layout((), (), 0.0, 0.0)
    layers = _longest_paths(len(extents), edges)
    vertices = [
        _Vertex(extent, layer, True, [], []) for extent, layer in zip(extents, layers, strict=True)
    ]
    passing = sum(layers[target] - layers[source] - 1 for source, target in edges)
    if passing > _MOST_PASSING:
        raise ValueError(f"{passing} edges pass layers, too many to read")
    lanes = [_lane(vertices, source, target) for source, target in edges]
    _mark_spine(vertices)
    rows = _ordered(vertices)
    _align(vertices, rows)
    _straighten(vertices, rows, lanes)
    tops, heights, total = _tops(vertices, rows)
    for vertex in vertices:
        vertex.x = round(vertex.x, 3)
    left = min(v.x - v.extent.left for v in vertices)
    width = max(v.x + v.extent.right for v in vertices) - left
    anchors = tuple(
        (v.x - left, tops[v.layer] + (heights[v.layer] - v.extent.height) / 2)
        for v in vertices[: len(extents)]
    )
    routes = []
    for lane in lanes:
        points: list[tuple[float, float]] = []
        for index in lane:
            x, top = vertices[index].x - left, tops[vertices[index].layer]
            points += [(x, top), (x, top + heights[vertices[index].layer])]
        routes.append(tuple(points))
    return Layout(anchors, tuple(routes), width, total)


def _longest_paths(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Layer of each item: the number of edges on the longest path that leads to it."""
    layers = [0] * count
    waiting = [0] * count
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        waiting[target] += 1
        below[source].append(target)
    ready = [item for item in range(count) if not waiting[item]]
    for item in ready:
        for target in below[item]:
            layers[target] = max(layers[target], layers[item] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if len(ready) != count:
        raise ValueError("the edges hold a cycle")
    return layers


def _lane(vertices: list[_Vertex], source: int, target: int) -> list[int]:
    """Add the places where an edge passes layers; link everything on its way."""
    lane = []
    before = source
    for layer in range(vertices[source].layer + 1, vertices[target].layer):
        vertices.append(_Vertex(Extent(_LANE / 2, _LANE / 2, 0.0), layer, False, [], []))
        here = len(vertices) - 1
        lane.append(here)
        vertices[before].down.append(here)
        vertices[here].up.append(before)
        before = here
    vertices[before].down.append(target)
    vertices[target].up.append(before)
    return lane


def _mark_spine(vertices: list[_Vertex]) -> None:
    """Mark one longest path, from its end upwards."""
    here = max(range(len(vertices)), key=lambda index: vertices[index].layer)
    vertices[here].spine = True
    while vertices[here].up:
        # Only an item has all layers above it; a lane may start anywhere.
        items = [index for index in vertices[here].up if vertices[index].item]
        here = min(items)
        vertices[here].spine = True


def _ordered(vertices: list[_Vertex], sweeps: int = 8) -> list[list[int]]:
    """Vertices of each layer from left to right, with few crossings: barycentre sweeps."""
    rows: list[list[int]] = [[] for _ in range(max(v.layer for v in vertices) + 1)]
    for index, vertex in enumerate(vertices):
        rows[vertex.layer].append(index)
    best, fewest = [list(row) for row in rows], _crossings(vertices, rows)
    for sweep in range(sweeps):
        if not fewest:
            break
        downward = sweep % 2 == 0
        place = {v: i / max(1, len(r) - 1) for r in rows for i, v in enumerate(r)}
        for row in rows if downward else reversed(rows):
            keys = {}
            for index in row:
                near = vertices[index].up if downward else vertices[index].down
                keys[index] = sum(place[n] for n in near) / len(near) if near else place[index]
            row.sort(key=keys.__getitem__)
            place.update((v, i / max(1, len(row) - 1)) for i, v in enumerate(row))
        crossings = _crossings(vertices, rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(vertices: list[_Vertex], rows: list[list[int]]) -> int:
    """Pairs of edges between neighbouring layers that cross."""
    total = 0
    for upper, lower in itertools.pairwise(rows):
        place = {vertex: i for i, vertex in enumerate(lower)}
        seen: list[int] = []
        for vertex in upper:
            ends = [place[below] for below in vertices[vertex].down]
            # Ends of vertices further left that lie further right.
            total += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return total


def _align(vertices: list[_Vertex], rows: list[list[int]], sweeps: int = 20) -> None:
    """Give each vertex its x: the spine at 0, others near what they are linked to, and passing
    edges straight."""
    for sweep in range(sweeps):
        last = sweep >= 12
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wishes = []
            for index in row:
                vertex = vertices[index]
                one_way = vertex.up if sweep % 2 == 0 else vertex.down
                near = [*vertex.up, *vertex.down] if last else one_way
                wishes.append(0.0 if vertex.spine else _wish(vertices, vertex, near))
            _place(vertices, row, wishes)


def _wish(vertices: list[_Vertex], vertex: _Vertex, near: Sequence[int]) -> float:
    """Weighted mean x of neighbours; those on the same passing edge count most."""
    if not near:
        return vertex.x
    weights = [1.0 if vertex.item or vertices[n].item else 8.0 for n in near]
    total = sum(w * vertices[n].x for w, n in zip(weights, near, strict=True))
    return total / sum(weights)


def _straighten(
    vertices: list[_Vertex], rows: list[list[int]], lanes: Sequence[Sequence[int]]
) -> None:
    """Move each passing edge out to its own outermost place, where it can run straight down.

    The number of rounds is fixed, since two lanes that cross would push each other out for ever.
    """
    for _ in range(3):
        targets = {}
        for lane in lanes:
            places = [vertices[index].x for index in lane]
            if places:
                target = max(places) if sum(places) > 0 else min(places)
                targets.update(dict.fromkeys(lane, target))
        for row in rows:
            _place(vertices, row, [targets.get(index, vertices[index].x) for index in row])


def _weight(vertex: _Vertex) -> float:
    """How firmly a vertex holds its place against its neighbours in the layer."""
    if vertex.spine:
        return 1e12
    return 6.0 if vertex.item else 1.0


def _place(vertices: list[_Vertex], row: list[int], wishes: list[float]) -> None:
    """The x nearest to the wishes (weighted squares) that keep order and distances."""
    offsets = [0.0]
    for a, b in itertools.pairwise(row):
        gap = _BETWEEN if vertices[a].item and vertices[b].item else _BETWEEN / 2
        offsets.append(offsets[-1] + vertices[a].extent.right + gap + vertices[b].extent.left)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for index, wish, offset in zip(row, wishes, offsets, strict=True):
        mean, weight, members = wish - offset, _weight(vertices[index]), 1
        while pools and pools[-1][0] >= mean:
            other, heavy, many = pools.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, members = weight + heavy, members + many
        pools.append((mean, weight, members))
    means = [mean for mean, _, members in pools for _ in range(members)]
    for index, mean, offset in zip(row, means, offsets, strict=True):
        vertices[index].x = mean + offset


def _tops(vertices: list[_Vertex], rows: list[list[int]]) -> tuple[list[float], list[float], float]:
    """Top and height of each layer, and the height of all."""
    heights = [max(vertices[index].extent.height for index in row) for row in rows]
    tops, y = [], 0.0
    for row, height in zip(rows, heights, strict=True):
        tops.append(y)
        sideways = (abs(vertices[i].x - vertices[j].x) for i in row for j in vertices[i].down)
        gap = min(_MOST_DOWN, _DOWN + _SLOPE * max(sideways, default=0.0))
        y += height + gap
    return tops, heights, y - gap
