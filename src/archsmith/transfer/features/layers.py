"""The layers of a model in order of a forward pass, and the one before the classifier."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..._support.errors import InputError, UnknownNameError
from ..._support.trees import count_examples, map_tensors
from .outputs import Axes, axes_of, channels_last, main_tensor
from .running import Inputs, Prepare, batch_of, evaluating, hooked, run

#: Appended to a layer's name: its input instead of its output.
INPUT = ":input"
_SHOWN = 6  # names in an error


@dataclass(frozen=True)
class Layer:
    """A layer that can be read.

    Attributes:
        name: as in ``named_modules``; ``""`` is the model itself.
        kind: name of its class.
        shape: of its output for one example, in the order of its axes, without the examples.
        calls: how often one forward pass runs it; the last call is read.
        weights: whether it holds weights of its own: parameters of two or more dimensions.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    weights: bool


@dataclass
class Met:
    """What two forward passes showed of a module.

    Attributes:
        output, input: axes of the last call's output and input; ``None`` if they are not known.
        shape: of the output, without the axis of examples.
        order: position of the end of its last call among those of all modules.
    """

    module: nn.Module
    output: Axes | None
    input: Axes | None
    shape: tuple[int, ...]
    calls: int
    order: int


@dataclass(frozen=True)
class Spot:
    """A place that is read: a module, and which side of it."""

    name: str
    module: nn.Module
    side: Literal["output", "input"]


