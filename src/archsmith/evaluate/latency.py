"""Latency of an architecture, measured on a device of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from ..hardware.clock import METRICS, Latency, confirmed, steadied
from ..hardware.cost import check_example, example_of
from ..hardware.latency import Probe
from ..hardware.options import LatencyOptions
from ..hardware.place import device_here
from ..hardware.runtimes import check_runtime
from ..space import Space
from ..space.architecture import Architecture
from ..trial import Fidelity
from .base import Evaluator, Price, Watch


class LatencyEvaluator(Evaluator):
    """Measured latency of an architecture with fresh weights on a device of this machine.

    Gives ``latency_ms`` (the median), ``latency_p10_ms`` and ``latency_p90_ms``, in milliseconds a
    batch, ``latency_spread``, and what they hold for: ``latency_batch``, the examples a batch, and
    ``latency_threads``, the CPU threads. Where the quantiles are further apart than half the
    median (a spread above 0.5), something else had the processor: it is measured once more and the
    steadier measurement counts.

    Args:
        space: builds the architectures.
        shape: of one model input, the batch included; its first size is replaced by the batch.
        dtype: name of the input's torch type.
        device: where the model runs.
        options: runtime, batch, threads, and how long one measurement takes.

    Raises:
        InputError: a shape, a type or a device that cannot be.
        MissingExtraError: the runtime needs a package that is not installed.
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
        options: LatencyOptions | None = None,
    ) -> None:
        check_example(shape, dtype)
        self.space, self.shape, self.dtype = space, tuple(shape), dtype
        self.device, self.options = device, options or LatencyOptions()
        check_runtime(self.options.runtime, device_here(device))

    @property
    def provides(self) -> tuple[str, ...]:
        return METRICS

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        return self.measure(architecture, seed).metrics()

    def measure(self, architecture: Architecture, seed: int = 0, confirm: bool = False) -> Latency:
        """The latency, once, or as :func:`~archsmith.hardware.clock.confirmed` has it."""
        options = self.options
        probe = Probe(
            self.space.build(architecture, seed=seed).to(self.device),
            example_of(self.shape, self.dtype, batch=1, device=self.device),
            device=self.device,
            runtime=options.runtime,
            batch=options.batch,
            threads=options.threads,
        )
        look = confirmed if confirm else steadied
        return look(lambda: probe.measure(seconds=options.seconds))
