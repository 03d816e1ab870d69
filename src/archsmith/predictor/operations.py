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

#: Highest number of cached graphs of a space.
_KEPT = 20_000


@dataclass(frozen=True)
class Operation:
    """A node: its kind, and its sizes by name, as logarithms."""

    kind: str
    sizes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class OperationGraph:
    """Operations and the edges between them.

    Attributes:
        nodes: in any order.
        edges: pairs of indices of nodes, from source to destination.
    """

    nodes: tuple[Operation, ...]
    edges: tuple[tuple[int, int], ...]


def operation_graph(model: nn.Module) -> OperationGraph:
    """The graph of a model as :mod:`torch.fx` traces it; layers of ``torch.nn`` are nodes.

    For a model that cannot be traced without values (its control flow depends on its input), it is
    the tree of its modules, with edges from each module to its children and from each child to the
    next one.
    """
    try:
        return _trace(model)
    except Exception:  # whatever a user's forward raises without a real tensor
        return _module_tree(model)


class OperationGraphs:
    """Graphs of the architectures of one space, built on ``meta`` and cached."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._cache: OrderedDict[Architecture, OperationGraph] = OrderedDict()

    def of(self, architectures: Sequence[Architecture]) -> list[OperationGraph]:
        """The graphs of architectures.

        Raises:
            SpaceError: the builder refuses one of them.
        """
        return [self._graph_of(architecture) for architecture in architectures]

    def _graph_of(self, architecture: Architecture) -> OperationGraph:
        graph = self._cache.get(architecture)
        if graph is None:
            graph = operation_graph(self._build(architecture))
            while len(self._cache) >= _KEPT:
                self._cache.popitem(last=False)
            self._cache[architecture] = graph
        return graph

    def _build(self, architecture: Architecture) -> nn.Module:
        try:
            return self._space.build(architecture, device="meta", seed=0)
        except Exception:  # a constructor may need values; a real error is raised again below
            return self._space.build(architecture, seed=0)


@lru_cache(maxsize=4)
def graphs_of(space: Space) -> OperationGraphs:
    """The graphs that all predictors of a space share."""
    return OperationGraphs(space)


def _trace(model: nn.Module) -> OperationGraph:
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


def _module_tree(model: nn.Module) -> OperationGraph:
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
