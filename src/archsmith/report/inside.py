"""What is inside modules that a picture shows as one box, such as the cells of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from .graph import Graph, Node
from .grouping import class_names, group
from .picture import Block, Box, Picture

#: Boxes of a picture of the inside, about; and the least that say more than a number of layers.
_MOST, _LEAST = 24, 4
#: Different insides that are drawn.
_DRAWN = 4


def insides(graph: Graph, picture: Picture) -> list[tuple[str, Picture]]:
    """Each different inside of the picture's boxes once: a title with where it is, and a picture.

    Insides that differ in channels alone count as equal. Of equal ones that with the most inputs is
    drawn: in the first cells of a network several inputs may be the same.
    """
    names = class_names(graph)
    found: dict[tuple[object, ...], list[tuple[str, Picture]]] = {}
    waiting = list(_boxes(picture))
    while waiting:
        box = waiting.pop(0)
        if len(box.paths) != 1 or not box.layers:
            continue
        inner = group(_within(graph, box.paths[0]), _MOST)
        runs = [one for one in _boxes(inner) if one.layers and len(one.paths) == 1]
        counts = Counter(one.paths for one in runs)
        if counts and max(counts.values()) > 2:  # a cell that runs once for each step
            waiting += {one.paths: one for one in reversed(runs)}.values()
        elif inner.boxes >= _LEAST:
            found.setdefault(_signature(inner), []).append((box.paths[0], inner))
    drawn = []
    for equal in list(found.values())[:_DRAWN]:
        places = list(dict.fromkeys(path for path, _ in equal))
        shown = ", ".join(places[:3]) + (", …" if len(places) > 3 else "")
        title = f"{names.get(places[0], places[0])} ×{len(places)}: {shown}"
        drawn.append((title, max((inner for _, inner in equal), key=_inputs)))
    return drawn


def _boxes(picture: Picture) -> Iterator[Box]:
    for item in picture.items:
        if isinstance(item, Block):
            yield from _boxes(item.picture)
        else:
            yield item


def _within(graph: Graph, path: str) -> Graph:
    """The data flow of one module, in the first run of it."""
    inside = {node.number: node for node in graph.nodes if path in node.scope}
    outer = sorted({s for s, t in graph.edges if t in inside and s not in inside})
    exits = [s for s in inside if any(a == s and b not in inside for a, b in graph.edges)]
    titles = ["Input"] if len(outer) == 1 else [f"Input {n + 1}" for n in range(len(outer))]
    end = graph.nodes[-1].number + 1
    nodes = [
        *(Node(s, "input", "", title) for s, title in zip(outer, titles, strict=True)),
        *(replace(n, scope=n.scope[n.scope.index(path) + 1 :]) for n in inside.values()),
        Node(end, "output", "", "Output"),
    ]
    edges = [(s, t) for s, t in graph.edges if t in inside]
    edges += [(s, end) for s in exits]
    return Graph(tuple(nodes), tuple(edges), graph.tree)


def _signature(picture: Picture) -> tuple[object, ...]:
    """Its structure, without channels and inputs."""
    parts: list[object] = []
    for item in picture.items:
        if isinstance(item, Block):
            parts.append((item.title, item.count, _signature(item.picture)))
        elif item.kind != "input":
            parts.append((item.title.split(",")[0], item.layers, item.count))
    taken = {n for n, item in enumerate(picture.items) if _is_input(item)}
    shift = len(taken)
    inner = tuple((a - shift, b - shift) for a, b in picture.edges if a not in taken)
    return tuple(parts), inner


def _inputs(picture: Picture) -> int:
    return sum(map(_is_input, picture.items))


def _is_input(item: Box | Block) -> bool:
    return isinstance(item, Box) and item.kind == "input"
