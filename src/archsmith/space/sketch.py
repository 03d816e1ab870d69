"""A model summarised in a few numbers: its structure, and its outputs with weights that depend only
on the names and shapes of its tensors."""

from __future__ import annotations

import hashlib
import random
import re
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from .._support.trees import Tree, call, clone, leaves, map_tensors

#: Numbers kept of an output, in addition to its mean and its mean absolute value.
_SAMPLES = 24
#: Relative difference of outputs that rounding on another machine may cause.
_ROUNDING = 1e-3
#: A discontinuous model (one that rounds, sorts or takes a maximum) may differ by more: by thirty
#: times the effect of changing the inputs by 1e-5.
_NUDGE, _NUDGE_FACTOR = 1e-5, 30.0


def structure(model: nn.Module) -> list[tuple[str, str]]:
    """Each module as a line with its path, class and own tensors, paired with its options.

    Options come from :meth:`torch.nn.Module.extra_repr`, which differs between torch versions.
    """
    lines = []
    for path, module in model.named_modules(remove_duplicate=False):
        tensors = [
            f"{name} {_tensor_text(tensor)}{'' if tensor.requires_grad else ' frozen'}"
            for name, tensor in module._parameters.items()
            if tensor is not None
        ]
        tensors += [
            f"buffer {name} {_tensor_text(tensor)}"
            for name, tensor in module._buffers.items()
            if tensor is not None and name not in module._non_persistent_buffers_set
        ]
        inside = f" ({', '.join(tensors)})" if tensors else ""
        lines.append((f"{path or 'the model'}: {type(module).__name__}{inside}", _options(module)))
    return lines


def digest(text: str) -> str:
    """Six hex digits of a line."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def random_names(one: nn.Module, two: nn.Module) -> set[str]:
    """Names of the tensors of two builds whose values differ."""
    first, second = _state_tensors(one), _state_tensors(two)
    return {
        name
        for name, tensor in first.items()
        if name not in second or not _equal(tensor.detach(), second[name].detach())
    }


def fill(model: nn.Module, drawn: Collection[str]) -> None:
    """Set weights to values that depend only on their names and shapes, without torch's generators.

    Values that a constructor computes stay: buffers and frozen parameters that are not ``drawn``.
    Integers stay as well, since they may be indices.
    """
    moving = {id(t) for m in model.modules() if isinstance(m, _NormBase) for t in m.buffers()}
    done: set[int] = set()
    for name, tensor in _state_tensors(model).items():
        whole = not (tensor.is_floating_point() or tensor.is_complex())
        fixed = name not in drawn and id(tensor) not in moving and not tensor.requires_grad
        if whole or fixed or id(tensor) in done:
            continue
        done.add(id(tensor))
        with torch.no_grad():
            value = values(name, tensor.shape).to(tensor.dtype)
            length = tensor.norm()
            if not tensor.requires_grad and abs(float(length) - 1.0) < 1e-4:
                value /= value.norm()  # an estimated singular vector must have length 1
            tensor.copy_(value)


def values(name: str, shape: torch.Size) -> Tensor:
    """Values for a named tensor: as large as typical weights, or around 0.5 for vectors.

    They come from a bit generator whose stream is the same in all versions of numpy.
    """
    count = shape.numel()
    bits = np.random.PCG64(zlib.crc32(f"{name} {tuple(shape)}".encode())).random_raw(count)
    even = torch.from_numpy((bits >> np.uint64(11)) * 2.0**-52 - 1.0).reshape(shape)  # in [-1, 1)
    if len(shape) < 2:
        return 0.5 + 0.25 * even
    width: float = (count / max(1, shape[0])) ** 0.5
    return even * (1.7 / width)


def inputs_like(example: Tree) -> Tree:
    """Inputs with the shapes and types of an example; integers are 0 and 1."""

    def like(tensor: Tensor) -> Tensor:
        even = values("input", torch.Size((tensor.numel(), 1))).reshape(tensor.shape)
        if tensor.is_floating_point() or tensor.is_complex():
            return even.to(tensor.dtype)
        return (even > 0).to(tensor.dtype)

    return map_tensors(like, example)


def outputs_at(model: nn.Module, inputs: Tree) -> list[float | None]:
    """Sampled numbers of the model's outputs in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return _numbers(_run(model, inputs, 0))


