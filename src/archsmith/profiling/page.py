"""A profile of a space as one HTML page that needs neither network nor scripts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..history.numbers import axis_title, capital, duration, metric_name, short, with_unit
from ..history.objective import Limit
from ..report.axes import NARROW, WIDE, Axis, Frame, Size, needs_log, span
from ..report.marks import Figure
from ..report.rendering import rendered
from ..report.svg import joined, px, tag, text_width
from .text import (
    cost_columns,
    decision_rows,
    double_sentences,
    estimate_cells,
    fault_lines,
    headline,
    limit_sentence,
    looked_sentence,
    pace_sentence,
    sharing_sentences,
    size_sentence,
)

if TYPE_CHECKING:
    from .facts import ProfileFacts, Spread

_BARS = 24
#: Fewest values for which a distribution is drawn.
_FEWEST = 8


def render_profile(profile: ProfileFacts) -> str:
    """The page as text, to be written as UTF-8. Everything from the space is escaped."""
    facts = [*profile.limits, *([profile.together] if profile.together else [])]
    return rendered(
        "profile.html",
        profile=profile,
        headline=headline(profile),
        sentences=[capital(size_sentence(profile)), looked_sentence(profile)],
        stats=_stats(profile),
        figures=[f for spread in profile.costs.values() if (f := _figure(profile, spread))],
        costs=cost_columns(profile),
        limits=[(limit_sentence(profile, fact), fact.kept) for fact in facts],
        faults=[fault_lines(fault) for fault in profile.faults],
        rows=[(row, _bar(row.asked)) for row in decision_rows(profile.decisions)],
        doubles=double_sentences(profile),
        sharing=sharing_sentences(profile),
        pace=pace_sentence(profile),
        estimates=[
            (", ".join(estimate.strategies), estimate_cells(estimate))
            for estimate in (profile.times.estimates if profile.times else ())
        ],
        finals=estimate_cells(profile.times.finals) if profile.times else None,
    )


def _stats(profile: ProfileFacts) -> list[tuple[str, str, str]]:
    """Headline figures: name, value, remark."""
    figures = []
    for name in ("params", "flops", "memory_mb", "latency_ms"):
        if name in profile.costs:
            spread = profile.costs[name]
            least, most = (with_unit(name, e.value) for e in (spread.smallest, spread.largest))
            if least.partition(" ")[2] == most.partition(" ")[2]:
                least = least.partition(" ")[0]  # a common unit is written once
            ends = f"{least} to {most}"
            figures.append((metric_name(name), with_unit(name, spread.middle.value), ends))
    if profile.times is not None:
        middle = sorted(pace.trial for pace in profile.times.paces)[len(profile.times.paces) // 2]
        figures.append(("a trial", duration(middle), profile.times.trial))
    return figures


def _figure(profile: ProfileFacts, spread: Spread) -> Figure | None:
    """The distribution of a cost in the sample, with its limits; ``None`` for few values."""
    if len(spread.values) < _FEWEST:
        return None
    limits = [
        limit for fact in profile.limits for limit in fact.limits if limit.metric == spread.metric
    ]
    name = capital(metric_name(spread.metric))
    legend = [("", "architectures of the sample"), ("faint", "smallest and largest found")]
    if limits:
        legend.append(("line chosen", "limit"))
    title = f"{name} of {len(spread.values)} architectures"
    return Figure(
        name,
        f"median {with_unit(spread.metric, spread.quantiles[0.5])}",
        _histogram(spread, limits, WIDE, title),
        _histogram(spread, limits, NARROW, title),
        tuple(legend),
    )


def _histogram(spread: Spread, limits: Sequence[Limit], size: Size, title: str) -> Markup:
    ends = [spread.smallest.value, spread.largest.value]
    shown = [*ends, *spread.values]
    shown += [limit.bound for limit in limits if _near(limit.bound, ends)]
    log = needs_log(shown)
    low, high = span(shown, log, 0.03)
    edges = [_between(low, high, i / _BARS, log) for i in range(_BARS + 1)]
    counts = [
        sum(a <= v < b or (b == edges[-1] and v == b) for v in spread.values)
        for a, b in itertools.pairwise(edges)
    ]
    frame = Frame(
        size,
        Axis(low, high, axis_title(spread.metric), log),
        Axis(0, max(counts) * 1.12, "architectures", whole=True),
    )
    bars = []
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            x, width = frame.x(left) + 0.75, frame.x(right) - frame.x(left) - 1.5
            y = frame.y(count)
            hover = tag("title", f"{count} from {short(left)} to {short(right)}")
            bars.append(tag("rect", hover, x=x, y=y, width=width, height=frame.bottom - y))
    marks = [
        tag(
            "path",
            tag("title", f"{word} found: {short(value)}"),
            class_="end",
            d=f"M{px(frame.x(value))} {px(frame.bottom - 9)}v9",
        )
        for word, value in zip(("smallest", "largest"), ends, strict=True)
    ]
    lines = [_limit(frame, limit, place) for place, limit in enumerate(limits)]
    return frame.svg(tag("g", *bars, *marks, class_="hist"), joined(lines), title=title)


def _near(bound: float, ends: Sequence[float]) -> bool:
    """Whether a bound can be shown without squeezing the bars together."""
    low, high = ends
    return low / 10 <= bound <= high * 2 if low > 0 else low <= bound <= high * 2


def _between(low: float, high: float, share: float, log: bool) -> float:
    if log:
        return float(low * (high / low) ** share)
    return low + share * (high - low)


def _limit(frame: Frame, limit: Limit, place: int) -> Markup:
    """A line at the bound, or an arrow where it lies beyond the axis."""
    x, y = frame.x(limit.bound), frame.top + 12 + 15 * place
    text = f"{'≤' if limit.sign == '<=' else '≥'} {short(limit.bound)}"
    if not frame.x.low <= limit.bound <= frame.x.high:
        left = limit.bound < frame.x.low
        text = f"← {text}" if left else f"{text} →"
        return tag("text", text, x=x, y=y, class_="note" if left else "note end")
    fits = x + text_width(text, 11.5, bold=True) + 8 < frame.right
    return joined(
        [
            tag("path", d=f"M{px(x)} {px(frame.top)}V{px(frame.bottom)}", class_="limit"),
            tag(
                "text", text, x=x + (6 if fits else -6), y=y, class_="note" if fits else "note end"
            ),
        ]
    )


def _bar(asked: str) -> float:
    """Length of the bar of a share, from 0 to 1: the larger end of a range."""
    last = asked.rpartition(" to ")[2]
    if last == "always":
        return 1.0
    number = last.removeprefix("under ").removesuffix(" %")
    return float(number) / 100 if number and not math.isnan(float(number)) else 0.0
