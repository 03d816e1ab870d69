"""Where each module was made: the lines of user code, and how many decisions had been asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules import module as _hooks

from ..space import building
from ..space import reading as _reading
from ..space.architecture import Answer
from ..space.decision import Decision
from ..space.reading import Reading

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_SPACE = os.path.dirname(os.path.abspath(_reading.__file__))
_STOP = building.Builder.run.__code__

#: Lines of user code, from the inside out: (file, line number).
Line = tuple[str, int]
Lines = tuple[Line, ...]


@dataclass(slots=True)
class Made:
    """How a module came to be.

    Attributes:
        lines: of the user's code that was running; those inside its own constructor left out.
        asked: how many decisions had been asked by then.
        module: kept alive, so that its ``id`` stays its own.
    """

    lines: Lines
    asked: int
    module: nn.Module


@contextmanager
def watched(run: Reading) -> Iterator[dict[int, Made]]:
    """Record where the modules made inside come from, by ``id``, through torch's own hooks."""
    origins: dict[int, Made] = {}
    policy = run.policy

    def record(module: nn.Module, name: str, tensor: object) -> None:
        if id(module) not in origins:
            lines = record_constructors(module)
            origins[id(module)] = Made(lines, len(run.asked), module)
            run.mark(module)

    def record_constructors(module: nn.Module | None) -> Lines:
        """Record the constructors that are running: the parts of a block say where it was made."""
        lines, selves = _stack(module)
        for place, owner in selves:
            origins.setdefault(id(owner), Made(lines[place:], len(run.asked), owner))
        return lines

    def asking(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
        record_constructors(None)
        return policy(decision, so_far)

    run.policy = asking
    handles = [
        _hooks.register_module_parameter_registration_hook(record),
        _hooks.register_module_buffer_registration_hook(record),
    ]
    try:
        yield origins
        for copy, source in run.copies:
            if source in origins:
                origins[id(copy)] = replace(origins[source], module=copy)
    finally:
        run.policy = policy
        for handle in handles:
            handle.remove()


def _stack(module: nn.Module | None) -> tuple[Lines, list[tuple[int, nn.Module]]]:
    """User lines outside the module's own constructor, and the constructors that are running.

    Each constructor comes with the number of lines that lie inside it.
    """
    lines: list[tuple[str, int]] = []
    selves: list[tuple[int, nn.Module]] = []
    frame = sys._getframe(3)
    while frame is not None and frame.f_code is not _STOP:
        code = frame.f_code
        file = code.co_filename
        own = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if module is not None and own is module:
            lines.clear()
            selves.clear()
        elif not file.startswith((_TORCH, _SPACE)):
            lines.append((file, frame.f_lineno))
            if isinstance(own, nn.Module) and code.co_name == "__init__":
                selves.append((len(lines), own))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(lines), selves
