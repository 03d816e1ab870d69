"""Energy of an architecture's forward pass, on machines that measure it."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.trees import Spec
from ..hardware.energy import measure_energy, meter
from ..hardware.options import LatencyOptions
from ..history.trial import Fidelity
from ..space import Space
from ..space.architecture import Architecture
from .base import Watch
from .on_device import OnDevice


class EnergyEvaluator(OnDevice):
    """Measured energy of an architecture with fresh weights: ``energy_mj``, millijoules per batch.

    It is the energy of the whole processor or GPU during a pass, including idle power. Each
    measurement takes three times the seconds of the options.

    Raises:
        InputError: the machine does not measure its energy.
    """

    name = "energy"

    def __init__(
        self,
        space: Space,
        inputs: Spec | Sequence[int],
        dtype: str = "float32",
        *,
        device: str = "cpu",
        options: LatencyOptions | None = None,
    ) -> None:
        super().__init__(space, inputs, dtype, device=device, options=options)
        meter(device)

    @property
    def provides(self) -> tuple[str, ...]:
        return ("energy_mj",)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        probe = self.probe(architecture, seed)
        return {"energy_mj": measure_energy(probe, seconds=3 * self.options.seconds)}
