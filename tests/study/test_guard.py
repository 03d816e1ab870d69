"""Evaluators, builders and models that would end, double or change the process they run in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import study_toys as toys
import torch
from study_toys import ACCURACY, Each
from torch import nn
from wild_toys import Own, Wild

from archsmith._support.errors import SpaceError, StoreError, WorkError
from archsmith.cli.output import interruptible
from archsmith.history.objective import Limit
from archsmith.history.trial import State
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.space.guard import Guard
from archsmith.study import Processes, SqliteStore, Store, Study, StudyResult
from archsmith.study.lock import RunLock
from archsmith.study.shapes import check_shapes


def run(what: str, store: Store | None = None, **options: Any) -> StudyResult:
    limits = [Limit("params", "<=", 1000)]
    study = Study(
        Space(toys.tiny), Each(), Wild(what), ACCURACY, limits, store=store, trials=4, **options
    )
    return study.run()


RAISING = {
    "exit": "SystemExit: 0",
    "own": "Own: x",
    "generator": "GeneratorExit",
    "ctrl-c": "KeyboardInterrupt",
    "memory": "MemoryError",
    "nothing": "expected metrics",
    "text": "could not convert",
    "no_params": "params is missing",
    "numbered": "expected metrics",
    "huge": "OverflowError",
}


@pytest.mark.parametrize(("what", "reason"), RAISING.items())
def test_each_fails_its_trial_and_no_other(what: str, reason: str) -> None:
    result = run(what)
    assert result.stopped == "4 trials are done"
    assert len(result.history.finished) == 2
    failed = [t for t in result.history.trials if t.state is State.FAILED]
    assert len(failed) == 2
    assert all(reason in t.reason for t in failed)


@pytest.mark.parametrize("what", ["forks", "forks_and_tells", "forks_and_raises"])
def test_a_copy_of_the_process_goes_no_further(what: str, tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        result = run(what, store)
        assert len(result.history.finished) == 4
        kinds = [event.kind for event in store.events()]
        told = [event.data["pid"] for event in store.events() if event.kind == "epoch"]
    assert kinds.count("ended") == kinds.count("started") == 4
    assert told == [0.0] * (2 if what == "forks_and_tells" else 0)


def test_what_an_evaluator_changes_is_set_back() -> None:
    before = os.getcwd(), signal.getsignal(signal.SIGTERM)
    assert len(run("wanders").history.finished) == 4
    assert (os.getcwd(), signal.getsignal(signal.SIGTERM)) == before
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_standard_output_is_opened_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(run("closes").history.finished) == 4
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


def test_workers_go_on_too() -> None:
    result = run("in_turn", executor=Processes(1))
    assert [t.attempts for t in result.history.trials] == [1] * 4
    reasons = [t.reason.split(":")[0] for t in result.history.trials if t.reason]
    assert reasons == ["SystemExit", "KeyboardInterrupt"]


def test_a_copy_that_lives_on_holds_no_lock(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        lock.release()
        RunLock(tmp_path).release()
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_store_whose_files_were_closed_writes_nothing(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from archsmith._support.errors import StoreError
from archsmith.study import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
store.begin({})
os.closerange(3, 200)
victims = [open(Path(sys.argv[1]) / f"other{i}", "w+") for i in range(9)]
try:
    store.end("over")
except StoreError as error:
    print(error)
sys.stdout.flush()
os._exit(0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "closed files that were not its own" in ended.stdout
    assert all(not path.stat().st_size for path in tmp_path.glob("other*"))


def test_a_forked_copy_cannot_write_to_the_record(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        store.begin({})
        child = os.fork()
        if not child:
            try:
                store.end("by the copy")
            except StoreError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert [event.kind for event in store.events()] == ["opened"]


class Leaves(nn.Module):
    """Ends the process in its forward pass."""

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


def builder() -> nn.Module:
    match choose("what", ["fine", "exit", "own", "chdir", "fork", "leaves", "hang"]):
        case "exit":
            sys.exit(0)
        case "own":
            raise Own("y")
        case "chdir":
            os.chdir("/")
            torch.set_default_dtype(torch.float64)
        case "fork":
            os.fork()
        case "hang":
            threading.Event().wait()
        case "leaves":
            return Leaves()
    return nn.Linear(1, 1)


@pytest.mark.parametrize(("what", "reason"), [("exit", "SystemExit: 0"), ("own", "Own: y")])
def test_a_builder_that_leaves_is_refused_with_its_answers(what: str, reason: str) -> None:
    with pytest.raises(SpaceError, match=f"{reason}(.|\n)*what='{what}'"):
        Space(builder).build(Architecture({"what": what}))


@pytest.mark.slow
def test_a_builder_that_hangs_is_refused_with_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space(builder)
    with monkeypatch.context() as hasty:
        hasty.setattr("archsmith.space.building._TIME_LIMITS", (0.2, 0.2))
        for device in ("meta", "cpu"):
            with pytest.raises(SpaceError, match=r"still runs after 0.2 s(.|\n)*what='hang'"):
                space.build(Architecture({"what": "hang"}), device=device)
    assert isinstance(space.build(space.default()), nn.Linear)


def test_what_a_builder_changes_is_set_back() -> None:
    before, space = os.getcwd(), Space(builder)
    for what in ("chdir", "fork"):
        assert isinstance(space.build(Architecture({"what": what})), nn.Linear)
    assert os.getcwd() == before
    assert torch.get_default_dtype() == torch.float32


def test_a_model_that_leaves_in_its_forward_pass_is_found_before_the_first_trial() -> None:
    def check(model: nn.Module, _: Architecture) -> None:
        model(torch.zeros(1, 1))

    space = Space(leaving)
    with pytest.raises(SpaceError, match="SystemExit: 0"):
        check_shapes(space, check, device="cpu")


def leaving() -> nn.Module:
    return Leaves() if choose("leave", [False, True]) else nn.Linear(1, 1)


def test_a_folder_that_was_removed_is_no_place_to_go_back_to(tmp_path: Path) -> None:
    before = os.getcwd()
    gone = tmp_path / "gone"
    gone.mkdir()
    try:
        os.chdir(gone)
        gone.rmdir()
        with Guard():
            os.chdir(before)
        assert os.getcwd() == before
    finally:
        os.chdir(before)


def test_no_command_ends_with_success_because_a_model_left() -> None:
    with pytest.raises(WorkError, match="SystemExit: 0"), interruptible("nothing is kept"):
        Leaves()(torch.zeros(1))
