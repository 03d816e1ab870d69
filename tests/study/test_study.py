"""The loop: budgets, ends, failures, resuming."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import study_toys as toys
from study_toys import ACCURACY, BOTH, Always, Climb, Each, Scripted, Spread, Toy

from archsmith._support.errors import (
    InputError,
    RunFolderError,
    SpaceError,
    StoreError,
    UnknownNameError,
    WorkError,
)
from archsmith.evaluate.base import Stages, TrialPruned
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import State, Trial
from archsmith.space import Space
from archsmith.strategy.base import Strategy
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.start import StartFrom
from archsmith.study import (
    MemoryStore,
    Progress,
    SqliteStore,
    Store,
    Study,
    StudyResult,
    checkpoint_path,
)
from archsmith.study.incumbent import Incumbents
from archsmith.study.meta import arguments_of
from archsmith.study.patience import PROCESS_DEATHS
from archsmith.study.record import ALL_FAILED
from moments import PATIENCE, Clock, wait_until

SCRIPT = Path(__file__).with_name("study_script.py")


def run(**options: object) -> StudyResult:
    known = {
        "space": toys.space(),
        "strategy": Climb(),
        "evaluator": Toy(),
        "objectives": ACCURACY,
        "trials": 20,
    }
    return Study(**{**known, **options}).run()  # type: ignore[arg-type]


def test_a_study_ends_as_planned() -> None:
    result = run()
    assert len(result.history.finished) == 20
    assert not result.history.running
    assert result.stopped == "20 trials are done"
    assert result.best is result.history.best()
    assert result.seconds > 0
    assert not result.interrupted


def test_trial_seeds_differ_and_depend_on_the_study_seed() -> None:
    seeds = [t.seed for t in run(seed=1).history.trials]
    assert len(set(seeds)) == 20
    assert seeds == [t.seed for t in run(seed=1).history.trials]
    assert not set(seeds) & {t.seed for t in run(seed=2).history.trials}
    assert seeds[0] == 2072526471, "seeds are the same in every version"


@pytest.mark.parametrize("stops", [[1], [7, 8], [3, 5, 19]])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, stops: list[int]) -> None:
    whole = run(evaluator=Scripted(), trials=20, seed=2)
    assert {t.state for t in whole.history.trials} == {State.FINISHED, State.FAILED, State.PRUNED}
    for trials in [*stops, 20]:
        with SqliteStore(tmp_path) as store:
            # A new space and strategy each time: nothing may live in them alone.
            result = run(evaluator=Scripted(), trials=trials, store=store, seed=2)
    assert toys.rows(result.history.trials) == toys.rows(whole.history.trials)
    assert [t.number for t in result.history.finished] == [t.number for t in whole.history.finished]


@pytest.mark.processes
def test_killed_in_the_middle_equals_uninterrupted(tmp_path: Path) -> None:
    whole = run(evaluator=Toy(0.02, 2), trials=15)
    for done in (3, 9):
        with script(tmp_path, workers=1, trials=15, held=done) as process:
            wait_until((tmp_path / "held").exists, "a trial that runs", process)
            process.kill()
            process.wait()
        (tmp_path / "held").unlink()
    with SqliteStore(tmp_path) as store:
        result = run(evaluator=Toy(0.02, 2), trials=15, store=store)
    assert toys.rows(result.history.trials) == toys.rows(whole.history.trials)
    attempts = {t.number: t.attempts for t in result.history.trials}
    assert [number for number, count in attempts.items() if count == 2] == [3, 9]


def script(folder: Path, workers: int, trials: int, **options: object) -> subprocess.Popen[bytes]:
    settings = {"folder": str(folder), "workers": workers, "trials": trials, **options}
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), json.dumps(settings)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


def wait_for(folder: Path, ended: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many trials have ended."""

    def enough() -> bool:
        if not (folder / "study.db").exists():
            return False
        try:
            with SqliteStore(folder, read=True) as reader:
                return len(reader.record().ended) >= ended
        except RunFolderError:
            return False  # the file is there, what is in it not yet

    wait_until(enough, f"{ended} trials", process)


