"""A check before a search: train the default for a step and copy it, as later work will."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._support.errors import ArchsmithError, SpaceError
from .._support.trees import Tree, call, clone, leaves
from ..space.building import tell
from ..space.ordinary import ordinary
from ..task.outputs import kind_of
from ..task.tensor import TensorTask
from .shapes import advice, error_text

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space
    from ..task.base import Data, Recipe, Task

#: Examples that the copy is compared on.
_EXAMPLES = 8
#: How much two passes with the same weights may differ, as a share of the largest output.
_ROUNDING = 1e-3


def rehearse(space: Space, task: Task, data: Data, recipe: Recipe, device: str = "cpu") -> None:
    """Train the default for a step on a real batch, and load its weights into a second build.

    Raises:
        SpaceError: it cannot be trained, or its state dict is incomplete; the hint says what to do.
    """
    from .._support.weights import apart, snapshot
    from ..space.sketch import seeded

    architecture = space.default()
    where = f"{space.name} with {tell(architecture)}" if architecture else space.name
    with ordinary(), seeded(0):
        model = space.build(architecture, seed=0)
        inputs = task.prepare(data.validation.head(_EXAMPLES).inputs, data.facts)
        _check_training(where, task, model, inputs)
        _step(where, task, data, recipe, model, device)
        state = snapshot(model.to("cpu"))
        try:
            apart(state)
        except ArchsmithError as error:
            message = f"{error.where}: {error.got}"
            raise SpaceError(where, error.expected, message, error.hint) from error
        second = space.build(architecture, seed=1)
        try:
            second.load_state_dict(state)
        except Exception as error:
            raise SpaceError(
                where,
                "a state dict that loads into a second build, as exporting a result requires",
                error_text(error),
                "register all parameters and buffers in __init__, with their sizes",
            ) from error
        distance = _distance(model, second, inputs)
    if distance > _ROUNDING:
        raise SpaceError(
            where,
            "the same outputs from a second build with the same state dict",
            f"outputs that differ by {distance:.2g} of their size",
            "keep what training changes in parameters or with register_buffer: plain attributes "
            "are lost when a model is saved",
        )


def _check_training(where: str, task: Task, model: nn.Module, inputs: Tree) -> None:
    """Refuse a model for a tensor task whose output in training is not one tensor."""
    import torch

    with torch.no_grad():
        try:
            outputs: Any = call(model.train(), inputs)
        except Exception as error:
            raise _cannot(where, error) from error
    if isinstance(task, TensorTask) and not isinstance(outputs, torch.Tensor):
        raise SpaceError(
            where,
            f"one tensor in training mode too, for the loss of {task.name}",
            kind_of(outputs),
            "return only the main output in both modes; the loss ignores auxiliary outputs",
        )


def _step(
    where: str, task: Task, data: Data, recipe: Recipe, model: nn.Module, device: str
) -> None:
    from ..train import paces

    try:
        paces(model, task, data, recipe, seed=0, device=device, seconds=0.0, steps=1)
    except ArchsmithError:
        raise
    except Exception as error:
        raise _cannot(where, error) from error


def _cannot(where: str, error: Exception) -> SpaceError:
    return SpaceError(
        where,
        "a model that trains: forward, loss, backward and a step of the optimiser on a real "
        "batch, then evaluation",
        error_text(error),
        advice(error) or "change the model so that it trains in a plain loop with the task's loss",
    )


def _distance(one: nn.Module, two: nn.Module, inputs: Tree) -> float:
    """The largest difference between the outputs of two models, as a share of the largest."""
    import torch

    from ..space.sketch import seeded

    flat = []
    for model in (one, two):
        with torch.no_grad(), seeded(0):
            outputs = leaves(call(model.eval(), clone(inputs)))
            flat.append(torch.cat([output.detach().to("cpu").flatten() for output in outputs]))
    first, second = flat
    if first.shape != second.shape:
        return float("inf")
    if not torch.isfinite(first).all():
        return 0.0
    size = float(first.abs().max()) or 1.0
    return float((first - second).abs().max()) / size
