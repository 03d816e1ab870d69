"""Running a model unchanged: batches, hooks, and the restoration of its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..._support.errors import InputError
from ..._support.trees import call, clone, leaves, map_tensors, take
from ...proxy.layers import device_of, seeded

#: What a model takes: a tensor, a tuple of them by position, or a mapping by keyword.
Inputs = Any
#: From raw inputs to the model's inputs.
Prepare = Callable[[Any], Inputs]


def as_inputs(given: Any) -> Inputs:
    """Arrays as tensors.

    Raises:
        InputError: there is no example, or tensors differ in the number of examples.
    """
    if isinstance(given, np.ndarray):
        given = torch.from_numpy(np.ascontiguousarray(given))
    inputs = given
    if isinstance(given, Mapping):
        inputs = {name: as_inputs(value) for name, value in given.items()}
    elif isinstance(given, tuple | list):
        inputs = tuple(as_inputs(value) for value in given)
    sizes = sorted({len(tensor) if tensor.dim() else 0 for tensor in leaves(inputs)})
    if len(sizes) != 1 or sizes[0] == 0:
        got = f"{type(given).__name__}" if not sizes else f"tensors of length {sizes}"
        expected = "tensors with the same number of examples (1 or more) in the first dimension"
        raise InputError("inputs", expected, got)
    return inputs


def batch_of(inputs: Inputs, index: Tensor | slice, prepare: Prepare | None) -> Inputs:
    """Prepared inputs of some examples."""
    batch = take(inputs, index)
    if prepare is None:
        return batch
    # A task prepares in place, and a slice shares memory with the caller's tensors.
    return prepare(clone(batch))


def run(model: nn.Module, inputs: Inputs, device: torch.device) -> Any:
    """The model's output for prepared inputs, cast to the type of its weights if floating-point."""
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)

    def move_tensor(tensor: Tensor) -> Tensor:
        return tensor.to(device, own if tensor.is_floating_point() else None)

    return call(model, map_tensors(move_tensor, inputs))


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """The model in evaluation mode on ``device``, without gradients, with seeded random numbers.

    Modes of all modules, the model's device and torch's generators are restored.
    """
    modes = [(module, module.training) for module in model.modules()]
    home = device_of(model)
    try:
        if home != device:
            model.to(device)
        model.eval()
        with seeded(0, device), torch.no_grad():  # as in score: it may call autograd
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        if home != device:
            model.to(home)


@contextmanager
def hooked(handles: list[RemovableHandle]) -> Iterator[None]:
    """Hooks that are removed at the end; add them to ``handles``."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
