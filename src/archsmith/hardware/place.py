"""The device that a model runs on: whether this machine has it, its name, its threads."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .._support.allocator import ordinary_memory
from .._support.errors import InputError


def device_name(device: str | torch.device) -> str:
    """The system's name of the processor behind a torch device."""
    place = torch.device(device)
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    if place.type != "cpu":
        return place.type
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device_here(device: str | torch.device) -> torch.device:
    """The device with its index.

    Raises:
        InputError: this machine does not have the device, or it is ``meta``, which computes
            nothing.
    """
    try:
        # Creating an empty tensor is the one check that works for every kind of device, and it
        # fills in the index that "cuda" leaves out.
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("device", "one that this machine has", repr(str(device)), reason) from None
    if place.type == "meta":
        raise InputError("device", "one that computes", "'meta'")
    return place


def wait(place: torch.device) -> None:
    """Wait until an accelerator has finished its work; returns at once for a CPU."""
    if place.type != "cpu":
        torch.accelerator.synchronize(place)


@contextmanager
def as_deployed(threads: int) -> Iterator[None]:
    """Run with this number of CPU threads, and with the memory settings of a process that only runs
    a model."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with ordinary_memory():
            yield
    finally:
        torch.set_num_threads(before)
