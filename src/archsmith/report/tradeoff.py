"""What is traded off against what: scatter charts of two metrics with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from markupsafe import Markup

from ..history.numbers import axis_title, capital, metric_name
from ..history.objective import COSTS, Objective
from ..history.trial import Trial
from .axes import NARROW, WIDE, Axis, Frame, Size, needs_log, span, without_stragglers
from .content import ReportContent
from .marks import WORDS, Figure, best_mark, beyond, crowd, finite, kinds_of, mark, tip
from .parallel import parallel_figure
from .svg import px, tag


def tradeoff_figures(content: ReportContent) -> list[Figure]:
    """Charts of each pair of objectives; a single objective is drawn against the first cost.

    Four and more objectives give parallel coordinates instead.
    """
    goals = list(content.objectives)
    if len(goals) > 3:
        figure = parallel_figure(content)
        return [figure] if figure else []
    if len(goals) == 1:
        order = ("latency_ms", "params", "flops", "memory_mb")
        present = {n for t in content.trials for n in t.metrics} - {goals[0].metric}
        cost = next((COSTS[name] for name in order if name in present), None)
        if cost is None:
            return []
        goals.append(Objective(cost.name, cost.direction))
    figures = []
    for down, across in combinations(goals, 2):
        shown = [
            t
            for t in content.trials
            if finite(t, across.metric) is not None and finite(t, down.metric) is not None
        ]
        if shown:
            figures.append(_Scatter(content, shown, down, across).figure())
    return figures


def front_of(
    content: ReportContent, shown: Sequence[Trial], down: Objective, across: Objective
) -> list[Trial]:
    """Of the longest trainings among ``shown`` those that keep the limits and that no other of them
    beats in both metrics.

    They are in order of the horizontal metric. O(n log n).
    """
    kinds = kinds_of(content)
    feasible = [t for t in shown if kinds[t.number] == "dot"]
    feasible.sort(key=lambda t: (across.loss(t.metrics), down.loss(t.metrics)))
    front: list[Trial] = []
    lowest = math.inf
    for trial in feasible:
        if down.loss(trial.metrics) < lowest:
            lowest = down.loss(trial.metrics)
            front.append(trial)
    return sorted(front, key=lambda t: t.metrics[across.metric])


@dataclass(frozen=True, slots=True)
class _Scatter:
    """All trials by two metrics: ``down`` is vertical, ``across`` horizontal."""

    content: ReportContent
    shown: Sequence[Trial]
    down: Objective
    across: Objective

    def figure(self) -> Figure:
        content, down, across = self.content, self.down, self.across
        front = front_of(content, self.shown, down, across)
        low, high = self._range()
        known = kinds_of(content)
        kinds = {
            t.number: beyond(t.metrics[down.metric], low, high) or known[t.number]
            for t in self.shown
        }
        names = metric_name(down.metric), metric_name(across.metric)
        whole = len(content.objectives) == 2
        heading = "Pareto front" if whole else f"{capital(names[0])} and {names[1]}"
        up = "up" if down.direction == "maximize" else "down"
        side = "left" if across.direction == "minimize" else "right"
        return Figure(
            heading,
            f"Better is {up} and to the {side}.",
            self._chart(WIDE, front, kinds, True),
            self._chart(NARROW, front, kinds, False),
            self._legend(front, kinds, whole),
        )

    def _range(self) -> tuple[float, float]:
        values = [t.metrics[self.down.metric] for t in self.shown]
        return without_stragglers(values, self.down.direction, needs_log(values))

    def _legend(
        self, front: Sequence[Trial], kinds: dict[int, str], whole: bool
    ) -> tuple[tuple[str, str], ...]:
        legend = [("front", "Pareto front" if whole else "best trade-offs")] if front else []
        members = {t.number for t in front}
        used = {k for n, k in kinds.items() if n not in members or k != "dot"}
        words = WORDS | {"dot": "other trials"}
        legend += [("faint" if k == "dot" else k, words[k]) for k in WORDS if k in used]
        return tuple(legend)

    def _chart(
        self, size: Size, front: Sequence[Trial], kinds: dict[int, str], hover: bool
    ) -> Markup:
        content, down, across = self.content, self.down.metric, self.across.metric
        xs = [t.metrics[across] for t in self.shown]
        ends = self._range()
        xlog, ylog = needs_log(xs), needs_log(ends)
        frame = Frame(
            size,
            Axis(*span(xs, xlog), axis_title(across, content.known), xlog),
            Axis(*span(ends, ylog), axis_title(down, content.known), ylog),
        )
        places = {
            t.number: (frame.x(t.metrics[across]), frame.y(t.metrics[down])) for t in self.shown
        }
        members = {t.number for t in front}
        plain: list[Markup] = []
        chosen: list[Markup] = []
        named = content.columns()[:5]
        for t in self.shown:
            text = tip(content, t, named) if hover else None
            shape = mark(kinds[t.number], *places[t.number], t.number, text)
            (chosen if t.number in members else plain).append(shape)
        best = content.best_trial
        ring = Markup("")
        if best is not None and best.number in places:
            ring = best_mark(frame, *places[best.number], f"trial {best.number}")
        return frame.svg(
            staircase([places[t.number] for t in front], self.across.direction),
            tag("g", *plain, class_="dots faint" + crowd(self.shown)),
            tag("g", *chosen, class_="dots front"),
            ring,
            title=f"{metric_name(down)} against {metric_name(across)}",
        )


def staircase(points: Sequence[tuple[float, float]], direction: str) -> Markup:
    """The border of what the front dominates; ``direction`` is that of the horizontal metric."""
    if len(points) < 2:
        return Markup("")
    path = f"M{px(points[0][0])} {px(points[0][1])}"
    for x, y in points[1:]:
        path += f"H{px(x)}V{px(y)}" if direction == "minimize" else f"V{px(y)}H{px(x)}"
    return tag("path", d=path, class_="step thin")
