"""Arrays of pixels: the position of the channels, and the values of black and white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._support.errors import DataError
from .numerals import narrowed

if TYPE_CHECKING:
    from numpy.typing import NDArray


Layout = Literal["first", "last"]


@dataclass(frozen=True)
class Stored:
    """Images in the form that tasks use.

    Attributes:
        images: uint8, with ``low`` to ``high`` scaled to 0 to 255; or unscaled floats.
        low, high: black and white, in values of the source; floats outside are clipped if
            ``clipped``.
        notes: how the values were interpreted, as lines for people.
    """

    images: NDArray[Any]
    low: float
    high: float
    clipped: bool = False
    notes: tuple[str, ...] = ()


def channels_first(
    where: str, images: NDArray[Any], asked: Layout | None = None
) -> tuple[NDArray[Any], Layout | None]:
    """(n, channels, height, width) from (n, h, w), (n, h, w, c) or (n, c, h, w), and the
    original position of the channels.

    Raises:
        DataError: another shape, or an ambiguous one without ``asked``.
    """
    if images.size == 0:
        raise DataError(where, "images with pixels in them", f"shape {images.shape}")
    if images.ndim == 3:
        if asked is not None:
            hint = "leave channels out"
            raise DataError(where, "images with channels (4 dimensions)", f"{images.shape}", hint)
        return images[:, None], None
    if images.ndim != 4:
        got = f"shape {images.shape}"
        raise DataError(where, "images (n, h, w), (n, h, w, c) or (n, c, h, w)", got)
    layout = asked or _layout(images.shape)
    if layout is None:
        _, first, _, last = images.shape
        hint = (
            f"say which: --channels first ({first} channels) or --channels last ({last} channels); "
            "in Python, ReadOptions(channels=...)"
        )
        got = f"shape {images.shape}, of which the first or the last may be channels"
        raise DataError(where, "images whose channels can be told from their sizes", got, hint)
    return (images if layout == "first" else images.transpose(0, 3, 1, 2)), layout


def _layout(shape: tuple[int, ...]) -> Layout | None:
    """The position of the channels, assuming 1 to 4 channels and square images; ``None`` if that
    does not decide, or is contradictory."""
    _, first, middle, last = shape
    evidence: set[Layout] = set()
    for few in ((1, 3), (2, 4)):
        if (first in few) != (last in few) and not evidence:
            evidence.add("first" if first in few else "last")
    if (first == middle) != (middle == last):
        evidence.add("last" if first == middle else "first")
    return evidence.pop() if len(evidence) == 1 else None


def stored(where: str, images: NDArray[Any], range_: tuple[float, float] | None = None) -> Stored:
    """Images as bytes if these keep every level, else as floats.

    Raises:
        DataError: values that are not numbers, or NaN or infinity.
    """
    low, high = range_ or value_range(where, images)
    if images.dtype == np.uint8 or _fits_bytes(images, low, high):
        notes = () if high == 255 else (f"values from {low:g} to {high:g} scaled to 0 to 255",)
        return Stored(to_bytes(images, low, high), low, high, notes=notes)
    wide = images.astype(np.float64)
    if range_ is None and (low, high) not in ((0, 1), (0, 255)):
        low, high = float(wide.min()), float(wide.max())
    kept = np.ascontiguousarray(narrowed(wide.reshape(-1, 1)).reshape(images.shape))
    note = f"values from {low:g} to {high:g} kept as {kept.dtype}, since bytes would lose levels"
    inner = _inner(wide, low, high)
    if range_ is not None or inner == (low, high):
        return Stored(kept, low, high, notes=(note,))
    beyond = float(((wide < inner[0]) | (wide > inner[1])).mean())
    clip = f"{100 * beyond:.2g} % of them lie far beyond the others: clipped to "
    return Stored(kept, *inner, clipped=True, notes=(note, f"{clip}{inner[0]:g} to {inner[1]:g}"))


def _fits_bytes(images: NDArray[Any], low: float, high: float) -> bool:
    if images.dtype.kind in "biu":
        return high - low <= 255
    scaled = (images.astype(np.float64) - low) * (255 / (high - low) if high > low else 1.0)
    if not (np.abs(scaled - np.round(scaled)) < 1e-3).all():
        return False
    # With one huge value, all others would round to the same byte by a tiny amount.
    return len(np.unique(_sample(images))) <= len(np.unique(np.round(_sample(scaled))))


def _sample(images: NDArray[Any]) -> NDArray[Any]:
    return images.ravel()[:: max(1, images.size // 1_000_000)]


def _inner(images: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """The range without outliers far from nearly all values, such as hot pixels."""
    first, last = (float(q) for q in np.quantile(_sample(images), (0.001, 0.999)))
    span = 3 * (last - first)
    # Values that are nearly all equal have no range of their own.
    if span == 0 or (high - last <= span and first - low <= span):
        return low, high
    return max(low, first - span), min(high, last + span)


def value_range(where: str, images: NDArray[Any]) -> tuple[float, float]:
    """The values of black and white: (0, 255), (0, 1), or the actual minimum and maximum.

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


def check_range(
    where: str, images: NDArray[Any], low: float, high: float, clipped: bool = False
) -> None:
    """Check that images have the range that a model was trained on, with a tolerance of a tenth.

    Args:
        clipped: whether values further outside were clipped in training, too.

    Raises:
        DataError: values outside ``low`` and ``high``, or floats from 0 to 1 for a larger range.
    """
    value_range(where, images)
    least, most = float(images.min()), float(images.max())
    slack = 0.1 * (high - low)
    small = images.dtype.kind == "f" and high >= 16 and least >= 0 and 0 < most <= 1
    beyond = not clipped and (least < low - slack or most > high + slack)
    if small or beyond:
        expected = f"values from {low:g} to {high:g}, as in the training data"
        hint = "rescale the values to that range"
        raise DataError(where, expected, f"{least:g} to {most:g}", hint)


def to_bytes(images: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values from ``low`` to ``high`` scaled to 0 to 255, of any dtype; others are clipped."""
    if images.dtype == np.uint8 and (low, high) == (0, 255):
        return np.ascontiguousarray(images)
    scale = 255 / (high - low) if high > low else 1.0
    return np.clip(np.round((images.astype(np.float32) - low) * scale), 0, 255).astype(np.uint8)
