"""Architectures as standardised rows, for learners that do not know about spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..space.architecture import Architecture
from .blocks import counts_of, ranks_of
from .features import features_of

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Highest number of columns. Of thousands of rare paths most are uninformative.
_WIDEST = 256
#: Columns that vary less than this are left out.
_CONSTANT = 1e-6


class Rows:
    """Answers, ranks of answers between numbers, counts of answers and graph features.

    Columns are chosen and scaled by the architectures that it is created from: constant columns
    are left out, and of the others those are kept that vary most before scaling. Rows of other
    architectures have the same columns.
    """

    def __init__(self, space: Space, architectures: Sequence[Architecture]) -> None:
        self._features = features_of(space)
        self._sums = np.concatenate([ranks_of(self._features), counts_of(self._features)], axis=1)
        self._names = self._features.columns(architectures)
        plain = self._plain(architectures)
        spread = plain.std(axis=0)
        order = np.argsort(-spread, kind="stable")[:_WIDEST]
        self._kept = np.sort(order[spread[order] > _CONSTANT])
        self._centre, self._spread = plain.mean(axis=0)[self._kept], spread[self._kept]

    def __call__(self, architectures: Sequence[Architecture]) -> Array:
        """Rows of about zero mean and unit variance, float64 (n, columns)."""
        scaled: Array = (self._plain(architectures)[:, self._kept] - self._centre) / self._spread
        return scaled

    def _plain(self, architectures: Sequence[Architecture]) -> Array:
        rows = self._features.aligned(architectures, self._names)
        sums = rows[:, : self._features.width] @ self._sums
        whole: Array = np.concatenate([rows, sums], axis=1).astype(np.float64)
        return whole
