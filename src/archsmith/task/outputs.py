"""What a model must take and give to learn a task."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .._support.trees import Tree, arguments, leaves

if TYPE_CHECKING:
    from torch import nn

    from .base import Task


def expect_inputs(model: nn.Module, batch: Tree) -> None:
    """Raises ValueError where forward cannot be called with a batch alone."""
    by_position, by_keyword = arguments(batch)
    try:
        taken = inspect.signature(model.forward)
        taken.bind(*by_position, **by_keyword)
    except TypeError:
        told = [
            f"{str(t.dtype).removeprefix('torch.')} of shape "
            f"(batch, {', '.join(map(str, t.shape[1:]))})"
            for t in leaves(batch)
        ]
        count = "one input" if len(told) == 1 else f"{len(told)} inputs"
        raise ValueError(
            f"forward takes {', '.join(taken.parameters) or 'nothing'}, and the task gives "
            f"{count}, {' and '.join(told)}: make the others of it, or give defaults"
        ) from None
    except ValueError:  # no signature to be had
        return


def expect_one_output(outputs: object, task: Task) -> None:
    """Raises ValueError where a model gives something else than a tensor."""
    import torch

    if not isinstance(outputs, torch.Tensor):
        raise ValueError(
            f"the model gave {kind_of(outputs)}, and the loss of {task.name} takes one tensor of "
            "outputs: return the main one alone"
        )


def kind_of(value: object) -> str:
    if isinstance(value, dict):
        return f"a {type(value).__name__} of {len(value)} ({', '.join(map(str, value))})"
    inside = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{inside}"
