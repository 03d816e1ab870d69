"""Latency of a model, measured on a device of this machine."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..space import Space
from ..space.architecture import Architecture
from ..trial import Fidelity
from .base import Evaluator, Price, Watch
from .cost import check_example, evaluating, example_of

#: Fewest timed runs, however slow the model is.
FEWEST = 5
#: Spread, (p90 - p10) / median, above which the evaluator measures a second time.
WIDE = 0.5


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of one forward pass, in milliseconds a batch.

    Attributes:
        median, p10, p90, p95: quantiles over the timed runs.
        runs: timed runs behind them; the warm-up is not among them.
        batch: examples a run.
        threads: CPU threads that the pass could use.
        device: name of the processor, as the system gives it.
    """

    median: float
    p10: float
    p90: float
    p95: float
    runs: int
    batch: int
    threads: int
    device: str

    @property
    def spread(self) -> float:
        """``(p90 - p10) / median``: 0 is perfectly steady."""
        return (self.p90 - self.p10) / self.median if self.median else 0.0


def measure_latency(
    model: nn.Module,
    example: Tensor,
    *,
    device: str | torch.device = "cpu",
    batch: int = 1,
    threads: int = 1,
    warmup: int = 3,
    runs: int = 200,
    seconds: float = 0.3,
) -> Latency:
    """Time the forward pass of a model as it stands, in evaluation mode and inference mode.

    The model warms up until a run is no longer clearly faster than those before. Then it is timed
    for ``runs`` runs or until ``seconds`` are over, the warm-up included, but at least five times.
    An accelerator is waited for before and after each run.

    Args:
        model: a copy of it runs where it is not on ``device`` already.
        example: an input with the batch first; its first example is repeated ``batch`` times.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        batch: examples a run.
        threads: CPU threads; the number that was set before is set again afterwards. It is a
            setting of the whole process: time in a process that does nothing else meanwhile.
        warmup: fewest runs that are not counted.
        runs: most timed runs.
        seconds: about how long it may take in all, copying aside.

    Raises:
        InputError: a number below 1, or a device that this machine does not have.
    """
    for name, value in (("batch", batch), ("threads", threads), ("runs", runs)):
        if value < 1:
            raise InputError(name, "1 or more", str(value))
    place = _device(device)
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.device != place for tensor in tensors):
        model = copy.deepcopy(model).to(place)
    inputs = example[:1].repeat_interleave(batch, dim=0).to(place)
    with evaluating(model), _threads(threads), torch.inference_mode():
        times = _times(_run_once(model, inputs, place), warmup, runs, seconds)
    p10, median, p90, p95 = (float(q) for q in np.quantile(times, (0.1, 0.5, 0.9, 0.95)))
    return Latency(median, p10, p90, p95, len(times), batch, threads, device_name(place))


class LatencyEvaluator(Evaluator):
    """Measured latency of an architecture with fresh weights on a device of this machine.

    Gives ``latency_ms`` (the median), ``latency_p10_ms`` and ``latency_p90_ms``, in milliseconds a
    batch, and what they hold for: ``latency_batch``, the examples a batch, and
    ``latency_threads``, the CPU threads. Where the quantiles are further apart than half the
    median, something else had the processor: it is measured once more and the steadier
    measurement counts.

    Args:
        space: builds the architectures.
        shape: of one model input, the batch included; its first size is replaced by ``batch``.
        dtype: name of the input's torch type.
        device: where the model runs.
        batch: examples a run.
        threads: CPU threads.
        seconds: about how long one measurement takes.

    Raises:
        InputError: a shape, a type or a device that cannot be.
    """

    name = "latency"
    price = Price.MEASURED

    def __init__(
        self,
        space: Space,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        device: str = "cpu",
        batch: int = 1,
        threads: int = 1,
        seconds: float = 0.3,
    ) -> None:
        check_example(shape, dtype)
        _device(device)
        self.space, self.shape, self.dtype = space, tuple(shape), dtype
        self.device, self.batch, self.threads, self.seconds = device, batch, threads, seconds

    @property
    def provides(self) -> tuple[str, ...]:
        return (
            "latency_ms", "latency_p10_ms", "latency_p90_ms", "latency_batch", "latency_threads",
        )  # fmt: skip

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        model = self.space.build(architecture, seed=seed).to(self.device)
        example = example_of(self.shape, self.dtype, batch=1, device=self.device)
        latency = self._measure(model, example)
        if latency.spread > WIDE:
            latency = min(latency, self._measure(model, example), key=lambda one: one.spread)
        return {
            "latency_ms": latency.median,
            "latency_p10_ms": latency.p10,
            "latency_p90_ms": latency.p90,
            "latency_batch": float(latency.batch),
            "latency_threads": float(latency.threads),
        }

    def _measure(self, model: nn.Module, example: Tensor) -> Latency:
        return measure_latency(
            model,
            example,
            device=self.device,
            batch=self.batch,
            threads=self.threads,
            seconds=self.seconds,
        )


def device_name(device: str | torch.device) -> str:
    """What the system calls the processor behind a torch device."""
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


def _device(device: str | torch.device) -> torch.device:
    try:
        # An empty tensor there is the one question that every kind of device answers alike; its
        # device has the index that "cuda" leaves out.
        place = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("device", "one that this machine has", repr(str(device)), reason) from None
    if place.type == "meta":
        raise InputError("device", "one that computes", "'meta'")
    return place


def _run_once(model: nn.Module, inputs: Tensor, place: torch.device) -> Callable[[], float]:
    wait = place.type != "cpu"

    def run() -> float:
        if wait:
            torch.accelerator.synchronize(place)
        start = time.perf_counter()
        model(inputs)
        if wait:
            torch.accelerator.synchronize(place)
        return (time.perf_counter() - start) * 1e3

    return run


def _times(run: Callable[[], float], warmup: int, runs: int, seconds: float) -> list[float]:
    start = time.perf_counter()
    warm: list[float] = []
    while not _steady(warm, max(1, warmup)):
        warm.append(run())
        if len(warm) >= warmup and time.perf_counter() - start > seconds / 3:
            break
    times: list[float] = []
    while len(times) < runs:
        if len(times) >= FEWEST and time.perf_counter() - start > seconds:
            break
        times.append(run())
    return times


def _steady(warm: Sequence[float], fewest: int) -> bool:
    """Whether the last three runs were no longer clearly faster than the three before."""
    if len(warm) < max(6, fewest):
        return False
    return float(np.median(warm[-3:])) > 0.95 * float(np.median(warm[-6:-3]))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
