"""Executors: both run a study alike; processes are replaced when they die, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import study_toys as toys
from study_toys import ACCURACY, BOTH, Climb, Deadly, Scripted, Spread, Threads, Toy
from test_study import script, wait_for

from archsmith._support.errors import InputError, StoreError
from archsmith.history.trial import State
from archsmith.study import (
    Executor,
    Inline,
    MemoryStore,
    Processes,
    Progress,
    SqliteStore,
    Study,
    StudyResult,
    checkpoint_path,
)
from archsmith.study.executor import one_line
from archsmith.study.processes import cores
from moments import PATIENCE, wait_until

#: Trials of a study that is stopped long before, however slow whoever stops it is.
ENDLESS = 1_000_000


def run(**options: object) -> StudyResult:
    known = {
        "space": toys.space(),
        "strategy": Climb(),
        "evaluator": Toy(),
        "objectives": ACCURACY,
        "trials": 12,
        "executor": Processes(2),
    }
    return Study(**{**known, **options}).run()  # type: ignore[arg-type]


def workers_of(pid: int) -> list[psutil.Process]:
    """Worker processes below a process."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


def both_workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    def both() -> list[psutil.Process]:
        workers = workers_of(process.pid)
        return workers if len(workers) == 2 else []

    return wait_until(both, "two workers", process)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=PATIENCE)[1]


def test_one_worker_equals_this_process() -> None:
    here = run(executor=None, evaluator=Scripted(), seed=2)
    there = run(executor=Processes(1), evaluator=Scripted(), seed=2)
    assert toys.rows(there.history.trials) == toys.rows(here.history.trials)


