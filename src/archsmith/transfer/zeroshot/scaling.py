"""Scaling of features and descriptions before a map between them is learned."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..._support.errors import InputError
from .checks import Array

Scale = Literal["none", "unit", "centre", "standard"]
SCALES = ("none", "unit", "centre", "standard")


class Scaling:
    """A scaling that is fitted to rows (n, columns) and then applied unchanged.

    ``"unit"`` gives each row length 1. ``"centre"`` subtracts the mean row and divides everything
    by one number, the root mean square of what is left, so that angles and ratios are kept.
    ``"standard"`` divides each column by its own deviation; a constant column becomes 0.

    Raises:
        InputError: another kind.
    """

    def __init__(self, kind: Scale, known: Array, where: str = "scale") -> None:
        if kind not in SCALES:
            raise InputError(where, f"one of {', '.join(SCALES)}", repr(kind))
        self.kind = kind
        self.mean = known.mean(axis=0)
        if kind == "standard":
            spread = known.std(axis=0)
            least = 1e-6 * float(spread.max(initial=0.0))
            self.factor = np.divide(
                1.0, spread, out=np.zeros_like(spread), where=spread > max(least, 1e-300)
            )
        else:
            size = float(np.sqrt(((known - self.mean) ** 2).mean()))
            self.factor = np.full(known.shape[1], 1 / size if size > 1e-300 else 1.0)

    def __call__(self, values: Array) -> Array:
        """The scaled rows, of the same shape."""
        if self.kind == "none":
            return values
        if self.kind == "unit":
            return unit(values)
        scaled: Array = (values - self.mean) * self.factor
        return scaled


def unit(values: Array) -> Array:
    """Rows of length 1; a row of zeros stays zero."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: Array = values / np.where(length > 0, length, 1.0)
    return scaled
