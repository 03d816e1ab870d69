"""Successive halving (Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and
Hyperparameter Optimization, arXiv:1502.07943)."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.errors import InputError
from .brackets import Shape, Synchronous


class SuccessiveHalving(Synchronous):
    """Many architectures begin with few epochs; the best of each rung continue with more.

    One reaches the full evaluation; then the next bracket begins, with new architectures. See
    :class:`~archsmith.strategy.brackets.Synchronous` for all synchronous strategies.

    Args:
        eta, min_epochs: as of :class:`~archsmith.strategy.brackets.Synchronous`.
        entrants: how many enter a bracket; ``None`` for as many as bring one to the full
            evaluation.

    Raises:
        InputError: an argument is out of range.
    """

    name = "successive-halving"

    def __init__(self, eta: float = 3, min_epochs: int = 1, entrants: int | None = None) -> None:
        super().__init__(eta, min_epochs)
        if entrants is not None and entrants < 2:
            raise InputError(f"{self.name}: entrants", "2 or more", str(entrants))
        self.entrants = entrants

    def plan(self, epochs: Sequence[int]) -> list[Shape]:
        return [(0, self.entrants or -(-epochs[-1] // epochs[0]))]
