"""Forecasts as a picture: contexts, what followed, medians and intervals, and errors by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .forecast_references import seasonal
from .picture import BLUE, FAINT, INK, LINE, PAPER, SCALE, WRONG, font

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDE, _HIGH, _GAP, _TOP = 380 * SCALE, 150 * SCALE, 30 * SCALE, 70 * SCALE
_PANELS = 6
_BAND, _NAIVE = (214, 226, 241), "#b57b1f"


def forecasts(
    contexts: Tensor, targets: Mapping[str, Tensor], outputs: Tensor, season: int
) -> Image.Image:
    """Forecasts of windows that lie evenly apart, and the mean absolute error of each step beside
    that of the naive and the seasonal-naive forecast.

    Args:
        contexts: (n, context), raw.
        outputs: quantiles (n, 3, horizon) in the same units.
    """
    own, true, given = (t.cpu().double().numpy() for t in (contexts, targets["values"], outputs))
    scale = targets["scale"].cpu().double().numpy()[:, None]
    horizon = true.shape[1]
    lines: dict[str, tuple[NDArray[Any], Any]] = {
        "model": (given[:, 1], BLUE),
        "naive": (seasonal(own, horizon, 1), FAINT),
    }
    if 1 < season <= own.shape[1]:
        lines["seasonal naive"] = seasonal(own, horizon, season), _NAIVE
    means = {n: (np.abs(true - g) / scale).mean(0) for n, (g, _) in lines.items()}
    shown = np.linspace(0, len(own) - 1, min(_PANELS, len(own))).round().astype(int)
    rows = -(-len(shown) // 2)
    size = 2 * _WIDE + 3 * _GAP, _TOP + (rows + 1) * (_HIGH + _GAP) + 2 * _GAP
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    inside = float(((true >= given[:, 0]) & (true <= given[:, 2])).mean())
    errors = ", ".join(f"{name} {values.mean():.3g}" for name, values in means.items())
    draw.text((_GAP, 14 * SCALE), f"MASE: {errors}", fill=INK, font=font(15))
    legend = (
        f"{len(own):,} windows; true values in red, median in blue, "
        f"interval of 80 % (holds {inside:.0%})"
    )
    draw.text((_GAP, 40 * SCALE), legend, fill=FAINT, font=font(12))
    for place, index in enumerate(shown):
        corner = _GAP + place % 2 * (_WIDE + _GAP), _TOP + place // 2 * (_HIGH + _GAP)
        _window(draw, corner, own[index], true[index], given[index])
    corner = _GAP, _TOP + rows * (_HIGH + _GAP) + _GAP
    draw.text((corner[0], corner[1] - 22 * SCALE), "scaled error by step", fill=INK, font=font(13))
    curves = [(means[name], colour) for name, (_, colour) in lines.items()]
    _curves(draw, corner, curves, (0.0, max(float(v.max()) for v in means.values())))
    for row, (name, (_, colour)) in enumerate(lines.items()):
        at = corner[0] + _WIDE + _GAP, corner[1] + row * 22 * SCALE
        first, last = means[name][[0, -1]]
        text = f"{name}: {first:.3g} at step 1, {last:.3g} at step {horizon}"
        draw.text(at, text, fill=colour, font=font(13))
    return sheet


def _window(
    draw: Any,
    corner: tuple[int, int],
    context: NDArray[Any],
    true: NDArray[Any],
    given: NDArray[Any],
) -> None:
    seen = context[-max(16, 3 * len(true)) :]
    count = len(seen) + len(true)
    whole = np.concatenate([seen, true, given.ravel()])
    bounds = float(whole.min()), float(whole.max())
    at = np.arange(len(seen), count)
    low, mid, high = given
    band = [
        *_points(corner, at, low, count, bounds),
        *_points(corner, at, high, count, bounds)[::-1],
    ]
    if len(true) > 1:
        draw.polygon(band, fill=_BAND)
    draw.rectangle((*corner, corner[0] + _WIDE, corner[1] + _HIGH), outline=LINE, width=SCALE)
    for steps, values, colour in (
        (np.arange(len(seen)), seen, INK),
        (at, true, WRONG),
        (at, mid, BLUE),
    ):
        draw.line(_points(corner, steps, values, count, bounds), fill=colour, width=SCALE)
    for value, y in ((bounds[1], corner[1]), (bounds[0], corner[1] + _HIGH - 16 * SCALE)):
        draw.text((corner[0] + 4 * SCALE, y), f"{value:.4g}", fill=FAINT, font=font(11))


def _curves(
    draw: Any,
    corner: tuple[int, int],
    curves: Sequence[tuple[NDArray[Any], Any]],
    bounds: tuple[float, float],
) -> None:
    draw.rectangle((*corner, corner[0] + _WIDE, corner[1] + _HIGH), outline=LINE, width=SCALE)
    for values, colour in curves:
        steps = np.arange(len(values))
        draw.line(_points(corner, steps, values, len(values), bounds), fill=colour, width=2 * SCALE)
    top = corner[0] + 4 * SCALE, corner[1]
    draw.text(top, f"{bounds[1]:.3g}", fill=FAINT, font=font(11))


def _points(
    corner: tuple[int, int],
    steps: NDArray[Any],
    values: NDArray[Any],
    count: int,
    bounds: tuple[float, float],
) -> list[tuple[float, float]]:
    span = (bounds[1] - bounds[0]) or 1.0
    x = corner[0] + steps / max(1, count - 1) * _WIDE
    y = corner[1] + _HIGH - (values - bounds[0]) / span * (_HIGH - 8 * SCALE) - 4 * SCALE
    return list(zip(x.tolist(), y.tolist(), strict=True))
