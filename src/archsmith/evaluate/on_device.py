"""The base of evaluators that run architectures on a device of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.trees import Spec, as_spec, example_of
from ..hardware.latency import Probe
from ..hardware.options import LatencyOptions
from ..hardware.place import device_here
from ..hardware.runtimes import check_runtime
from ..space import Space
from ..space.architecture import Architecture
from .base import Evaluator, Price


class OnDevice(Evaluator):
    """Runs architectures with fresh weights.

    Args:
        space: builds the architectures.
        inputs: inputs of the model: a spec, or the shape of one input with the batch first.
        dtype: name of the torch type of an input that is given by its shape.
        device: where the model runs.
        options: runtime, batch, threads, and how long one measurement takes.

    Raises:
        InputError: an invalid shape or type, or a device that this machine does not have.
        MissingExtraError: the runtime needs a package that is not installed.
    """

    price = Price.MEASURED

    def __init__(
        self,
        space: Space,
        inputs: Spec | Sequence[int],
        dtype: str = "float32",
        *,
        device: str = "cpu",
        options: LatencyOptions | None = None,
    ) -> None:
        self.space, self.inputs = space, as_spec(inputs, dtype)
        self.device, self.options = device, options or LatencyOptions()
        check_runtime(self.options.runtime, device_here(device))

    def probe(self, architecture: Architecture, seed: int) -> Probe:
        """The built architecture, prepared in the runtime."""
        options = self.options
        return Probe(
            self.space.build(architecture, seed=seed).to(self.device),
            example_of(self.inputs, batch=1, device=self.device),
            device=self.device,
            runtime=options.runtime,
            batch=options.batch,
            threads=options.threads,
        )
