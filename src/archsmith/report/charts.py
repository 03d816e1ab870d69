"""The search curve: every trial by its number, with the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from ..history.numbers import axis_title, capital, metric_name, short
from ..history.objective import Objective
from ..history.trial import State
from .axes import NARROW, WIDE, Axis, Frame, Size, needs_log, span, without_stragglers
from .content import ReportContent
from .marks import WORDS, Figure, best_mark, beyond, crowd, finite, kinds_of, mark, tip
from .svg import px, tag

_STRIP = 22.0  # below the curve, for trials without a value


def best_so_far(content: ReportContent, objective: Objective) -> list[tuple[int, float]]:
    """(trial number, best value so far) of each finished trial that keeps the limits and improved
    on all before it, or was the first to be trained so long: longer trainings are not compared with
    shorter ones."""
    steps: list[tuple[int, float]] = []
    longest, lowest = (-math.inf, -math.inf), math.inf
    for trial in content.trials:
        if trial.state is State.FINISHED and content.feasible(trial):
            loss, length = objective.loss(trial.metrics), trial.fidelity.order
            if length > longest or (length == longest and loss < lowest):
                longest, lowest = length, loss
                steps.append((trial.number, trial.metrics[objective.metric]))
    return steps


def search_figure(content: ReportContent, objective: Objective) -> Figure | None:
    """Each trial's value by its number, with the best so far; ``None`` before the first trial
    has ended."""
    ended = [trial for trial in content.trials if trial.state.ended]
    values = [v for t in ended if (v := finite(t, objective.metric)) is not None]
    if not values:
        return None
    log = needs_log(values)
    low, high = (
        (min(values), max(values)) if log else without_stragglers(values, objective.direction)
    )
    known = kinds_of(content)
    kinds = {
        t.number: beyond(finite(t, objective.metric), low, high) or known[t.number] for t in ended
    }
    lost = any(finite(t, objective.metric) is None for t in ended)
    used = [k for k in WORDS if k in kinds.values()]
    name = metric_name(objective.metric)
    named = content.columns()[:5]

    def chart(size: Size, hover: bool) -> Markup:
        last = max(content.trials[-1].number, 1)
        x = Axis(-0.02 * last, last * 1.02, "trial", whole=True)
        y = Axis(*span([low, high], log), axis_title(objective.metric, content.known), log)
        frame = Frame(size, x, y, strip=_STRIP if lost else 0.0)
        marks = []
        for trial in ended:
            value = finite(trial, objective.metric)
            at = frame.bottom - _STRIP / 2 + 2 if value is None else frame.y(value)
            text = tip(content, trial, named) if hover else None
            marks.append(mark(kinds[trial.number], frame.x(trial.number), at, trial.number, text))
        line = _steps(frame, best_so_far(content, objective), last)
        dots = tag("g", *marks, class_="dots" + crowd(ended))
        return frame.svg(
            line, dots, _best(content, objective, frame), title=f"{name} of each trial"
        )

    best = "best so far" + (" of the longest trainings" if "short" in used else "")
    legend = (("line", best), *((kind, WORDS[kind]) for kind in used))
    heading = f"{capital(name)} of each trial"
    return Figure(heading, "", chart(WIDE, True), chart(NARROW, False), legend)


def _steps(frame: Frame, steps: Sequence[tuple[int, float]], last: int) -> Markup:
    if not steps:
        return Markup("")
    path = f"M{px(frame.x(steps[0][0]))} {px(frame.y(steps[0][1]))}"
    for number, value in steps[1:]:
        path += f"H{px(frame.x(number))}V{px(frame.y(value))}"
    return tag("path", d=path + f"H{px(frame.x(last))}", class_="step")


def _best(content: ReportContent, objective: Objective, frame: Frame) -> Markup:
    """A circle around the best trial with its value next to it."""
    best = content.best_trial
    value = finite(best, objective.metric) if best else None
    if best is None or value is None:
        return Markup("")
    text = f"{short(value, 4)}, trial {best.number}"
    return best_mark(frame, frame.x(best.number), frame.y(value), text)
