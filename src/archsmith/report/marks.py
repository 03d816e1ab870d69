"""What charts of trials share: figures, marks, hover texts, legends, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..history.numbers import metric_name, with_unit
from ..history.trial import State, Trial
from .axes import Frame
from .content import ReportContent
from .svg import joined, px, tag, text_width

#: Kinds of marks with their words in a legend, in the order of the legend.
WORDS = {
    "dot": "finished",
    "short": "finished, not trained as long as others",
    "ring": "breaks a limit",
    "diamond": "pruned",
    "cross": "failed",
    "down": "below the axis",
    "up": "above the axis",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart in two sizes with its heading and legend.

    Attributes:
        legend: (CSS class of the mark, text) for what occurs in the chart.
    """

    title: str
    note: str
    wide: Markup
    narrow: Markup
    legend: tuple[tuple[str, str], ...] = ()


def tip(content: ReportContent, trial: Trial, names: Sequence[str]) -> str:
    """The text that hovering over a trial shows: its number and those of the metrics it has."""
    state = "" if trial.state is State.FINISHED else f", {trial.state}"
    lines = [f"Trial {trial.number}{state}"]
    lines += [
        f"{metric_name(name)} {with_unit(name, trial.metrics[name], content.known)}"
        for name in names
        if name in trial.metrics
    ]
    if trial.state is not State.FINISHED and trial.reason:
        lines.append(trial.reason[:120])
    return "\n".join(lines)


def mark(kind: str, x: float, y: float, number: int, hover: str | None) -> Markup:
    """A trial in a chart; ``kind`` is one of :data:`WORDS`. ``hover`` is its text, if any."""
    at = f"M{px(x)} {px(y)}"
    paths = {
        "dot": f"{at}h0",
        "short": f"{at}h0",
        "ring": f"{at}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
        "cross": f"{at}m-3-3l6 6m0-6l-6 6",
        "diamond": f"{at}m0-4l4 4l-4 4l-4-4z",
        "down": f"{at}m-3.5-8h7l-3.5 5z",
        "up": f"{at}m-3.5 8h7l-3.5-5z",
    }
    title = Markup("") if hover is None else tag("title", hover)
    return tag("path", title, d=paths[kind], data_n=number, class_=None if kind == "dot" else kind)


def kinds_of(content: ReportContent) -> dict[int, str]:
    """Which mark each trial gets, by its number."""
    finished = [trial for trial in content.trials if trial.state is State.FINISHED]
    longest = max((trial.fidelity.order for trial in finished), default=None)

    def kind(trial: Trial) -> str:
        if trial.state is State.PRUNED:
            return "diamond"
        if trial.state is not State.FINISHED:
            return "cross"
        if not content.feasible(trial):
            return "ring"
        return "dot" if trial.fidelity.order == longest else "short"

    return {trial.number: kind(trial) for trial in content.trials}


def crowd(trials: Sequence[Trial]) -> str:
    """A further CSS class for charts with so many trials that dots must be smaller."""
    return " many" if len(trials) > 500 else ""


def beyond(value: float | None, low: float, high: float) -> str | None:
    """``down`` or ``up`` for a value outside the range of the axis, else ``None``."""
    if value is None or low <= value <= high:
        return None
    return "down" if value < low else "up"


def finite(trial: Trial, metric: str) -> float | None:
    """A trial's metric, ``None`` if it is missing, NaN or infinite."""
    value = trial.metrics.get(metric, math.nan)
    return value if math.isfinite(value) else None


def best_mark(frame: Frame, x: float, y: float, text: str) -> Markup:
    """A circle around the best trial with a label next to it, on the side that has room."""
    circle = tag("circle", cx=x, cy=y, r="6.5", class_="best")
    half = text_width(text, 11.5, bold=True) / 2
    below = y + (-12.0 if y - frame.top > 8 else 22.0)
    if x - half < frame.left:
        label = tag("text", text, x=max(x - 6, frame.left), y=below, class_="note")
    elif x + half > frame.right:
        label = tag("text", text, x=min(x + 6, frame.right), y=below, class_="note end")
    else:
        label = tag("text", text, x=x, y=below, class_="note mid")
    return joined([circle, label])
