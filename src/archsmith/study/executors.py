"""Executors by name, and which devices their workers get."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.registry import Registry
from .executor import Executor, Inline
from .processes import Processes

#: What makes an executor of a number of workers and the devices for them. Plug-ins register in the
#: entry-point group ``archsmith.executors``.
executors = Registry(
    "executor", "archsmith.executors", {"local": "archsmith.study.executors:local"}
)


def local(workers: int, devices: Sequence[str] = ()) -> Executor:
    """This process for one worker, processes of this machine for more."""
    return Inline() if workers == 1 else Processes(workers, devices=devices)


def make_executor(given: str | Executor, workers: int, device: str = "cpu") -> Executor:
    """The executor of a name; one that is given as it is.

    Args:
        device: what was asked for; with ``"auto"`` and several GPUs the workers share these.

    Raises:
        UnknownNameError: no such name.
    """
    if isinstance(given, Executor):
        return given
    make = executors.get(given)
    made: Executor = make(workers, _devices(device) if workers > 1 else ())
    return made


def _devices(device: str) -> tuple[str, ...]:
    """The devices that workers take turns at; none where there is nothing to choose from."""
    if device != "auto":
        return ()
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else ()
