"""The page's section on references: the winner beside what people would have trained by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..history.numbers import duration, metric_name, metric_unit, short, with_unit
from .axes import NARROW, WIDE, Scale, Size, nice_ticks, tick_labels
from .content import BaselineRow
from .marks import Figure
from .svg import px, tag, text_width

if TYPE_CHECKING:
    from ..history.objective import Metric
    from ..history.paired import Comparison

#: Pixels of a row, and around all rows.
_ROW, _TOP, _BOTTOM = 30.0, 10.0, 44.0


@dataclass(frozen=True, slots=True)
class BaselineSection:
    """The section ``Against models made by hand``.

    Attributes:
        sentences: one for each reference.
        columns: headings of the table.
        rows: label, cells, and a CSS class for the last cell.
        figure: the intervals.
    """

    sentences: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str], str]]
    figure: Figure | None


@dataclass(frozen=True, slots=True)
class _Interval:
    """By how much the winner is better than another model, in shown units."""

    label: str
    low: float
    middle: float
    high: float

    @property
    def verdict(self) -> str:
        return "better" if self.low > 0 else "worse" if self.high < 0 else ""


def baseline_section(
    baselines: Sequence[BaselineRow],
    winner: BaselineRow | None,
    default: Comparison | None,
    known: Mapping[str, Metric],
) -> BaselineSection | None:
    """The section; ``None`` if there are no references.

    Args:
        winner: the best of the search, for the first row of the table.
        default: its comparison with the default architecture, for the picture.
    """
    if not baselines:
        return None
    rows = [*([winner] if winner else []), *baselines]
    metric = next((b.comparison.metric for b in baselines if b.comparison), "")
    metric = metric or next((name for name in baselines[0].test), "")
    columns = [f"{metric_name(metric)}, test", "parameters", "latency", "trained"]
    table = []
    for row in rows:
        interval = _interval(row.label, row.comparison)
        cells = [
            with_unit(metric, row.test.get(metric), known),
            short(row.costs.get("params")),
            with_unit("latency_ms", row.costs.get("latency_ms"), known),
            duration(row.seconds),
            _difference(interval) if interval else "",
        ]
        table.append((row.label, cells, interval.verdict if interval else ""))
    return BaselineSection(
        [row.words for row in baselines],
        [*columns, "winner's lead"],
        table,
        _figure(baselines, default, metric, known),
    )


def _interval(label: str, comparison: Comparison | None) -> _Interval | None:
    if comparison is None:
        return None
    scale = 100.0 if comparison.metric == "accuracy" else 1.0
    sign = scale if comparison.direction == "maximize" else -scale
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    return _Interval(label, low, scale * comparison.better, high)


def _difference(interval: _Interval) -> str:
    low, high = (short(end, 3) for end in (interval.low, interval.high))
    sign = "+" if interval.middle > 0 else ""
    return f"{sign}{short(interval.middle, 3)} ({low} to {high})"


def _figure(
    baselines: Sequence[BaselineRow],
    default: Comparison | None,
    metric: str,
    known: Mapping[str, Metric],
) -> Figure | None:
    found = [_interval(row.label, row.comparison) for row in baselines]
    if default is not None and default.metric == metric:
        found.append(_interval("the default architecture", default))
    intervals = [one for one in found if one is not None]
    if not intervals:
        return None
    unit = "points" if metric == "accuracy" else metric_unit(metric, known)
    title = f"{metric_name(metric)}{f', {unit}' if unit else ''}"
    return Figure(
        "Lead of the best of the search",
        "with 95 % intervals; right of zero it is better",
        _chart(intervals, title, WIDE),
        _chart(intervals, title, NARROW),
    )


def _chart(intervals: Sequence[_Interval], title: str, size: Size) -> Markup:
    """A line for each interval, its middle a dot, and a line at zero."""
    narrow = size is NARROW
    labelled = max(text_width(one.label, 11.5) for one in intervals) + 14
    left = 8.0 if narrow else min(labelled, 0.5 * size.width)
    step = _ROW + (14.0 if narrow else 0.0)  # labels stand above the lines of a narrow picture
    bottom = _TOP + step * len(intervals)
    ends = [0.0, *(end for one in intervals for end in (one.low, one.high))]
    spare = 0.06 * (max(ends) - min(ends)) or 1.0
    x = Scale(min(ends) - spare, max(ends) + spare, left, size.width - 10.0)
    ticks = nice_ticks(x.low, x.high, size.columns)
    parts = []
    for tick, text in zip(ticks, tick_labels(ticks), strict=True):
        parts.append(tag("path", d=f"M{px(x(tick))} {px(_TOP)}V{px(bottom)}", class_="grid"))
        parts.append(tag("text", text, x=x(tick), y=bottom + 16, class_="tick mid"))
    zero = f"M{px(x(0.0))} {px(_TOP)}V{px(bottom)}"
    parts.append(tag("path", d=zero, class_="axis"))
    for number, one in enumerate(intervals):
        y = _TOP + step * (number + 1) - _ROW / 2
        if narrow:
            parts.append(tag("text", one.label, x=left, y=y - 10, class_="tick"))
        else:
            parts.append(tag("text", one.label, x=left - 10, y=y + 4, class_="tick end"))
        hover = tag("title", f"{one.label}\n{_difference(one)}")
        line = f"M{px(x(one.low))} {px(y)}H{px(x(one.high))}"
        kind = f"interval {one.verdict}".rstrip()
        parts.append(tag("path", hover, d=line, class_=kind))
        parts.append(tag("path", hover, d=f"M{px(x(one.middle))} {px(y)}h0", class_=f"{kind} mid"))
    height = bottom + _BOTTOM
    parts.append(tag("text", title, x=size.width - 10.0, y=height - 8, class_="label end"))
    box = f"0 0 {px(size.width)} {px(height)}"
    named = tag("title", "lead of the best of the search over models made by hand")
    return tag("svg", named, *parts, viewBox=box, role="img", class_="chart")
