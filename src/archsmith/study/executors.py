"""Executors by name, and which devices their workers get."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.registry import Registry
from .executor import Executor, Inline
from .processes import Processes

#: Functions of the number of workers and their devices that return an executor. Plug-ins register
#: in the entry-point group ``archsmith.executors``.
executors = Registry(
    "executor", "archsmith.executors", {"local": "archsmith.study.executors:local"}
)


def local(workers: int, devices: Sequence[str] = ()) -> Executor:
    """This process for one worker, processes of this machine for more."""
    return Inline() if workers == 1 else Processes(workers, devices=devices)


def make_executor(executor: str | Executor, workers: int, device: str = "cpu") -> Executor:
    """The executor of that name; an executor is returned unchanged.

    Args:
        device: the requested device; with ``"auto"`` and several GPUs the workers share these.

    Raises:
        UnknownNameError: no executor has that name.
    """
    if isinstance(executor, Executor):
        return executor
    make = executors.get(executor)
    built: Executor = make(workers, _devices(device) if workers > 1 else ())
    return built


def _devices(device: str) -> tuple[str, ...]:
    """The devices that workers are assigned to in turn; empty without several GPUs."""
    if device != "auto":
        return ()
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else ()
