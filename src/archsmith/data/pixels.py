"""Arrays of pixels: where the channels stand, and which values are black and white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def channels_first(where: str, images: NDArray[Any]) -> NDArray[Any]:
    """(n, channels, height, width) from (n, h, w), (n, h, w, c) or (n, c, h, w)."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        got = f"shape {images.shape}"
        raise DataError(where, "images (n, h, w), (n, h, w, c) or (n, c, h, w)", got)
    first, last = images.shape[1], images.shape[3]
    if last in (1, 3, 4) and first not in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if first in (1, 3, 4) or first < last:
        return images
    return images.transpose(0, 3, 1, 2)


def value_range(where: str, images: NDArray[Any]) -> tuple[float, float]:
    """Values that are black and white: (0, 255), (0, 1) or what is there.

    Raises:
        DataError: no numbers, or NaN or infinity among them.
    """
    if images.dtype.kind not in "biuf":
        raise DataError(where, "images of numbers", str(images.dtype))
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if not np.isfinite([low, high]).all():
        bad = int((~np.isfinite(images)).sum())
        raise DataError(where, "finite numbers", f"{bad} values that are NaN or infinite")
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    whole = images.dtype.kind in "iu" or high > 16
    return (0.0, 255.0) if low >= 0 and whole and 16 < high <= 255 else (low, high)


def check_range(where: str, images: NDArray[Any], low: float, high: float) -> None:
    """That images are of the range that a model was trained on; a tenth beyond it is clipped.

    Raises:
        DataError: values beyond ``low`` and ``high``, or floats that use only 0 to 1 of far more.
    """
    value_range(where, images)
    least, most = float(images.min()), float(images.max())
    slack = 0.1 * (high - low)
    small = images.dtype.kind == "f" and high >= 16 and least >= 0 and 0 < most <= 1
    if small or least < low - slack or most > high + slack:
        expected = f"values from {low:g} to {high:g}, as in the training data"
        mend = "bring the values to that range"
        raise DataError(where, expected, f"{least:g} to {most:g}", mend)


def to_bytes(images: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values between ``low`` and ``high`` as 0 to 255, whatever their type; beyond is clipped."""
    if images.dtype == np.uint8 and (low, high) == (0, 255):
        return np.ascontiguousarray(images)
    scale = 255 / (high - low) if high > low else 1.0
    return np.clip(np.round((images.astype(np.float32) - low) * scale), 0, 255).astype(np.uint8)
