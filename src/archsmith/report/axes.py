"""Axes of charts: scales from values to pixels, readable ticks, and the frame they make."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..history.numbers import short
from .svg import joined, px, tag, text_width

_FONT = 11.0
_LOG_SPREAD = 100.0  # a wider spread than this is shown on a logarithmic scale


@dataclass(frozen=True, slots=True)
class Scale:
    """A map from values to pixels: ``low`` falls on ``start``, ``high`` on ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values beyond the ends are clipped to them."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int, whole: bool = False) -> list[float]:
        """About ``count`` round values within the scale."""
        if self.log:
            return log_ticks(self.low, self.high, count)
        return nice_ticks(self.low, self.high, count, whole)


def nice_ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high], at most about ``count``."""
    rough = (high - low) / max(1, count)
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    step = next(f * power for f in (1.0, 2.0, 2.5, 5.0, 10.0) if f * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, 5 * power if step == 2.5 * power and power < 10 else step)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    # A step has two digits at most. Neighbours fall together where floats are further apart.
    return list(dict.fromkeys(round(i * step, 1 - exponent) for i in range(first, last + 1)))


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Powers of ten in [low, high], every n-th where there are many, 1-2-5 where there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = last - first + 1
    if decades < 3:
        wide = range(first - 1, last + 2)
        fine = [f * 10.0**e for e in wide for f in (1, 2, 5) if low <= f * 10.0**e <= high]
        return fine if len(fine) <= count + 1 else [v for v in fine if f"{v:e}"[0] != "2"]
    step = max(1, math.ceil(decades / max(1, count)))
    return [10.0**e for e in range(first, last + 1, step)]


def tick_labels(ticks: Sequence[float], log: bool = False) -> list[str]:
    """Labels of ticks with just the decimals that tell them apart: ``0.95``, ``12.5k``."""
    if log or len(ticks) < 2:
        return [short(tick) for tick in ticks]
    largest = max(abs(tick) for tick in ticks)
    if largest >= 1e15:
        gap = min(b - a for a, b in itertools.pairwise(ticks))
        return [short(tick, max(3, math.ceil(math.log10(largest / gap)) + 2)) for tick in ticks]
    for scale, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= scale * (10 if suffix == "k" else 1):
            break
    else:
        scale, suffix = 1.0, ""
    step = min(b - a for a, b in itertools.pairwise(ticks)) / scale
    finest = max(9, 1 - math.floor(math.log10(step)))
    decimals = next((d for d in range(9) if abs(round(step, d) - step) < step * 1e-6), finest)
    if largest / scale < 1e-4:
        return [short(tick) for tick in ticks]
    shown = [f"{tick / scale:.{decimals}f}" for tick in ticks]
    return [("0" if float(s) == 0 else s + suffix).replace("-", "−") for s in shown]


def needs_log(values: Sequence[float]) -> bool:
    """Whether positive values spread over more than two powers of ten."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > _LOG_SPREAD


def span(values: Sequence[float], log: bool, margin: float = 0.06) -> tuple[float, float]:
    """The range of an axis for some values, with a margin; never empty."""
    low, high = min(values), max(values)
    if log:
        factor = (high / low) ** margin if high > low else 2.0
        return low / factor, high * factor
    extra = (high - low) * margin or abs(high) * 0.1 or 1.0
    bottom = low - extra
    # The axis of a quantity that is never negative should not go below 0.
    return (0.0 if low >= 0 > bottom else bottom), high + extra


def without_stragglers(
    values: Sequence[float], direction: str, log: bool = False
) -> tuple[float, float]:
    """The range of values, cut on the bad side where a few lie far beyond the others.

    A collapsed trial (accuracy 0.1 among 0.97 to 0.99) would press all others into a line. A
    logarithmic scale has room for everything.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if log or len(ordered) < 8:
        return low, high
    first, third = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    reach = 3.0 * (third - first)
    if reach <= 0:
        return low, high
    if direction == "maximize":
        return max(low, min(first - reach, high)), high
    return low, min(high, max(third + reach, low))


@dataclass(frozen=True, slots=True)
class Size:
    """A chart's size in pixels and how many ticks fit along it."""

    width: float
    height: float
    columns: int
    rows: int


WIDE = Size(620, 330, 6, 5)
NARROW = Size(348, 270, 4, 4)
LOW = Size(620, 270, 6, 5)


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows: its range, its title, whether logarithmic, whether whole numbers."""

    low: float
    high: float
    title: str
    log: bool = False
    whole: bool = False


class Frame:
    """The axes of one chart; gives scales to draw with."""

    def __init__(self, size: Size, x: Axis, y: Axis, strip: float = 0.0) -> None:
        self.size, self._x, self._y = size, x, y
        top, bottom = 30.0, size.height - 40.0
        self.bottom = bottom
        draft = Scale(y.low, y.high, bottom - strip, top, y.log)
        self._yticks = draft.ticks(size.rows, y.whole)
        self._ylabels = tick_labels(self._yticks, y.log)
        left = max((text_width(label, _FONT) for label in self._ylabels), default=0) + 12
        self.left, self.right, self.top = max(26.0, left), size.width - 14.0, top
        self.x = Scale(x.low, x.high, self.left, self.right, x.log)
        self.y = draft

    def axes(self) -> Markup:
        """Grid lines, tick labels and titles."""
        parts = []
        for tick, label in zip(self._yticks, self._ylabels, strict=True):
            y = self.y(tick)
            parts.append(tag("path", d=f"M{px(self.left)} {px(y)}H{px(self.right)}", class_="grid"))
            parts.append(tag("text", label, x=self.left - 7, y=y + 3.8, class_="tick end"))
        ticks = self.x.ticks(self.size.columns, self._x.whole)
        base = f"M{px(self.left)} {px(self.bottom)}H{px(self.right)}"
        parts.append(tag("path", d=base, class_="axis"))
        edge = -math.inf
        for tick, label in zip(ticks, tick_labels(ticks, self._x.log), strict=True):
            x, half = self.x(tick), text_width(label, _FONT) / 2
            at = min(max(x, half + 1), self.size.width - half - 1)
            parts.append(
                tag("path", d=f"M{px(x)} {px(self.bottom)}v4", class_="axis"),
            )
            if at - half > edge + 4:
                parts.append(tag("text", label, x=at, y=self.bottom + 17, class_="tick mid"))
                edge = at + half
        title = self._y.title + (", log scale" if self._y.log else "")
        parts.append(tag("text", title, x="0", y="13", class_="label"))
        below = self._x.title + (", log scale" if self._x.log else "")
        y = self.size.height - 6
        parts.append(tag("text", below, x=self.right, y=y, class_="label end"))
        return joined(parts)

    def svg(self, *inside: Markup, title: str) -> Markup:
        """The whole chart, with the given marks on the axes."""
        box = f"0 0 {px(self.size.width)} {px(self.size.height)}"
        return tag(
            "svg",
            tag("title", title),
            self.axes(),
            *inside,
            viewBox=box,
            role="img",
            class_="chart",
        )
