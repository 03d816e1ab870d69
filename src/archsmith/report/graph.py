"""The data flow of one model as plain values: layers, the joins between them, and their edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "input",
    "output",
    "conv",
    "linear",
    "norm",
    "activation",
    "pool",
    "recurrent",
    "attention",
    "embedding",
    "dropout",
    "reshape",
    "identity",
    "join",
    "other",
]


@dataclass(frozen=True, slots=True)
class Node:
    """One execution of a leaf module, or one functional operation.

    Attributes:
        number: position in order of execution; edges name nodes by it.
        kind: what family it belongs to.
        type: class of the module (``Conv2d``) or name of the function (``add``).
        text: compact description (``Conv 3×3, 16→32, /2``).
        path: dotted path of the module in the model, ``""`` for functions and for the root.
        scope: the modules it ran inside, outermost first; a module's second run ends in ``@2``.
        shape: of its output without the batch dimension, ``None`` if that is no single tensor.
        params: its own parameters, counted at its first execution only.
    """

    number: int
    kind: Kind
    type: str
    text: str
    path: str = ""
    scope: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    params: int = 0


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One module in the module tree: how deep it is, its name, what it is, its parameters."""

    depth: int
    name: str
    text: str
    params: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A model's data flow, and its module tree in case the flow could not be followed.

    Attributes:
        nodes: in order of execution; empty when tracing failed.
        edges: pairs of node numbers, each pair once, by target and then in order of use.
        tree: the model's modules in depth-first order.
        params: parameters of the whole model, shared ones counted once.
        note: what the reader should know, for example why there is only a tree.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    tree: tuple[TreeLine, ...] = ()
    params: int = 0
    note: str = ""


def neighbours(
    numbers: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Sources and targets of each node, in the order of ``edges``."""
    sources: dict[int, list[int]] = {number: [] for number in numbers}
    targets: dict[int, list[int]] = {number: [] for number in numbers}
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    return sources, targets


def shape_text(shape: tuple[int, ...] | None) -> str:
    """``(16, 32, 32)`` as ``16×32×32``; empty if there is none."""
    return "×".join(map(str, shape)) if shape else ""
