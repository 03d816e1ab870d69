"""The graphs of NAS-Bench-101's cells (Ying et al. 2019, arXiv:1902.09635), without any module.

Seven vertices are numbered in topological order: 0 is the input, 1 to 5 are inner vertices, 6 is
the output. A cell consists of the vertices on a path from input to output.
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
#: All pairs of vertices by their label in the decision ``edges``.
PAIRS: dict[str, Edge] = {
    f"{source}>{target}": (source, target)
    for target in range(1, OUTPUT + 1)
    for source in range(target)
}


def op_name(vertex: int) -> str:
    """The name of the decision for a vertex's operation."""
    return f"op{vertex}"


def pruned(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """The edges on paths from input to output, sorted by target and source.

    Without such a path the paper has no cell; here the input is then connected to the output.
    """
    ordered = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    reached, needed = {0}, {OUTPUT}
    for source, target in ordered:
        if source in reached:
            reached.add(target)
    for source, target in reversed(ordered):
        if target in needed:
            needed.add(source)
    return tuple(e for e in ordered if e[0] in reached and e[1] in needed) or ((0, OUTPUT),)


def from_matrix(matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> Architecture:
    """The architecture of an adjacency matrix (n x n, upper triangle) and its vertices' labels.

    Vertices on no path from input to output are pruned, as in the paper, before edges are counted.

    Args:
        matrix: 1 for an edge from the row's vertex to the column's; 2 to 7 vertices.
        ops: one label per vertex; those of the input and output, first and last, are ignored.

    Raises:
        SpaceError: no path from input to output, a backward edge, an unknown operation, or too
            many vertices or edges.
    """
    size = len(ops)
    if not 2 <= size <= OUTPUT + 1:
        raise SpaceError("matrix", f"2 to {OUTPUT + 1} vertices", str(size))
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise SpaceError("matrix", f"{size} rows and columns, one per operation", "another shape")
    number = [*range(size - 1), OUTPUT]
    edges = [(number[s], number[t]) for s in range(size) for t in range(size) if matrix[s][t]]
    if any(source >= target for source, target in edges):
        raise SpaceError("matrix", "an upper triangular matrix", "a backward edge or a loop")
    kept_edges = pruned(edges)
    if not set(kept_edges) <= set(edges):
        raise SpaceError("matrix", "a path from input to output", "none")
    vertices = sorted({v for edge in kept_edges for v in edge if 0 < v < OUTPUT})
    place = {0: 0, OUTPUT: OUTPUT} | {v: i for i, v in enumerate(vertices, start=1)}
    return to_architecture(
        {place[v]: ops[v] for v in vertices}, [(place[s], place[t]) for s, t in kept_edges]
    )


def to_architecture(ops: Mapping[int, str], edges: Sequence[Edge]) -> Architecture:
    """The architecture of a graph; vertices without an operation get the first one.

    Raises:
        SpaceError: an unknown operation, or too many edges.
    """
    if len(edges) > MOST_EDGES:
        raise SpaceError("edges", f"at most {MOST_EDGES} edges", str(len(edges)))
    present = set(edges)
    answers: dict[str, Answer] = {"edges": tuple(n for n, pair in PAIRS.items() if pair in present)}
    for vertex in INNER:
        op = ops.get(vertex, OPS[0])
        if op not in OPS:
            raise SpaceError(op_name(vertex), f"one of {', '.join(OPS)}", repr(op))
        answers[op_name(vertex)] = op
    return Architecture(answers)


def graph_of(architecture: Mapping[str, Answer]) -> tuple[dict[int, str], tuple[Edge, ...]]:
    """Operations by vertex and edges of the cell, after pruning.

    Raises:
        SpaceError: a decision is missing, or an edge is unknown.
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

    It lists operations and edges in the numbering of the inner vertices that gives the smallest
    list, among numberings in which vertices with different colours are in a fixed order.

    If a stack's channels are not a multiple of the vertices before the output, isomorphic cells may
    assign the extra channel to different vertices; the paper still counts them as one.

    Raises:
        SpaceError: a decision is missing.
    """
    ops, edges = graph_of(architecture)
    colours = _colours(ops, edges)
    groups: dict[int, list[int]] = {}
    for vertex in ops:
        groups.setdefault(colours[vertex], []).append(vertex)
    groups_in_order = [groups[colour] for colour in sorted(groups)]
    least = min(
        _numbered([0, *itertools.chain(*orders), OUTPUT], edges)
        for orders in itertools.product(*map(itertools.permutations, groups_in_order))
    )
    # Vertices of one colour have the same operation, so their order makes no difference here.
    names = ",".join(ops[vertex] for group in groups_in_order for vertex in group)
    return f"{names}: {' '.join(f'{source}>{target}' for source, target in least)}"


def features(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """Features for surrogates, the same for equal graphs.

    The :func:`~archsmith.zoo.paths.path_features`; ``op:``, how often each operation occurs; and
    ``depth:edges``, the number of edges.

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
    features = path_features(arriving[OUTPUT]) | {"depth:edges": float(len(edges))}
    return features | {f"op:{op}": float(n) for op, n in Counter(ops.values()).items()}


def _numbered(order: Sequence[int], edges: Iterable[Edge]) -> list[Edge]:
    place = {vertex: i for i, vertex in enumerate(order)}
    return sorted((place[source], place[target]) for source, target in edges)


def _colours(ops: Mapping[int, str], edges: Iterable[Edge]) -> dict[int, int]:
    """A colour for each vertex that is invariant under isomorphism, refined until stable."""
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
