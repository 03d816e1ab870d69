"""Learning curves over the number of labels as one self-contained SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from .._support.errors import InputError
from ..report.axes import Axis, Frame, Size, span
from ..report.sheet import HUES, MARGIN, sheet
from ..report.svg import joined, px, tag, text_width
from .picture import DASHES, STYLE

_PANEL = Size(440, 300, 5, 6)
_GAP, _TOP, _ROW = 28.0, 58.0, 20.0

#: Labels per class to the values of all runs.
Curve = Mapping[int, Sequence[float]]


def learning_picture(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    title: str,
    subtitle: str = "",
    value: str = "test accuracy (%)",
) -> str:
    """Draw methods over the number of labels, with a panel for each task, as an SVG picture.

    Lines are means over runs; their bands are one standard error to each side. A method has the
    same colour in all panels.

    Args:
        panels: task to method to its curve.
        title, subtitle: headings of the picture.
        value: label of the vertical axis.

    Returns:
        The text of the SVG file.

    Raises:
        InputError: no method has values.
    """
    methods = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    if not any(curve for curves in panels.values() for curve in curves.values()):
        raise InputError("picture", "at least one method with values", "none")
    looks = {
        name: (HUES[i % len(HUES)], DASHES[i // len(HUES) % len(DASHES)])
        for i, name in enumerate(methods)
    }
    drawn = [
        tag(
            "g",
            _panel(name, curves, looks, value),
            transform=f"translate({px(MARGIN + i * (_PANEL.width + _GAP))} {px(_TOP)})",
        )
        for i, (name, curves) in enumerate(panels.items())
    ]
    wide = 2 * MARGIN + len(panels) * _PANEL.width + (len(panels) - 1) * _GAP
    legend, height = _legend(looks, wide - 2 * MARGIN)
    below = _TOP + _PANEL.height + 26
    tall = below + height + MARGIN
    inside = (*drawn, tag("g", legend, transform=f"translate({px(MARGIN)} {px(below)})"))
    return sheet(wide, tall, title, subtitle, *inside, style=STYLE)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; 0 for a single value."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return statistics.fmean(values), spread / math.sqrt(len(values))


def _panel(
    name: str,
    curves: Mapping[str, Curve],
    looks: Mapping[str, tuple[str, str | None]],
    value: str,
) -> Markup:
    points = {
        method: [(k, *mean_and_error(curve[k])) for k in sorted(curve) if curve[k]]
        for method, curve in curves.items()
    }
    all_points = [point for line in points.values() for point in line]
    labels = sorted({k for k, _, _ in all_points}) or [1]
    ends = [m + sign * e for _, m, e in all_points for sign in (-1, 1)] or [0.0, 1.0]
    x = Axis(*span([min(labels), max(labels)], True), "labels per class", True)
    frame = Frame(_PANEL, x, Axis(*span(ends, False), value))
    lines = [_line(frame, m, line, *looks[m]) for m, line in reversed(points.items()) if line]
    heading = tag("text", name, x=_PANEL.width - 14, y=13.0, class_="label end")
    return joined([frame.axes(), heading, *lines])


def _line(
    frame: Frame, method: str, line: Sequence[tuple[int, float, float]], hue: str, dash: str | None
) -> Markup:
    def path(sign: int) -> list[str]:
        return [f"{px(frame.x(float(k)))} {px(frame.y(m + sign * e))}" for k, m, e in line]

    parts = [tag("title", method)]
    if any(error for _, _, error in line):
        edge = "L".join(path(1) + path(-1)[::-1])
        parts.append(tag("path", d=f"M{edge}Z", fill=hue, class_="band"))
    d = "M" + "L".join(path(0))
    parts.append(tag("path", d=d, stroke=hue, stroke_dasharray=dash, class_="curve"))
    parts += [
        tag("circle", cx=frame.x(float(k)), cy=frame.y(m), r=3.2, fill=hue) for k, m, _ in line
    ]
    return tag("g", *parts)


def _legend(looks: Mapping[str, tuple[str, str | None]], room: float) -> tuple[Markup, float]:
    """The legend, methods in rows, and its height."""
    entries, x, y = [], 0.0, 8.0
    for name, (hue, dash) in looks.items():
        wide = 36 + text_width(name, 12.0) + 22
        if x and x + wide > room:
            x, y = 0.0, y + _ROW
        stroke = tag(
            "path", d=f"M{px(x)} {px(y)}h28", stroke=hue, class_="curve", stroke_dasharray=dash
        )
        text = tag("text", tag("tspan", name, class_="name"), x=x + 36, y=y + 4)
        entries.append(tag("g", stroke, text, class_="key"))
        x += wide
    return joined(entries), y + 8
