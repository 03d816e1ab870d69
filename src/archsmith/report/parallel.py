"""Parallel coordinates: many objectives side by side, one line per trial (Inselberg 1985)."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ..history.numbers import axis_title, short
from ..history.trial import State, Trial
from .axes import NARROW, WIDE, Scale, Size, without_stragglers
from .content import ReportContent
from .marks import Figure, finite, tip
from .svg import px, tag

_MOST = 400  # lines behind the front; more would only darken the picture


def parallel_figure(content: ReportContent) -> Figure | None:
    """Each finished trial as a line through its objectives, better values higher up."""
    names = [objective.metric for objective in content.objectives]
    ended = [t for t in content.trials if t.state is State.FINISHED and content.feasible(t)]
    shown = [t for t in ended if all(finite(t, name) is not None for name in names)]
    if not shown:
        return None
    front = set(content.front)
    back = [t for t in shown if t.number not in front][-_MOST:]
    ordered = [*back, *(t for t in shown if t.number in front)]
    legend = [("line chosen", "best"), ("line front", "Pareto front"), ("line faint", "others")]
    wide = _chart(content, ordered, shown, WIDE, True)
    narrow = _chart(content, ordered, shown, NARROW, False)
    return Figure("Pareto front", "Better is up on every axis.", wide, narrow, tuple(legend))


def _chart(
    content: ReportContent, lines: Sequence[Trial], shown: Sequence[Trial], size: Size, hover: bool
) -> Markup:
    top, bottom, side = 46.0, size.height - 26.0, 34.0
    names = [objective.metric for objective in content.objectives]
    places = [side + i * (size.width - 2 * side) / (len(names) - 1) for i in range(len(names))]
    scales, parts = [], []
    for i, (objective, x) in enumerate(zip(content.objectives, places, strict=True)):
        values = [t.metrics[objective.metric] for t in shown]
        low, high = without_stragglers(values, objective.direction)
        rising = objective.direction == "maximize"
        ends = (bottom, top) if rising else (top, bottom)
        scales.append(Scale(low, high if high > low else low + max(1.0, abs(low)), *ends))
        best, worst = (high, low) if rising else (low, high)
        title = axis_title(objective.metric, content.known)
        # Titles stand in two rows, so that neighbours do not touch.
        parts += [
            tag("path", d=f"M{px(x)} {px(top)}V{px(bottom)}", class_="axis"),
            tag("text", title, x=x, y=12.0 if i % 2 == 0 else 26.0, class_="label mid"),
            tag("text", short(best), x=x, y=top - 6, class_="tick mid"),
            tag("text", short(worst), x=x, y=bottom + 15, class_="tick mid"),
        ]
    front = set(content.front)
    for trial in lines:
        heights = [scale(trial.metrics[name]) for scale, name in zip(scales, names, strict=True)]
        path = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in zip(places, heights, strict=True))
        style = "front" if trial.number in front else "faint"
        style = "best" if trial.number == content.best else style
        title = tag("title", tip(content, trial, names)) if hover else ""
        parts.append(tag("path", title, d=path, class_=style, data_n=trial.number))
    box = f"0 0 {px(size.width)} {px(size.height)}"
    inner = [tag("title", "objectives of each trial"), tag("g", *parts)]
    return tag("svg", *inner, viewBox=box, role="img", class_="chart parallel")
