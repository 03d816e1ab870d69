"""The report as one HTML page that needs no network: it contains styles, script and pictures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from ..history.numbers import (
    axis_title,
    change,
    duration,
    metric_name,
    metric_unit,
    short,
    with_unit,
)
from ..history.objective import COSTS
from ..history.trial import State, Trial
from ..space.architecture import answer_text
from .baselines import BaselineSection, baseline_section
from .charts import search_figure
from .content import BaselineRow, ReportContent
from .curves import sparkline, training_figures
from .drawing import draw
from .grouping import group
from .inside import insides
from .marks import Figure
from .rendering import rendered, text_of
from .tradeoff import tradeoff_figures
from .trust_section import trust_section

_MOST_BOXES = 150  # in the diagram
_MOST_COLUMNS = 7  # metrics in the table of trials; the others are shown in the opened row


@dataclass(frozen=True, slots=True)
class Stat:
    """A headline figure: its name, its value, and a remark below."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of the final comparison: one value for each finalist, and the difference."""

    name: str
    values: tuple[str, ...]
    difference: str
    verdict: str  # "better", "worse" or ""


def render(content: ReportContent) -> str:
    """The page as text; write it as UTF-8.

    Everything in ``content`` is escaped. A content security policy allows only the page's own
    style and script, so the page loads nothing and runs nothing else.
    """
    script = text_of("report.js")
    known = content.known
    columns = content.columns()[:_MOST_COLUMNS]
    return rendered(
        "report.html",
        content=content,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        lead=lead(content),
        stats=stats(content),
        search=search_figures(content),
        tradeoffs=tradeoff_figures(content),
        trust=trust_section(content),
        training=training_figures(content),
        architecture=architecture(content),
        compared=compared(content),
        baselines=_baselines(content),
        predictions=_data_uri(content.predictions),
        columns=[(name, axis_title(name, known), i >= 2) for i, name in enumerate(columns)],
        rows=[row(content, trial, columns) for trial in content.trials],
        states=[(state.value, count) for state, count in content.counts.items()],
    )


def search_figures(content: ReportContent) -> list[Figure]:
    """The search curve of the first objective."""
    figure = search_figure(content, content.objectives[0])
    return [figure] if figure else []


def lead(content: ReportContent) -> Stat | None:
    """The headline: the first objective of the winner."""
    goal = content.objectives[0]
    name, known = goal.metric, content.known
    if content.finalists and name in content.finalists[0].test:
        winner = content.finalists[0].test[name]
        remark = ""
        other = content.finalists[1].test.get(name) if len(content.finalists) > 1 else None
        if other is not None:
            # A difference smaller than what is shown would read as +0.
            delta = change(winner - other)
            remark = f"{delta} against the default architecture ({with_unit(name, other, known)})"
            comparison = content.comparison
            if comparison is not None and comparison.metric == name and not comparison.clear:
                remark += f", no clear difference on {comparison.examples:,} test examples"
        return Stat(f"test {metric_name(name)}", with_unit(name, winner, known), remark)
    best = content.best_trial
    if best is None or name not in best.metrics:
        return None
    remark = f"trial {best.number}, on the validation part"
    return Stat(f"best {metric_name(name)}", with_unit(name, best.metrics[name], known), remark)


def stats(content: ReportContent) -> list[Stat]:
    """Smaller figures next to the headline: costs of the winner, number of trials, time."""
    best = content.best_trial
    costs: Mapping[str, float] = dict(best.metrics) if best else {}
    default: Mapping[str, float] = {}
    if content.finalists:
        costs = {**costs, **content.finalists[0].costs}
        default = content.finalists[1].costs if len(content.finalists) > 1 else {}
    figures = []
    for name in ("params", "latency_ms", "flops"):
        if name in costs:
            remark = f"default {with_unit(name, default[name])}" if name in default else ""
            figures.append(Stat(metric_name(name), with_unit(name, costs[name]), remark))
    counts = content.counts
    ended = sum(count for state, count in counts.items() if state.ended)
    remarks = [f"of {content.planned:,}"] if content.planned and content.planned != ended else []
    shown = (State.FAILED, State.PRUNED, State.RUNNING)
    remarks += [f"{counts[s]:,} {s}" for s in shown if s in counts]
    figures.append(Stat("trials", f"{ended:,}", ", ".join(remarks)))
    if content.seconds:
        pace = f"{duration(content.seconds / ended)} a trial" if ended else ""
        figures.append(Stat("time", duration(content.seconds), pace))
    return figures


