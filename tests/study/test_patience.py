"""Trials that hang: what they may take, who stops them, and what becomes of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import study_toys as toys
from study_toys import ACCURACY, Each, Toy

from archsmith._support.errors import InputError, WorkError
from archsmith.evaluate.base import Watch
from archsmith.history.trial import Fidelity, State
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.study import MemoryStore, Processes, SqliteStore, Study, StudyResult
from archsmith.study import patience as module
from archsmith.study.patience import Patience, Since
from moments import Clock

if TYPE_CHECKING:
    from torch import nn


def odd() -> nn.Module:
    """A space whose only answers are odd."""
    from torch import nn

    choose("edge0", [1, 3, 5, 7])
    return nn.Identity()


class Hanging(Toy):
    """Waits for ever where the first answer is odd; ``folder``: no more than ``times`` a trial.

    Others take a second, and ``passes`` is what a trial that hangs lets pass, by a clock of the
    test: then what is set to ring rings.
    """

    def __init__(
        self,
        folder: Path | None = None,
        times: int = 0,
        how: str = "wait",
        passes: tuple[Clock, float] | None = None,
    ) -> None:
        super().__init__(pause=1.0 if passes else 0.0, epochs=1 if passes else 0)
        self.passes = passes
        self.folder, self.times, self.how = folder, times, how

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        if toys.odd(architecture) and not self._enough(seed):
            self._hang()
        return super().evaluate(architecture, fidelity, seed, watch)

    def _enough(self, seed: int) -> bool:
        if self.folder is None:
            return False
        counter = self.folder / f"hung{seed}"
        with counter.open("ab") as file:
            file.write(b".")
        return counter.stat().st_size > self.times

    def _hang(self) -> None:
        match self.how:
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "child":
                child = subprocess.Popen(["sleep", "1000000"])
                assert self.folder is not None
                (self.folder / "pid").write_text(str(child.pid))
                (self.folder / "pid").rename(self.folder / "child")
            case "stubborn":
                with contextlib.suppress(BaseException):
                    threading.Event().wait()
            case "ctrl-c":
                os.kill(os.getpid(), signal.SIGINT)
        if self.passes:
            clock, seconds = self.passes
            clock.sleep(seconds)
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        threading.Event().wait()


def run(**options: object) -> StudyResult:
    known = {
        "space": Space(toys.tiny),
        "strategy": Each(),
        "evaluator": Hanging(),
        "objectives": ACCURACY,
        "trials": 4,
    }
    return Study(**{**known, **options}).run()  # type: ignore[arg-type]


def failed(result: StudyResult) -> list[str]:
    return [t.reason for t in result.history.trials if t.state is State.FAILED]


def test_a_trial_that_hangs_is_stopped_and_fails_the_third_time(clock: Clock) -> None:
    result = run(evaluator=Hanging(passes=(clock, 241)))
    assert result.stopped == "4 trials are done"
    assert len(result.history.finished) == 2
    assert [t.attempts for t in result.history.trials] == [1, 1, 3, 3]
    for reason in failed(result):
        assert "given up 3 times" in reason
        assert "--trial-time" in reason


def test_one_that_hung_once_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    result = run(evaluator=Hanging(tmp_path, times=1, passes=(clock, 61)))
    assert len(result.history.finished) == 4
    whole = run(evaluator=Toy())
    assert toys.rows(result.history.trials) == toys.rows(whole.history.trials)


def test_a_trial_fails_at_the_time_that_was_given_for_it(clock: Clock) -> None:
    result = run(evaluator=Hanging(passes=(clock, 5)), trial_time=5)
    assert [t.attempts for t in result.history.trials] == [1, 1, 1, 1]
    assert len(failed(result)) == 2
    assert all("the 5 seconds that a trial may take" in reason for reason in failed(result))


def all_hang(how: str = "wait") -> list[str]:
    """The reasons of a study whose trials hang by the real clock: none has to be quick."""
    store = MemoryStore()
    with pytest.raises(WorkError, match=r"0\.05 seconds that a trial may take"):
        run(space=Space(odd), evaluator=Hanging(how=how), trial_time=0.05, store=store)
    return [t.reason for t in store.record().trials]


def test_the_time_of_a_trial_runs_out_by_itself() -> None:
    assert len(all_hang()) == 4


@pytest.mark.slow
def test_code_that_swallows_the_end_of_its_time_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("archsmith.space.alarm._AGAIN", 0.05)
    assert len(all_hang(how="stubborn")) == 4


def test_an_alarm_that_others_have_set_rings_all_the_same() -> None:
    before, left = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    rang = threading.Event()
    signal.signal(signal.SIGALRM, lambda *_: rang.set())
    signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        assert len(all_hang()) == 4
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 3600
        assert not rang.is_set()
        signal.raise_signal(signal.SIGALRM)
        assert rang.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)


def test_the_budget_of_time_holds_inside_a_trial(tmp_path: Path, clock: Clock) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with SqliteStore(tmp_path) as store:
        evaluator = Hanging(passes=(clock, 30))
        result = run(evaluator=evaluator, trials=None, seconds=30, store=store)
    assert result.stopped == "30 seconds are over"
    assert [t.state for t in result.history.trials] == [
        State.FINISHED,
        State.FINISHED,
        State.PROPOSED,
    ]
    assert signal.getsignal(signal.SIGALRM) is before
    with SqliteStore(tmp_path) as store:
        resumed = run(evaluator=Toy(), store=store)
    assert toys.rows(resumed.history.trials) == toys.rows(run(evaluator=Toy()).history.trials)


def test_whoever_interrupts_a_hanging_trial_three_times_is_rid_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OVERDUE_LEAST", 0.0)
    monkeypatch.setattr(module, "OVERDUE_TIMES", 0.0)
    store = MemoryStore()
    ends = [run(evaluator=Hanging(how="ctrl-c"), store=store) for _ in range(3)]
    assert all(end.interrupted for end in ends)
    assert [t.state for t in ends[-1].history.trials][2:] == [State.PROPOSED]
    last = run(evaluator=Hanging(how="ctrl-c"), store=store, trials=3)
    assert "3 times it ran much longer" in failed(last)[0]
    assert last.stopped == "3 trials are done"


def test_whoever_interrupts_an_ordinary_trial_loses_nothing() -> None:
    store = MemoryStore()
    for _ in range(4):
        assert run(evaluator=Hanging(how="ctrl-c"), store=store).interrupted
    assert not store.record().given_up[2]
    assert len(run(evaluator=Toy(), store=store).history.finished) == 4


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, child = time.monotonic, tmp_path / "child"
    # The hour in which it hangs is over as soon as it has started something.
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600 * child.exists())
    monkeypatch.setattr("archsmith.study.processes._CHECK_SECONDS", 0.05)
    result = run(
        evaluator=Hanging(tmp_path, times=1, how="child"),
        executor=Processes(1),
        trial_time=3600,
        trials=3,
    )
    assert len(failed(result)) == 1
    assert len(result.history.finished) == 2
    with contextlib.suppress(psutil.NoSuchProcess):  # where nobody asks how it ended, it lingers
        assert psutil.Process(int(child.read_text())).status() == psutil.STATUS_ZOMBIE


@pytest.mark.processes
def test_a_worker_that_stands_stopped_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsmith.study.processes._CHECK_SECONDS", 0.05)
    store = MemoryStore()
    result = run(
        evaluator=Hanging(tmp_path, times=1, how="stop"),
        executor=Processes(1),
        trials=3,
        store=store,
    )
    assert len(result.history.finished) == 3
    assert result.history.trials[2].attempts == 2
    returned = [e.data["reason"] for e in store.events() if e.kind == "returned"]
    assert returned == ["worker-0 stood stopped"]


class NeverThere(Toy):
    """Hangs where a worker reads it."""

    def __setstate__(self, _: object) -> None:
        threading.Event().wait()


@pytest.mark.processes
def test_the_budget_holds_while_workers_do_not_become_ready() -> None:
    result = run(evaluator=NeverThere(), executor=Processes(1), trials=None, seconds=1)
    assert result.stopped == "1 seconds are over"
    assert not result.history.trials


def test_what_a_trial_may_take() -> None:
    patience = Patience(budget=600, deadline=600)
    whole, tenth = Since(500, 1.0), Since(500, 0.1)
    assert patience.due(whole) == 600 + 600, "the first may take the budget once more"
    assert not patience.overdue(whole, 10_000), "nothing is known of how long trials take"
    patience.saw(20, 0.5)
    assert patience.due(whole) == 600
    assert patience.due(Since(590, 1.0)) == 590 + 80
    assert patience.allowed(whole) == 400
    assert patience.allowed(tenth) == module.LEAST
    tries = [patience.allowed(whole._replace(given_up=times)) for times in range(module.GIVEN_UP)]
    assert tries == [400, 800, 1600]
    assert patience.overdue(whole, 701)
    assert not patience.overdue(whole, 699)
    assert Patience(most=5).due(whole) == 505


def test_a_time_that_no_trial_can_take() -> None:
    with pytest.raises(InputError, match="trial time"):
        run(trial_time=0)


def test_trials_are_given_up_over_sessions_and_workers() -> None:
    store = MemoryStore()
    run(evaluator=Toy(), trials=2, store=store)
    trial = store.record().trials[0]
    store.give_back([trial], "worker-0 was killed by SIGKILL", [0])
    store.give_back([trial], "interrupted")
    assert store.record().given_up == {0: 1}
