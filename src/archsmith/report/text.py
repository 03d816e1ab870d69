"""A study as text for the terminal: what ``archsmith show`` prints, and live progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..history.numbers import axis_title, duration, metric_name, short, with_unit
from ..history.trial import State, Trial
from ..history.verdict import UNMEASURED
from .content import LEVELS, ReportContent, measuring
from .progress import SearchProgress

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["SearchProgress", "summary"]

_FRONT_ROWS = 12
_COLOURS = {"good": "bold green", "fair": "bold yellow", "poor": "bold red", "unknown": "bold"}


def summary(content: ReportContent, width: int = 80) -> RenderableType:
    """A summary of a study that rich can print.

    It has the state, the best trial with its decisions, the Pareto front if there are several
    objectives, whether shared weights can be trusted, what went wrong, and what to do next.

    Args:
        content: the study, finished or not.
        width: columns of the terminal; a narrow one gets fewer columns of the front.
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_heading(content), Text("")]
    best = content.best_trial
    if best is None:
        parts.append(Text(_nothing_yet(content)))
    else:
        parts += _best(content, best)
    if len(content.objectives) > 1 and len(content.front) > 1:
        parts += [Text(""), _front(content, wide=width >= 90)]
    if content.finalists:
        parts += [Text(""), _finalists(content)]
    if content.comparison is not None:
        style = "" if content.comparison.clear else "yellow"
        parts.append(Text(f"best of the search: {content.comparison.words}", style=style))
    for baseline in content.baselines:
        clear = baseline.comparison is not None and baseline.comparison.clear
        parts.append(Text(f"best of the search: {baseline.words}", style="" if clear else "yellow"))
    parts += [Text(line, style="dim") for line in content.remarks]
    if content.trust is not None or content.supernet is not None:
        parts += [Text(""), _shared_weights(content)]
    for warning in content.warnings[:5]:
        parts.append(Text(f"! {warning}", style="yellow"))
    if len(content.warnings) > 5:
        parts.append(Text(f"! and {len(content.warnings) - 5} more warnings", style="yellow"))
    parts += [Text(""), Text(next_step(content), style="dim")]
    return Group(*parts)


def _heading(content: ReportContent) -> RenderableType:
    from rich.text import Text

    counts = ", ".join(f"{count} {state.value}" for state, count in content.counts.items())
    line = Text(content.title, style="bold")
    line.append(f"  {content.progress or content.state}", style="not bold")
    if counts:
        line.append(f"\n{counts}", style="not bold dim")
    if content.seconds:
        line.append(f" in {duration(content.seconds)}", style="not bold dim")
    return line


def _nothing_yet(content: ReportContent) -> str:
    finished = content.counts.get(State.FINISHED, 0)
    if finished and content.limits:
        limits = ", ".join(map(str, content.limits))
        return f"No finished trial keeps the limits ({limits})."
    return "No trial has finished yet."


def _best(content: ReportContent, best: Trial) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    goals = [objective.metric for objective in content.objectives]
    for name in [*goals, *(n for n in content.columns() if n in best.metrics and n not in goals)]:
        style = "bold green" if name == goals[0] else ""
        value = with_unit(name, best.metrics.get(name), content.known)
        table.add_row(metric_name(name), Text(value, style=style))
    changed = [d for d in content.decisions if d.changed]
    if changed:
        listed = ", ".join(f"{d.name} {d.answer} (default {d.default})" for d in changed)
        table.add_row("unlike default", Text(listed))
    heading = f"Best: trial {best.number}  {best.architecture.id}"
    return [Text(heading, style="bold"), table]


def _front(content: ReportContent, wide: bool) -> RenderableType:
    from rich.table import Table

    goals = [objective.metric for objective in content.objectives]
    extra = [n for n in content.columns() if n not in goals][:2] if wide else []
    trials = content.front_trials
    more = len(trials) - _FRONT_ROWS
    caption = f"and {more} more" if more > 0 else None
    table = Table(
        title="Pareto front",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        caption=caption,
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    for name in [*goals, *extra]:
        table.add_column(axis_title(name, content.known), justify="right")
    for trial in trials[:_FRONT_ROWS]:
        values = [short(trial.metrics.get(name), 4) for name in [*goals, *extra]]
        style = "bold" if trial.number == content.best else None
        table.add_row(str(trial.number), *values, style=style)
    return table


def _finalists(content: ReportContent) -> RenderableType:
    from rich.table import Table

    names = {n for f in content.finalists for n in f.test}
    goals = [o.metric for o in content.objectives if o.metric in names]
    shown = goals or sorted(names)[:2]
    table = Table(
        title="Trained to the end, on the test part",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("")
    for name in [*shown, "params"]:
        table.add_column(axis_title(name, content.known), justify="right")
    for finalist in content.finalists:
        values = [short(finalist.test.get(name), 4) for name in shown]
        table.add_row(finalist.name, *values, short(finalist.costs.get("params")))
    return table


def _shared_weights(content: ReportContent) -> RenderableType:
    """The verdict on shared weights, with the figure it rests on or how to measure it."""
    from rich.text import Text

    verdict = content.trust.verdict if content.trust is not None else None
    level = verdict.level if verdict else "unknown"
    line = Text("Shared weights: ", style="bold")
    line.append(LEVELS[level], style=_COLOURS[level])
    line.append(f"\n{verdict.headline if verdict else UNMEASURED}", style="not bold")
    if verdict and content.trust is not None and content.trust.after is not None:
        line.append(f"\n{verdict.reasons[0]}", style="not bold dim")
    command = measuring(content)
    if command:
        line.append(f"\nTo measure it: {command}", style="not bold dim")
    return line


def next_step(content: ReportContent) -> str:
    """What to do next, in one sentence."""
    if content.state == "running":
        return "The search is still running."
    if content.state == "stopped" and content.command:
        return f"To go on: {content.command}"
    if content.best is None:
        return "Nothing to export: see the failed trials above, or loosen the limits."
    if content.command.startswith("nas.search("):
        # Data and functions that were given as objects are out of the command line's reach.
        return "Next: result.best.export(DIR) in Python"
    if not content.finalists:
        return f"Next: archsmith train {content.folder}"
    return f"Next: archsmith export {content.folder} --to DIR"
