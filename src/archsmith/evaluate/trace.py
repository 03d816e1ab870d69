"""What a model computes, as one short string: the same for models that are built the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import Tree, leaves
from ..hardware.cost import OnCall

#: Modules that only hold others, or do nothing: a network is the same with and without them.
_BARE = (nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Operations whose two tensors may change places.
_COMMUTE = ("aten.add.Tensor", "aten.mul.Tensor", "aten.maximum.default", "aten.minimum.default")


class Trace:
    """The graph of a forward pass, made while :func:`~archsmith.hardware.cost.cost` listens.

    Each operation is known by its name, its plain arguments and by what its inputs are known by, so
    that neither names of modules nor the order of independent branches matter. A parameter is known
    by its shape and its type, and by how often it was used before, which tells two layers from one
    that is used twice.
    """

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        self._marks: list[str] = []

    def listen(self, state: Iterable[Tensor], example: Tree) -> OnCall:
        """Begin anew; what :func:`cost` takes as ``listen``."""
        self._known = {id(tensor): f"own{_form(tensor)}" for tensor in state}
        self._uses = dict.fromkeys(self._known, 0)
        for place, tensor in enumerate(leaves(example)):
            self._known[id(tensor)] = f"input{place or ''}{_form(tensor)}"
        self._marks = []
        return self._take

    def signature(self, model: nn.Module) -> str:
        """Sixteen hex digits of the operations, the tensors and the settings of the modules.

        The order of the operations counts as far as one uses the other. Of a module count its
        class, ``extra_repr`` and the plain attributes: a rate of dropout is not in the trace.
        """
        tensors = [_form(t) for t in (*model.parameters(), *model.buffers())]
        settings = [_settings(m) for m in model.modules() if not isinstance(m, _BARE)]
        return _digest(*sorted(self._marks), *sorted(tensors), *sorted(settings))

    def _take(self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> None:
        name = str(func)
        told = [self._told(value) for value in args]
        if name in _COMMUTE and not kwargs and len(told) == 2:
            told.sort()
        mark = _digest(name, *told, *(f"{k}={self._told(v)}" for k, v in sorted(kwargs.items())))
        self._marks.append(mark)
        for place, tensor in enumerate(leaves(result)):
            # Every tensor comes out of some operation, so an address that is used again is noted
            # again, and nothing has to be kept alive (it would count as memory).
            self._known[id(tensor)] = f"{mark}.{place}"
            self._uses.pop(id(tensor), None)

    def _told(self, value: Any) -> str:
        if isinstance(value, Tensor):
            known = self._known.get(id(value), f"made{_form(value)}")
            if id(value) in self._uses:
                known += f"#{self._uses[id(value)]}"
                self._uses[id(value)] += 1
            return known
        if isinstance(value, list | tuple):
            return f"[{', '.join(self._told(item) for item in value)}]"
        if isinstance(value, torch.Generator):
            return "generator"
        return repr(value)


def alike(one: nn.Module, two: nn.Module) -> bool:
    """Whether two models with equal signatures start alike: the values that a trace cannot see.

    Args:
        one, two: built on the CPU, with the same seed.

    Returns:
        Whether their tensors are the same but for what chance drew: constants and computed buffers
        are equal, random weights have about the same spread.
    """
    return all(
        torch.equal(a, b) or _random_alike(a, b)
        for a, b in zip(_ordered(one), _ordered(two), strict=True)
    )


def _ordered(model: nn.Module) -> list[Tensor]:
    tensors = [t.detach() for t in (*model.parameters(), *model.buffers())]
    return sorted(tensors, key=lambda t: (tuple(t.shape), str(t.dtype), _spread(t), _mean(t)))


def _random_alike(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not a.is_floating_point() or not b.is_floating_point():
        return False
    one, two = _spread(a), _spread(b)
    if one == 0 or two == 0 or a.numel() < 2:
        return False
    # The error of a spread of n values is about 0.7 / sqrt(n) of it; four of them, and both err.
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


def _form(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}{tensor.dtype}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
