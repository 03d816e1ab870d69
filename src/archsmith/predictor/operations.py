"""The graph of operations of a built architecture (loads torch)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from torch import fx, nn

from ..space.architecture import Architecture

if TYPE_CHECKING:
    from ..space import Space

#: Graphs of a space that are kept at once.
_KEPT = 20_000


@dataclass(frozen=True)
class Operation:
    """A node: what it is, and its sizes by name, as logarithms."""

    kind: str
    sizes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class OperationGraph:
    """Operations and the edges between them.

    Attributes:
        nodes: in any order.
        edges: places of the node that gives and of the node that takes.
    """

    nodes: tuple[Operation, ...]
    edges: tuple[tuple[int, int], ...]


def operation_graph(model: nn.Module) -> OperationGraph:
    """What the model computes, as :mod:`torch.fx` traces it; layers of ``torch.nn`` are nodes.

    A model that cannot be traced without values (its control flow depends on its input) is given
    as the tree of its modules: each below the one that holds it, and behind its elder sibling.
    """
    try:
        return _traced(model)
    except Exception:  # whatever a user's forward raises when it is shown no tensor
        return _tree(model)


class OperationGraphs:
    """Graphs of the architectures of one space, built on ``meta`` and kept."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: OrderedDict[Architecture, OperationGraph] = OrderedDict()

    def of(self, architectures: Sequence[Architecture]) -> list[OperationGraph]:
        """Their graphs.

        Raises:
            SpaceError: the builder refuses one.
        """
        return [self._one(architecture) for architecture in architectures]

    def _one(self, architecture: Architecture) -> OperationGraph:
        found = self._known.get(architecture)
        if found is None:
            found = operation_graph(self._built(architecture))
            while len(self._known) >= _KEPT:
                self._known.popitem(last=False)
            self._known[architecture] = found
        return found

    def _built(self, architecture: Architecture) -> nn.Module:
        try:
            return self._space.build(architecture, device="meta", seed=0)
        except Exception:  # constructors that read values; what is wrong is wrong again below
            return self._space.build(architecture, seed=0)


@lru_cache(maxsize=4)
def graphs_of(space: Space) -> OperationGraphs:
    """The graphs that all predictors of a space share."""
    return OperationGraphs(space)


def _traced(model: nn.Module) -> OperationGraph:
    traced = fx.Tracer().trace(model)
    modules = dict(model.named_modules())
    places: dict[fx.Node, int] = {}
    nodes: list[Operation] = []
    edges: list[tuple[int, int]] = []
    for node in traced.nodes:
        places[node] = len(nodes)
        nodes.append(_operation(node, modules))
        edges += [(places[giver], places[node]) for giver in node.all_input_nodes]
    return OperationGraph(tuple(nodes), tuple(edges))


def _operation(node: fx.Node, modules: dict[str, nn.Module]) -> Operation:
    if node.op == "call_module":
        return _layer(modules[str(node.target)])
    if node.op == "call_function":
        return Operation(getattr(node.target, "__name__", str(node.target)))
    if node.op == "call_method":
        return Operation(str(node.target))
    return Operation(node.op)


def _tree(model: nn.Module) -> OperationGraph:
    nodes: list[Operation] = []
    edges: list[tuple[int, int]] = []

    def add(module: nn.Module) -> int:
        place = len(nodes)
        nodes.append(_layer(module))
        elder: int | None = None
        for child in module.children():
            below = add(child)
            edges.append((place, below))
            if elder is not None:
                edges.append((elder, below))
            elder = below
        return place

    add(model)
    return OperationGraph(tuple(nodes), tuple(edges))


def _layer(module: nn.Module) -> Operation:
    sizes = {name: math.log1p(size) for name, size in _sizes(module)}
    own = sum(p.numel() for p in module.parameters(recurse=False))
    return Operation(
        type(module).__name__, tuple(sorted((sizes | {"params": math.log1p(own)}).items()))
    )


def _sizes(module: nn.Module) -> Iterator[tuple[str, float]]:
    """Public numbers of a layer: channels, kernel, stride, heads, ..."""
    for name, value in vars(module).items():
        if name.startswith("_") or name == "training":
            continue
        first: Any = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, int | float) and math.isfinite(first) and first >= 0:
            yield name, float(first)
