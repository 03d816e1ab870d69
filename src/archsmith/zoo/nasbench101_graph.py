"""The graphs of NAS-Bench-101's cells (Ying et al. 2019, arXiv:1902.09635), without any module.

Seven vertices are numbered along the edges: 0 is the input, 1 to 5 are inner ones, 6 is the output.
A cell is those of them that lie on a way from input to output.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .._support.errors import SpaceError
from ..space.architecture import Answer, Architecture
from .paths import path_features

Edge = tuple[int, int]

#: Operations of an inner vertex.
OPS = ("conv3x3", "conv1x1", "maxpool3x3")
#: Inner vertices, and the output.
INNER, OUTPUT = (1, 2, 3, 4, 5), 6
#: The most edges of a cell.
MOST_EDGES = 9
#: All pairs of vertices by the label that the decision ``edges`` has for them.
PAIRS: dict[str, Edge] = {
    f"{source}>{target}": (source, target)
    for target in range(1, OUTPUT + 1)
    for source in range(target)
}


def op_name(vertex: int) -> str:
    """The decision of a vertex's operation."""
    return f"op{vertex}"


def pruned(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """The edges on ways from input to output, by target and source.

    Where there is no way the paper has no cell; here the input leads straight to the output then.
    """
    found = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    reached, needed = {0}, {OUTPUT}
    for source, target in found:
        if source in reached:
            reached.add(target)
    for source, target in reversed(found):
        if target in needed:
            needed.add(source)
    return tuple(e for e in found if e[0] in reached and e[1] in needed) or ((0, OUTPUT),)


def from_matrix(matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> Architecture:
    """The architecture of an adjacency matrix (n x n, upper triangle) and its vertices' labels.

    Vertices on no way from input to output are pruned, as the paper does, and edges counted then.

    Args:
        matrix: 1 where an edge leads from the row's vertex to the column's; 2 to 7 vertices.
        ops: one label a vertex; the first and the last, input and output, are not looked at.

    Raises:
        SpaceError: no way from input to output, an edge that leads back, an unknown operation, or
            too many vertices or edges.
    """
    size = len(ops)
    if not 2 <= size <= OUTPUT + 1:
        raise SpaceError("matrix", f"2 to {OUTPUT + 1} vertices", str(size))
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise SpaceError("matrix", f"{size} rows and columns, one an operation", "another shape")
    number = [*range(size - 1), OUTPUT]
    edges = [(number[s], number[t]) for s in range(size) for t in range(size) if matrix[s][t]]
    if any(source >= target for source, target in edges):
        raise SpaceError("matrix", "an upper triangle", "an edge that leads back or in place")
    kept = pruned(edges)
    if not set(kept) <= set(edges):
        raise SpaceError("matrix", "a way from input to output", "none")
    vertices = sorted({v for edge in kept for v in edge if 0 < v < OUTPUT})
    place = {0: 0, OUTPUT: OUTPUT} | {v: i for i, v in enumerate(vertices, start=1)}
    return to_architecture(
        {place[v]: ops[v] for v in vertices}, [(place[s], place[t]) for s, t in kept]
    )


def to_architecture(ops: Mapping[int, str], edges: Sequence[Edge]) -> Architecture:
    """The architecture of a graph; vertices without an operation have the first one.

    Raises:
        SpaceError: an unknown operation, or too many edges.
    """
    if len(edges) > MOST_EDGES:
        raise SpaceError("edges", f"{MOST_EDGES} edges at most", str(len(edges)))
    there = set(edges)
    answers: dict[str, Answer] = {"edges": tuple(n for n, pair in PAIRS.items() if pair in there)}
    for vertex in INNER:
        op = ops.get(vertex, OPS[0])
        if op not in OPS:
            raise SpaceError(op_name(vertex), f"one of {', '.join(OPS)}", repr(op))
        answers[op_name(vertex)] = op
    return Architecture(answers)


def graph_of(architecture: Mapping[str, Answer]) -> tuple[dict[int, str], tuple[Edge, ...]]:
    """Operations by vertex and edges of the cell, after pruning.

    Raises:
        SpaceError: a decision is missing, or there is no such edge.
    """
    try:
        labels = architecture["edges"]
        assert isinstance(labels, tuple)
        edges = pruned(PAIRS[str(label)] for label in labels)
        used = sorted({v for edge in edges for v in edge if 0 < v < OUTPUT})
        return {vertex: str(architecture[op_name(vertex)]) for vertex in used}, edges
    except KeyError as error:
        raise SpaceError(str(error.args[0]), "an answer or edge of the space", "none") from None


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for isomorphic cells, and for no others: 423,624 in the space.

    It lists operations and edges in the numbering of the inner vertices that gives the least list,
    of those numberings in which vertices that differ by their surroundings are in a fixed order.

    Where a stack's channels are not a multiple of the vertices before the output, isomorphic cells
    may give the odd channel to different vertices; the paper takes them for one all the same.

    Raises:
        SpaceError: a decision is missing.
    """
    ops, edges = graph_of(architecture)
    colours = _colours(ops, edges)
    groups: dict[int, list[int]] = {}
    for vertex in ops:
        groups.setdefault(colours[vertex], []).append(vertex)
    alike = [groups[colour] for colour in sorted(groups)]
    least = min(
        _numbered([0, *itertools.chain(*orders), OUTPUT], edges)
        for orders in itertools.product(*map(itertools.permutations, alike))
    )
    # Vertices of one colour have one operation, so that their order makes no difference here.
    names = ",".join(ops[vertex] for group in alike for vertex in group)
    return f"{names}: {' '.join(f'{source}>{target}' for source, target in least)}"


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """What a surrogate may look at, the same for equal graphs.

    Its paths, as :func:`~archsmith.zoo.paths.path_features` tells them; ``op:``, how often each
    operation occurs, and ``depth:edges``, how many edges there are.

    Raises:
        SpaceError: a decision is missing.
    """
    ops, edges = graph_of(architecture)
    arriving: dict[int, Counter[tuple[str, ...]]] = {0: Counter({(): 1})}
    for source, target in edges:
        end = (ops[target],) if target in ops else ()
        into = arriving.setdefault(target, Counter())
        for path, count in arriving[source].items():
            into[path + end] += count
    told = path_features(arriving[OUTPUT]) | {"depth:edges": float(len(edges))}
    return told | {f"op:{op}": float(n) for op, n in Counter(ops.values()).items()}


def _numbered(order: Sequence[int], edges: Iterable[Edge]) -> list[Edge]:
    place = {vertex: i for i, vertex in enumerate(order)}
    return sorted((place[source], place[target]) for source, target in edges)


def _colours(ops: Mapping[int, str], edges: Iterable[Edge]) -> dict[int, int]:
    """A number for each vertex that isomorphisms keep, refined until it settles."""
    colours = _ranks({0: "", OUTPUT: "~", **ops})
    while True:
        around = {
            vertex: (
                colour,
                sorted(colours[s] for s, t in edges if t == vertex),
                sorted(colours[t] for s, t in edges if s == vertex),
            )
            for vertex, colour in colours.items()
        }
        refined = _ranks({vertex: repr(key) for vertex, key in around.items()})
        if len(set(refined.values())) == len(set(colours.values())):
            return refined
        colours = refined


def _ranks(keys: Mapping[int, str]) -> dict[int, int]:
    order = {key: rank for rank, key in enumerate(sorted(set(keys.values())))}
    return {vertex: order[key] for vertex, key in keys.items()}