def test_more_trials_go_on_where_the_last_run_stopped(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        run(trials=5, store=store)
    with SqliteStore(tmp_path) as store:
        again = run(trials=5, store=store)
        assert len(again.history) == 5
        assert again.stopped == "5 trials are done"
        assert again.best is not None
        more = run(trials=8, store=store)
    assert len(more.history) == 8


def test_a_folder_of_another_study(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        run(trials=2, store=store)
        with pytest.raises(RunFolderError, match=r"space \"toy\".*got space \"tiny\""):
            run(space=Space(toys.tiny), store=store)
        with pytest.raises(RunFolderError, match="seed 0"):
            run(seed=5, store=store)
        with pytest.raises(RunFolderError, match="objectives"):
            run(objectives=BOTH, store=store)
        assert len(store.record().trials) == 2


def test_failures_have_a_reason_and_the_search_goes_on() -> None:
    history = run(evaluator=Scripted(), trials=40, strategy=Spread()).history
    reasons = {t.architecture["edge0"]: (t.state, t.reason) for t in history.trials}
    assert reasons[0] == (State.FINISHED, "")
    state, reason = reasons[1]
    assert state is State.FAILED
    assert reason.startswith("ZeroDivisionError: by nothing (study_toys.py:")
    assert reasons[2] == (State.PRUNED, "too big")
    assert reasons[3] == (State.FAILED, "accuracy is NaN")
    assert reasons[4] == (State.FAILED, "diverged at epoch 2")
    pruned = next(t for t in history.trials if t.state is State.PRUNED)
    assert pruned.metrics == {"params": 99.0}


def test_pruned_trials_do_not_count() -> None:
    result = run(evaluator=Scripted(), trials=30, strategy=Spread())
    states = [t.state for t in result.history.trials]
    assert states.count(State.FINISHED) + states.count(State.FAILED) == 30
    assert states.count(State.PRUNED) > 0


def test_too_many_pruned_stop_the_study() -> None:
    evaluator = Always(TrialPruned("limit params<=1 broken"))
    result = run(evaluator=evaluator, trials=2)
    assert len(result.history) == 100
    assert result.stopped == ("100 trials were pruned, the last one because limit params<=1 broken")
    assert result.best is None


def test_first_trials_all_fail() -> None:
    evaluator = Always(RuntimeError("mat1 and mat2 do not fit"))
    store = MemoryStore()
    with pytest.raises(WorkError, match="mat1 and mat2 do not fit") as caught:
        run(evaluator=evaluator, store=store)
    assert "5 that failed" in str(caught.value)
    assert [t.state for t in store.record().trials] == [State.FAILED] * 5
    # Mended and run again, it goes on, and what failed before takes nothing from the budget.
    result = run(store=store)
    assert len(result.history.finished) == 20
    assert len(run(store=store).history) == 25, "the budget is spent now"


def test_fewer_trials_than_that_all_fail() -> None:
    store = MemoryStore()
    for session in (1, 2):
        with pytest.raises(WorkError, match="no luck"):
            run(evaluator=Always(ValueError("no luck")), trials=3, store=store)
        assert len(store.record().trials) == 3 * session
    assert store.record().sessions[-1].closed == ALL_FAILED
    seen: list[Progress] = []
    assert len(run(trials=3, store=store, on_event=seen.append).history.finished) == 3
    assert seen[-1].left == 0


@pytest.mark.usefixtures("clock")
def test_time_of_nothing_but_failures_is_not_charged() -> None:
    class Slow(Always):
        def evaluate(self, *args):  # type: ignore[no-untyped-def]
            time.sleep(15)
            raise self.error

    store = MemoryStore()
    with pytest.raises(WorkError, match="no luck"):
        run(evaluator=Slow(ValueError("no luck")), trials=None, seconds=20, store=store)
    result = run(evaluator=Toy(pause=2, epochs=1), trials=None, seconds=20, store=store)
    assert len(result.history.finished) == 10


def killed(store: Store, number: int) -> None:
    """Begin a session, start a trial and leave, as a process does that is killed."""
    record = store.begin(store.meta())
    store.start(record.trials[number], "main")


def test_a_trial_that_kills_its_process_is_given_up() -> None:
    store = MemoryStore()
    run(trials=3, store=store)
    trial = Trial(3, toys.space().default(), seed=7)
    store.propose(trial, "main")
    for _ in range(PROCESS_DEATHS - 2):
        killed(store, 3)
    store.begin(store.meta())
    assert store.record().deaths == {3: PROCESS_DEATHS - 1}
    store.start(trial, "main")
    seen: list[Progress] = []
    result = run(trials=6, store=store, on_event=seen.append)
    gone = store.record().trials[3]
    assert (gone.state, gone.attempts) == (State.FAILED, PROCESS_DEATHS)
    assert f"{PROCESS_DEATHS} processes" in gone.reason
    assert [p.trial.number for p in seen if p.kind == "ended"] == [3, 4, 5]
    assert len(result.history.finished) == 5
    assert result.stopped == "6 trials are done"


def test_fewer_deaths_than_that_or_ends_in_between_fail_nothing() -> None:
    store = MemoryStore()
    run(trials=1, store=store)
    first, second = Trial(1, toys.space().default()), Trial(2, toys.space().default())
    store.propose(first, "main")
    store.propose(second, "other")
    for _ in range(PROCESS_DEATHS - 2):
        killed(store, 1)
    store.begin(store.meta())
    assert store.record().deaths == {1: PROCESS_DEATHS - 1, 2: 1}
    store.start(second, "main")
    store.finish(second, State.FINISHED, {"accuracy": 0.5, "params": 1.0})
    assert not store.record().deaths
    killed(store, 1)
    result = run(trials=5, store=store)
    assert {t.state for t in result.history.trials} == {State.FINISHED}


def test_interrupts_are_no_deaths() -> None:
    store = MemoryStore()
    run(trials=1, store=store)
    trial = Trial(1, toys.space().default())
    store.propose(trial, "main")
    for _ in range(PROCESS_DEATHS):
        store.give_back([trial], "interrupted")
        store.start(trial, "main")
    result = run(trials=2, store=store)
    assert result.history.trials[1].state is State.FINISHED


def test_of_trials_that_ran_together_one_is_given_up() -> None:
    store = MemoryStore()
    run(trials=1, store=store)
    pair = [Trial(n, toys.space().default()) for n in (1, 2)]
    for trial in pair:
        store.propose(trial, "main")
    for _ in range(PROCESS_DEATHS - 1):
        for trial in store.begin(store.meta()).trials[1:]:
            store.start(trial, "main")
    result = run(trials=4, store=store)
    assert [t.state is State.FAILED for t in result.history.trials] == [False, True, False, False]


@pytest.mark.processes
def test_a_process_that_dies_under_a_trial_each_time(tmp_path: Path) -> None:
    code = """
import sys
import study_toys as toys
from pathlib import Path
from archsmith.study import SqliteStore, Study
folder = Path(sys.argv[1])
with SqliteStore(folder) as store:
    Study(toys.space(), toys.Spread(), toys.Deadly(folder, 99), toys.ACCURACY,
          store=store, trials=2, seed=1).run()
"""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    ends = []
    while len(ends) < 2 * PROCESS_DEATHS and (not ends or ends[-1]):
        ends.append(subprocess.run(command, env=environment, timeout=PATIENCE).returncode)
    assert ends == [-signal.SIGKILL] * PROCESS_DEATHS + [0]
    with SqliteStore(tmp_path, read=True) as reader:
        trials = reader.record().trials
    assert [toys.odd(t.architecture) for t in trials] == [True, False]
    assert [t.state for t in trials] == [State.FAILED, State.FINISHED]


@pytest.mark.usefixtures("clock")
def test_pruning_alone_ends_a_study_with_a_time_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.study.budget.PRUNED_IN_TIME", 30)

    class Big(Toy):
        def evaluate(self, *args):  # type: ignore[no-untyped-def]
            metrics = super().evaluate(*args)
            raise TrialPruned("limit params<=0.5 broken", metrics)

    limits = [Limit("params", "<=", 0.5)]
    result = run(evaluator=Big(), strategy=Spread(), limits=limits, trials=None, seconds=60.0)
    assert len(result.history) == 30
    least = min(t.metrics["params"] for t in result.history.trials)
    assert result.stopped == (
        "30 trials were pruned, the last one because limit params<=0.5 broken; of those that "
        f"broke {limits[0]}, the nearest had {least:g}"
    )
    # One that has finished proves that the limits can be kept: time alone decides then.
    slow = Scripted(pause=1, epochs=1)
    mixed = run(evaluator=slow, strategy=Spread(), trials=None, seconds=300.0)
    assert mixed.stopped == "300 seconds are over"
    assert len(mixed.history) == 300
    assert len(mixed.history.pruned) > 30


def test_what_is_new_on_resuming_is_kept() -> None:
    store = MemoryStore()
    old = {"command": "search --trials 2", "trials": 2, "data": "digits", "device": "cpu"}
    run(trials=2, store=store, meta=old)
    before = store.meta()
    run(trials=3, store=store, meta={**old, "command": "search --trials 3", "trials": 3})
    after = store.meta()
    assert (after["command"], after["trials"]) == ("search --trials 3", 3)
    assert {k for k in after if after[k] != before[k]} == {"command", "trials"}
    assert after["created"] == before["created"]


def test_a_new_trial_makes_the_winner_stale(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        run(trials=2, store=store)
        for name in ("winner", "default", "final.abc"):
            store.note(name, "abc")
        run(trials=2, store=store)
        assert store.record().notes == dict.fromkeys(("winner", "default", "final.abc"), "abc")
        run(trials=3, store=store)
        assert store.record().notes == {"final.abc": "abc"}


def test_another_evaluator_or_another_strategy_is_another_study() -> None:
    store = MemoryStore()
    evolution = RegularizedEvolution(population=4, sample=2)
    run(trials=1, store=store, strategy=StartFrom([], evolution), evaluator=Stages([Toy()]))
    meta = store.meta()
    assert meta["evaluator"] == "toy"
    assert meta["strategy_arguments"] == {"population": 4, "sample": 2}
    wider = RegularizedEvolution(population=5, sample=2)
    with pytest.raises(RunFolderError, match="strategy_arguments"):
        run(store=store, strategy=StartFrom([], wider))

    class Other(Toy):
        name = "other"

    with pytest.raises(RunFolderError, match='evaluator "toy"'):
        run(store=store, strategy=StartFrom([], evolution), evaluator=Other())
    # A record from before these were kept goes on, and still does not claim to know them.
    old = {k: v for k, v in meta.items() if k not in ("evaluator", "strategy_arguments")}
    store.write_meta(old)
    run(trials=2, store=store, strategy=StartFrom([], wider), evaluator=Other())
    assert "evaluator" not in store.meta()


def test_arguments_are_what_a_strategy_was_made_with() -> None:
    class Wrapper(Spread):
        def __init__(self, inner: Strategy, rates: tuple[float, ...], secret: object) -> None:
            self.inner, self.rates, self.secret, self.cache = inner, rates, secret, [1, 2]

    evolution = RegularizedEvolution(population=4, sample=2)
    assert arguments_of(Wrapper(evolution, (0.1, 0.2), object())) == {
        "inner": {"name": "evolution", "population": 4, "sample": 2},
        "rates": (0.1, 0.2),
    }
    # The wording of a note and what is found to start from may differ between two calls.
    first = StartFrom([toys.space().default()], evolution, note="default")
    assert arguments_of(first) == arguments_of(StartFrom([], evolution)) == arguments_of(evolution)


def test_an_architecture_that_the_space_refuses_is_drawn_again() -> None:
    class Clumsy(Spread):
        def propose(self, space, history, rng):  # type: ignore[no-untyped-def]
            if rng.random() < 0.5:
                raise SpaceError("edge0", "one of 0, 1", "9")
            return super().propose(space, history, rng)

    assert len(run(strategy=Clumsy(), trials=10).history.finished) == 10

    class Hopeless(Spread):
        def propose(self, *args):  # type: ignore[no-untyped-def]
            raise SpaceError("edge0", "one of 0, 1", "9")

    with pytest.raises(SpaceError, match="edge0"):
        run(strategy=Hopeless())


def test_ties_go_to_the_lower_loss(tmp_path: Path) -> None:
    class Coarse(Toy):
        """Accuracy in steps of a half; the loss tells more."""

        def evaluate(self, architecture, fidelity, seed, watch):  # type: ignore[no-untyped-def]
            super().evaluate(architecture, fidelity, seed, watch)
            draw = random.Random(seed).random()
            return {"accuracy": round(2 * draw) / 2, "params": 1.0, "loss": (7 * draw) % 1}

    def compare(progress: Progress) -> None:
        history = study.history
        assert study.incumbents.front() == history.front()
        assert study.incumbents.best is history.best()

    with SqliteStore(tmp_path) as store:
        study = Study(
            toys.space(),
            Spread(),
            Coarse(epochs=1, weights=True),
            ACCURACY,
            store=store,
            trials=30,
            on_event=compare,
        )
        result = study.run()
    finished = result.history.finished
    top = [t for t in finished if t.metrics["accuracy"] == 1.0]
    assert len(top) > 2
    best = min(top, key=lambda t: t.metrics["loss"])
    assert best is not top[0]
    assert result.best is best
    assert result.front == sorted(top, key=lambda t: t.metrics["loss"])
    assert result.history.ranked(finished)[0] is best
    assert Incumbents(result.history).best is best
    files = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert files == [f"{best.number:05d}.safetensors"]


def test_an_exhausted_space_ends_the_study() -> None:
    result = run(space=Space(toys.tiny), strategy=Each(), trials=50)
    assert len(result.history) == 4
    assert result.stopped == "all 4 architectures were seen"


def test_missing_metric_fails_the_trial() -> None:
    class Less(Toy):
        def evaluate(self, *args):  # type: ignore[no-untyped-def]
            return {"params": 1.0}

    with pytest.raises(WorkError, match="accuracy is missing"):
        run(evaluator=Less())


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        run(objectives=[Objective("acuracy", "maximize")])
    with pytest.raises(UnknownNameError, match="latency"):
        run(limits=[Limit("latency_ms", "<=", 3)])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"trials": 0}, "trials"),
        ({"seconds": 0.0}, "seconds"),
        ({"trials": None}, "budget"),
        ({"objectives": []}, "objectives"),
    ],
)
def test_budgets_must_make_sense(options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        run(**options)


def test_time_counts_over_resumes(tmp_path: Path, clock: Clock) -> None:
    slow = Toy(pause=5, epochs=1)
    with SqliteStore(tmp_path) as store:
        first = run(evaluator=slow, trials=4, seconds=60, store=store)
    assert len(first.history) == 4
    clock.sleep(1000)  # between sessions no time is counted
    with SqliteStore(tmp_path) as store:
        second = run(evaluator=slow, trials=None, seconds=60, store=store)
    assert second.seconds == 60
    assert len(second.history) == 12
    assert second.stopped == "60 seconds are over"
    assert not second.history.running


def test_progress_is_told() -> None:
    seen: list[Progress] = []
    run(evaluator=Toy(epochs=2), trials=3, on_event=seen.append)
    kinds = ["started", "epoch", "epoch", "ended"]
    assert [p.kind for p in seen] == kinds * 3
    assert [p.running for p in seen[:4]] == [1, 1, 1, 0]
    last = seen[-1]
    assert (last.finished, last.failed, last.pruned, last.wanted) == (3, 0, 0, 3)
    assert last.left == 0
    assert last.best is not None
    assert seen[1].trial.curve[0] == {"epoch": 1, "loss": 1.0}
    assert seen[0].left is None


@pytest.mark.parametrize("objectives", [ACCURACY, BOTH], ids=["one", "two"])
def test_incumbents_equal_the_front_at_every_step(objectives: list[Objective]) -> None:
    limits = [Limit("params", "<=", 15)]
    sizes: list[int] = []

    def compare(progress: Progress) -> None:
        assert study.incumbents.front() == study.history.front()
        assert study.incumbents.best is study.history.best()
        sizes.append(len(study.history.front()))

    study = Study(toys.space(), Spread(), Toy(), objectives, limits, trials=60, on_event=compare)
    result = study.run()
    assert Incumbents(result.history).front() == result.front
    assert sizes[0] == 0
    assert 0 < max(sizes) < 60


def test_equal_losses_share_the_front() -> None:
    class Same(Toy):
        def evaluate(self, *args):  # type: ignore[no-untyped-def]
            return {"accuracy": 0.5, "params": 1.0}

    result = run(evaluator=Same(), objectives=BOTH, trials=6)
    assert result.front == result.history.front() == result.history.trials
    assert result.best is result.history.trials[0]


def test_weights_of_the_front_alone_are_kept(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    for trials in (6, 12):
        with SqliteStore(tmp_path) as store:
            result = run(
                evaluator=Toy(epochs=1, weights=True),
                trials=trials,
                objectives=BOTH,
                store=store,
                strategy=Spread(),
            )
        files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
        first = {result.history.losses(t): t for t in reversed(result.front)}
        kept = sorted(t.number for t in first.values())
        assert files == [f"{number:05d}.safetensors" for number in kept]
        assert len(files) < trials
    assert result.best is not None
    weights = load_file(checkpoint_path(tmp_path, result.best.number))
    assert weights["weight"].tolist() == [result.best.seed % 1000] * 2


def test_leftovers_of_a_killed_worker_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "00099.safetensors").write_bytes(b"x")
    (folder / "00001.safetensors.123.tmp").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    with SqliteStore(tmp_path) as store:
        run(trials=2, store=store)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_full_disk_stops_the_study_and_it_can_go_on(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        assert isinstance(store, SqliteStore)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="ended trials are safe"):
            run(trials=500, store=store)
    with SqliteStore(tmp_path) as store:
        safe = len(store.record().ended)
        assert safe > 5
        result = run(trials=safe + 5, store=store)
    assert toys.rows(result.history.trials) == toys.rows(run(trials=safe + 5).history.trials)


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_return_the_running_trial(tmp_path: Path, number: signal.Signals) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    timer = threading.Timer(0.4, os.kill, [os.getpid(), number])
    with SqliteStore(tmp_path) as store:
        timer.start()
        result = run(evaluator=Toy(pause=0.03, epochs=2), trials=50, store=store)
    assert result.interrupted
    assert result.stopped == "interrupted"
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    with SqliteStore(tmp_path, read=True) as reader:
        record = reader.record()
        assert record.sessions[-1].closed == "interrupted"
        assert State.RUNNING not in {t.state for t in record.trials}
        assert 0 < len(record.ended) < 50
    with SqliteStore(tmp_path) as store:
        result = run(evaluator=Toy(), trials=len(record.trials) + 2, store=store)
    whole = run(evaluator=Toy(), trials=len(record.trials) + 2)
    assert toys.rows(result.history.trials) == toys.rows(whole.history.trials)


def test_a_study_runs_outside_the_main_thread() -> None:
    results: list[StudyResult] = []
    thread = threading.Thread(target=lambda: results.append(run(trials=3)))
    thread.start()
    thread.join()
    assert len(results[0].history.finished) == 3


@pytest.mark.slow
def test_time_left_goes_by_the_pace_of_this_session(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with SqliteStore(tmp_path) as store:
        run(evaluator=Toy(pause=0.2, epochs=1), trials=3, store=store)
        run(evaluator=Toy(pause=0.01, epochs=1), trials=8, store=store, on_event=seen.append)
    assert seen[0].left is None
    ends = [p for p in seen if p.kind == "ended"]
    assert ends[0].left is not None
    assert ends[0].left < 0.4, "four more of 0.01 s, not of 0.2 s"
    assert ends[-1].left == 0
