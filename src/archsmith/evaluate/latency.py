"""Latency of an architecture, measured on a device of this machine."""

from __future__ import annotations

from ..hardware.clock import METRICS, Latency, confirmed, steadied
from ..history.trial import Fidelity
from ..space.architecture import Architecture
from .base import Remeasured, Watch
from .on_device import OnDevice


class LatencyEvaluator(OnDevice, Remeasured):
    """Measured latency of an architecture with fresh weights on a device of this machine.

    It provides ``latency_ms`` (the median), ``latency_p10_ms`` and ``latency_p90_ms``, in
    milliseconds per batch, ``latency_spread``, and the conditions: ``latency_batch``, the examples
    per batch, and ``latency_threads``, the CPU threads. If the quantiles are further apart than
    half the median (a spread above 0.5), other work disturbed the runs: latency is measured once
    more and the steadier measurement counts.
    """

    name = "latency"
    clocked = ("latency_ms", "latency_p10_ms", "latency_p90_ms", "latency_spread")

    @property
    def provides(self) -> tuple[str, ...]:
        return METRICS

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        return self.measure(architecture, seed).metrics()

    def measure(self, architecture: Architecture, seed: int = 0, confirm: bool = False) -> Latency:
        """The latency; with ``confirm``, that of :func:`~archsmith.hardware.clock.confirmed`."""
        probe = self.probe(architecture, seed)
        repeat = confirmed if confirm else steadied
        return repeat(lambda: probe.measure(seconds=self.options.seconds))

    def remeasure(self, architecture: Architecture) -> dict[str, float]:
        return self.measure(architecture, confirm=True).metrics()
