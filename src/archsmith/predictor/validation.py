"""Whether a predictor can be trusted: how well it ranks architectures it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history.agreement import Coefficient

if TYPE_CHECKING:
    Values = Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Validation:
    """How well a predictor did on architectures that it was not fitted to.

    Attributes:
        predictor: its name.
        count: number of architectures.
        folds: number of parts, each of which was predicted from the others.
        tau, rho: Kendall's tau-b and Spearman's rho of predicted and true values.
        mae: mean absolute error, in the unit of the values.
        coverage: share of values inside the 80 % interval, each part's interval calibrated on the
            others.
    """

    predictor: str
    count: int
    folds: int
    tau: Coefficient
    rho: Coefficient
    mae: float
    coverage: float

    @property
    def believed(self) -> bool:
        """Whether the whole 95 % interval of tau is above 0."""
        return self.tau.low is not None and self.tau.low > 0.0

    @property
    def sentence(self) -> str:
        """A readable line with the rank correlation and whether the predictor is trusted."""
        verdict = "" if self.believed else ": not clearly above 0, so it is not believed"
        return f"{self.predictor}: cross-validated tau {interval_text(self.tau)}{verdict}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"believed": self.believed}


def interval_text(coefficient: Coefficient) -> str:
    """A coefficient with its interval: ``0.62 (0.41 to 0.77)``."""
    if coefficient.value is None:
        return "unknown"
    if coefficient.low is None or coefficient.high is None:
        return f"{coefficient.value:.2f}"
    return f"{coefficient.value:.2f} ({coefficient.low:.2f} to {coefficient.high:.2f})"
