"""The options that all differentiable methods have."""

from __future__ import annotations

from dataclasses import dataclass

from ..._support.errors import InputError
from ..session import Costs


@dataclass(frozen=True)
class Settings:
    """The options that all differentiable methods have.

    Attributes:
        rate: of the alphas' Adam; ``None``: 3e-4 for searches as long as the paper's, more for
            shorter ones (:func:`~.weights.rate_for`).
        decay: weight decay of the alphas (in the gradient).
        warm: share of the training in which only the weights learn.
        auxiliary_skip: DARTS- (Chu et al. 2021, arXiv:2009.01027): the input is added to each
            mixture of the same shape, with a weight that falls from 1 to 0 over the training.
        eigenvalue: report the dominant eigenvalue of the held-out loss in the alphas after each
            epoch; ``None``: if that costs less than a tenth of the epoch.
        early_stop: stop when the search is about to collapse, and restore the alphas from
            before (:class:`~.collapse.Watch`).
        free_bound: the search counts as collapsing above this share of parameter-free options.
        costs: static costs of an architecture, only ``params`` by default. If the search has
            limits on them (``params<=200k``), the loss keeps the expected cost within them, and
            derived architectures satisfy them.
        pressure: weight of the relative excess of the expected cost in the loss.
    """

    rate: float | None = None
    decay: float = 1e-3
    warm: float = 0.0
    auxiliary_skip: bool = False
    eigenvalue: bool | None = None
    early_stop: bool = True
    free_bound: float = 0.75
    costs: Costs | None = None
    pressure: float = 1.0

    def check(self, method: str) -> None:
        """Raise :class:`InputError` for a number out of its range."""
        ranges = {
            "rate": (self.rate is None or 0 < self.rate < 10, "None, or above 0", self.rate),
            "decay": (0 <= self.decay < 10, "0 or more", self.decay),
            "warm": (0 <= self.warm < 1, "a share in [0, 1)", self.warm),
            "free_bound": (0 <= self.free_bound <= 1, "a share in [0, 1]", self.free_bound),
            "pressure": (0 <= self.pressure < 1e6, "0 or more", self.pressure),
        }
        for option, (holds, expected, got) in ranges.items():
            if not holds:
                raise InputError(f"{method}, {option}", expected, str(got))
