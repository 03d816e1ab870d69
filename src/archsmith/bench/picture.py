"""Results as one self-contained SVG: regret over queries, and the share of runs at the optimum."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from markupsafe import Markup

from .._support.errors import InputError
from ..history.numbers import metric_name, short
from ..report.axes import Axis, Frame, Size, span
from ..report.sheet import HUES, MARGIN, sheet
from ..report.svg import joined, px, tag, text_width
from .result import BenchmarkResult, held

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

_WIDTH, _GAP, _TOP = 960.0, 28.0, 58.0
_PANEL = Size((_WIDTH - _GAP - 2 * MARGIN) / 2, 330, 6, 6)
_ROW, _SIZE = 19.0, 12.0  # of the legend
_CROWD = 6  # more lines than this get no bands in the right panel and fainter ones in the left
_DECADES = 1e4  # of regret, at most
#: Dash patterns: of the first lines, of the next ones with the same colours, and so on.
DASHES = (None, "6 3.5", "1.5 3.5")
STYLE = """
.tick, .label { font-size: 11px; } .label { fill: var(--ink); font-weight: 550; }
.grid { stroke: var(--line); } .key .name { fill: var(--ink); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.thin .curve { stroke-width: 1.7; } .band { opacity: .15; } .thin .band { opacity: .08; }
.mark { stroke: var(--ink); stroke-width: 1.6; fill: none; }
.said { font-size: 11px; font-weight: normal; }
"""


class Reference(NamedTuple):
    """A published result: ``value`` in the unit of the left panel, after ``query`` queries."""

    query: float
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A strategy's curves; ``mean`` and ``error`` are (queries,)."""

    result: BenchmarkResult
    hue: str
    dash: str | None
    mean: Curve
    error: Curve
    share: Curve
    doubt: Curve


def picture(
    results: Sequence[BenchmarkResult],
    references: Sequence[Reference | tuple[float, float, str]] = (),
    *,
    left: Literal["regret", "report"] = "regret",
    title: str = "",
) -> str:
    """Compare strategies on one table in an SVG picture.

    Each line is a mean over runs; its band is one standard error to each side.

    Args:
        results: of one table and data set.
        references: published points to compare with, in the unit of the left panel.
        left: ``"regret"`` shows how far the selection metric is from the best recorded value, on
            a logarithmic scale; ``"report"`` shows the reported metric.
        title: the table and its data set by default.

    Returns:
        The text of the SVG file.

    Raises:
        InputError: there are no results, or they are of several tables.

    Example::

        results = archsmith.compare("nb201", ["random", "evolution"])
        Path("nb201.svg").write_text(archsmith.picture(results))
    """
    tables = {(r.table, r.dataset) for r in results}
    if len(tables) != 1:
        raise InputError("picture", "results of one table and data set", f"{len(tables)}")
    lines = _lines(results, left)
    points = [Reference(*reference) for reference in references]
    first = results[0]
    panels = [
        _left(lines, points, left).drawn(MARGIN),
        _right(lines).drawn(MARGIN + _PANEL.width + _GAP),
    ]
    legend, height = _legend(lines, left)
    below = _TOP + _PANEL.height + 14
    tall = below + height + MARGIN
    heading = title or f"{first.table} {first.dataset}"
    inside = (*panels, tag("g", legend, transform=f"translate({px(MARGIN)} {px(below)})"))
    return sheet(_WIDTH, tall, heading, _subtitle(results), *inside, style=STYLE)


def _subtitle(results: Sequence[BenchmarkResult]) -> str:
    first = results[0]
    runs = sorted({r.repeats for r in results})
    counts = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    workers = f", {first.workers} simulated workers" if first.workers > 1 else ""
    limits = f", {' and '.join(first.limits)}" if first.limits else ""
    bands = "; bands are one standard error" if runs[-1] > 1 else ""
    plural = "" if runs == [1] else "s"
    return f"mean of {counts} run{plural}{workers}{limits}{bands}; below, after the last query"


def _lines(results: Sequence[BenchmarkResult], left: str) -> list[_Line]:
    """The lines of the strategies, in order of their final value in the left panel."""
    lines = []
    for place, result in enumerate(results):
        mean, error = _mean(result.regret if left == "regret" else result.test)
        shares = result.optimum.astype(np.float64) if result.volume is None else result.volume
        share, doubt = _mean(100.0 * shares)
        hue = HUES[place % len(HUES)]
        dash = DASHES[place // len(HUES) % len(DASHES)]
        lines.append(_Line(result, hue, dash, mean, error, share, doubt))
    if left == "regret":
        return sorted(lines, key=lambda line: np.nan_to_num(line.mean[-1], nan=np.inf))
    return sorted(lines, key=lambda line: -np.nan_to_num(line.mean[-1], nan=-np.inf))


def _mean(values: Curve) -> tuple[Curve, Curve]:
    """Mean and standard error over the runs that have a value, (queries,) each."""
    count = np.isfinite(values).sum(axis=0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # before any result keeps the limits
        mean = np.nanmean(values, axis=0)
        error = np.nanstd(values, axis=0, ddof=1) / np.sqrt(count)
    return mean, np.nan_to_num(error, nan=0.0)


@dataclass(frozen=True, slots=True)
class _Panel:
    frame: Frame
    inside: Markup

    def drawn(self, x: float) -> Markup:
        return tag("g", self.frame.axes(), self.inside, transform=f"translate({px(x)} {px(_TOP)})")


def _left(lines: Sequence[_Line], points: Sequence[Reference], left: str) -> _Panel:
    first = lines[0].result
    values = np.concatenate([line.mean for line in lines] + [[p.value for p in points]])
    values = values[np.isfinite(values)]
    log = left == "regret" and bool((values > 0).any())
    regret = f"regret of {metric_name(first.select)}"
    title = regret if left == "regret" else metric_name(first.report)
    if log:
        low, high = _decades(values[values > 0])
    else:
        # The first queries are far off and would squeeze the rest against the top.
        settled = [line.mean[len(line.mean) // 20 :] for line in lines]
        shown = np.concatenate([*settled, [p.value for p in points]])
        shown = shown[np.isfinite(shown)]
        low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
    frame = Frame(_PANEL, _queries(lines, points), Axis(*span([low, high], log), title, log))
    thin = len(lines) > _CROWD
    drawn = [_curve(frame, line, line.mean, line.error, True) for line in reversed(lines)]
    marks = [_mark(frame, point) for point in points]
    if not values.size:
        x, y = _PANEL.width / 2, _PANEL.height / 2
        marks.append(tag("text", f"no run has {held(first)}", x=x, y=y, class_="said mid"))
    return _Panel(frame, tag("g", *drawn, *marks, class_="thin" if thin else "wide"))


def _right(lines: Sequence[_Line]) -> _Panel:
    thin = len(lines) > _CROWD
    if lines[0].result.volume is None:
        axis = Axis(0.0, 100.0, "runs that hold the optimum (%)")
        shown = [(line, line.share) for line in lines]
    else:
        # Nearly all of it is found soon; strategies differ in the rest.
        shown = [(line, 100.0 - line.share) for line in lines]
        values = np.concatenate([rest for _, rest in shown])
        low, high = _decades(values[values > 0]) if (values > 0).any() else (1e-3, 1.0)
        axis = Axis(*span([low, high], True), "missing of the true front's hypervolume (%)", True)
    frame = Frame(_PANEL, _queries(lines, ()), axis)
    drawn = [_curve(frame, line, values, line.doubt, not thin) for line, values in shown[::-1]]
    return _Panel(frame, tag("g", *drawn, class_="thin" if thin else "wide"))


def _decades(positive: Curve) -> tuple[float, float]:
    """The range of a logarithmic axis: a few decades below the greatest value."""
    high = float(positive.max())
    return max(float(positive.min()), high / _DECADES), high


def _queries(lines: Sequence[_Line], points: Sequence[Reference]) -> Axis:
    last = max([line.result.queries for line in lines] + [math.ceil(p.query) for p in points])
    return Axis(0.0, float(max(last, 2)), "queries", whole=True)


def _curve(frame: Frame, line: _Line, mean: Curve, error: Curve, banded: bool) -> Markup:
    at = np.flatnonzero(np.isfinite(mean))
    if not at.size:
        return Markup("")
    at = _thinned(at)
    xs = [px(frame.x(float(q + 1))) for q in at]

    def path(values: Curve) -> list[str]:
        return [f"{x} {px(frame.y(float(v)))}" for x, v in zip(xs, values[at], strict=True)]

    parts = [tag("title", line.result.strategy)]
    if banded and error.any():
        # On a logarithmic scale the band is cut off at the lower end.
        edge = path(mean + error) + path(mean - error)[::-1]
        parts.append(tag("path", d=f"M{'L'.join(edge)}Z", fill=line.hue, class_="band"))
    d = "M" + "L".join(path(mean))
    parts.append(tag("path", d=d, stroke=line.hue, stroke_dasharray=line.dash, class_="curve"))
    if at.size == 1:
        parts.append(tag("circle", cx=xs[0], cy=frame.y(float(mean[at[0]])), r=3, fill=line.hue))
    return tag("g", *parts)


def _thinned(at: NDArray[np.intp], most: int = 500) -> NDArray[np.intp]:
    """At most ``most`` of the points, evenly spaced: more would not be visible."""
    if at.size <= most:
        return at
    kept: NDArray[np.intp] = at[np.unique(np.linspace(0, at.size - 1, most).round().astype(int))]
    return kept


def _mark(frame: Frame, point: Reference) -> Markup:
    """A diamond, with its label on the side that has room for it."""
    x, y = frame.x(point.query), frame.y(point.value)
    fits = x + 9 + text_width(point.label, 11.0) < frame.right
    at, side = (x + 9, "said") if fits else (x - 9, "said end")
    diamond = tag("path", d=f"M{px(x - 5)} {px(y)}l5 -5l5 5l-5 5Z", class_="mark")
    return tag("g", diamond, tag("text", point.label, x=at, y=y + 3.8, class_=side))


def _legend(lines: Sequence[_Line], left: str) -> tuple[Markup, float]:
    """Names with their final values, in columns, best first; and the height of the legend."""
    texts = [(line.result.strategy, _reached(line, left)) for line in lines]
    wide = max(44 + text_width(f"{name}  {reached}", _SIZE) for name, reached in texts) + 14
    columns = max(1, min(len(lines), int((_WIDTH - 2 * MARGIN) // wide)))
    rows = math.ceil(len(lines) / columns)
    entries = []
    for place, (line, (name, reached)) in enumerate(zip(lines, texts, strict=True)):
        x, y = (place // rows) * wide, (place % rows) * _ROW + _ROW / 2
        entries.append(
            tag(
                "g",
                tag(
                    "path",
                    d=f"M{px(x)} {px(y)}h28",
                    stroke=line.hue,
                    class_="curve",
                    stroke_dasharray=line.dash,
                ),
                tag(
                    "text",
                    tag("tspan", name, class_="name"),
                    tag("tspan", reached, dx=6),
                    x=x + 36,
                    y=y + 4,
                ),
                class_="key",
            )
        )
    return joined(entries), rows * _ROW


def _reached(line: _Line, left: str) -> str:
    value = short(float(line.mean[-1]), 3 if left == "regret" else 4)
    count, runs = int(np.isfinite(line.result.valid[:, -1]).sum()), line.result.repeats
    share = f" ({count} of {runs} runs)" if 0 < count < runs else ""
    return f"{value}{share}, {line.share[-1]:.0f}%"
