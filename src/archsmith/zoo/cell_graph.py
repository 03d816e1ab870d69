"""Graphs of recurrent cells: NAS-Bench-NLP's recipes, and their canonical form.

A recipe (Klyuchnikov et al. 2020, arXiv:2006.07116) maps each node's name to its operation and its
inputs, which are ``x``, ``h_prev_0``, … or other nodes; the nodes ``h_new_0``, … are the new hidden
states, of which the first one is also the output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._support.errors import SpaceError

#: Operations with their allowed numbers of inputs.
OPS: dict[str, tuple[int, ...]] = {
    "linear": (2, 3),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
    "elementwise_sum": (2,),
    "elementwise_prod": (2,),
    "blend": (3,),
}
#: Maximum number of hidden states of a cell.
MOST_STATES = 3
_STATE, _NEW = "h_prev_", "h_new_"


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    Attributes:
        nodes: operation and inputs of each node, in topological order. An input is the name of a
            source, ``x`` or ``h_prev_0``, or the index of an earlier node.
        states: for each hidden state the node with its new value; the first is the output.
    """

    nodes: tuple[tuple[str, tuple[str | int, ...]], ...]
    states: tuple[int, ...]

    @cached_property
    def live(self) -> frozenset[int]:
        """Nodes that reach the output, in this step or through a hidden state in a later one."""
        live: set[int] = set()
        waiting = [self.states[0]]
        while waiting:
            node = waiting.pop()
            if node in live:
                continue
            live.add(node)
            for source in self.nodes[node][1]:
                if isinstance(source, int):
                    waiting.append(source)
                elif source.startswith(_STATE):
                    waiting.append(self.states[int(source.removeprefix(_STATE))])
        return frozenset(live)

    def canonical(self) -> str:
        """A string that is the same for cells whose live parts are isomorphic.

        It does not depend on names and order of nodes, on the order of the inputs of a sum, a
        product or a linear layer, or on the order of the hidden states after the first.
        """
        kinds, edges = self._graph()
        colors = _rank(kinds)
        return _smallest_spelling(_refine_colors(colors, edges), kinds, edges)

    def features(self) -> dict[str, float]:
        """Counts of live operations (``op:``), of pairs in which the second reads the first
        (``pair:``), and the longest path (``depth:longest``)."""
        counts: Counter[str] = Counter()
        depth: dict[int, int] = {}
        for node in sorted(self.live):
            op, sources = self.nodes[node]
            counts[f"op:{op}"] += 1
            depth[node] = 1
            for source in sources:
                source_op = self.nodes[source][0] if isinstance(source, int) else source
                counts[f"pair:{source_op}>{op}"] += 1
                if isinstance(source, int):
                    depth[node] = max(depth[node], depth[source] + 1)
        return {
            "depth:longest": float(depth[self.states[0]]),
            **{k: float(v) for k, v in counts.items()},
        }

    def _graph(self) -> tuple[list[str], list[tuple[int, int, str]]]:
        """Kinds of vertices (live nodes and their inputs), and edges with their roles."""
        places: dict[str | int, int] = {}
        kinds: list[str] = []

        def vertex(name: str | int) -> int:
            if name not in places:
                places[name] = len(kinds)
                kinds.append(self._vertex_kind(name))
            return places[name]

        edges = []
        for node in sorted(self.live):
            op, sources = self.nodes[node]
            for place, source in enumerate(sources):
                # The inputs of a blend have distinct roles: gate, first, second.
                edges.append((vertex(source), vertex(node), str(place) if op == "blend" else ""))
        for name in [name for name in places if isinstance(name, str) and name != "x"]:
            new = self.states[int(str(name).removeprefix(_STATE))]
            edges.append((vertex(new), vertex(name), "next"))
        return kinds, edges

    def _vertex_kind(self, name: str | int) -> str:
        if isinstance(name, int):
            return self.nodes[name][0] + ("!" if name == self.states[0] else "")
        return name if name in ("x", f"{_STATE}0") else "state"


