"""Checks that a model takes the inputs of a task and returns outputs that fit it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .._support.trees import Tree, arguments, leaves

if TYPE_CHECKING:
    from torch import nn

    from .base import Task


def expect_inputs(model: nn.Module, batch: Tree) -> None:
    """Raises ValueError if forward cannot be called with a batch alone."""
    by_position, by_keyword = arguments(batch)
    try:
        signature = inspect.signature(model.forward)
        signature.bind(*by_position, **by_keyword)
    except TypeError:
        offered = [
            f"{str(t.dtype).removeprefix('torch.')} of shape "
            f"(batch, {', '.join(map(str, t.shape[1:]))})"
            for t in leaves(batch)
        ]
        count = "one input" if len(offered) == 1 else f"{len(offered)} inputs"
        raise ValueError(
            f"forward takes {', '.join(signature.parameters) or 'nothing'}, and the task gives "
            f"{count}, {' and '.join(offered)}: derive the others from it, or give them defaults"
        ) from None
    except ValueError:  # a forward without a signature
        return


def expect_one_output(outputs: object, task: Task) -> None:
    """Raises ValueError if a model returns something other than a tensor."""
    import torch

    if not isinstance(outputs, torch.Tensor):
        raise ValueError(
            f"the model gave {kind_of(outputs)}, and the loss of {task.name} takes one tensor of "
            "outputs: return only the main one"
        )


def kind_of(value: object) -> str:
    if isinstance(value, dict):
        return f"a {type(value).__name__} of {len(value)} ({', '.join(map(str, value))})"
    inside = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{inside}"
