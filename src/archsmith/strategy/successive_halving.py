"""Successive halving (Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and
Hyperparameter Optimization, arXiv:1502.07943)."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.errors import InputError
from .brackets import Shape, Synchronous


class SuccessiveHalving(Synchronous):
    """Many begin with few epochs; of each rung the best go on with more, one to the end.

    Then the next bracket begins, with new architectures. For what holds of all synchronous
    strategies see :class:`~archsmith.strategy.brackets.Synchronous`.

    Args:
        eta, min_epochs: see there.
        entrants: how many begin a bracket; as many as bring one to the full evaluation if ``None``.
    """

    name = "successive-halving"

    def __init__(self, eta: float = 3, min_epochs: int = 1, entrants: int | None = None) -> None:
        super().__init__(eta, min_epochs)
        if entrants is not None and entrants < 2:
            raise InputError(f"{self.name}: entrants", "2 or more", str(entrants))
        self.entrants = entrants

    def plan(self, epochs: Sequence[int]) -> list[Shape]:
        return [(0, self.entrants or -(-epochs[-1] // epochs[0]))]
