"""A deployed model as a program: traced with a dynamic batch, and run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .._support.trees import Tree, arguments, call, clone, map_tensors
from ..task.base import Signature


def live(deployable: nn.Module) -> Callable[[Tree], Tree]:
    """The model itself as a function, like those that export formats read."""
    return inferring(deployable.eval())


def traced(deployable: nn.Module, signature: Signature) -> torch.export.ExportedProgram:
    """The program that :func:`torch.export.export` makes."""
    by_position, by_keyword = arguments(signature.example)
    program = torch.export.export(
        deployable.eval(), by_position, by_keyword, dynamic_shapes=dynamic(signature)
    )
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            # Each node inside a loop has 40 KB of it, with paths of this machine.
            node.meta.pop("stack_trace", None)
    return program


def dynamic(signature: Signature) -> Any:
    """Dynamic shapes: the batch of each tensor, and what else the signature names."""
    names = {0: "batch", **signature.dynamic}
    sizes = {
        dimension: torch.export.Dim(name) if name else torch.export.Dim.AUTO
        for dimension, name in names.items()
    }
    by_position, by_keyword = arguments(signature.example)
    return map_tensors(lambda _: sizes, by_keyword or by_position)


def inferring(module: Any) -> Callable[[Tree], Tree]:
    """A module as a function that leaves its inputs unchanged."""

    def run(inputs: Tree) -> Tree:
        with torch.no_grad():
            return call(module, clone(inputs))  # a model may change its input in place

    return run
