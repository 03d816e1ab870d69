"""Training curves: metric by epoch, one line per model, and tiny ones for the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from ..history.numbers import axis_title, capital, metric_name, with_unit
from ..history.trial import Trial
from .axes import LOW, NARROW, Axis, Frame, Scale, Size, needs_log, span, without_stragglers
from .content import ReportContent
from .marks import Figure
from .svg import px, tag

#: CSS classes of the lines in a chart.
LINES = ("one", "two", "three")


def training_figures(content: ReportContent) -> list[Figure]:
    """Training loss and the first objective (or validation loss) by epoch, for the finalists."""
    keys = {key for finalist in content.finalists for row in finalist.curve for key in row}
    goals = [o.metric for o in content.objectives if o.metric in keys]
    available = [m.name for m in content.metrics if m.name in keys]
    titles = [("train_loss", "training loss")]
    titles += [
        (name, f"validation {metric_name(name)}") for name in [*goals, *available, "loss"][:1]
    ]
    figures = [_curve_figure(content, key, title) for key, title in titles if key in keys]
    return [figure for figure in figures if figure]


def by_epoch(rows: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """(epoch, value) pairs of the rows that have a finite value."""
    pairs = [(row.get("epoch", i + 1.0), row.get(key, math.nan)) for i, row in enumerate(rows)]
    return [(epoch, value) for epoch, value in pairs if math.isfinite(value)]


def _curve_figure(content: ReportContent, key: str, title: str) -> Figure | None:
    lines = [(f, by_epoch(f.curve, key)) for f in content.finalists[: len(LINES)]]
    lines = [(f, points) for f, points in lines if points]
    if not lines:
        return None
    values = [value for _, points in lines for _, value in points]
    last = max(epoch for _, points in lines for epoch, _ in points)
    log = needs_log(values)
    better = content.direction(key) or "minimize"
    low, high = without_stragglers(values, better, log)

    def chart(size: Size, hover: bool) -> Markup:
        label = axis_title(key, content.known) if key in content.known else title
        frame = Frame(
            size,
            Axis(1.0 if last > 1 else 0.0, max(last, 1.0), "epoch", whole=True),
            Axis(*span([low, high], log), label, log),
        )
        curves = [
            series(frame, points, style, epoch_texts(content, f.name, key, points) if hover else ())
            for style, (f, points) in zip(LINES, lines, strict=False)
        ]
        return frame.svg(*reversed(curves), title=title)

    legend = tuple((f"line {LINES[i]}", f.name) for i, (f, _) in enumerate(lines))
    return Figure(capital(title), "", chart(LOW, True), chart(NARROW, False), legend)


def series(
    frame: Frame, points: Sequence[tuple[float, float]], style: str, texts: Sequence[str] = ()
) -> Markup:
    """A line with a wide invisible dot at each point, which shows its text on hovering.

    Args:
        points: values along both axes.
        style: CSS class, one of :data:`LINES`.
        texts: one for each point, or none; left out for lines of more than 200 points.
    """
    places = [(frame.x(across), frame.y(value)) for across, value in points]
    path = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in places)
    spots = (
        [
            tag("path", tag("title", text), d=f"M{px(x)} {px(y)}h0")
            for text, (x, y) in zip(texts, places, strict=True)
        ]
        if texts and len(points) <= 200
        else []
    )
    end = tag("path", d=f"M{px(places[-1][0])} {px(places[-1][1])}h0", class_="dot")
    line = tag("path", d=path, class_="curve")
    return tag("g", line, end, tag("g", *spots, class_="spots"), class_=f"series {style}")


def epoch_texts(
    content: ReportContent, name: str, key: str, points: Sequence[tuple[float, float]]
) -> list[str]:
    """The text that hovering over each epoch of a line shows."""
    return [
        f"{name}, epoch {epoch:g}\n{metric_name(key)} {with_unit(key, value, content.known)}"
        for epoch, value in points
    ]


def sparkline(trial: Trial, metrics: Sequence[str], points: int = 24) -> Markup:
    """A trial's validation curve as a small picture; empty if it has fewer than two epochs.

    Args:
        metrics: names to look for in the curve; the first one present is drawn.
        points: longer curves are thinned to this many.
    """
    key = next((name for name in metrics if any(name in row for row in trial.curve)), None)
    curve = by_epoch(trial.curve, key) if key else []
    if len(curve) < 2:
        return Markup("")
    if len(curve) > points:
        last = len(curve) - 1
        curve = [curve[round(i * last / (points - 1))] for i in range(points)]
    low, high = min(v for _, v in curve), max(v for _, v in curve)
    across = Scale(curve[0][0], curve[-1][0], 2.0, 138.0)
    up = Scale(low, high if high > low else low + max(1.0, abs(low)), 34.0, 4.0)
    path = "M" + "L".join(f"{round(across(epoch))} {round(up(v))}" for epoch, v in curve)
    return tag("svg", tag("path", d=path), viewBox="0 0 140 38", class_="spark")
