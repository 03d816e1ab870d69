"""Scopes for decision names: opened by the builder, or derived from the modules it constructs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .construction import ModuleScopes, is_torchs, under_construction
from .decision import check_name
from .reading import Reading, going_on


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Prefix the names of the decisions asked inside: ``with nas.scope("stage1"): ...``.

    Raises:
        SpaceError: a name with spaces, dots or equals signs.
    """
    check_name(name)
    run = going_on()
    if run is None:
        yield
        return
    with run.scope(name):
        yield


@contextmanager
def module_scopes() -> Iterator[None]:
    """Prefix the names of decisions with the modules in whose constructors they are asked.

    A choice that a block asks in its ``__init__`` is then decided separately for each block, as
    ``Block0.kernel``, ``Block1.kernel`` and so on, without passing names to the blocks. Blocks are
    numbered by class within the module that constructs them. Use it as a context manager around
    part of a builder, or as a decorator of a whole one.

    Example:
        >>> @nas.module_scopes()
        ... def net(classes: int) -> nn.Module:
        ...     return ThirdParty(depths=[2, 2], classes=classes)
    """
    run = going_on()
    if run is None or run.modules is not None:
        yield
        return
    run.modules = ModuleScopes(under_construction())
    run.depths = [0] * len(run.scopes)
    try:
        with ExitStack() as stack:
            _number_silent_modules(run, stack)
            yield
    finally:
        run.modules = None


def _number_silent_modules(run: Reading, stack: ExitStack) -> None:
    """Number modules without choices, too, so that later names stay if one gets a choice."""
    from torch.nn.modules import module as hooks

    def note(module: Any, name: str, value: Any) -> None:
        if going_on() is run and not is_torchs(module):
            run.prefix()

    stack.callback(hooks.register_module_parameter_registration_hook(note).remove)
    stack.callback(hooks.register_module_buffer_registration_hook(note).remove)
    stack.callback(hooks.register_module_module_registration_hook(note).remove)
