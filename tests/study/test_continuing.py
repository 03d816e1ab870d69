"""Promoted trials continue the training of the trial that was promoted."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import continuing_toys as toys
import pytest
import torch

from archsmith.evaluate.base import Watch
from archsmith.history.trial import Fidelity, History, Proposal, State, Trial, as_json
from archsmith.space.architecture import Architecture
from archsmith.strategy.asha import ASHA
from archsmith.strategy.hyperband import Hyperband
from archsmith.study import SqliteStore, continuing
from archsmith.study.continuing import States
from archsmith.study.fidelity import part, worth
from archsmith.study.record import Event, replay
from archsmith.study.study import Study


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trials_of(history: History) -> list[tuple[Any, ...]]:
    """What must not depend on interruptions."""
    return [
        (t.number, t.architecture, t.fidelity, t.metrics, t.continues, t.trained, t.kept, t.reason)
        for t in history.trials
    ]


def states_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").glob("*.state.safetensors")}


def check_links(history: History) -> list[Trial]:
    """The trials that continue another; each must be the promotion of that one."""
    linked = [t for t in history.ended if t.continues is not None]
    for trial in linked:
        start = history.trials[trial.continues]  # type: ignore[index]
        assert start.architecture == trial.architecture
        assert start.fidelity.order < trial.fidelity.order
        assert start.kept < start.fidelity.epochs
        assert trial.trained == trial.fidelity.epochs - start.kept
        assert len(trial.curve) == trial.fidelity.epochs  # those of the start included
        assert trial.reason == ""
    return linked


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ASHA, Hyperband])
def test_a_promotion_equals_one_training_and_costs_only_what_it_adds(kind: Any) -> None:
    _, result = toys.run(4, strategy=kind())
    linked = check_links(result.history)
    assert len(linked) >= 3
    assert {t.number for t in linked} == {
        t.number for t in result.history.trials if t.note.startswith("promoted")
    }
    for trial in linked[:3]:
        first = trial
        while first.continues is not None:
            first = result.history.trials[first.continues]
        metrics = toys.evaluator().evaluate(trial.architecture, trial.fidelity, first.seed, Watch())
        assert metrics == trial.metrics
        assert as_json(trial)["continues"] == trial.continues
    # The budget counts what was trained.
    epochs = sum(
        t.fidelity.epochs if t.trained is None else t.trained for t in result.history.ended
    )
    assert 4 <= epochs / 9 < 5
    _, anew = toys.run(4, strategy=kind(), anew=True)
    assert len(anew.history) < len(result.history)
    assert all(t.continues is None and t.kept == 0 for t in anew.history.trials)


@pytest.mark.slow
def test_other_schedules_train_from_the_start() -> None:
    study = Study(
        toys.space(), ASHA(), toys.evaluator(), toys.ACCURACY, trials=1, fidelity=toys.FIDELITY
    )
    assert study.evaluator.continues
    assert not toys.evaluator(anew=True).continues
    cosine = toys.evaluator()
    cosine.recipe = toys.Recipe(epochs=9)
    assert not cosine.continues


@pytest.mark.slow
def test_several_workers_continue_and_keep_what_can_still_rise(tmp_path: Path) -> None:
    with SqliteStore(tmp_path) as store:
        study, result = toys.run(4, store, workers=2)
    assert len(check_links(result.history)) >= 3
    assert states_in(tmp_path) == {f"{n:05d}.state.safetensors" for n in study.states.kept}
    continued = {t.continues for t in result.history.ended}
    assert not continued & study.states.kept


@pytest.mark.slow
def test_a_study_that_was_killed_equals_one_that_was_not(tmp_path: Path) -> None:
    _, whole = toys.run(3)
    script = Path(toys.__file__)
    finished, kills = 0, 0
    while finished < len(whole.history) - 1 and kills < 2:
        process = subprocess.Popen([sys.executable, str(script), str(tmp_path), "3"])
        want = finished + 6
        while process.poll() is None:
            lines = ended_in(tmp_path)
            if lines >= want:
                process.kill()
                break
            with_pause(process)
        process.wait()
        finished, kills = ended_in(tmp_path), kills + 1
    with SqliteStore(tmp_path) as store:
        _, resumed = toys.run(3, store)
    assert trials_of(resumed.history) == trials_of(whole.history)
    assert check_links(resumed.history)


def ended_in(folder: Path) -> int:
    if not (folder / "study.db").is_file():
        return 0
    try:
        with SqliteStore(folder, read=True) as store:
            return len(store.record().ended)
    except Exception:
        return 0  # it is only being made


def with_pause(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_its_state_a_trial_trains_from_the_start_and_says_so(
    tmp_path: Path, damage: str
) -> None:
    with SqliteStore(tmp_path) as store:
        _, first = toys.run(1, store)
    for name in states_in(tmp_path):
        path = tmp_path / "checkpoints" / name
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with SqliteStore(tmp_path) as store:
        _, second = toys.run(3, store)
        read = store.record()
    later = second.history.trials[len(first.history) :]
    anew = [t for t in later if t.reason]
    assert anew
    for trial in anew:
        assert trial.state is State.FINISHED
        assert trial.reason.startswith(
            f"trained from the start, not from where trial {trial.continues} was: "
        )
        assert trial.trained == trial.fidelity.epochs == len(trial.curve)
        assert part(trial, (1, 3, 9)) == trial.fidelity.epochs / 9
        assert trial.kept > 0
    assert trials_of(second.history) == trials_of(_history(read))


def _history(record: Any) -> History:
    history = History(toys.ACCURACY)
    history.trials = record.trials
    return history


def link(
    states: States, number: int, answers: dict[str, Any], epochs: int, share: float = 1.0
) -> Trial:
    proposal = Proposal(Architecture(answers))
    return states.link(number, proposal, Fidelity(epochs, share), seed=0)


def ended(
    number: int, width: int, epochs: int, accuracy: float, continues: int | None = None
) -> Trial:
    trial = Trial(number, Architecture({"width": width}), Fidelity(epochs), continues=continues)
    trial.state, trial.metrics, trial.kept = State.FINISHED, {"accuracy": accuracy}, 0.8 * epochs
    return trial


def test_what_is_kept_is_bounded_and_what_was_continued_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "RISING", 3)
    monkeypatch.setattr(continuing, "FINAL", 2)
    history = History(toys.ACCURACY, epochs=(1, 3))
    states = States(history, tmp_path, on=True)
    (tmp_path / "checkpoints").mkdir()

    def close(trial: Trial) -> set[int]:
        history.add(trial)
        history.close(trial)
        path = tmp_path / "checkpoints" / f"{trial.number:05d}.state.safetensors"
        path.touch()
        states.close(trial)
        assert states_in(tmp_path) == {f"{n:05d}.state.safetensors" for n in states.kept}
        return states.kept

    for number, accuracy in enumerate((0.1, 0.5, 0.3, 0.4, 0.2)):
        kept = close(ended(number, number, 1, accuracy))
    assert kept == {1, 2, 3}
    running = link(states, 5, {"width": 2}, 3)
    assert (running.continues, running.trained) == (2, pytest.approx(2.2))
    history.add(running)
    for number, accuracy in ((6, 0.6), (7, 0.7)):
        kept = close(ended(number, number, 1, accuracy))
    assert kept == {1, 2, 6, 7}, "what a running trial continues stays"
    running.state, running.metrics, running.kept = State.FINISHED, {"accuracy": 0.9}, 2.4
    (tmp_path / "checkpoints" / "00005.state.safetensors").touch()
    history.close(running)
    states.close(running)
    assert states.kept == {1, 6, 7, 5}
    for number, accuracy in ((8, 0.95), (9, 0.5)):
        kept = close(ended(number, number, 3, accuracy))
    assert kept == {1, 6, 7, 5, 8}
    failed = ended(10, 10, 3, 1.0)
    failed.state = State.FAILED
    assert close(failed) == kept
    again = States(history, tmp_path, on=True)
    assert again.kept == kept
    assert States(history, tmp_path, on=False).kept == set()
    other = link(states, 11, {"width": 6}, 3, 0.5)
    assert other.continues is None, "on other data"


def test_a_record_of_an_older_version_still_opens() -> None:
    proposed = {"architecture": {"width": 2}, "epochs": 3, "share": 1.0, "seed": 1, "note": ""}
    events = [
        Event("opened", -1, 0.0, {"pid": 1, "host": "here"}),
        Event("proposed", 0, 1.0, proposed),
        Event("started", 0, 1.0, {"worker": "main"}),
        Event("ended", 0, 2.0, {"state": "finished", "metrics": {"accuracy": 0.5}, "reason": ""}),
    ]
    (trial,) = replay(events).trials
    assert (trial.continues, trial.trained, trial.kept) == (None, None, 0.0)
    assert "continues" not in as_json(trial)
    history = History(toys.ACCURACY, epochs=(3, 9))
    history.add(trial)
    history.close(trial)
    following = link(States(history, None, on=True), 1, {"width": 2}, 9)
    assert following.continues is None


def test_a_trial_counts_the_epochs_that_it_trained() -> None:
    trial = Trial(1, Architecture({}), Fidelity(9), continues=0, trained=6.6)
    assert part(trial, (1, 3, 9)) == pytest.approx(6.6 / 9)
    trial.state = State.PRUNED
    trial.curve = [{"epoch": float(i)} for i in range(1, 5)]  # two of them are of trial 0
    assert worth(trial, (1, 3, 9)) == pytest.approx(1.6 / 9)
    trial.curve = []
    assert worth(trial, (1, 3, 9)) == 0
    counts = [worth(t, (9,)) for t in (Trial(0, Architecture({}), Fidelity(9)), trial)]
    assert all(a > b for a, b in pairwise(counts))
