"""Energy of a forward pass, on machines that measure it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .._support.errors import InputError
from .clock import Clock
from .latency import Probe
from .place import device_here

#: Where Linux exposes the counters of RAPL (Running Average Power Limit) of Intel and AMD.
POWERCAP = Path("/sys/class/powercap")
_SMI = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")

#: Returns the millijoules used since some moment in the past.
Meter = Callable[[], float]


@dataclass
class Rapl:
    """Adds up the counters of the processor packages, which wrap around at a maximum.

    A call returns the millijoules since the object was created. It must be called more often than a
    counter wraps around: at a hundred watts that is about every three quarters of an hour.

    Args:
        folder: of the powercap interface.

    Raises:
        InputError: there is no package counter, or it cannot be read.
    """

    folder: Path = POWERCAP

    def __post_init__(self) -> None:
        self._zones = [
            zone for zone in sorted(self.folder.glob("intel-rapl:*")) if _is_package(zone)
        ]
        if not self._zones:
            raise InputError(
                "energy",
                f"a package counter in {self.folder}",
                "none",
                "energy_mj needs a machine that measures energy: bare metal with RAPL, or an "
                "NVIDIA GPU; virtual machines rarely do",
            )
        self._last = [self._read(zone, "energy_uj") for zone in self._zones]
        self._used = 0.0

    def __call__(self) -> float:
        for place, zone in enumerate(self._zones):
            now, before = self._read(zone, "energy_uj"), self._last[place]
            if now < before:
                self._used += self._read(zone, "max_energy_range_uj")
            self._used += now - before
            self._last[place] = now
        return self._used / 1e3

    def _read(self, zone: Path, name: str) -> float:
        try:
            return float((zone / name).read_text(encoding="ascii"))
        except OSError as error:
            raise InputError(
                "energy",
                f"{zone / name} to be readable",
                error.strerror,
                f"an administrator can allow it: chmod a+r {zone / name}",
            ) from None


class NvidiaSmi:
    """Power of a GPU as ``nvidia-smi`` reports it, multiplied by the time since the last call.

    A coarse meter: the power is an average over some tens of milliseconds to a second.

    Args:
        index: of the GPU.
        ask: returns watts; for tests.
        clock: returns seconds; for tests.

    Raises:
        InputError: there is no ``nvidia-smi``, or it does not report the power.
    """

    def __init__(
        self, index: int, ask: Callable[[], float] | None = None, clock: Clock = time.perf_counter
    ) -> None:
        self._ask = ask or (lambda: _watts(index))
        self._clock = clock
        self._used, self._watts, self._then = 0.0, self._ask(), clock()

    def __call__(self) -> float:
        watts, now = self._ask(), self._clock()
        self._used += (watts + self._watts) / 2 * (now - self._then) * 1e3
        self._watts, self._then = watts, now
        return self._used


def meter(device: str | torch.device, folder: Path = POWERCAP) -> Meter:
    """A meter of the energy of a device.

    Raises:
        InputError: this machine does not measure the energy of the device.
    """
    place = device_here(device)
    if place.type == "cpu":
        return Rapl(folder)
    if place.type == "cuda":
        return NvidiaSmi(place.index or 0)
    raise InputError("energy", "a CPU or an NVIDIA GPU", place.type)


def measure_energy(
    probe: Probe,
    *,
    seconds: float = 1.0,
    count: Meter | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """Millijoules of one forward pass of a batch.

    The model runs repeatedly for about ``seconds``; the energy that the whole package or GPU uses
    in that time, including idle power and other programs, is divided by the number of passes.

    Args:
        probe: a model prepared in a runtime.
        seconds: at least a tenth of a second is used, since counters advance in milliseconds.
        count, clock: return millijoules and seconds; for tests.

    Raises:
        InputError: this machine does not measure the energy of the probe's device.
    """
    count = count or meter(probe.place)
    probe.measure(seconds=seconds / 5)  # warm
    with probe.passing():
        start, before, passes = clock(), count(), 0
        while passes == 0 or clock() - start < max(seconds, 0.1):
            probe.run()
            passes += 1
        return (count() - before) / passes


def _is_package(zone: Path) -> bool:
    """Whether a zone is a whole package: its parts (core, uncore) would be counted twice."""
    try:
        return (zone / "name").read_text(encoding="ascii").startswith("package")
    except OSError:
        return False


def _watts(index: int) -> float:
    command = [*_SMI, f"--id={index}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return float(done.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise InputError("energy", "nvidia-smi to report the power", str(error)) from None
