"""Graphs of recurrent cells: reading and writing NAS-Bench-NLP's recipes, and their canonical form.

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

#: Operations with the numbers of inputs that they take.
OPS: dict[str, tuple[int, ...]] = {
    "linear": (2, 3),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
    "elementwise_sum": (2,),
    "elementwise_prod": (2,),
    "blend": (3,),
}
#: Hidden states that a cell may carry.
MOST_STATES = 3
_STATE, _NEW = "h_prev_", "h_new_"


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    Attributes:
        nodes: operation and inputs of each node, inputs before those that read them. An input is
            the name of a source, ``x`` or ``h_prev_0``, or the place of an earlier node.
        states: for each hidden state the node that gives its new value; the first is the output.
    """

    nodes: tuple[tuple[str, tuple[str | int, ...]], ...]
    states: tuple[int, ...]

    @cached_property
    def live(self) -> frozenset[int]:
        """Nodes that reach the output, in this step or by way of a hidden state in a later one."""
        found: set[int] = set()
        waiting = [self.states[0]]
        while waiting:
            node = waiting.pop()
            if node in found:
                continue
            found.add(node)
            for source in self.nodes[node][1]:
                if isinstance(source, int):
                    waiting.append(source)
                elif source.startswith(_STATE):
                    waiting.append(self.states[int(source.removeprefix(_STATE))])
        return frozenset(found)

    def canonical(self) -> str:
        """The same string for cells whose live parts are isomorphic.

        Names and order of nodes, of the inputs of a sum, a product or a linear layer, and of the
        hidden states but for the first, make no difference.
        """
        kinds, edges = self._graph()
        colors = _ranked(kinds)
        return _smallest(_refined(colors, edges), kinds, edges)

    def features(self) -> dict[str, float]:
        """Counts of live operations (``op:``), of pairs that read each other (``pair:``), and the
        longest path (``depth:longest``)."""
        counts: Counter[str] = Counter()
        depth: dict[int, int] = {}
        for node in sorted(self.live):
            op, sources = self.nodes[node]
            counts[f"op:{op}"] += 1
            depth[node] = 1
            for source in sources:
                told = self.nodes[source][0] if isinstance(source, int) else source
                counts[f"pair:{told}>{op}"] += 1
                if isinstance(source, int):
                    depth[node] = max(depth[node], depth[source] + 1)
        return {
            "depth:longest": float(depth[self.states[0]]),
            **{k: float(v) for k, v in counts.items()},
        }

    def _graph(self) -> tuple[list[str], list[tuple[int, int, str]]]:
        """Kinds of vertices (live nodes and what they read) and edges with what they mean."""
        places: dict[str | int, int] = {}
        kinds: list[str] = []

        def vertex(name: str | int) -> int:
            if name not in places:
                places[name] = len(kinds)
                kinds.append(self._kind(name))
            return places[name]

        edges = []
        for node in sorted(self.live):
            op, sources = self.nodes[node]
            for place, source in enumerate(sources):
                # The inputs of a blend have parts of their own: gate, first, second.
                edges.append((vertex(source), vertex(node), str(place) if op == "blend" else ""))
        for name in [name for name in places if isinstance(name, str) and name != "x"]:
            new = self.states[int(str(name).removeprefix(_STATE))]
            edges.append((vertex(new), vertex(name), "next"))
        return kinds, edges

    def _kind(self, name: str | int) -> str:
        if isinstance(name, int):
            return self.nodes[name][0] + ("!" if name == self.states[0] else "")
        return name if name in ("x", f"{_STATE}0") else "state"


def from_recipe(recipe: Mapping[str, Any]) -> Cell:
    """Read a recipe. Inputs of sums, products and linear layers are put in order.

    Raises:
        SpaceError: with the node and what is wrong about it.
    """
    order: dict[str, int] = {}
    opened: list[str] = []

    def place(name: str) -> None:
        if name in order:
            return
        if name in opened:
            raise SpaceError(f"recipe, {name}", "nodes that read earlier ones", "a circle")
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
    """The inverse of :func:`from_recipe`, with names of its own: ``node_0``, …, ``h_new_0``, …"""
    new = {node: f"{_NEW}{state}" for state, node in enumerate(cell.states)}
    names = [new.get(node, f"node_{node}") for node in range(len(cell.nodes))]
    return {
        name: {"op": op, "input": [names[s] if isinstance(s, int) else s for s in sources]}
        for name, (op, sources) in zip(names, cell.nodes, strict=True)
    }


def source_names(op: str, states: int, nodes: int) -> list[str]:
    """What a node may read, in order: the hidden states and the nodes before it.

    Linear nodes may read the input ``x`` too, which comes first: it has a width of its own.
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
    known = {*recipe, *source_names("linear", states, 0)}
    for source in sources:
        if source not in known:
            raise SpaceError(where, "inputs x, h_prev_0 … or other nodes", repr(source))
    if op != "linear" and "x" in sources:
        raise SpaceError(
            where, "x as an input of linear nodes alone: it has a width of its own", repr(sources)
        )
    if op != "blend" and len(set(sources)) < len(sources):
        raise SpaceError(where, f"inputs of {op} that differ", repr(sources))
    return list(sources)


def _ranked(signatures: Sequence[Any]) -> list[int]:
    ranks = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [ranks[signature] for signature in signatures]


def _refined(colors: list[int], edges: list[tuple[int, int, str]]) -> list[int]:
    """Colours told further apart by those of neighbours, until that tells nothing more."""
    while True:
        around: list[list[tuple[str, str, int]]] = [[] for _ in colors]
        for source, target, role in edges:
            around[target].append(("in", role, colors[source]))
            around[source].append(("out", role, colors[target]))
        finer = _ranked(
            [(color, tuple(sorted(a))) for color, a in zip(colors, around, strict=True)]
        )
        if max(finer) == max(colors):
            return finer
        colors = finer


def _smallest(colors: list[int], kinds: list[str], edges: list[tuple[int, int, str]]) -> str:
    """The least spelling over the ways to tell apart what refinement cannot."""
    counts = Counter(colors)
    tied = [color for color in sorted(counts) if counts[color] > 1]
    if not tied:
        told = [kind for _, kind in sorted(zip(colors, kinds, strict=True))]
        lines = sorted(f"{colors[s]}>{colors[t]}{role}" for s, t, role in edges)
        return f"{' '.join(told)}|{' '.join(lines)}"
    spellings = []
    for vertex in (v for v, color in enumerate(colors) if color == tied[0]):
        split = _ranked([(c, v != vertex) for v, c in enumerate(colors)])
        spellings.append(_smallest(_refined(split, edges), kinds, edges))
    return min(spellings)
