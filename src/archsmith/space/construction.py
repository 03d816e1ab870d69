"""Modules under construction, and the names that they give."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any


class ModuleScopes:
    """Names for the modules that are being constructed, such as ``Block0`` and ``Block1``.

    A module's number counts those of its class that were begun before it inside the same module
    and the same scope.

    Args:
        outside: modules that were already being constructed, which give no scope.
    """

    def __init__(self, outside: Sequence[Any]) -> None:
        self.outside = len(outside)
        self._labels: dict[int, str] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._alive: list[Any] = []  # so that no other module gets the same id

    def depth(self) -> int:
        """How many modules that give a scope are being constructed."""
        return len(under_construction()) - self.outside

    def names(self, scopes: Sequence[str], depths: Sequence[int]) -> list[str]:
        """Scopes from the outside in.

        Args:
            scopes: that the builder spelled.
            depths: of the modules under construction when each of them was opened.
        """
        modules = under_construction()[self.outside :]
        found: list[str] = []
        done = 0
        for scope, depth in [*zip(scopes, depths, strict=True), ("", len(modules))]:
            for module in modules[done:depth]:
                found.append(self._label(module, ".".join(found)))
            done = max(done, depth)
            found += [scope] if scope else []
        return found

    def _label(self, module: Any, inside: str) -> str:
        label = self._labels.get(id(module))
        if label is None:
            kind = type(module).__name__
            kind += "_" if kind[-1].isdigit() else ""
            label = f"{kind}{self._numbers[inside, kind]}"
            self._numbers[inside, kind] += 1
            self._labels[id(module)] = label
            self._alive.append(module)
        return label


def under_construction() -> list[Any]:
    """Modules whose constructors are running in this thread, from the outside in.

    Torch's own are left out, so that a list filled from a generator names its blocks as another.
    """
    from torch import nn

    found: dict[int, Any] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__init__" and code.co_argcount:
            this = frame.f_locals.get(code.co_varnames[0])
            if isinstance(this, nn.Module) and not is_torchs(this):
                found.setdefault(id(this), this)
        frame = frame.f_back
    return list(found.values())[::-1]


def is_torchs(module: Any) -> bool:
    return type(module).__module__.startswith("torch.")