def from_recipe(recipe: Mapping[str, Any]) -> Cell:
    """Read a recipe. Inputs of sums, products and linear layers are sorted.

    Raises:
        SpaceError: an invalid recipe, with the node and the problem.
    """
    order: dict[str, int] = {}
    opened: list[str] = []

    def place(name: str) -> None:
        if name in order:
            return
        if name in opened:
            raise SpaceError(f"recipe, {name}", "nodes that read earlier ones", "a cycle")
        opened.append(name)
        for source in _inputs(recipe, name, states):
            if source in recipe:
                place(source)
        opened.pop()
        order[name] = len(order)

    states = sum(_is_new(name) for name in recipe)
    missing = [f"{_NEW}{k}" for k in range(max(states, 1)) if f"{_NEW}{k}" not in recipe]
    if missing or states > MOST_STATES:
        raise SpaceError(
            "recipe", f"{_NEW}0 and so on, up to {MOST_STATES} states", ", ".join(recipe)
        )
    for name in recipe:
        place(name)
    nodes = []
    for name in order:
        op = recipe[name]["op"]
        sources: list[str | int] = [order.get(s, s) for s in recipe[name]["input"]]
        if op != "blend":
            sources.sort(key=_order)
        nodes.append((op, tuple(sources)))
    return Cell(tuple(nodes), tuple(order[f"{_NEW}{k}"] for k in range(states)))


def to_recipe(cell: Cell) -> dict[str, dict[str, Any]]:
    """The inverse of :func:`from_recipe`, with new names: ``node_0``, …, ``h_new_0``, …"""
    new = {node: f"{_NEW}{state}" for state, node in enumerate(cell.states)}
    names = [new.get(node, f"node_{node}") for node in range(len(cell.nodes))]
    return {
        name: {"op": op, "input": [names[s] if isinstance(s, int) else s for s in sources]}
        for name, (op, sources) in zip(names, cell.nodes, strict=True)
    }


def source_names(op: str, states: int, nodes: int) -> list[str]:
    """Possible inputs of a node, in order: the hidden states and the nodes before it.

    Linear nodes may also read the input ``x``, which comes first; its width differs from the rest.
    """
    names = [*(f"{_STATE}{k}" for k in range(states)), *(f"node{node}" for node in range(nodes))]
    return ["x", *names] if op == "linear" else names


def _is_new(name: str) -> bool:
    return name.startswith(_NEW) and name.removeprefix(_NEW).isdigit()


def _order(source: str | int) -> tuple[int, str | int]:
    return (1, source) if isinstance(source, int) else (0, "" if source == "x" else source)


def _inputs(recipe: Mapping[str, Any], name: str, states: int) -> Sequence[str]:
    where, node = f"recipe, {name}", recipe[name]
    if not isinstance(node, Mapping) or not {"op", "input"} <= set(node):
        raise SpaceError(where, "an object with op and input", repr(node))
    op, sources = node["op"], node["input"]
    if op not in OPS:
        raise SpaceError(where, f"op, one of {', '.join(OPS)}", repr(op))
    if not isinstance(sources, list) or len(sources) not in OPS[op]:
        raise SpaceError(where, f"{' or '.join(map(str, OPS[op]))} inputs of {op}", repr(sources))
    names = {*recipe, *source_names("linear", states, 0)}
    for source in sources:
        if source not in names:
            raise SpaceError(where, "inputs x, h_prev_0 … or other nodes", repr(source))
    if op != "linear" and "x" in sources:
        raise SpaceError(
            where, "x as an input of linear nodes only: it has a different width", repr(sources)
        )
    if op != "blend" and len(set(sources)) < len(sources):
        raise SpaceError(where, f"distinct inputs of {op}", repr(sources))
    return list(sources)


def _rank(signatures: Sequence[Any]) -> list[int]:
    ranks = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [ranks[signature] for signature in signatures]


def _refine_colors(colors: list[int], edges: list[tuple[int, int, str]]) -> list[int]:
    """Colours refined by those of neighbours until they are stable."""
    while True:
        around: list[list[tuple[str, str, int]]] = [[] for _ in colors]
        for source, target, role in edges:
            around[target].append(("in", role, colors[source]))
            around[source].append(("out", role, colors[target]))
        finer = _rank([(color, tuple(sorted(a))) for color, a in zip(colors, around, strict=True)])
        if max(finer) == max(colors):
            return finer
        colors = finer


def _smallest_spelling(
    colors: list[int], kinds: list[str], edges: list[tuple[int, int, str]]
) -> str:
    """The smallest spelling over all ways to break ties that refinement leaves."""
    counts = Counter(colors)
    tied = [color for color in sorted(counts) if counts[color] > 1]
    if not tied:
        ordered_kinds = [kind for _, kind in sorted(zip(colors, kinds, strict=True))]
        lines = sorted(f"{colors[s]}>{colors[t]}{role}" for s, t, role in edges)
        return f"{' '.join(ordered_kinds)}|{' '.join(lines)}"
    spellings = []
    for vertex in (v for v, color in enumerate(colors) if color == tied[0]):
        split = _rank([(c, v != vertex) for v, c in enumerate(colors)])
        spellings.append(_smallest_spelling(_refine_colors(split, edges), kinds, edges))
    return min(spellings)
