"""Proxies of a set: several scores combined into one by their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .._support.errors import InputError
from .base import SetProxy
from .scoring import check_scores


class Vote(SetProxy):
    """Weighted sum of the logarithms of ranks: an architecture that any member ranks low is low.

    Ranks run from 1/n (worst) to 1 (best); equal scores share their mean rank. The default members
    measure different things (redundant channels, inputs that are treated alike, the flow through
    the weights), cost half a forward and backward pass together, and agreed best with accuracy
    among the votes of up to five members that were tried on NAS-Bench-201.

    Args:
        members: names of the proxies that vote.
        weights: of the members; equal if not given.

    Raises:
        InputError: no members, or weights that do not fit them.
    """

    name = "vote"
    _members: tuple[str, ...] = ("meco", "jacov", "synflow")

    def __init__(
        self, members: Sequence[str] | None = None, weights: Sequence[float] | None = None
    ) -> None:
        if members is not None:
            self._members = tuple(members)
        if not self._members:
            raise InputError(f"{self.name}, members", "one proxy or more", "none")
        self.weights = tuple(weights or (1.0,) * len(self._members))
        if len(self.weights) != len(self._members) or min(self.weights) < 0:
            raise InputError(
                f"{self.name}, weights",
                f"{len(self._members)} numbers of 0 or more",
                repr(self.weights),
            )

    @property
    def members(self) -> tuple[str, ...]:
        return self._members

    def combine(self, scores: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        from scipy.stats import rankdata

        check_scores(scores, self._members)
        total = np.zeros(len(scores[self._members[0]]))
        for member, weight in zip(self._members, self.weights, strict=True):
            total += weight * np.log(rankdata(scores[member]) / len(total))
        return total


class AZNAS(Vote):
    """AZ-NAS (Lee & Ham 2024, arXiv:2403.19232): expressivity, progressivity, trainability and
    complexity (FLOPs), by the paper's non-linear aggregation, the sum of log(rank / n)."""

    name = "az-nas"
    _members = ("expressivity", "progressivity", "trainability", "flops")

    def __init__(self) -> None:
        super().__init__()
