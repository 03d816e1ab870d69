"""What the command line shows on standard error while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from .._support.console import PlainConsole
from .._support.visible import visible
from ..history.numbers import duration, metric_name, short
from ..report.progress import SearchProgress
from ..study import Progress
from ..study.meta import name_of

if TYPE_CHECKING:
    from ..study import Study
    from ..task.problem import Problem
    from ..workflow.listener import Listener
    from ..workflow.times import TimePlan

_EVERY = 10.0  # seconds between lines about a training, where there is no terminal


class Screen:
    """Progress of a search and of trainings to the end; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or PlainConsole(stderr=True)
        self._search: SearchProgress | None = None
        self._opened = False
        self._status = self.console.status("")
        self._last_line = 0.0
        self._epochs: int | None = None
        self._times: TimePlan | None = None
        self._began: dict[str, float] = {}

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_search()
        self._status.stop()

    def listener(self, folder: Path) -> Listener:
        """A listener that shows the progress of a search."""
        from ..workflow.listener import Listener

        def ready(problem: Problem, study: Study) -> None:
            self._introduce(problem, study, folder)

        return Listener(
            ready,
            self._event,
            self.shared,
            self.final,
            self.scored,
            self._show_measured,
            self._print,
            self._planned,
            self.reference,
        )

    def _planned(self, times: TimePlan) -> None:
        self._times = times
        self._print(times.describe())

    def shared(self, metrics: Mapping[str, float], epochs: int) -> None:
        """Show an epoch of a supernet."""
        from ..workflow.oneshot import TRAINING

        times, text = self._times, "training the shared weights"
        until = self._until(text, metrics, TRAINING * times.search) if times else None
        self._show_epoch(text, metrics, None if until else epochs, until)

    def training(self, label: str, epochs: int | None = None) -> Callable[..., None]:
        """A listener for one training to the end."""

        def show(metrics: Mapping[str, float]) -> None:
            self.final(label, metrics, epochs)

        return show

    def final(self, label: str, metrics: Mapping[str, float], epochs: int | None = None) -> None:
        """Show an epoch of a training to the end."""
        self._close_search()
        times, text = self._times, f"training {label} to the end"
        if times is None or times.fixed:
            self._show_epoch(text, metrics, epochs or self._epochs)
        else:
            self._show_epoch(text, metrics, None, times.began + times.total - times.reserve)

    def reference(self, label: str, metrics: Mapping[str, float], epochs: int) -> None:
        """Show an epoch of a reference model, which has the time of the whole search."""
        self._close_search()
        times, text = self._times, f"training {label} to the end"
        until = self._until(text, metrics, times.total) if times else None
        self._show_epoch(text, metrics, None if until else epochs, until)

    def _until(self, text: str, metrics: Mapping[str, float], seconds: float) -> float:
        """The moment at which a training ends that may take so long, from its first epoch."""
        return self._began.setdefault(text, time.monotonic() - metrics["seconds"]) + seconds

    def scored(self, done: int, total: int) -> None:
        """Show how many architectures a proxy has scored, if that takes long."""
        now = time.monotonic()
        began = self._began.setdefault("proxy", now) if done > 1 else now
        if done == 1:
            self._began["proxy"] = self._last_line = now
        elif now - self._last_line > _EVERY:
            self._last_line = now
            left = duration((now - began) / (done - 1) * (total - done))
            self._print(f"untrained architectures scored: {done}/{total}  eta {left}")

    def judged(self, done: int, total: int, line: str) -> None:
        """Show how many architectures of a trust sample are done."""
        began = self._began.setdefault("sample", time.monotonic())
        left = ""
        if done > 1:
            pace = (time.monotonic() - began) / (done - 1)
            left = f"  eta {duration(pace * (total - done))}"
        self._print(f"sample {done}/{total}  {line}{left}")

    def _show_measured(self, done: int, total: int) -> None:
        """Show how many measurements for a latency predictor are done."""
        text = f"measuring latency for a predictor: {done} of {total}"
        if self.console.is_terminal:
            self._status.update(Text(visible(text)))
            self._status.start()
        elif done in (1, total):
            self._print(text)

    def step(self, text: str) -> None:
        """Show the current step in one line that is updated; shows nothing without a terminal."""
        if self.console.is_terminal and text:
            self._status.update(Text(visible(text)))
            self._status.start()

    def _show_epoch(
        self,
        label: str,
        metrics: Mapping[str, float],
        epochs: int | None,
        until: float | None = None,
    ) -> None:
        began = self._began.setdefault(label, time.monotonic())
        epoch = int(metrics["epoch"])
        left = f"  eta {duration(max(0.0, until - time.monotonic()))}" if until else ""
        if epochs and epoch > 1:
            pace = (time.monotonic() - began) / (epoch - 1)
            left = f"  eta {duration(pace * (epochs - epoch))}"
        quality = next(
            (n for n in metrics if n not in ("epoch", "train_loss", "lr", "seconds")), ""
        )
        value = f"  {metric_name(quality)} {short(metrics[quality], 4)}" if quality else ""
        of = f"/{epochs}" if epochs else ""
        text = f"{label}  {'round' if until else 'epoch'} {epoch}{of}{value}{left}"
        if self.console.is_terminal:
            self._status.update(Text(visible(text)))
            self._status.start()
        elif time.monotonic() - self._last_line > _EVERY or epoch == epochs:
            self._last_line = time.monotonic()
            self._print(text)

    def _introduce(self, problem: Problem, study: Study, folder: Path) -> None:
        self._epochs = problem.recipe.epochs
        for line in problem.data.summary:
            self._print(line)
        goals = ", ".join(f"{o.direction} {o.metric}" for o in study.objectives)
        limits = "".join(f", {limit}" for limit in study.limits)
        self._print(f"space {problem.space.name}: {problem.space.size()} architectures")
        fidelity = problem.fidelity
        self._print(f"strategy {study.says}")
        share = f"{fidelity.share:.0%} of the training part"
        trial = f"a trial trains {fidelity.epochs} epochs on {share}"
        finalist = f"a finalist trains {problem.recipe.epochs} epochs"
        if problem.round:
            trial = "all trials train for the same time"
            finalist = "the winner for the time that is left"
        shared = "shared-weights" in name_of(study.evaluator)
        if shared:
            timed = study.budget is not None
            length = "in their part of the time" if timed else f"{fidelity.epochs} epochs"
            trial = f"shared weights train {length}, and judge each trial"
        self._print(f"{goals}{limits}; {trial}, {finalist}; run folder {folder}")
        record = study.store.record()
        if record.ended:
            self._print(f"resumed: {len(record.ended)} trials had already ended")
        self._search = SearchProgress(
            study.objectives,
            study.trials,
            study.limits,
            problem.task.metrics,
            self.console,
            done=len(record.ended),
        )
        if not shared:
            self._open_search()

    def _open_search(self) -> None:
        if self._search is not None and not self._opened:
            self._status.stop()
            self._search.__enter__()
            self._opened = True

    def _event(self, progress: Progress) -> None:
        self._open_search()
        if self._search is not None:
            self._search.listen(progress)

    def _close_search(self) -> None:
        if self._search is not None and self._opened:
            self._search.__exit__(None, None, None)
        self._search = None

    def _print(self, text: str) -> None:
        self.console.print(Text(visible(text)), soft_wrap=True)
