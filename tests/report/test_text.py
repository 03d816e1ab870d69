"""Text for the terminal: the summary and the progress of a search."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from rich.console import Console

from archsmith.history.numbers import capital
from archsmith.history.objective import Limit
from archsmith.history.trial import State, Trial
from archsmith.report.content import ReportContent
from archsmith.report.text import SearchProgress, summary
from archsmith.space.architecture import Architecture

from .studies import ACCURACY, LATENCY, study


def printed(content: ReportContent, width: int = 100) -> str:
    held = io.StringIO()
    Console(file=held, width=width).print(summary(content, width))
    return held.getvalue()


def test_the_summary_of_a_finished_study() -> None:
    content = study(40)
    text = printed(content)
    assert "40 of 40 trials" in text
    assert f"Best: trial {content.best}" in text
    assert "Pareto front" in text
    assert "0.9917" in text
    assert "0.9778" in text
    assert "34 finished, 3 failed, 3 pruned" in text
    assert "archsmith export RUN" in text
    assert max(map(len, printed(content, 60).splitlines())) <= 60


def test_the_summary_of_unfinished_studies() -> None:
    empty = ReportContent("a study", [ACCURACY], state="running")
    assert "No trial has finished yet." in printed(empty)
    broken = Trial(0, Architecture({}), state=State.FINISHED, metrics={"params": 9})
    limited = replace(empty, trials=[broken], limits=[Limit("params", "<=", 3)], state="finished")
    text = printed(limited)
    assert "No finished trial keeps the limits (params<=3)." in text
    assert "loosen the limits" in text
    stopped = replace(study(9), state="stopped", finalists=())
    assert "To go on: archsmith search digits" in printed(stopped)


def ended(number: int, state: State = State.FINISHED, reason: str = "", **metrics: float) -> Trial:
    return Trial(number, Architecture({}), state=state, metrics=metrics, reason=reason)


@pytest.fixture
def held() -> io.StringIO:
    return io.StringIO()


def test_plain_lines_without_a_terminal(held: io.StringIO) -> None:
    limits = [Limit("params", "<=", 10)]
    console = Console(file=held, width=40)
    with SearchProgress([ACCURACY], 50, limits, console=console, done=9) as progress:
        progress.left = 80.0
        for trial in (
            ended(9, accuracy=0.98, params=5),
            ended(10, accuracy=0.99, params=99),
            ended(11, State.FAILED, "loss nan\nin epoch 3"),
            ended(12, State.PRUNED, "limit params<=10 broken"),
        ):
            progress.trial_started(trial)
            progress.epoch(trial)
            progress.trial_ended(trial)
        progress.finished("done")
    assert held.getvalue().splitlines() == [
        "trial 10/50  accuracy 0.98  best 0.98 (trial 9)  eta 1m20s",
        "trial 11/50  accuracy 0.99  best 0.98 (trial 9)  eta 1m20s",
        "trial 12/50  failed: loss nan in epoch 3  best 0.98 (trial 9)  eta 1m20s",
        "trial 12/50  pruned: limit params<=10 broken  best 0.98 (trial 9)  eta 1m20s",
        "done",
    ]


@dataclass
class Told:
    """What a study tells, with the fields of its own class."""

    kind: Literal["started", "epoch", "ended", "returned"]
    trial: Trial
    best: Trial | None = None
    counted: float = 0
    left: float | None = None
    last_error: str = ""


def test_listening_takes_over_what_the_study_counts(held: io.StringIO) -> None:
    console = Console(file=held, width=200)
    with SearchProgress([LATENCY, ACCURACY], 8, console=console) as progress:
        trial = ended(4, latency_ms=1.5, accuracy=0.4)
        progress.listen(Told("started", trial))
        progress.listen(Told("returned", trial, counted=4))
        progress.listen(Told("ended", trial, trial, counted=5, left=3.0))
    assert held.getvalue().splitlines() == [
        "trial 4 was interrupted, and starts again if there is time",
        "trial 5/8  latency 1.5 ms  best 1.5 ms (trial 4)  eta 3.0s",
    ]


def test_a_bar_on_a_terminal(held: io.StringIO) -> None:
    console = Console(file=held, width=140, force_terminal=True, color_system=None)
    with SearchProgress([ACCURACY], 4, console=console) as progress:
        trial = ended(0, accuracy=0.75)
        progress.trial_started(trial)
        trial.curve = [{"epoch": 1, "accuracy": 0.5}]
        progress.epoch(trial)
        assert progress.epochs == {0: "trial 0 epoch 1 0.5"}
        progress.trial_ended(trial)
        progress.trial_ended(ended(1, State.FAILED, "[bold]boom"))
        assert progress._bar is not None
        fields = progress._bar.tasks[0].fields
        assert fields["counts"] == "2/4 trials"
        assert "best 0.75 (trial 0)" in fields["said"]
        assert "eta" in fields["said"]
        progress._bar.refresh()
    assert "last error: [bold]boom" in held.getvalue()


def test_without_a_budget_of_trials_there_is_no_estimate() -> None:
    progress = SearchProgress([ACCURACY], None, console=Console(file=io.StringIO()))
    progress.trial_ended(ended(0, accuracy=0.5))
    assert progress.eta() is None
    assert progress.line(ended(0, accuracy=0.5)) == "trial 1  accuracy 0.5  best 0.5 (trial 0)"


def test_headings_begin_with_a_capital_but_for_names_that_have_their_own():
    assert capital("accuracy of each trial") == "Accuracy of each trial"
    assert capital("mAP of each trial") == "mAP of each trial"
    assert capital("FLOPs") == "FLOPs"
