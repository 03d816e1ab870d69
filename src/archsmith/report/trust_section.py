"""The page's section on shared weights: the verdict, the figures behind it, the visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..history.numbers import change, duration, fixed, metric_name, metric_unit, short, with_unit
from ..history.verdict import UNMEASURED
from .content import LEVELS, ReportContent, measuring
from .marks import Figure
from .trust_figures import agreement_figure, supernet_figures, visit_bars

if TYPE_CHECKING:
    from ..history.agreement import Agreement, Coefficient
    from ..history.trust import Trust
    from ..history.trust_facts import Outcome

_OPEN = 12  # decisions whose visits are shown at once


@dataclass(frozen=True, slots=True)
class CoefficientRow:
    """A rank correlation: (value, interval) after recalibration, and before where measured."""

    name: str
    after: tuple[str, str]
    before: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class VisitRow:
    """A decision with the bars of its options and a text about them."""

    decision: str
    bars: Markup
    text: str
    uneven: bool


@dataclass(frozen=True, slots=True)
class TrustSection:
    """The section ``Can the shared weights be trusted?``.

    Attributes:
        level: CSS class; ``word`` is its text.
        command: measures the agreement on a sample, or on a larger one; ``""`` if there already is
            a verdict.
        searches: (name, value, how) of one-shot and random search.
        visits: those shown at once, then those behind a click.
    """

    level: str
    word: str
    headline: str
    reasons: Sequence[str]
    command: str
    scatter: Figure | None
    rows: Sequence[CoefficientRow]
    facts: Sequence[tuple[str, str]]
    searches: Sequence[tuple[str, str, str]]
    visits: tuple[Sequence[VisitRow], Sequence[VisitRow]]
    supernet: Sequence[tuple[str, str]]
    curves: Sequence[Figure]


def trust_section(content: ReportContent) -> TrustSection | None:
    """The section, ``None`` for runs without shared weights."""
    trust = content.trust
    if trust is None and content.supernet is None:
        return None
    verdict = trust.verdict if trust is not None else None
    level = verdict.level if verdict else "unknown"
    visits = _visits(trust) if trust else []
    return TrustSection(
        level=level,
        word=LEVELS[level],
        headline=verdict.headline if verdict else UNMEASURED,
        reasons=verdict.reasons if verdict else (),
        command=measuring(content),
        scatter=agreement_figure(content),
        rows=_rows(trust) if trust else (),
        facts=_facts(content, trust) if trust else (),
        searches=_searches(content, trust) if trust else (),
        visits=(visits[:_OPEN], visits[_OPEN:]),
        supernet=_supernet(content),
        curves=supernet_figures(content),
    )


def _rows(trust: Trust) -> list[CoefficientRow]:
    after, before = trust.after, trust.before
    if after is None:
        return []
    return [
        CoefficientRow(name, value, other)
        for (name, value), (_, other) in zip(
            _values(after), _values(before) if before else [("", None)] * 4, strict=True
        )
    ]


def _values(agreement: Agreement) -> list[tuple[str, tuple[str, str]]]:
    every, top = f"all {agreement.count:,}", f"top fifth, {agreement.top:,}"
    return [
        (f"Kendall τ, {every}", _interval(agreement.tau)),
        (f"Kendall τ, {top}", _interval(agreement.top_tau)),
        (f"Spearman ρ, {every}", _interval(agreement.rho)),
        (f"Spearman ρ, {top}", _interval(agreement.top_rho)),
    ]


def _interval(coefficient: Coefficient) -> tuple[str, str]:
    if coefficient.low is None or coefficient.high is None:
        return fixed(coefficient.value), ""
    return fixed(coefficient.value), f"{fixed(coefficient.low)} to {fixed(coefficient.high)}"


def _facts(content: ReportContent, trust: Trust) -> list[tuple[str, str]]:
    facts = []
    unit = metric_unit(trust.objective.metric, content.known)
    after = trust.after
    if after is not None and after.picks is not None and after.count > 1:
        picks = after.picks

        def behind(regret: float) -> str:
            return "the best" if regret == 0 else f"{short(regret, 2)} {unit}".strip() + " behind"

        place = f"number {picks.rank} of {after.count:,}, " if picks.regret else ""
        facts = [
            ("their favourite", place + behind(picks.regret)),
            (f"best of their top 5 % ({picks.five})", behind(picks.regret_five)),
            (f"best of their top 10 % ({picks.ten})", behind(picks.regret_ten)),
            ("one drawn at random, on average", behind(picks.regret_random)),
        ]
    if trust.beaten is not None:
        facts.append(("what the search found", f"beats {trust.beaten:,} of {len(trust.sample):,}"))
    effect = trust.recalibration
    if effect is not None:
        changes = (
            [] if effect.tau is None else [f"τ {'+' if effect.tau > 0 else ''}{fixed(effect.tau)}"]
        )
        if effect.shared is not None:
            name = f"{metric_name(trust.objective.metric)} {change(effect.shared)} {unit}"
            changes.insert(0, name.strip())
        facts.append(("recalibrating BatchNorm", ", ".join(changes) or "—"))
    return facts


def _searches(content: ReportContent, trust: Trust) -> list[tuple[str, str, str]]:
    metric = trust.objective.metric

    def row(name: str, outcome: Outcome) -> tuple[str, str, str]:
        plural = "" if outcome.architectures == 1 else "s"
        how = f"{outcome.architectures:,} architecture{plural} trained alone"
        if outcome.seconds > 0:
            how += f", {duration(outcome.seconds)}"
        return name, with_unit(metric, outcome.value, content.known), how

    one = content.supernet.method if content.supernet else "one-shot search"
    named = ((one, trust.found), ("random search, same budget", trust.random))
    return [row(name, outcome) for name, outcome in named if outcome is not None]


def _visits(trust: Trust) -> list[VisitRow]:
    rows = []
    for tally in trust.tallies:
        text = f"least {tally.least[0]}, {fixed(tally.evenness)}"
        rows.append(VisitRow(tally.decision, visit_bars(tally.counts), text, tally.evenness < 0.5))
    return rows


def _supernet(content: ReportContent) -> list[tuple[str, str]]:
    facts = content.supernet
    if facts is None:
        return []
    rows = [("method", facts.method)]
    if facts.epochs:
        rows.append(("epochs", f"{facts.epochs:,}"))
    if facts.seconds is not None:
        rows.append(("training", duration(facts.seconds)))
    if facts.parameters is not None:
        rows.append(("shared parameters", short(facts.parameters)))
    if facts.stopped:
        rows.append(("stopped early", facts.stopped))
    return rows
