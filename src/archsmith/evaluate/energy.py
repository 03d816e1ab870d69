"""Energy of an architecture's forward pass, where the machine counts it."""

from __future__ import annotations

from collections.abc import Sequence

from ..hardware.cost import check_example, example_of
from ..hardware.energy import measure_energy, meter
from ..hardware.options import LatencyOptions
from ..hardware.runtimes import check_runtime
from ..space import Space
from ..space.architecture import Architecture
from ..trial import Fidelity
from .base import Evaluator, Price, Watch


class EnergyEvaluator(Evaluator):
    """Measured energy of an architecture with fresh weights: ``energy_mj``, millijoules a batch.

    It is that of the whole processor or GPU, idle power included, for as long as a pass takes.

    Args:
        space: builds the architectures.
        shape: of one model input, the batch included; its first size is replaced by the batch.
        dtype: name of the input's torch type.
        device: where the model runs.
        options: runtime, batch, threads; each measurement takes three times its seconds.

    Raises:
        InputError: the machine does not tell what it uses.
    """

    name = "energy"
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
        check_runtime(self.options.runtime, device)
        meter(device)

    @property
    def provides(self) -> tuple[str, ...]:
        return ("energy_mj",)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        model = self.space.build(architecture, seed=seed).to(self.device)
        options = self.options
        energy = measure_energy(
            model,
            example_of(self.shape, self.dtype, batch=1, device=self.device),
            device=self.device,
            runtime=options.runtime,
            batch=options.batch,
            threads=options.threads,
            seconds=3 * options.seconds,
        )
        return {"energy_mj": energy}
