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
    """Decisions of one kind: ``stage*.depth`` stands for those that differ in a number alone."""

    name: str
    count: int
    options: str
    default: str
    asked: str
    when: str


def profile_text(profile: ProfileFacts) -> RenderableType:
    """What :func:`archsmith.profile` found, as something rich can print.

    The command to type next is left to the caller, to be printed in one line however long it is.
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
    """Title, lines and colour of what is told in sentences."""
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
    sections.append(("Doubles", double_sentences(profile), ""))
    if profile.sharing is not None:
        sections.append(("Weight sharing", sharing_sentences(profile), ""))
    if profile.cut:
        sections.append(("Cut short (--time gives more)", list(profile.cut), "yellow"))
    return sections


def headline(profile: ProfileFacts) -> str:
    """What to do, in a few words."""
    advice = profile.advice
    if not advice.command:
        return "loosen a limit first" if profile.sound else "mend the builder first"
    return f"{advice.strategy}, judged by {advice.evaluator}; {advice.budget}"


def size_sentence(profile: ProfileFacts) -> str:
    """How many architectures there are and how that is known."""
    size = profile.size
    options = sum(len(decision.options) for decision in profile.decisions)
    how = "counted" if size.exact else ""
    text = f"{size} architectures" + (f", {how}" if how else "")
    if profile.distinct is not None:
        text += f", {profile.distinct:,} distinct networks"
    return f"{text}; {len(profile.decisions)} decisions with {options} options"


def looked_sentence(profile: ProfileFacts) -> str:
    """What was built and run."""
    every = "every option was built and run" if profile.covered else "not every option was tried"
    sample = f"a sample of {profile.samples:,}"
    if profile.drawn == "all":
        sample = f"all {profile.samples:,}"
    even = {
        "architectures": ", each architecture with the same chance",
        "decisions": ", each decision drawn evenly",
    }
    return (
        f"{profile.looked:,} architectures looked at in {duration(profile.seconds)}: {every}, and "
        f"{sample}{even.get(profile.drawn, '')}"
    )


def _heading(profile: ProfileFacts) -> RenderableType:
    from rich.text import Text

    line = Text(f"{profile.space} on {profile.data}", style="bold")
    line.append(f"\n{capital(size_sentence(profile))}", style="not bold")
    line.append(f"\n{looked_sentence(profile)}", style="not bold dim")
    return line


def decision_rows(decisions: Sequence[DecisionFacts]) -> list[DecisionRow]:
    """Decisions in rows; those that differ in numbers inside their names share one."""
    groups: dict[tuple[str, tuple[str, ...], str], list[DecisionFacts]] = {}
    for decision in decisions:
        key = (_starred(decision.name), decision.options, decision.default)
        groups.setdefault(key, []).append(decision)
    kinds = Counter(starred for starred, _, _ in groups)
    rows = []
    for (starred, options, default), group in groups.items():
        name = group[0].name if len(group) == 1 else starred
        unclear = kinds[starred] > 1 or not re.search("[a-z]", starred, re.IGNORECASE)
        if len(group) > 1 and unclear:
            name = f"{group[0].name} … {group[-1].name}"
        low, high = min(d.asked for d in group), max(d.asked for d in group)
        asked = "always" if low == 1 else percent(low)
        if percent(low) != percent(high):
            asked = f"{percent(low)} to {'always' if high == 1 else percent(high)}"
        conditions = {d.when for d in group if d.when}
        starry = {_starred(when) for when in conditions}
        when = next(iter(conditions if len(conditions) == 1 else starry), "")
        when = when if len(starry) <= 1 or len(conditions) <= 1 else "it depends"
        rows.append(DecisionRow(name, len(group), ", ".join(options), default, asked, when))
    return rows


def _starred(name: str) -> str:
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
    """For each cost its title and smallest, quantiles and largest."""
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
    """Whether limits can be kept, by what share, and the nearest value where not."""
    name = " and ".join(map(str, fact.limits))
    if fact.kept is None:
        return f"{name}: {fact.note}"
    parts = []
    if fact.share is not None:
        share = fact.share
        interval = f" ({percent(share.low)} to {percent(share.high)})"
        if share.low == share.high:
            interval = f" (all {share.of:,} looked at)"
        parts.append(f"kept by {percent(share.value)}{interval} of the space")
    if not fact.kept:
        nearest = ", ".join(f"{metric_name(n)} {with_unit(n, v)}" for n, v in fact.nearest.items())
        parts = [f"not kept by any architecture that was found; the nearest has {nearest}"]
    elif fact.share is not None and fact.share.value == 0:
        parts.append("but one that keeps it was found outside the sample")
    if fact.note:
        parts.append(fact.note)
    return f"{name}: {', '.join(parts)}"


def fault_lines(fault: Fault) -> list[str]:
    """What is broken, where, and how often it was met."""
    where = tell(fault.answers) if fault.answers else "the default architecture"
    met = "" if fault.met == 1 else f" ({fault.met} architectures met)"
    return [f"{where}{met}", f"  {fault.reason}"]


def double_sentences(profile: ProfileFacts) -> list[str]:
    """Different spellings of one network, and choices that change nothing."""
    found = profile.likeness
    if found is None:
        return ["not looked for: nothing works"]
    doubled = found.of - found.distinct
    lines = [
        f"{doubled:,} of {found.of:,} different architectures build a network that another one "
        f"builds too (by {found.how})"
        if doubled
        else f"none among {found.of:,} different architectures (by {found.how})"
    ]
    if found.without:
        share = found.without / found.changes
        lines.append(
            f"{percent(share)} of {found.changes:,} single changes change nothing, most "
            f"of them in {_idlest(found.by_decision)}"
        )
    lines += [idle_sentence(idle) for idle in found.idle]
    for decision in profile.decisions:
        if decision.unmet:
            lines.append(f"{decision.name}: no draw came to {', '.join(decision.unmet)}")
    return lines


def _idlest(by_decision: Mapping[str, float]) -> str:
    most = sorted(by_decision, key=lambda name: -by_decision[name])
    return ", ".join(
        f"{name} ({percent(by_decision[name])})" for name in most[:3] if by_decision[name]
    )


def idle_sentence(idle: Idle) -> str:
    """A choice that changes nothing, or options that are the same."""
    answers = ", ".join(map(answer_text, idle.answers))
    seen = f"in all {idle.compared} pairs compared"
    if idle.whole:
        return f"{idle.decision} changes nothing: {answers} build the same network {seen}"
    return f"{idle.decision}: {answers} build the same network {seen}"


def sharing_sentences(profile: ProfileFacts) -> list[str]:
    """Whether weights can be shared, and options mixed."""
    found = profile.sharing
    if found is None:
        return []
    if not found.shared:
        said = "cannot be shared" if found.shared is False else "not known"
        return [f"{said}: {found.shared_reason}"]
    lines = [
        f"a supernet holds {short(float(found.parameters or 0))} parameters and takes about "
        f"{_megabytes(found.memory_mb)} in training ({_megabytes(found.free_mb)} free)"
    ]
    if found.relaxed:
        lines.append(
            f"it can be relaxed (darts and its kin), in about {_megabytes(found.relaxed_mb)}"
        )
    else:
        lines.append(f"it cannot be relaxed (darts and its kin): {found.relaxed_reason}")
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
    """How long a trial takes for each architecture that was timed."""
    times = profile.times
    if times is None:
        return ""
    each = ", ".join(
        f"{duration(pace.trial)} for the {pace.name} ({_brief(pace.step)} a step)"
        for pace in times.paces
    )
    return f"A trial of {times.trial} takes {each}"


def _brief(seconds: float) -> str:
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
