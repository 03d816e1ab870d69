"""Hyperband (Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization, arXiv:1603.06560)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .brackets import Shape, Synchronous


class Hyperband(Synchronous):
    """Repeated rounds of successive halving, with a bracket for each possible lowest rung.

    The first bracket of a round begins with the fewest epochs and the most architectures; the last
    evaluates a few fully from the start; all cost about the same. So it is never much worse than
    random search, even if few epochs are uninformative. See
    :class:`~archsmith.strategy.brackets.Synchronous` for all synchronous strategies.
    """

    name = "hyperband"

    def plan(self, epochs: Sequence[int]) -> list[Shape]:
        count, full = len(epochs), epochs[-1]
        return [
            (start, math.ceil(count * full / ((count - start) * low)))
            for start, low in enumerate(epochs)
        ]
