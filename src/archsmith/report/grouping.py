"""Simplifies the graph of a model for drawing: equal blocks in a row are drawn once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .graph import Graph
from .picture import Block, Box, Picture
from .simplify import Item, collapse, consumers_of, simplify


def group(graph: Graph, most: int = 60) -> Picture:
    """The picture of a graph with at most about ``most`` boxes.

    Small layers join the layer before them, sums of sums become one sum, identities become plain
    edges, equal blocks in a row are drawn once. While there are still too many boxes the deepest
    modules become one box each.
    """
    names = class_names(graph)
    ways = [simplify(graph, outward) for outward in (True, False)]
    items = min(ways, key=lambda way: _fold(way, names).boxes)
    picture = _fold(items, names)
    while picture.boxes > most and any(item.scope for item in items.values()):
        items = collapse(items, names)
        picture = _fold(items, names)
    return picture


def class_names(graph: Graph) -> dict[str, str]:
    """Class name of each module by its path."""
    names: dict[str, str] = {}
    trail: list[str] = []
    for line in graph.tree:
        trail[line.depth :] = [line.name]
        names[".".join(part for part in trail if part)] = line.text
    return names


def _fold(items: dict[int, Item], names: dict[str, str]) -> Picture:
    """The picture of the items, with runs of equal blocks drawn once."""
    return _picture(_parts(items, list(items), 0, names), items, names)


@dataclass(slots=True)
class _Part:
    """The nodes that become one item of a picture, and those of all its equal copies."""

    first: list[int]
    everything: set[int]
    depth: int
    count: int = 1


def _parts(
    items: dict[int, Item], numbers: Sequence[int], depth: int, names: dict[str, str]
) -> list[_Part]:
    """Cut nodes into parts: runs of equal blocks as one part, everything else node by node."""
    segments: list[list[int]] = []
    previous: str | None = None
    for number in numbers:
        scope = items[number].scope
        key = scope[depth] if len(scope) > depth else None
        if key is not None and key == previous:
            segments[-1].append(number)
        else:
            segments.append([number])
        previous = key
    consumers = consumers_of(items)
    parts: list[_Part] = []
    at = 0
    while at < len(segments):
        run = at + 1
        while run < len(segments) and _follows(items, consumers, segments[run - 1], segments[run]):
            run += 1
        if run - at > 1:
            everything = {number for segment in segments[at:run] for number in segment}
            parts.append(_Part(segments[at], everything, depth + 1, run - at))
        elif len(segments[at]) == 1:
            parts.append(_Part(segments[at], set(segments[at]), depth + 1))
        else:
            parts += _parts(items, segments[at], depth + 1, names)
        at = run
    return parts


def _follows(
    items: dict[int, Item], consumers: dict[int, list[int]], a: list[int], b: list[int]
) -> bool:
    """Whether ``b`` equals ``a``, takes inputs from ``a`` alone, and nothing else uses ``a``."""
    if len(a) != len(b) or _signature(items, a) != _signature(items, b):
        return False
    outside_a = {s for n in a for s in items[n].sources if s not in a}
    outside_b = {s for n in b for s in items[n].sources if s not in b}
    edges = {(n, user) for n in a for user in consumers[n] if user not in a}
    exits = {n for n, _ in edges}
    return (
        len(outside_a) == 1
        and outside_b == exits
        and len(exits) == 1
        and ({user for _, user in edges} <= set(b))
    )


def _signature(items: dict[int, Item], numbers: Sequence[int]) -> tuple[object, ...]:
    """The structure of a block, independent of its position."""
    place = {number: index for index, number in enumerate(numbers)}
    return tuple(
        (
            replace(items[number].box, paths=()),
            tuple(place.get(source, -1) for source in items[number].sources),
        )
        for number in numbers
    )


def _picture(parts: list[_Part], items: dict[int, Item], names: dict[str, str]) -> Picture:
    """Boxes and blocks of the parts, with the edges between them."""
    owner = {number: index for index, part in enumerate(parts) for number in part.everything}
    boxes = [_box_or_block(part, items, names) for part in parts]
    pairs = _pairs(items, owner)
    edges = [(a, b) for a, b in pairs if a is not None and b is not None and a != b]
    entries = [b for a, b in pairs if a is None and b is not None]
    gives = {a for a, b in pairs if a is not None and b is None}
    return Picture(
        tuple(boxes),
        tuple(dict.fromkeys(edges)),
        tuple(dict.fromkeys(entries)),
        tuple(sorted(gives)),
    )


def _pairs(
    items: dict[int, Item], owner: dict[int, int]
) -> Iterable[tuple[int | None, int | None]]:
    """Edges as positions of their ends in the picture, ``None`` where an end is outside."""
    return [
        (owner.get(source), owner.get(number))
        for number, item in items.items()
        for source in item.sources
    ]


def _box_or_block(part: _Part, items: dict[int, Item], names: dict[str, str]) -> Box | Block:
    if len(part.first) == 1:
        box = items[part.first[0]].box
        paths = tuple(p for number in sorted(part.everything) for p in items[number].box.paths)
        return replace(box, count=part.count, params=box.params * part.count, paths=paths)
    scope = items[part.first[0]].scope[part.depth - 1].split("@")[0]
    inner = _picture(_parts(items, part.first, part.depth, names), items, names)
    params = sum(items[number].box.params for number in part.everything)
    return Block(names.get(scope, scope), part.count, inner, params)
