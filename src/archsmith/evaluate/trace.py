"""A signature of what a model computes: equal for models that are built the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import Tree, leaves
from ..hardware.cost import OnCall

#: Modules that only contain others, or do nothing: a network is the same with and without them.
_TRANSPARENT = (nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Operations whose two operands commute.
_COMMUTE = ("aten.add.Tensor", "aten.mul.Tensor", "aten.maximum.default", "aten.minimum.default")


class Trace:
    """The graph of a forward pass, recorded while :func:`~archsmith.hardware.cost.cost` runs it.

    Each operation is identified by its name, its plain arguments and the identifiers of its inputs,
    so that neither names of modules nor the order of independent branches matter. A parameter is
    identified by its shape and type, and by how often it was used before, which distinguishes two
    layers from one that is used twice.
    """

    def __init__(self) -> None:
        self._identifiers: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        self._marks: list[str] = []

    def listen(self, state: Iterable[Tensor], example: Tree) -> OnCall:
        """Start a new trace; pass this method to :func:`cost` as ``listen``."""
        self._identifiers = {id(tensor): f"own{_shape_and_type(tensor)}" for tensor in state}
        self._uses = dict.fromkeys(self._identifiers, 0)
        for place, tensor in enumerate(leaves(example)):
            self._identifiers[id(tensor)] = f"input{place or ''}{_shape_and_type(tensor)}"
        self._marks = []
        return self._record

    def signature(self, model: nn.Module) -> str:
        """Sixteen hex digits of the operations, the tensors and the settings of the modules.

        The order of operations matters only if one uses the other. Settings of a module are its
        class, ``extra_repr`` and plain attributes, since the rate of dropout, for one, is not in
        the trace.
        """
        tensors = [_shape_and_type(t) for t in (*model.parameters(), *model.buffers())]
        settings = [_settings(m) for m in model.modules() if not isinstance(m, _TRANSPARENT)]
        return _digest(*sorted(self._marks), *sorted(tensors), *sorted(settings))

    def _record(self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> None:
        name = str(func)
        descriptions = [self._describe(value) for value in args]
        if name in _COMMUTE and not kwargs and len(descriptions) == 2:
            descriptions.sort()
        mark = _digest(
            name, *descriptions, *(f"{k}={self._describe(v)}" for k, v in sorted(kwargs.items()))
        )
        self._marks.append(mark)
        for place, tensor in enumerate(leaves(result)):
            # Every tensor is the result of an operation, so a reused address is recorded again, and
            # tensors do not have to be kept alive (they would count as memory).
            self._identifiers[id(tensor)] = f"{mark}.{place}"
            self._uses.pop(id(tensor), None)

    def _describe(self, value: Any) -> str:
        if isinstance(value, Tensor):
            description = self._identifiers.get(id(value), f"made{_shape_and_type(value)}")
            if id(value) in self._uses:
                description += f"#{self._uses[id(value)]}"
                self._uses[id(value)] += 1
            return description
        if isinstance(value, list | tuple):
            return f"[{', '.join(self._describe(item) for item in value)}]"
        if isinstance(value, torch.Generator):
            return "generator"
        return repr(value)


def alike(one: nn.Module, two: nn.Module) -> bool:
    """Whether two models with equal signatures have equivalent initial values, which a trace does
    not contain.

    Args:
        one, two: built on the CPU, with the same seed.

    Returns:
        Whether their tensors are equal apart from random draws: constants and computed buffers are
        equal, random weights have about the same spread.
    """
    return all(
        torch.equal(a, b) or _random_alike(a, b)
        for a, b in zip(_sorted_tensors(one), _sorted_tensors(two), strict=True)
    )


def _sorted_tensors(model: nn.Module) -> list[Tensor]:
    tensors = [t.detach() for t in (*model.parameters(), *model.buffers())]
    return sorted(tensors, key=lambda t: (tuple(t.shape), str(t.dtype), _spread(t), _mean(t)))


def _random_alike(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not a.is_floating_point() or not b.is_floating_point():
        return False
    one, two = _spread(a), _spread(b)
    if one == 0 or two == 0 or a.numel() < 2:
        return False
    # The relative standard error of the spread of n values is about 0.7 / sqrt(n), and both have
    # it: four standard errors of their difference.
    allowed = max(0.02, 4.0 / a.numel() ** 0.5)
    return bool(abs(one - two) <= allowed * max(one, two))


def _spread(tensor: Tensor) -> float:
    values = tensor.double()
    return float((values - values.mean()).square().mean().sqrt()) if tensor.numel() else 0.0


def _mean(tensor: Tensor) -> float:
    return float(tensor.double().mean()) if tensor.numel() else 0.0


def _settings(module: nn.Module) -> str:
    plain = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training" and _is_plain(value)
    }
    kind = type(module)
    return f"{kind.__module__}.{kind.__qualname__}({module.extra_repr()}) {sorted(plain.items())}"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _shape_and_type(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}{tensor.dtype}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
