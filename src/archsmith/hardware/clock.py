"""Timing: warm-up, quantiles over runs, and a second measurement if the first is noisy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .options import WIDE

#: Fewest timed runs, however slow the model is.
FEWEST = 5

#: Seconds, as :func:`time.perf_counter` gives them.
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of one forward pass, in milliseconds per batch.

    Attributes:
        median, p10, p90, p95: quantiles over the timed runs.
        runs: number of timed runs, without the warm-up.
        batch: examples per run.
        threads: CPU threads that the pass could use.
        device: name of the processor, as the system reports it.
        runtime: ``eager``, ``exported`` or ``onnx``.
    """

    median: float
    p10: float
    p90: float
    p95: float
    runs: int
    batch: int
    threads: int
    device: str
    runtime: str = "eager"

    @property
    def spread(self) -> float:
        """``(p90 - p10) / median``: 0 means perfectly steady."""
        return (self.p90 - self.p10) / self.median if self.median else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the quantiles are so far apart that other work must have disturbed the runs."""
        return self.spread > WIDE

    def metrics(self) -> dict[str, float]:
        """The values as metrics of a trial, by the names in :data:`METRICS`."""
        values = (
            self.median,
            self.p10,
            self.p90,
            self.spread,
            float(self.batch),
            float(self.threads),
        )
        return dict(zip(METRICS, values, strict=True))


#: Names of the metrics of a measured latency.
METRICS = (
    "latency_ms",
    "latency_p10_ms",
    "latency_p90_ms",
    "latency_spread",
    "latency_batch",
    "latency_threads",
)


def timed(
    run: Callable[[], object],
    *,
    warmup: int = 3,
    runs: int = 200,
    seconds: float = 0.3,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """Milliseconds of each of several runs, after a warm-up.

    Args:
        run: the function to time; it returns when the work is done.
        warmup: lowest number of warm-up runs; they continue until a run is no longer clearly
            faster than those before, or a third of the time has passed.
        runs: highest number of timed runs.
        seconds: about how long it may take in total; at least five runs are timed.
    """
    start = clock()
    warm: list[float] = []
    while not _is_steady(warm, max(1, warmup)):
        warm.append(_time_once(run, clock))
        if len(warm) >= warmup and clock() - start > seconds / 3:
            break
    times: list[float] = []
    while len(times) < runs:
        if len(times) >= FEWEST and clock() - start > seconds:
            break
        times.append(_time_once(run, clock))
    return times


def quantiles(times: Sequence[float]) -> tuple[float, float, float, float]:
    """The median of times, and their quantiles at 10, 90 and 95 percent."""
    p10, median, p90, p95 = (float(q) for q in np.quantile(times, (0.1, 0.5, 0.9, 0.95)))
    return median, p10, p90, p95


def steadied(measure: Callable[[], Latency]) -> Latency:
    """A measurement; if it is noisy, the steadier of two.

    If that is noisy, too, :attr:`Latency.noisy` tells.
    """
    latency = measure()
    if latency.noisy:
        latency = min(latency, measure(), key=lambda one: one.spread)
    return latency


def confirmed(measure: Callable[[], Latency], times: int = 3) -> Latency:
    """The slowest of several steady measurements, so that a limit will hold in later ones, too.

    A single measurement below a limit may be luck. If no measurement is steady, the one in the
    middle is returned.
    """
    measurements = sorted((steadied(measure) for _ in range(times)), key=lambda one: one.median)
    steady = [one for one in measurements if not one.noisy]
    return steady[-1] if steady else measurements[len(measurements) // 2]


def _time_once(run: Callable[[], object], clock: Clock) -> float:
    start = clock()
    run()
    return (clock() - start) * 1e3


def _is_steady(warm: Sequence[float], fewest: int) -> bool:
    """Whether the last three runs were no longer clearly faster than the three before."""
    if len(warm) < max(6, fewest):
        return False
    return float(np.median(warm[-3:])) > 0.95 * float(np.median(warm[-6:-3]))