def spot(model: nn.Module, name: str) -> Spot:
    """The place with this name: a module's name, alone or with ``":input"``.

    Raises:
        UnknownNameError: with the nearest names.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if name in modules:
        return Spot(name, modules[name], "output")
    stem = name.removesuffix(INPUT)
    if stem != name and stem in modules:
        return Spot(name, modules[stem], "input")
    names = [path for path in modules if path]
    near = difflib.get_close_matches(stem, names, n=_SHOWN, cutoff=0.4)
    # The part after the last dot is what people remember.
    near += [k for k in names if k.rpartition(".")[2] == stem.rpartition(".")[2] and k not in near]
    listed = ", ".join(near[:_SHOWN] or names[:_SHOWN])
    more = "" if near or len(names) <= _SHOWN else f" and {len(names) - _SHOWN} more"
    raise UnknownNameError(
        "layer",
        "a name of named_modules()",
        repr(name),
        f"{'nearest' if near else 'there are'}: {listed}{more}; layers() lists all",
    )


@dataclass
class _Pass:
    """What one forward pass showed, by ``id`` of the module."""

    outputs: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    out_last: dict[int, bool] = field(default_factory=dict)
    in_last: dict[int, bool] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    order: dict[int, int] = field(default_factory=dict)
    last: bool = True  # layout of sequences, set by the last layer whose kind determines it
    clock: int = 0

    def entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensor = main_tensor((*args, *kwargs.values()))
        if tensor is not None:
            self.inputs[id(module)] = tensor.to("meta")
            self.in_last[id(module)] = self.last

    def left(self, module: nn.Module, args: object, output: object) -> None:
        key = id(module)
        self.clock += 1
        self.order[key], self.calls[key] = self.clock, self.calls.get(key, 0) + 1
        tensor = main_tensor(output)
        if tensor is None:
            return
        layout = channels_last(module)
        if layout is not None and tensor.dim() == 3:
            self.last = layout
        self.out_last[key] = self.last
        # Only shapes are needed; values of all layers at once could fill the memory.
        self.outputs[key] = tensor.to("meta")


def look(
    model: nn.Module, inputs: Inputs, prepare: Prepare | None, device: torch.device
) -> tuple[dict[int, Met], str]:
    """All modules that a forward pass runs, by ``id``, and the name of the penultimate place.

    Two examples and three are run. The axis whose length changes with them counts the examples.
    """
    picked = torch.linspace(0, count_examples(inputs) - 1, 3).round().long()
    with evaluating(model, device):
        three_inputs = batch_of(inputs, picked, prepare)
        two, _ = _trace_pass(model, batch_of(inputs, picked[:2], prepare), device)
        three, output = _trace_pass(model, three_inputs, device)
        met = {id(m): _module_info(m, two, three) for m in model.modules() if id(m) in three.order}
        name = _penultimate(model, met, three_inputs, output, device)
    return met, name


def candidates(model: nn.Module, met: dict[int, Met]) -> list[Layer]:
    """The layers that can be read, in the order in which they end."""
    layers = [
        (
            info.order,
            Layer(name, type(module).__name__, info.shape, info.calls, _has_weights(module)),
        )
        for name, module in model.named_modules()
        if (info := met.get(id(module))) is not None and info.output is not None
    ]
    return [layer for _, layer in sorted(layers, key=lambda pair: pair[0])]


def _has_weights(module: nn.Module) -> bool:
    return any(p.dim() >= 2 for p in module.parameters(recurse=False))


def _trace_pass(model: nn.Module, inputs: Inputs, device: torch.device) -> tuple[_Pass, Any]:
    seen = _Pass()
    handles: list[RemovableHandle] = []
    with hooked(handles):
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(seen.entered, with_kwargs=True))
            handles.append(module.register_forward_hook(seen.left))
        output = run(model, inputs, device)
    return seen, output


def _module_info(module: nn.Module, two: _Pass, three: _Pass) -> Met:
    key = id(module)
    output, received = three.outputs.get(key), three.inputs.get(key)
    before, before_in = two.outputs.get(key), two.inputs.get(key)
    out_axes = in_axes = None
    if output is not None and before is not None and output.is_floating_point():
        out_axes = axes_of(before, output, three.out_last[key])
    if received is not None and before_in is not None and received.is_floating_point():
        in_axes = axes_of(before_in, received, three.in_last[key])
    shape = list(output.shape) if output is not None else []
    if out_axes is not None:
        del shape[out_axes.batch]
    return Met(module, out_axes, in_axes, tuple(shape), three.calls[key], three.order[key])


def _penultimate(
    model: nn.Module, met: dict[int, Met], inputs: Inputs, output: Any, device: torch.device
) -> str:
    """The place before the classifier; the model's output if there is none.

    The classifier is the last layer with parameters, if it is linear (or a 1x1 convolution) and
    the whole output depends on it: with its output held fixed, other examples change nothing.
    The last linear layer of a residual block does not qualify.
    """
    named = [(name, m) for name, m in model.named_modules() if id(m) in met]
    own = [(name, m) for name, m in named if next(m.parameters(recurse=False), None) is not None]
    if not own:
        return ""
    name, last = max(own, key=lambda pair: met[id(pair[1])].order)
    info = met[id(last)]
    if not _is_linear(last) or info.calls > 1 or info.input is None:
        return ""
    return name + INPUT if _all_through(model, last, inputs, output, device) else ""


def _is_linear(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return all(size == 1 for size in module.kernel_size)
    return isinstance(module, nn.Linear)


def _all_through(
    model: nn.Module, layer: nn.Module, inputs: Inputs, output: Any, device: torch.device
) -> bool:
    held: list[Any] = []
    with hooked([layer.register_forward_hook(lambda m, a, out: held.append(out))]):
        run(model, inputs, device)
    with hooked([layer.register_forward_hook(lambda m, a, out: held[0])]):
        other = run(model, map_tensors(_others, inputs), device)
    one, two = main_tensor(output), main_tensor(other)
    if one is None or two is None or one.shape != two.shape:
        return False
    return torch.allclose(one, two, rtol=1e-4, atol=1e-6, equal_nan=True)


def _others(tensor: Tensor) -> Tensor:
    """Other inputs of the same kind: each example is the next one, reversed."""
    moved = tensor.roll(1, 0)
    return moved.flip(-1) if moved.dim() > 1 else moved


def check_met(known: Met | None, place: Spot) -> Axes:
    """The axes at a place.

    Raises:
        InputError: it cannot be read.
    """
    if known is None:
        raise InputError(
            f"layer {place.name!r}",
            "a layer that a forward pass runs as a module",
            "one that is never called",
            "layers() lists what can be read",
        )
    axes = known.output if place.side == "output" else known.input
    if axes is None:
        raise InputError(
            f"layer {place.name!r}",
            "numbers with an axis that counts the examples",
            f"{type(known.module).__name__} with {place.side} of another kind",
            "layers() lists what can be read",
        )
    return axes


def weighted(layers: Iterable[Layer], most: int) -> list[str]:
    """Names of the layers with weights; of more than ``most``, so many evenly over the depth."""
    names = [layer.name for layer in layers if layer.weights]
    if len(names) <= most:
        return names
    picked = torch.linspace(0, len(names) - 1, most).round().long()
    return [names[int(i)] for i in picked]
