"""Latency of a model, measured on a device of this machine in one of three runtimes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from .._support.errors import InputError
from .._support.trees import Tree, map_tensors, move, take
from .clock import Clock, Latency, quantiles, timed
from .cost import evaluating
from .place import as_deployed, device_here, device_name
from .runtimes import RUNTIMES, check_runtime


def measure_latency(
    model: nn.Module,
    example: Tree,
    *,
    device: str | torch.device = "cpu",
    runtime: str = "eager",
    batch: int = 1,
    threads: int = 1,
    warmup: int = 3,
    runs: int = 200,
    seconds: float = 0.3,
    clock: Clock = time.perf_counter,
) -> Latency:
    """Time the forward pass of a model in evaluation mode and inference mode.

    The model warms up until a run is no longer clearly faster than those before. Then it is timed
    for ``runs`` runs or until ``seconds`` have passed, including the warm-up, but at least five
    times. An accelerator is synchronised before and after each run.

    >>> latency = measure_latency(model, torch.zeros(1, 3, 32, 32), batch=8)
    >>> latency.median, latency.noisy  # milliseconds per batch

    Args:
        model: if it is not on ``device`` already, a copy of it is timed.
        example: an input with the batch first; its first example is repeated ``batch`` times.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        runtime: ``"eager"``, ``"exported"`` or ``"onnx"``; see :mod:`~archsmith.hardware.runtimes`.
        batch: examples per run.
        threads: CPU threads; the previous number is restored afterwards. It is a setting of the
            whole process, so nothing else should run in the process at the same time.
        warmup: lowest number of warm-up runs.
        runs: highest number of timed runs.
        seconds: about how long it may take in total, apart from copying and exporting.
        clock: returns seconds; for tests.

    Raises:
        InputError: a number below 1, or a device that this machine does not have.
        MissingExtraError: the runtime needs a package that is not installed.
    """
    if runs < 1:
        raise InputError("runs", "1 or more", str(runs))
    probe = Probe(model, example, device=device, runtime=runtime, batch=batch, threads=threads)
    return probe.measure(warmup=warmup, runs=runs, seconds=seconds, clock=clock)


class Probe:
    """A model that is prepared in a runtime once and can be timed repeatedly.

    Args:
        model, example, device, runtime, batch, threads: as for :func:`measure_latency`.

    Raises:
        InputError, MissingExtraError: as for :func:`measure_latency`.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tree,
        *,
        device: str | torch.device = "cpu",
        runtime: str = "eager",
        batch: int = 1,
        threads: int = 1,
    ) -> None:
        for name, value in (("batch", batch), ("threads", threads)):
            if value < 1:
                raise InputError(name, "1 or more", str(value))
        place = self.place = device_here(device)
        check_runtime(runtime, place)
        self.runtime, self.batch, self.threads = runtime, batch, threads
        tensors = [*model.parameters(), *model.buffers()]
        if any(tensor.device != place for tensor in tensors):
            model = _copy_to(model, place)
        self.model = model
        first = take(example, slice(1))
        inputs = move(map_tensors(lambda t: t.repeat_interleave(batch, dim=0), first), place)
        #: Inference mode, or ``no_grad`` for a model that calls autograd in its forward pass.
        self.without: Callable[[], AbstractContextManager[object]] = torch.inference_mode
        with evaluating(model), as_deployed(threads):
            self.run = RUNTIMES[runtime](model, inputs, threads)
            try:
                with torch.inference_mode():
                    self.run()
            except RuntimeError:
                self.without = torch.no_grad

    @contextmanager
    def passing(self) -> Iterator[None]:
        """The context to call :attr:`run` in: evaluation and inference mode, and the threads."""
        with evaluating(self.model), as_deployed(self.threads), self.without():
            yield

    def measure(
        self,
        *,
        warmup: int = 3,
        runs: int = 200,
        seconds: float = 0.3,
        clock: Clock = time.perf_counter,
    ) -> Latency:
        """Time it, as :func:`measure_latency` does."""
        with self.passing():
            times = timed(self.run, warmup=warmup, runs=runs, seconds=seconds, clock=clock)
        name = device_name(self.place)
        return Latency(*quantiles(times), len(times), self.batch, self.threads, name, self.runtime)


def _copy_to(model: nn.Module, place: torch.device) -> nn.Module:
    """A copy on another device; a model that cannot be copied (it holds a lock) is moved itself."""
    try:
        model = copy.deepcopy(model)
    except Exception:
        return model.to(place)
    return model.to(place)
