"""Live progress of a search: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from .._support.console import PlainConsole
from .._support.visible import one_line, visible
from ..history.numbers import duration, metric_name, with_unit
from ..history.objective import Limit, Metric, Objective
from ..history.trial import History, State, Trial


class Event(Protocol):
    """An event of a study: something happened to one of its trials."""

    @property
    def kind(self) -> Literal["started", "epoch", "ended", "returned"]: ...
    @property
    def trial(self) -> Trial: ...
    @property
    def best(self) -> Trial | None: ...
    @property
    def counted(self) -> float: ...
    @property
    def left(self) -> float | None: ...
    @property
    def last_error(self) -> str: ...


class SearchProgress:
    """Shows a search while it runs; a context manager.

    On a terminal, one bar stays at the bottom: trials done, best so far, time left, the last
    error. Elsewhere, each ended trial gives one line::

        trial 12/50  accuracy 0.981  best 0.987 (trial 7)  eta 1m20s

    Args:
        objectives: lines show the first one.
        total: trials in the budget, ``None`` if only time is limited.
        limits: a trial that breaks one is never the best.
        metrics: units of the task's metrics.
        console: where to write; standard error by default, so that ``--json`` stays alone on
            standard output.
        done: trials that had already ended when a study is resumed.
        best: the best of those.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        total: int | None = None,
        limits: Sequence[Limit] = (),
        metrics: Sequence[Metric] = (),
        console: Console | None = None,
        done: float = 0,
        best: Trial | None = None,
    ) -> None:
        self.goal, self.total = objectives[0], total
        self.known = {metric.name: metric for metric in metrics}
        self.done, self.best, self.last_error = done, best, ""
        self.left: float | None = None
        self.epochs: dict[int, str] = {}
        self._history = History(objectives, limits)
        self._console = console or PlainConsole(stderr=True)
        self._began = time.monotonic()
        self._before = done
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> SearchProgress:
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=24),
                TextColumn("{task.fields[counts]}"),
                TextColumn("{task.fields[said]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(
                "search",
                total=self.total,
                completed=round(self.done),
                counts=self._counts(),
                said="",
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def listen(self, event: Event) -> None:
        """Handle an event. The study's own counts, best and estimate replace those kept here."""
        self.left = event.left
        if event.kind == "started":
            self.trial_started(event.trial)
        elif event.kind == "epoch":
            self.epoch(event.trial)
        else:
            self.best, self.last_error = event.best, event.last_error
            self.done = event.counted
            if event.kind == "ended":
                self._ended(event.trial)
            else:
                self.trial_returned(event.trial)

    def trial_started(self, trial: Trial) -> None:
        """A trial is being evaluated now."""
        self.epochs[trial.number] = f"trial {trial.number}"
        self._refresh()

    def epoch(self, trial: Trial) -> None:
        """An epoch of a trial is over; its metrics are the last of ``trial.curve``."""
        if trial.curve:
            row = trial.curve[-1]
            text = f"trial {trial.number} epoch {row.get('epoch', len(trial.curve)):g}"
            if self.goal.metric in row:
                text += f" {self._value(row[self.goal.metric])}"
            self.epochs[trial.number] = text
            self._refresh()

    def trial_returned(self, trial: Trial) -> None:
        """A trial whose worker died, or whose time was over, waits to be started again."""
        self.epochs.pop(trial.number, None)
        if self._bar is None:
            self._say(f"trial {trial.number} was interrupted, and starts again if there is time")
        self._refresh()

    def trial_ended(self, trial: Trial) -> None:
        """A trial has finished, failed or been pruned. Pruned ones do not use up the budget."""
        self.done += trial.state is not State.PRUNED
        if trial.state is State.FAILED:
            self.last_error = trial.reason
        elif trial.state is State.FINISHED and self._better(trial):
            self.best = trial
        self._ended(trial)

    def _ended(self, trial: Trial) -> None:
        self.epochs.pop(trial.number, None)
        if self._bar is None:
            self._say(self.line(trial))
        self._refresh()

    def finished(self, text: str = "") -> None:
        """The search is over; ``text`` says why or what came out."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if text:
            self._say(text)

    def line(self, trial: Trial) -> str:
        """The line about an ended trial, printed if there is no terminal."""
        done = _count(self.done)
        parts = [f"trial {done}/{self.total}" if self.total else f"trial {done}"]
        if trial.state is State.FINISHED:
            value = self._value(trial.metrics.get(self.goal.metric))
            parts.append(f"{metric_name(self.goal.metric)} {value}")
            parts += [one_line(trial.reason)] if trial.reason else []
        else:
            reason = one_line(trial.reason)
            parts.append(f"{trial.state.value}: {reason}" if reason else trial.state.value)
        if self.best is not None:
            parts.append(self._best_text())
        eta = self.eta()
        if eta is not None:
            parts.append(f"eta {duration(eta)}")
        return "  ".join(parts)

    def eta(self) -> float | None:
        """Seconds left, by the study's estimate or by the mean so far; ``None`` if unknown."""
        if self.left is not None:
            return self.left
        ended = self.done - self._before
        if not self.total or not ended:
            return None
        pace = (time.monotonic() - self._began) / ended
        return pace * max(0, self.total - self.done)

    def _better(self, trial: Trial) -> bool:
        if self._history.violation(trial.metrics) > 0:
            return False
        losses = self._history.losses(trial)
        return self.best is None or losses < self._history.losses(self.best)

    def _value(self, value: float | None) -> str:
        return with_unit(self.goal.metric, value, self.known)

    def _best_text(self) -> str:
        assert self.best is not None
        value = self._value(self.best.metrics.get(self.goal.metric))
        return f"best {value} (trial {self.best.number})"

    def _counts(self) -> str:
        done = _count(self.done)
        return f"{done}/{self.total} trials" if self.total else f"{done} trials"

    def _say(self, text: str) -> None:
        self._console.print(Text(visible(text)), soft_wrap=True)

    def _refresh(self) -> None:
        if self._bar is None:
            return
        parts = [f"[bold]{escape(self._best_text())}[/]"] if self.best is not None else []
        eta = self.eta()
        if eta is not None:
            parts.append(f"eta {duration(eta)}")
        running = list(self.epochs.values())
        if running:
            more = f" and {len(running) - 1} more" if len(running) > 1 else ""
            parts.append(f"[dim]{escape(running[-1])}{more}[/]")
        if self.last_error:
            parts.append(f"[red]last error: {escape(one_line(self.last_error)[:60])}[/]")
        line = "  ".join(parts)
        self._bar.update(self._task, completed=self.done, counts=self._counts(), said=line)


def _count(done: float) -> str:
    """Trials done; those with fewer epochs count as fractions of one."""
    return f"{done:.1f}" if done % 1 > 1e-6 else f"{done:.0f}"
