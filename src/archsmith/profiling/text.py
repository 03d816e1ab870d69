"""A profile of a space in words: for the terminal, and for the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..history.numbers import axis_title, capital, duration, metric_name, short, with_unit
from ..space.architecture import answer_text
from ..space.building import tell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from ..study.faults import Fault
    from .facts import DecisionFacts, Estimate, Idle, LimitFacts, ProfileFacts

_ROWS = 24  # decisions in the terminal
_OPTIONS = 44  # characters of their options


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Decisions of one kind: ``stage*.depth`` stands for all that differ only in a number."""

    name: str
    count: int
    options: str
    default: str
    asked: str
    when: str


def profile_text(profile: ProfileFacts) -> RenderableType:
    """The result of :func:`archsmith.profile` as something that rich can print.

    The command to run next is left to the caller, which prints it on one line of any length.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_heading(profile), Text("")]
    parts += [_decisions(profile), Text("")]
    if profile.costs:
        parts += [_costs(profile), Text("")]
    for title, lines, style in _sections(profile):
        parts += [Text(title, style=f"bold {style}".strip()), *map(_line, lines), Text("")]
    if profile.times is not None:
        parts += [_times(profile), Text("")]
    parts.append(Text(f"Next: {headline(profile)}", style="bold"))
    parts += [_line(reason) for reason in profile.advice.reasons]
    return Group(*parts)


def _line(text: str) -> RenderableType:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(text), (0, 0, 0, 2))


def _sections(profile: ProfileFacts) -> list[tuple[str, list[str], str]]:
    """Title, lines and colour of the sections that are written in sentences."""
    sections = []
    if profile.limits:
        facts = [*profile.limits, *([profile.together] if profile.together else [])]
        bad = any(fact.kept is False for fact in facts)
        lines = [limit_sentence(profile, fact) for fact in facts]
        sections.append(("Limits", lines, "red" if bad else ""))
    if not profile.sound:
        lines = [line for fault in profile.faults for line in fault_lines(fault)]
        if profile.unexplained:
            lines.append(f"{profile.unexplained} more architectures do not work")
        sections.append(("Broken", lines, "red"))
    sections.append(("Duplicates", double_sentences(profile), ""))
    if profile.sharing is not None:
        sections.append(("Weight sharing", sharing_sentences(profile), ""))
    if profile.cut:
        sections.append(("Cut short (--time gives more)", list(profile.cut), "yellow"))
    return sections


def headline(profile: ProfileFacts) -> str:
    """The recommendation in a few words."""
    advice = profile.advice
    if not advice.command:
        return "loosen a limit first" if profile.sound else "fix the builder first"
    return f"{advice.strategy}, evaluated by {advice.evaluator}; {advice.budget}"


def size_sentence(profile: ProfileFacts) -> str:
    """How many architectures there are, and whether they were counted."""
    size = profile.size
    options = sum(len(decision.options) for decision in profile.decisions)
    source = "counted" if size.exact else ""
    text = f"{size} architectures" + (f", {source}" if source else "")
    if profile.distinct is not None:
        text += f", {profile.distinct:,} distinct networks"
    return f"{text}; {len(profile.decisions)} decisions with {options} options"


def looked_sentence(profile: ProfileFacts) -> str:
    """How many architectures were built and run."""
    coverage = "every option was built and run" if profile.covered else "not every option was tried"
    sample = f"a sample of {profile.samples:,}"
    if profile.drawn == "all":
        sample = f"all {profile.samples:,}"
    draws = {
        "architectures": ", each architecture equally likely",
        "decisions": ", each decision drawn uniformly",
    }
    return (
        f"{profile.looked:,} architectures checked in {duration(profile.seconds)}: {coverage}, and "
        f"{sample}{draws.get(profile.drawn, '')}"
    )


def _heading(profile: ProfileFacts) -> RenderableType:
    from rich.text import Text

    line = Text(f"{profile.space} on {profile.data}", style="bold")
    line.append(f"\n{capital(size_sentence(profile))}", style="not bold")
    line.append(f"\n{looked_sentence(profile)}", style="not bold dim")
    return line


def decision_rows(decisions: Sequence[DecisionFacts]) -> list[DecisionRow]:
    """Decisions as table rows; names that differ only in a number share a row."""
    groups: dict[tuple[str, tuple[str, ...], str], list[DecisionFacts]] = {}
    for decision in decisions:
        key = (_masked(decision.name), decision.options, decision.default)
        groups.setdefault(key, []).append(decision)
    kinds = Counter(masked for masked, _, _ in groups)
    rows = []
    for (masked, options, default), group in groups.items():
        name = group[0].name if len(group) == 1 else masked
        unclear = kinds[masked] > 1 or not re.search("[a-z]", masked, re.IGNORECASE)
        if len(group) > 1 and unclear:
            name = f"{group[0].name} … {group[-1].name}"
        low, high = min(d.asked for d in group), max(d.asked for d in group)
        asked = "always" if low == 1 else percent(low)
        if percent(low) != percent(high):
            asked = f"{percent(low)} to {'always' if high == 1 else percent(high)}"
        conditions = {d.when for d in group if d.when}
        masked_conditions = {_masked(when) for when in conditions}
        when = next(iter(conditions if len(conditions) == 1 else masked_conditions), "")
        when = when if len(masked_conditions) <= 1 or len(conditions) <= 1 else "varies"
        rows.append(DecisionRow(name, len(group), ", ".join(options), default, asked, when))
    return rows


def _masked(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _decisions(profile: ProfileFacts) -> RenderableType:
    table = _table("Decision", "options", "default", "asked", "where")
    rows = decision_rows(profile.decisions)
    for row in rows[:_ROWS]:
        name = row.name + (f" ×{row.count}" if row.count > 1 else "")
        table.add_row(name, _shortened(row.options), row.default, row.asked, row.when)
    if len(rows) > _ROWS:
        table.add_row(f"and {len(rows) - _ROWS} more rows", "", "", "", "")
    return table


def _table(first: str, *others: str, right: Sequence[str] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, header_style="bold")
    for name in others:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def _shortened(text: str) -> str:
    return text if len(text) <= _OPTIONS else f"{text[: _OPTIONS - 2]} …"


def cost_columns(profile: ProfileFacts) -> list[tuple[str, list[str]]]:
    """For each cost its title and the smallest value, quantiles and the largest value."""
    return [
        (
            axis_title(name),
            [
                short(v)
                for v in (
                    spread.smallest.value,
                    *(spread.quantiles[q] for q in (0.05, 0.5, 0.95)),
                    spread.largest.value,
                )
            ],
        )
        for name, spread in profile.costs.items()
    ]


def _costs(profile: ProfileFacts) -> RenderableType:
    names = ("smallest", "5 %", "median", "95 %", "largest")
    table = _table("Cost", *names, right=names)
    for title, values in cost_columns(profile):
        table.add_row(capital(title), *values)
    return table


def limit_sentence(profile: ProfileFacts, fact: LimitFacts) -> str:
    """Whether limits can be kept, by what share of the space, and the nearest value if not."""
    name = " and ".join(map(str, fact.limits))
    if fact.kept is None:
        return f"{name}: {fact.note}"
    parts = []
    if fact.share is not None:
        share = fact.share
        interval = f" ({percent(share.low)} to {percent(share.high)})"
        if share.low == share.high:
            interval = f" (all {share.of:,} checked)"
        parts.append(f"kept by {percent(share.value)}{interval} of the space")
    if not fact.kept:
        nearest = ", ".join(f"{metric_name(n)} {with_unit(n, v)}" for n, v in fact.nearest.items())
        parts = [f"not kept by any architecture found; the nearest has {nearest}"]
    elif fact.share is not None and fact.share.value == 0:
        parts.append("but an architecture outside the sample keeps it")
    if fact.note:
        parts.append(fact.note)
    return f"{name}: {', '.join(parts)}"


def fault_lines(fault: Fault) -> list[str]:
    """What is broken, where, and in how many architectures."""
    where = tell(fault.answers) if fault.answers else "the default architecture"
    count = "" if fault.met == 1 else f" ({fault.met} architectures)"
    return [f"{where}{count}", f"  {fault.reason}"]


def double_sentences(profile: ProfileFacts) -> list[str]:
    """Architectures that build the same network, and choices that change nothing."""
    likeness = profile.likeness
    if likeness is None:
        return ["not checked: no architecture works"]
    doubled = likeness.of - likeness.distinct
    lines = [
        f"{doubled:,} of {likeness.of:,} different architectures build the same network as another "
        f"one (by {likeness.how})"
        if doubled
        else f"none among {likeness.of:,} different architectures (by {likeness.how})"
    ]
    if likeness.without:
        share = likeness.without / likeness.changes
        lines.append(
            f"{percent(share)} of {likeness.changes:,} single changes change nothing, most "
            f"of them in {_most_idle(likeness.by_decision)}"
        )
    lines += [idle_sentence(idle) for idle in likeness.idle]
    for decision in profile.decisions:
        if decision.unmet:
            lines.append(f"{decision.name}: no sample chose {', '.join(decision.unmet)}")
    return lines


def _most_idle(by_decision: Mapping[str, float]) -> str:
    most = sorted(by_decision, key=lambda name: -by_decision[name])
    return ", ".join(
        f"{name} ({percent(by_decision[name])})" for name in most[:3] if by_decision[name]
    )


def idle_sentence(idle: Idle) -> str:
    """A choice that changes nothing, or options that are the same."""
    answers = ", ".join(map(answer_text, idle.answers))
    evidence = f"in all {idle.compared} pairs compared"
    if idle.whole:
        return f"{idle.decision} changes nothing: {answers} build the same network {evidence}"
    return f"{idle.decision}: {answers} build the same network {evidence}"


def sharing_sentences(profile: ProfileFacts) -> list[str]:
    """Whether weights can be shared, and options mixed."""
    sharing = profile.sharing
    if sharing is None:
        return []
    if not sharing.shared:
        verdict = "cannot be shared" if sharing.shared is False else "unknown"
        return [f"{verdict}: {sharing.shared_reason}"]
    lines = [
        f"a supernet holds {short(float(sharing.parameters or 0))} parameters and needs about "
        f"{_megabytes(sharing.memory_mb)} in training ({_megabytes(sharing.free_mb)} free)"
    ]
    if sharing.relaxed:
        lines.append(
            f"it can be relaxed (darts and similar), in about {_megabytes(sharing.relaxed_mb)}"
        )
    else:
        lines.append(f"it cannot be relaxed (darts and similar): {sharing.relaxed_reason}")
    return lines


def _megabytes(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{short(value / 1e3, 2)} GB" if value >= 1e3 else f"{short(value, 2)} MB"


def estimate_cells(estimate: Estimate) -> tuple[str, str, str]:
    """Budget, median and range of an estimate."""
    return (
        estimate.budget,
        duration(estimate.median),
        f"{duration(estimate.low)} to {duration(estimate.high)}",
    )


def pace_sentence(profile: ProfileFacts) -> str:
    """How long a trial of each timed architecture takes."""
    times = profile.times
    if times is None:
        return ""
    trials = ", ".join(
        f"{duration(pace.trial)} for the {pace.name} ({_step_duration(pace.step)} a step)"
        for pace in times.paces
    )
    return f"A trial of {times.trial} takes {trials}"


def _step_duration(seconds: float) -> str:
    return duration(seconds) if seconds >= 0.1 else f"{short(1e3 * seconds, 2)} ms"


def _times(profile: ProfileFacts) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    assert profile.times is not None
    table = _table("Strategy", "budget", "time", "range", right=("time", "range"))
    for estimate in profile.times.estimates:
        table.add_row(_strategies(estimate), *estimate_cells(estimate))
    table.add_row("training to the end", *estimate_cells(profile.times.finals))
    return Group(Text(f"{pace_sentence(profile)}."), Text(""), table)


def _strategies(estimate: Estimate) -> str:
    names = estimate.strategies
    first = ("auto", "random") if "auto" in names else names[:3]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def percent(share: float) -> str:
    """A share as people write it: ``34 %``, ``0.2 %``, ``under 0.1 %``."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    digits = 0 if share >= 0.1 or share == 0 else 1
    return f"{100 * share:.{digits}f} %"