@pytest.mark.slow
def test_two_workers_share_trials_and_cores() -> None:
    result = run(evaluator=Threads())
    finished = result.history.finished
    assert {t.metrics["accuracy"] for t in finished} == {max(1, cores() // 2)}
    assert len({t.metrics["params"] for t in finished}) == 2
    assert os.getpid() not in {t.metrics["params"] for t in finished}
    assert {t.worker for t in finished} == {"worker-0", "worker-1"}
    assert workers_of(os.getpid()) == []


@pytest.mark.slow
def test_epochs_and_weights_come_back(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    with SqliteStore(tmp_path) as store:
        result = run(evaluator=Toy(epochs=2, weights=True), store=store, trials=4)
    assert result.best is not None
    assert [p["epoch"] for p in result.best.curve] == [1, 2]
    weights = load_file(checkpoint_path(tmp_path, result.best.number))
    assert weights["weight"].tolist() == [result.best.seed % 1000] * 2
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


@pytest.mark.slow
def test_trials_of_killed_workers_are_tried_again(tmp_path: Path) -> None:
    result = run(evaluator=Deadly(tmp_path, times=1), strategy=Spread(), trials=6)
    assert len(result.history.finished) == 6
    for trial in result.history.trials:
        assert trial.attempts == 1 + toys.odd(trial.architecture)
    assert {t.attempts for t in result.history.trials} == {1, 2}


@pytest.mark.slow
def test_a_trial_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    result = run(evaluator=Deadly(tmp_path, times=99), strategy=Spread(), trials=5)
    failed = [t for t in result.history.trials if t.state is State.FAILED]
    assert failed
    for trial in failed:
        assert trial.attempts == 3
        assert "given up 3 times" in trial.reason
        assert "SIGKILL" in trial.reason
        assert toys.odd(trial.architecture)
    assert len(failed) + len(result.history.finished) == 5


def test_an_error_of_the_listener_is_no_death() -> None:
    def told(progress: Progress) -> None:
        if progress.kind == "epoch":
            raise BrokenPipeError("nobody reads the output")

    store = MemoryStore()
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        run(evaluator=Toy(epochs=1), executor=Processes(1), store=store, on_event=told)
    assert [t.attempts for t in store.record().trials] == [1]
    assert workers_of(os.getpid()) == []


def test_an_evaluator_that_cannot_be_pickled() -> None:
    evaluator = Toy(pause=lambda: None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="workers=1") as caught:
        run(evaluator=evaluator)
    assert "module that can be imported" in str(caught.value)
    assert workers_of(os.getpid()) == []


@pytest.mark.processes
def test_an_evaluator_that_cannot_be_unpickled() -> None:
    code = """
from archsmith.study import Processes, Study
import study_toys as toys
class Mine(toys.Toy):
    pass
Study(toys.space(), toys.Climb(), Mine(), toys.ACCURACY, trials=3, executor=Processes(1)).run()
"""
    done = python("-c", code)
    assert done.returncode == 1
    assert "InputError: evaluator: expected one that can be pickled" in done.stderr
    assert "Mine" in done.stderr


@pytest.mark.processes
def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    path = tmp_path / "unguarded.py"
    path.write_text("""
from archsmith.study import Processes, Study
import study_toys as toys
Study(toys.space(), toys.Climb(), toys.Toy(), toys.ACCURACY, trials=3,
      executor=Processes(1)).run()
""")
    done = python(str(path))
    assert done.returncode == 1
    assert "__name__ == '__main__'" in done.stderr
    assert "3 in a row that exited with status 1" in done.stderr


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_no_worker_at_all() -> None:
    with pytest.raises(InputError, match="workers"):
        Processes(0)


@contextmanager
def mounted(disk: Path, where: Path) -> Iterator[None]:
    """A disk in a run folder; a link there would be refused."""
    where.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(where)], check=True)
    yield
    subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("executor", [Inline, lambda: Processes(2)], ids=["inline", "processes"])
def test_a_full_disk_under_the_weights_stops_the_study(
    tmp_path: Path, small_disk: Path, executor: Callable[[], Executor]
) -> None:
    (small_disk / "filler").write_bytes(b"x" * 290_000)
    evaluator = Toy(epochs=1, weights=True, size=10_000)
    with mounted(small_disk, tmp_path / "checkpoints"), SqliteStore(tmp_path) as store:
        with pytest.raises(StoreError, match="free some space"):
            run(evaluator=evaluator, store=store, executor=executor())
        assert {t.state for t in store.record().trials} == {State.PROPOSED}
        assert [path.name for path in small_disk.iterdir()] == ["filler"]
        (small_disk / "filler").unlink()
        assert len(run(evaluator=evaluator, store=store, trials=3).history.finished) == 3
    assert workers_of(os.getpid()) == []


@pytest.mark.processes
def test_interrupt_stops_workers_and_returns_their_trials(tmp_path: Path) -> None:
    with script(tmp_path, workers=2, trials=ENDLESS) as process:
        wait_for(tmp_path, 3, process)
        workers = both_workers_of(process)
        # As a terminal does it: the whole group gets the signal.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert gone(workers)
    with SqliteStore(tmp_path, read=True) as reader:
        record = reader.record()
    assert record.sessions[-1].closed == "interrupted"
    assert {t.state for t in record.trials} <= {State.FINISHED, State.PROPOSED}


@pytest.mark.processes
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "acknowledged"
    kills = 3
    for kill in range(kills):
        with script(folder, workers=2, trials=ENDLESS, log=str(log), pause=0.1) as process:
            wait_for(folder, 6 * kill + 4, process)
            workers = both_workers_of(process)
            if kill == 1:
                workers[0].kill()
                assert gone(workers[:1])
                workers = both_workers_of(process)
            process.kill()
            process.wait()
        assert gone(workers), "workers outlive their parent"
        check_acknowledged(folder, log)
    with SqliteStore(folder, read=True) as reader:
        planned = len(reader.record().ended) + 8
    with script(folder, workers=2, trials=planned, log=str(log), pause=0.0) as process:
        assert process.wait(PATIENCE) == 0
    check_acknowledged(folder, log)
    with SqliteStore(folder, read=True) as reader:
        record = reader.record()
    assert [t.state for t in record.trials] == [State.FINISHED] * planned
    assert len(record.sessions) == kills + 1
    assert sum(t.attempts for t in record.trials) > planned, "no trial was hit"


def check_acknowledged(folder: Path, log: Path) -> None:
    """Whatever the killed process said was done is in the record, unchanged."""
    with SqliteStore(folder, read=True) as reader:
        trials = reader.record().trials
    lines = log.read_text().splitlines()
    assert lines
    for line in lines:
        number, content, accuracy = line.split()
        trial = trials[int(number)]
        assert trial.state is State.FINISHED
        assert (trial.architecture.id, str(trial.metrics["accuracy"])) == (content, accuracy)


@pytest.mark.processes
def test_workers_end_with_a_parent_that_is_killed_while_they_start(tmp_path: Path) -> None:
    with script(tmp_path, workers=2, trials=ENDLESS) as process:
        workers = both_workers_of(process)
        process.kill()
        process.wait()
    assert gone(workers)


@pytest.mark.slow
def test_two_objectives_with_workers() -> None:
    result = run(objectives=BOTH, strategy=Spread())
    assert result.front == result.history.front()


def test_a_study_with_workers_outside_the_main_thread() -> None:
    results: list[StudyResult] = []
    thread = threading.Thread(target=lambda: results.append(run(trials=3)))
    thread.start()
    thread.join(PATIENCE)
    assert len(results[0].history.finished) == 3


def test_reasons_fit_on_a_line() -> None:
    try:
        raise ValueError("a\n  b" + "x" * 1000)
    except ValueError as error:
        text = one_line(error)
    assert text.startswith("ValueError: a bxxx")
    assert len(text) <= 300
    assert "(test_executor.py:" in text
    ours = one_line(InputError("here", "this", "that"))
    assert ours == "InputError: here: expected this, got that"
