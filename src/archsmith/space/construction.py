"""Modules under construction, and the scope names derived from them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any


class ModuleScopes:
    """Names for the modules that are being constructed, such as ``Block0`` and ``Block1``.

    A module's number counts the modules of its class that were started before it inside the same
    module and the same scope.

    Args:
        outside: modules that were already under construction, which give no scope.
    """

    def __init__(self, outside: Sequence[Any]) -> None:
        self.outside = len(outside)
        self._labels: dict[int, str] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._alive: list[Any] = []  # keeps them alive, so that no id is reused

    def depth(self) -> int:
        """How many of the modules under construction give a scope."""
        return len(under_construction()) - self.outside

    def names(self, scopes: Sequence[str], depths: Sequence[int]) -> list[str]:
        """Scopes, outermost first.

        Args:
            scopes: opened explicitly by the builder.
            depths: how many modules were under construction when each of them was opened.
        """
        modules = under_construction()[self.outside :]
        names: list[str] = []
        done = 0
        for scope, depth in [*zip(scopes, depths, strict=True), ("", len(modules))]:
            for module in modules[done:depth]:
                names.append(self._label(module, ".".join(names)))
            done = max(done, depth)
            names += [scope] if scope else []
        return names

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
    """Modules whose constructors are running in this thread, outermost first.

    Torch's own modules are left out, so that a list filled from a generator names its blocks like
    any other list.
    """
    from torch import nn

    modules: dict[int, Any] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__init__" and code.co_argcount:
            this = frame.f_locals.get(code.co_varnames[0])
            if isinstance(this, nn.Module) and not is_torchs(this):
                modules.setdefault(id(this), this)
        frame = frame.f_back
    return list(modules.values())[::-1]


def is_torchs(module: Any) -> bool:
    return type(module).__module__.startswith("torch.")