def architecture(content: ReportContent) -> dict[str, Any] | None:
    """The diagram, or the module tree if there is no data flow."""
    graph = content.graph
    if graph is None:
        return None
    drawing, note, inner = None, graph.note, []
    if graph.nodes:
        picture = group(graph)
        try:
            if picture.boxes > _MOST_BOXES:
                raise ValueError(f"{picture.boxes} boxes, too many to read")
            drawing = draw(picture, "data flow of the best architecture")
            inner = [(title, draw(inside, title)) for title, inside in insides(graph, picture)]
        except ValueError:
            note = f"The data flow is too large to draw; these are the model's modules. {note}"
    lines = [(line, short(line.params) if line.params else "") for line in graph.tree]
    shown = {"drawing": drawing, "inside": inner, "tree": lines, "note": note}
    return shown | {"params": short(graph.params)}


def compared(content: ReportContent) -> list[Compared]:
    """The finalists metric by metric."""
    finalists = content.finalists
    rows = []
    goals = [objective.metric for objective in content.objectives]
    for part in ("test", "validation"):
        scores = [f.test if part == "test" else f.validation for f in finalists]
        names = {name for score in scores for name in score} - set(COSTS)
        first = [name for name in goals if name in names]
        for name in [*first, *sorted(names - set(first))]:
            values = [score.get(name) for score in scores]
            rows.append(_compare(content, name, f"{metric_name(name)}, {part}", values))
    present = {name for f in finalists for name in f.costs}
    for name in (name for name in COSTS if name in present):
        values = [f.costs.get(name) for f in finalists]
        rows.append(_compare(content, name, metric_name(name), values))
    if any(f.seconds is not None for f in finalists):
        seconds = [f.seconds for f in finalists]
        rows.append(_compare(content, "seconds", "training time", seconds))
    return rows


def _compare(
    content: ReportContent, name: str, title: str, values: Sequence[float | None]
) -> Compared:
    shown = tuple(with_unit(name, value, content.known) for value in values)
    first, second = values[0], values[1] if len(values) > 1 else None
    if first is None or second is None:
        return Compared(title, shown, "", "")
    delta = first - second
    better = content.direction(name)
    verdict = ""
    if better and delta:
        verdict = "better" if (delta > 0) == (better == "maximize") else "worse"
    if name == "seconds" or (name in COSTS and second):
        return Compared(title, shown, _relative(first, second), verdict)
    unit = metric_unit(name, content.known)
    return Compared(title, shown, change(delta) + (f" {unit}" if unit else ""), verdict)


def _relative(value: float, other: float) -> str:
    """How much larger a value is than another: ``+12 %``, ``−40 %``, ``×18``."""
    if other <= 0 or value > 2 * other:
        return f"×{short(value / other, 2)}" if other > 0 else ""
    return f"{change(100 * (value - other) / other)} %"


def row(content: ReportContent, trial: Trial, columns: Sequence[str]) -> dict[str, Any]:
    """What the table shows of a trial."""
    known = content.known
    return {
        "trial": trial,
        "cells": [
            (
                f"{value:.7g}" if (value := trial.metrics.get(name)) is not None else None,
                short(value, 3 if name in COSTS else 4),
            )
            for name in columns
        ],
        "time": duration(trial.seconds) if trial.seconds else "—",
        "best": trial.number == content.best,
        "front": trial.number in set(content.front),
        "kept": content.feasible(trial),
        "metrics": [
            (metric_name(name), with_unit(name, value, known))
            for name, value in trial.metrics.items()
            if name not in columns[:2]
        ],
        "decisions": [(name, answer_text(value)) for name, value in trial.architecture.items()],
        "spark": sparkline(
            trial,
            [*(o.metric for o in content.objectives), "loss", "train_loss"],
            24 if len(content.trials) <= 500 else 12,
        ),
    }


def _baselines(content: ReportContent) -> BaselineSection | None:
    winner = None
    if content.finalists:
        first = content.finalists[0]
        winner = BaselineRow(first.name, first.test, first.costs, first.seconds or 0.0)
    return baseline_section(content.baselines, winner, content.comparison, content.known)


def _data_uri(png: bytes | None) -> str | None:
    return None if png is None else "data:image/png;base64," + base64.b64encode(png).decode()
