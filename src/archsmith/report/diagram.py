"""How data flows through a model: run it once without memory and follow each tensor.

Leaf modules are watched by hooks and functions by a torch function mode, so the picture is what
the model does, whatever its ``forward`` looks like. Imports torch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .._support.trees import Tree, call, leaves, move
from .describe import FUNCTIONS, JOINS, describe
from .graph import Graph, Kind, Node, TreeLine

_CONTAINERS = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
)


def trace_graph(model: nn.Module, example: Tree) -> Graph:
    """The data flow of ``model`` for one input, found by running a copy of it on ``meta``.

    Where a model does not run on ``meta`` the copy runs on the example's device; where it does not
    run at all, or where nothing can be followed, the graph holds the module tree and a note.

    Args:
        model: any module; it is left as it is.
        example: a model input with its batch dimension, shape (batch, ...).
    """
    tree = tuple(module_tree(model))
    params = sum(p.numel() for p in model.parameters())
    for device in ("meta", None):
        try:
            follower = _Follower(_on_meta(model) if device else copy.deepcopy(model))
            nodes, edges = follower.run(move(example, device) if device else example)
            return Graph(nodes, edges, tree, params, follower.note)
        except Exception:  # the user's forward may raise anything; the report must not fail
            continue
    note = "The data flow could not be followed, so these are the model's modules."
    return Graph((), (), tree, params, note)


def module_tree(model: nn.Module) -> Iterator[TreeLine]:
    """The model's modules, depth first, each described and with its parameters."""

    def walk(module: nn.Module, name: str, depth: int) -> Iterator[TreeLine]:
        count = sum(p.numel() for p in module.parameters())
        leaf = _is_leaf(module)
        text = describe(module)[1] if leaf else type(module).__name__
        yield TreeLine(depth, name, text, count)
        if not leaf:
            for child, inner in module.named_children():
                yield from walk(inner, child, depth + 1)

    return walk(model, "", 0)


def _is_leaf(module: nn.Module) -> bool:
    """Whether it is drawn as one box: it has no children, or is a compound layer of torch."""
    if isinstance(module, _CONTAINERS):
        return False
    return type(module).__module__.startswith("torch.nn.") or not any(module.children())


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers have shapes and no memory."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


def _shape(value: object) -> tuple[int, ...] | None:
    first = next(leaves(value), None)
    return None if first is None else tuple(first.shape[1:])


class _Follower(TorchFunctionMode):
    """Records for each tensor which node it came from."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval()
        self.note = ""
        self.nodes: list[Node] = []
        self.edges: dict[tuple[int, int], None] = {}
        # The tensor is kept with its node: an id is only unique while its owner lives.
        self.origin: dict[int, tuple[Tensor, int]] = {}
        self.scope: list[str] = []
        self.runs: dict[str, int] = {}
        self.inside_leaf = 0
        self.versions: list[dict[int, int]] = []
        self.counted: set[int] = set()
        self.learned: list[str] = []

    def run(self, example: Tree) -> tuple[tuple[Node, ...], tuple[tuple[int, int], ...]]:
        self._watch(self.model, "")
        starts = []
        for tensor in leaves(example):
            starts.append(self._add("input", "input", "Input", [], shape=tuple(tensor.shape[1:])))
            self._mark(tensor, starts[-1])
        with torch.no_grad(), self:
            answer = call(self.model, example)
        self.scope.clear()
        sources = self._sources(answer)
        if not sources or set(sources) <= set(starts):
            raise ValueError("the output does not come from the layers that were seen")
        self._add("output", "output", "Output", sources, shape=_shape(answer))
        idle = self._idle()
        if idle:
            self.note = f"Not used for the output: {', '.join(idle)}."
        return tuple(self.nodes), tuple(sorted(self.edges, key=lambda edge: edge[1]))

    def _idle(self) -> list[str]:
        """Watched leaf modules with parameters that never ran."""
        ran = {node.path for node in self.nodes}
        return [path for path in self.learned if path not in ran]

    def _watch(self, module: nn.Module, path: str) -> None:
        """Hook a module, and those inside it unless it is drawn as one box."""
        leaf = _is_leaf(module)
        enter = self._enter_leaf if leaf else self._enter(path)
        leave = self._leave_leaf(path) if leaf else self._leave
        module.register_forward_pre_hook(enter, with_kwargs=True)
        module.register_forward_hook(leave, with_kwargs=True)
        if leaf and any(True for _ in module.parameters()):
            self.learned.append(path)
        if not leaf:
            for name, child in module.named_children():
                self._watch(child, f"{path}.{name}" if path else name)

    def _enter(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            if path and not self.inside_leaf:
                self.runs[path] = self.runs.get(path, 0) + 1
                again = f"@{self.runs[path]}" if self.runs[path] > 1 else ""
                self.scope.append(path + again)

        return hook

    def _leave(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module is not self.model and not self.inside_leaf:
            self.scope.pop()

    def _enter_leaf(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.inside_leaf += 1
        self.versions.append({id(t): t._version for t in leaves((args, kwargs))})

    def _leave_leaf(self, path: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            self.inside_leaf -= 1
            before = self.versions.pop()
            if self.inside_leaf:
                return None
            kind, text = describe(module)
            fresh = [p for p in module.parameters() if id(p) not in self.counted]
            self.counted.update(map(id, fresh))
            sources = self._sources((args, kwargs))
            count = sum(p.numel() for p in fresh)
            name = type(module).__name__
            node = self._add(kind, name, text, sources, path, _shape(output), count)
            if isinstance(output, Tensor) and before.get(id(output)) == output._version:
                # What came in goes out untouched; an alias keeps the two apart in the graph.
                output = output.view_as(output)
            self._mark(output, node)
            return output

        return hook

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self.inside_leaf:
            return output
        name = str(func.__name__)
        sources = self._sources((args, kwargs))
        changed = args[0] if name == "__setitem__" else output
        if not sources or next(leaves(changed), None) is None:
            return output
        if len(sources) > 1:
            shape = _shape(changed)
            node = self._add("join", name, JOINS.get(name, name.strip("_")), sources, "", shape)
        elif name in FUNCTIONS:
            kind, text = FUNCTIONS[name]
            node = self._add(kind, name, text, sources, "", _shape(changed))
        else:
            node = sources[0]
        self._mark(changed, node)
        return output

    def _sources(self, value: object) -> list[int]:
        """The nodes that the tensors in a value came from, each once."""
        numbers = (self.origin.get(id(tensor)) for tensor in leaves(value))
        return list(dict.fromkeys(origin[1] for origin in numbers if origin is not None))

    def _mark(self, value: object, node: int) -> None:
        for tensor in leaves(value):
            self.origin[id(tensor)] = (tensor, node)

    def _add(
        self,
        kind: Kind,
        type: str,
        text: str,
        sources: list[int],
        path: str = "",
        shape: tuple[int, ...] | None = None,
        params: int = 0,
    ) -> int:
        number = len(self.nodes)
        self.nodes.append(Node(number, kind, type, text, path, tuple(self.scope), shape, params))
        self.edges.update(dict.fromkeys((source, number) for source in sources))
        return number
