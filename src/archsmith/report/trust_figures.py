"""Pictures of shared weights: against stand-alone training, how they were trained, and on what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..history.numbers import capital, metric_name, metric_unit, with_unit
from .axes import LOW, NARROW, WIDE, Axis, Frame, Size, needs_log, span, without_stragglers
from .content import ReportContent, SupernetFacts
from .curves import LINES, by_epoch, epoch_texts, series
from .marks import WORDS, Figure, best_mark, beyond
from .svg import px, tag

if TYPE_CHECKING:
    from ..history.trust import Trust
    from ..history.trust_facts import Judged

_BARS = (132.0, 30.0)  # size of a picture of visits
_MOST_CURVES = 4
_MOST_HOVERS = 400
_SMALL = 150  # with more points than this, dots are small
_SKIPPED = frozenset({"epoch", "step", "steps", "seconds", "lr", "rate"})


def agreement_figure(content: ReportContent) -> Figure | None:
    """The sample by shared and stand-alone value, with marks for the top fifth and the result.

    ``None`` if no finite values were measured.
    """
    trust = content.trust
    if trust is None:
        return None
    shown = [j for j in trust.sample if math.isfinite(j.shared) and math.isfinite(j.alone)]
    if not shown:
        return None
    scatter = _Scatter(content, trust, shown)
    name = metric_name(trust.objective.metric)
    truth = f"Stand-alone values: {trust.truth}." if trust.truth else ""
    return Figure(
        f"{capital(name)} with shared weights and alone",
        truth,
        scatter.chart(WIDE),
        scatter.chart(NARROW),
        scatter.legend(),
    )


class _Scatter:
    """Shared values across, stand-alone values up."""

    def __init__(self, content: ReportContent, trust: Trust, shown: Sequence[Judged]) -> None:
        self.content, self.trust, self.shown = content, trust, shown
        chosen = trust.chosen
        finite = chosen is not None and math.isfinite(chosen.shared) and math.isfinite(chosen.alone)
        self.chosen = chosen if finite else None
        # Two architectures of the sample may be equal in every value: identity tells them apart.
        self.top = {id(judged) for judged in trust.top}
        marked = [*shown, *([self.chosen] if self.chosen else [])]
        better = trust.objective.direction
        self.shared, self.alone = [j.shared for j in marked], [j.alone for j in marked]
        self.logs = needs_log(self.shared), needs_log(self.alone)
        self.xs = without_stragglers(self.shared, better, self.logs[0])
        self.ys = without_stragglers(self.alone, better, self.logs[1])
        self.kinds = [self._kind(judged) for judged in shown]

    def _kind(self, judged: Judged) -> str:
        outside = beyond(judged.alone, *self.ys)
        if outside is None and beyond(judged.shared, *self.xs) is not None:
            return "diamond"
        return outside or "dot"

    def legend(self) -> tuple[tuple[str, str], ...]:
        inside = {id(j) for j, kind in zip(self.shown, self.kinds, strict=True) if kind == "dot"}
        legend = [("front", "top fifth, trained alone")] if inside & self.top else []
        legend += [("faint", "others")] if inside - self.top else []
        words = WORDS | {"diamond": "beside the axis"}
        legend += [(kind, words[kind]) for kind in WORDS if kind in self.kinds and kind != "dot"]
        return tuple(legend)

    def chart(self, size: Size) -> Markup:
        metric, known = self.trust.objective.metric, self.content.known
        name, unit = metric_name(metric), metric_unit(metric, known)
        of = f", {unit}" if unit else ""
        frame = Frame(
            size,
            Axis(*span(self.xs, self.logs[0]), f"{name} with shared weights{of}", self.logs[0]),
            Axis(*span(self.ys, self.logs[1]), f"{name} trained alone{of}", self.logs[1]),
        )
        hover = len(self.shown) <= _MOST_HOVERS
        top: list[Markup] = []
        rest: list[Markup] = []
        for judged, kind in zip(self.shown, self.kinds, strict=True):
            shape = self._mark(frame, judged, kind, hover)
            (top if id(judged) in self.top else rest).append(shape)
        ring = Markup("")
        if self.chosen is not None:
            at = frame.x(self.chosen.shared), frame.y(self.chosen.alone)
            dot = self._mark(frame, self.chosen, "dot", True)
            ring = tag("g", dot, class_="dots front") + best_mark(frame, *at, "found")
        small = " many" if len(self.shown) > _SMALL else ""
        return frame.svg(
            tag("g", *rest, class_="dots faint still" + small),
            tag("g", *top, class_="dots front still" + small),
            ring,
            title=f"{name} with shared weights against {name} trained alone",
        )

    def _mark(self, frame: Frame, judged: Judged, kind: str, hover: bool) -> Markup:
        at = f"M{px(frame.x(judged.shared))} {px(frame.y(judged.alone))}"
        shapes = {
            "dot": f"{at}h0",
            "diamond": f"{at}m0-4l4 4l-4 4l-4-4z",
            "down": f"{at}m-3.5-8h7l-3.5 5z",
            "up": f"{at}m-3.5 8h7l-3.5-5z",
        }
        text = tag("title", self._text(judged)) if hover else ""
        return tag("path", text, d=shapes[kind], class_=None if kind == "dot" else kind)

    def _text(self, judged: Judged) -> str:
        metric, known = self.trust.objective.metric, self.content.known
        lines = [judged.name, f"shared {with_unit(metric, judged.shared, known)}"]
        if judged.raw is not None:
            lines.append(f"before recalibration {with_unit(metric, judged.raw, known)}")
        return "\n".join([*lines, f"alone {with_unit(metric, judged.alone, known)}"])


def supernet_figures(content: ReportContent) -> list[Figure]:
    """Training of the shared weights: loss, metrics, then what else the method reports.

    Values within [0, 1], such as entropies and shares, are drawn together, three to a chart.
    """
    facts = content.supernet
    if facts is None:
        return []
    keys = list(dict.fromkeys(key for row in facts.curve for key in row))
    keys = [key for key in keys if key not in _SKIPPED and by_epoch(facts.curve, key)]
    metric_names = {*content.known, content.objectives[0].metric}
    metrics = [k for k in keys if k in metric_names and "loss" not in k]
    losses = [k for k in keys if "loss" in k]
    rest = [k for k in keys if k not in metrics and k not in losses]
    shares = [k for k in rest if all(0 <= v <= 1 for _, v in by_epoch(facts.curve, k))]
    groups = [losses, metrics[:1]] if losses or metrics else []
    groups += [shares[i : i + len(LINES)] for i in range(0, len(shares), len(LINES))]
    groups += [[k] for k in rest if k not in shares]
    figures = [_curves(content, facts, group[: len(LINES)]) for group in groups if group]
    return figures[:_MOST_CURVES]


def _curves(content: ReportContent, facts: SupernetFacts, keys: Sequence[str]) -> Figure:
    lines = {key: by_epoch(facts.curve, key) for key in keys}
    values = [value for points in lines.values() for _, value in points]
    last = max(epoch for points in lines.values() for epoch, _ in points)
    names = [metric_name(key).replace("train ", "training ") for key in keys]
    title = capital(" and ".join(filter(None, [", ".join(names[:-1]), names[-1]])))
    log = needs_log(values)

    def chart(size: Size, hover: bool) -> Markup:
        unit = metric_unit(keys[0], content.known)
        label = f"{names[0]} ({unit})" if unit else names[0]
        frame = Frame(
            size,
            Axis(1.0 if last > 1 else 0.0, max(last, 1.0), "epoch", whole=True),
            Axis(*span(values, log), label if len(names) == 1 else "value", log),
        )
        curves = []
        for style, (key, points) in zip(LINES, lines.items(), strict=False):
            texts = epoch_texts(content, facts.method, key, points) if hover else ()
            curves.append(series(frame, points, style, texts))
        return frame.svg(*reversed(curves), title=title)

    legend = tuple((f"line {LINES[i]}", name) for i, name in enumerate(names))
    return Figure(
        title, "", chart(LOW, True), chart(NARROW, False), legend if len(keys) > 1 else ()
    )


def visit_bars(counts: Mapping[str, int]) -> Markup:
    """A bar for each option of a decision, its height the number of times it was trained.

    A line marks the height that all would have if they were trained equally often.
    """
    width, height = _BARS
    most = max(counts.values()) or 1
    step = width / len(counts)
    gap = min(3.0, step * 0.2)
    bars = []
    for i, (label, count) in enumerate(counts.items()):
        tall = max(1.5, (height - 2) * count / most)
        shape = f"M{px(i * step)} {px(height)}h{px(step - gap)}v{px(-tall)}h{px(gap - step)}z"
        text = tag("title", f"{label}\ntrained {count:,} times")
        bars.append(tag("path", text, d=shape, class_=None if count else "never"))
    even = height - (height - 2) * sum(counts.values()) / len(counts) / most
    line = tag("path", d=f"M0 {px(even)}H{px(width)}", class_="even")
    box = f"0 0 {px(width)} {px(height)}"
    return tag("svg", tag("g", *bars), line, viewBox=box, class_="bars", role="img")