def computed(model: nn.Module, inputs: Tree) -> dict[str, Any]:
    """The model's outputs in evaluation mode: sampled numbers, and how far they may differ.

    Raises:
        Exception: whatever the model raises.
    """
    model.eval()
    with torch.no_grad():
        return _summary(*(_run(model, x, 0) for x in (inputs, _nudge_inputs(inputs))))


def trained(model: nn.Module, inputs: Tree) -> dict[str, Any]:
    """As :func:`computed` in training mode, with the size of the gradient; ``drawn`` tells whether
    the outputs are random, as with dropout.

    Raises:
        Exception: whatever the model raises.
    """
    model.train()
    outputs = _run(model, inputs, 0)
    weights = [p for p in model.parameters() if p.requires_grad]
    if weights and outputs.requires_grad:
        scalar = (outputs * values("gradient", outputs.shape)).sum()
        grads = torch.autograd.grad(scalar, weights, allow_unused=True)
        size = sum(float(g.to_dense().abs().sum()) for g in grads if g is not None)
        outputs = torch.cat([outputs.detach(), outputs.new_tensor([size / len(weights)])])
    with torch.no_grad():
        again, nudged = _run(model, inputs, 1), _run(model, _nudge_inputs(inputs), 0)
        drawn = not _equal(again, outputs[: len(again)])
        return _summary(outputs[: len(nudged)], nudged, outputs) | {"drawn": drawn}


def difference(one: list[float | None], two: list[float | None]) -> float:
    """The largest difference, relative to the largest number; infinite if the lengths differ.

    NaN equals only NaN.
    """
    if len(one) != len(two):
        return float("inf")
    size = max((abs(x) for x in [*one, *two] if x is not None), default=0.0) or 1.0
    pairs = list(zip(one, two, strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        return float("inf")
    return max((abs(a - b) / size for a, b in pairs if a is not None and b is not None), default=0)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch, and restore them afterwards."""
    kept, kept_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(kept)
            np.random.set_state(kept_numpy)


def _run(model: nn.Module, inputs: Tree, seed: int) -> Tensor:
    """All tensors that the model returns for a copy of the inputs, as one float64 vector."""
    with seeded(seed):
        outputs = list(leaves(call(model, clone(inputs))))
    real = [torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in outputs]
    return torch.cat([t.to_dense().double().flatten() for t in real])


def _summary(outputs: Tensor, nudged: Tensor, all_of: Tensor | None = None) -> dict[str, Any]:
    moved = difference(_numbers(outputs), _numbers(nudged))
    within = max(_ROUNDING, _NUDGE_FACTOR * moved) if moved < float("inf") else None
    return {"outputs": _numbers(outputs if all_of is None else all_of), "within": within}


def _numbers(outputs: Tensor) -> list[float | None]:
    outputs = outputs.detach()
    if not outputs.numel():
        return []
    places = np.linspace(0, outputs.numel() - 1, min(_SAMPLES, outputs.numel())).round()
    sampled = [*outputs[torch.from_numpy(places).long()], outputs.mean(), outputs.abs().mean()]
    return [float(f"{float(x):.7g}") if torch.isfinite(x) else None for x in sampled]


def _nudge_inputs(inputs: Tree) -> Tree:
    def nudge(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        by = values("nudge", torch.Size((tensor.numel(), 1))).reshape(tensor.shape)
        return tensor + _NUDGE * by.to(tensor.dtype)

    return map_tensors(nudge, inputs)


def _state_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the state dict, not detached."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _equal(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and torch.allclose(one, two, rtol=1e-6, equal_nan=True)


def _tensor_text(tensor: Tensor) -> str:
    size = "?" if nn.parameter.is_lazy(tensor) else "x".join(map(str, tensor.shape)) or "1"
    return f"{size} {str(tensor.dtype).removeprefix('torch.')}"


def _options(module: nn.Module) -> str:
    try:
        # Memory addresses, such as those of functions passed as options, differ every time.
        return re.sub(r"0x[0-9a-f]+", "", module.extra_repr())
    except Exception:  # third-party code; options that cannot be read are not compared
        return ""
