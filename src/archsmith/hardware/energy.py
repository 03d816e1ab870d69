"""Energy of a forward pass, where the machine counts it."""

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

#: Where Linux shows the counters of RAPL (Running Average Power Limit) of Intel and AMD.
POWERCAP = Path("/sys/class/powercap")
_SMI = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")

#: Millijoules that were used since some moment in the past.
Meter = Callable[[], float]


@dataclass
class Rapl:
    """Adds up the processor packages' counters, which start over at a maximum now and then.

    Called, it gives millijoules since it was made. It has to be called more often than a counter
    starts over: at a hundred watts that is about every three quarters of an hour.

    Args:
        folder: of the powercap interface.

    Raises:
        InputError: there is no package counter that may be read.
    """

    folder: Path = POWERCAP

    def __post_init__(self) -> None:
        self._zones = [zone for zone in sorted(self.folder.glob("intel-rapl:*")) if _package(zone)]
        if not self._zones:
            raise InputError(
                "energy",
                f"a package counter in {self.folder}",
                "none",
                "energy_mj needs a machine that counts energy: bare metal with RAPL, or an NVIDIA "
                "GPU; virtual machines rarely do",
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
                f"an administrator may allow it: chmod a+r {zone / name}",
            ) from None


class NvidiaSmi:
    """Power that ``nvidia-smi`` tells of a GPU, multiplied by the time since the last call.

    A coarse meter: the power is an average over some tens of milliseconds to a second.

    Args:
        index: of the GPU.
        ask: gives watts; for tests.
        clock: gives seconds.

    Raises:
        InputError: there is no ``nvidia-smi``, or it tells no power.
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
    """What counts the energy of a device.

    Raises:
        InputError: nothing here does.
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
    """Millijoules of one forward pass, a batch.

    The model runs over and over for about ``seconds``; what the whole package or GPU used
    meanwhile, idle power and other programs included, is divided by the number of passes.

    Args:
        probe: a model made ready in a runtime.
        seconds: counters tick in milliseconds, so a tenth of a second is the least.
        count, clock: the energy and the time; for tests.

    Raises:
        InputError: the machine does not tell.
    """
    count = count or meter(probe.place)
    probe.measure(seconds=seconds / 5)  # warm
    with probe.passing():
        start, before, passes = clock(), count(), 0
        while passes == 0 or clock() - start < max(seconds, 0.1):
            probe.run()
            passes += 1
        return (count() - before) / passes


def _package(zone: Path) -> bool:
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
        raise InputError("energy", "nvidia-smi to tell the power", str(error)) from None
