"""Series as windows: contexts with what follows them, in parts that follow each other in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .._support.errors import DataError
from ..data.splits import TensorSplit
from ..data.timelines import Timeline, Timelines

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most windows of the training part, and of each other one; with more, every second is left out,
#: or every third.
_TRAINED, _JUDGED = 20_000, 4_000


@dataclass(frozen=True)
class Windows:
    """Parts of windows, and what they were made with.

    Attributes:
        cuts: positions at which the validation and the test part begin.
        names: of the series that have windows.
        short: of series that are too short for a training window, or do not vary there.
        season: steps of the season that errors are scaled by.
    """

    train: TensorSplit
    validation: TensorSplit
    test: TensorSplit
    cuts: tuple[int, int]
    names: tuple[str, ...]
    short: tuple[str, ...]


def windows_of(
    timelines: Timelines,
    context: int,
    horizon: int,
    season: int,
    shares: tuple[float, float],
    where: str,
) -> Windows:
    """All windows of all series, by where the steps to be forecast lie.

    The parts have common borders in time. The steps to be forecast are all in one part; contexts
    of the validation and test part may begin earlier, as they do in use.

    Args:
        shares: of the times, for validation and test.

    Raises:
        DataError: no series that is long enough, or a part without windows.
    """
    times = np.unique(
        np.concatenate([np.arange(s.start, s.start + s.values.shape[1]) for s in timelines.series])
    )
    ends = [len(times) - round(len(times) * share) for share in (sum(shares), shares[1])]
    if not 0 < ends[0] < ends[1] < len(times):
        raise DataError(where, "enough times for three parts", f"{len(times)}")
    cuts = int(times[ends[0]]), int(times[ends[1]])
    last = int(times[-1]) + 1
    scales = {s.name: error_scale(s, cuts[0], season) for s in timelines.series}
    used = [s for s in timelines.series if scales[s.name] > 0]
    short = tuple(s.name for s in timelines.series if not scales[s.name] > 0)
    if not used:
        expected = "a series that varies in the training part, for the scale of errors"
        raise DataError(where, expected, "none", "choose smaller parts, or a smaller season")
    parts = []
    bounds = (("training", 0, cuts[0]), ("validation", *cuts), ("test", cuts[1], last))
    for name, low, high in bounds:
        most = _TRAINED if name == "training" else _JUDGED
        found = _windows(used, scales, context, horizon, (low, high), most)
        if found is None:
            got = f"{high - max(low, int(times[0]))} steps"
            expected = f"a {name} part of at least one window: " + (
                f"context {context} and horizon {horizon}"
                if name == "training"
                else f"horizon {horizon} after context {context}"
            )
            hint = "choose a smaller horizon or context: forecasting:horizon=8,context=16"
            raise DataError(where, expected, got, hint)
        parts.append(found)
    return Windows(parts[0], parts[1], parts[2], cuts, tuple(s.name for s in used), short)


def error_scale(series: Timeline, end: int, season: int) -> float:
    """The mean absolute error of the seasonal-naive forecast before a position, as MASE needs it
    (Hyndman and Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001); of the naive one where a
    season is longer; 0 if there are too few steps."""
    own = series.values[0, : max(0, end - series.start)]
    lag = season if len(own) > season else 1
    return float(np.abs(own[lag:] - own[:-lag]).mean()) if len(own) > lag else 0.0


def window_scale(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the spread (n,) of the first channel of contexts (n, channels, context); the
    spread of a constant one is a small part of its size."""
    own = inputs[:, 0]
    level = own.mean(-1)
    spread = (own - level[:, None]).square().mean(-1).sqrt()
    return level, torch.maximum(spread, 1e-3 * level.abs() + 1e-6)


def _windows(
    used: list[Timeline],
    scales: dict[str, float],
    context: int,
    horizon: int,
    bounds: tuple[int, int],
    most: int,
) -> TensorSplit | None:
    """The windows whose steps to be forecast lie within bounds."""
    places: list[tuple[Timeline, NDArray[np.int64]]] = []
    for series in used:
        length = series.values.shape[1]
        first = max(context, bounds[0] - series.start)
        final = min(length, bounds[1] - series.start) - horizon
        if first <= final:
            places.append((series, np.arange(first, final + 1)))
    if not places:
        return None
    stride = -(-sum(len(at) for _, at in places) // most)
    inputs, values, scale = [], [], []
    for series, at in places:
        at = at[::-1][::stride][::-1]  # the newest window is always there
        seen = np.lib.stride_tricks.sliding_window_view(series.values, context, axis=1)
        ahead = np.lib.stride_tricks.sliding_window_view(series.values[0], horizon)
        inputs.append(seen[:, at - context].transpose(1, 0, 2))
        values.append(ahead[at])
        scale.append(np.full(len(at), scales[series.name]))
    given, wanted, scaled = (
        torch.from_numpy(np.concatenate(part).astype(np.float32))
        for part in (inputs, values, scale)
    )
    level, spread = window_scale(given)
    targets = {"values": wanted, "scale": scaled, "level": level, "spread": spread}
    return TensorSplit(given, targets)
