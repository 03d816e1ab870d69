"""Searching with shared weights, as users start it: every method, resuming, limits, trust."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError, WorkError
from archsmith._support.weights import read, write
from archsmith.history.trial import State
from archsmith.supernet import methods
from archsmith.workflow.finalist import train_to_end
from archsmith.workflow.listener import Listener
from archsmith.workflow.oneshot import OneShot, one_shot
from archsmith.workflow.run import Run
from archsmith.workflow.trust import measure_trust
from moments import set_clock, wait_until

SPACE = f"{Path(__file__).parent / 'oneshot_space.py'}:small"
SHORT = ("--epochs", 1, "--trials", 4, "--final-epochs", 1, "--finalists", 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", methods.names())
def test_every_method_searches(method):
    result = nas.search(SPACE, "digits", strategy=method, epochs=1, trials=2, finalists=0)
    assert len(result.history.finished) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spos", "enas", "darts"])
def test_kinds_of_methods_search_from_the_command_line(archsmith, tmp_path, method):
    run = tmp_path / "run"
    done = archsmith(
        "search", "digits", "--space", SPACE, "--strategy", method, *SHORT, "--run", run, "--json"
    )
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["strategy"] == f"{method}+auto"
    assert len(told["trials"]) == 4
    assert told["winner"]["test"]["accuracy"] > 0.1
    shared = told["supernet"]
    assert shared["method"] == method
    assert shared["parameters"] > 0
    assert sum(shared["visits"]["first"].values()) > 0
    assert set(shared["visits"]["first"]) == {"conv3", "conv1", "skip"}
    assert (run / "supernet.safetensors").exists()
    assert not (run / "supernet").exists()
    assert "shared weights" in (run / "report.html").read_text("utf-8").lower()


@pytest.mark.slow
def test_a_training_that_takes_all_the_time_is_not_for_nothing():
    """The epoch ends when its share of the time does; a late end leaves one trial, not none."""
    result = nas.search(SPACE, "digits", strategy="spos", time=0.05, finalists=0)
    assert [trial.state for trial in result.history.trials] == [State.FINISHED]
    assert result.stopped.endswith("seconds are over")


def test_the_supernet_is_surveyed_before_the_time_is_divided(monkeypatch):
    """That took 40 s, for which no part of the time was set aside."""
    from archsmith.workflow import looking, oneshot, search

    done: list[str] = []
    for module, name in ((looking, "untrained_net"), (search, "divide")):
        real = getattr(module, name)

        def told(*args, name=name, real=real):
            done.append(name)
            return real(*args)

        monkeypatch.setattr(module, name, told)
    monkeypatch.setattr(oneshot, "untrained_net", None)  # nor is it made again after the plan
    nas.search(SPACE, "digits", strategy="spos", time=2, finalists=0)
    assert done == ["untrained_net", "divide"]


def test_names_say_what_searches_on_the_weights():
    plan = one_shot("fairnas+nsga2")
    assert isinstance(plan, OneShot)
    assert (plan.method.name, plan.then.name, plan.name) == ("fairnas", "nsga2", "fairnas+nsga2")
    assert one_shot("evolution") is None
    assert one_shot(nas.SPOS()).name == "spos+auto"
    with pytest.raises(UnknownNameError, match="spos"):
        one_shot("spso+evolution")
    with pytest.raises(UnknownNameError, match="evolution"):
        one_shot("spos+evoluton")


@pytest.mark.slow
def test_several_objectives_and_limits(tmp_path):
    result = nas.search(
        SPACE,
        "digits",
        strategy="spos+nsga2",
        minimize="params",
        limits={"params": 1500},
        epochs=1,
        trials=6,
        finalists=0,
        run=tmp_path / "run",
    )
    finished = result.history.finished
    assert finished
    assert all(trial.metrics["params"] <= 1500 for trial in finished)
    assert result.front


@pytest.mark.slow
@pytest.mark.parametrize("method", ["darts", "gdas"])
def test_limits_hold_for_what_a_method_derives(tmp_path, method):
    result = nas.search(
        SPACE,
        "digits",
        strategy=method,
        limits={"params": 1500},
        epochs=1,
        trials=3,
        finalists=0,
        run=tmp_path / "run",
    )
    derived = [t for t in result.history.trials if "number" in t.note]
    assert derived
    assert all(trial.metrics["params"] <= 1500 for trial in derived)


@pytest.mark.slow
def test_a_finished_search_is_not_trained_again(tmp_path):
    def search() -> tuple[nas.SearchResult, dict[str, object]]:
        run = tmp_path / "run"
        result = nas.search(
            SPACE, "digits", strategy="spos", epochs=1, trials=3, finalists=0, run=run
        )
        return result, Run(run).record.notes["supernet"]

    (first, facts), (second, again) = search(), search()
    assert facts == again
    assert [t.architecture for t in first.history.trials] == [
        t.architecture for t in second.history.trials
    ]


@pytest.mark.slow
def test_the_winner_may_inherit_its_weights(tmp_path):
    found = {}
    for inherit in (False, True):
        result = nas.search(
            SPACE,
            "digits",
            strategy="spos",
            epochs=12,
            trials=2,
            final_epochs=1,
            finalists=1,
            inherit=inherit,
            run=tmp_path / f"run-{inherit}",
        )
        assert result.best is not None
        found[inherit] = result.best.curve[0]["loss"]
    assert found[True] < found[False]


@pytest.mark.slow
def test_trust_is_measured_and_reported(archsmith, tmp_path):
    run = tmp_path / "run"
    nas.search(SPACE, "digits", strategy="spos", epochs=2, trials=3, finalists=0, run=run)
    done = archsmith("trust", run, "--sample", 4, "--epochs", 1, "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert len(told["sample"]) == 4
    assert told["verdict"] == "unknown"  # four are too few for a verdict
    assert told["random"]["architectures"] >= 1
    assert -1 <= told["after"]["tau"]["value"] <= 1
    assert "trained for 1 epochs" in (run / "report.html").read_text("utf-8")
    # What was trained is kept: a larger sample goes on from it.
    record = Run(run).record.notes
    alone = [name for name in record if name.startswith("alone.")]
    measure_trust(Run(run), 7, epochs=1)
    more = [name for name in Run(run).record.notes if name.startswith("alone.")]
    assert set(alone) < set(more)


@pytest.mark.slow
def test_trust_needs_shared_weights(tmp_path):
    run = tmp_path / "run"
    nas.search(SPACE, "digits", strategy="random", epochs=1, trials=1, finalists=0, run=run)
    with pytest.raises(InputError, match="--strategy spos"):
        measure_trust(Run(run), 4)


#: A search whose supernet is held once the checkpoint of its third epoch is written.
KILLED = """
import time
import torch
import archsmith as nas
from archsmith.supernet import checkpoint

def held(folder, session, method, epoch, over, save=checkpoint.save):
    save(folder, session, method, epoch, over)
    while epoch == 3:
        time.sleep(1)

checkpoint.save = held
torch.set_num_threads(1)
nas.search({space!r}, "digits", strategy="spos", epochs=5, trials=3, finalists=0, run={run!r})
"""


@pytest.mark.processes
def test_a_killed_supernet_goes_on(tmp_path):
    run = tmp_path / "run"
    script = KILLED.format(space=SPACE, run=str(run))
    process = subprocess.Popen([sys.executable, "-c", script])
    wait_until(lambda: list((run / "supernet").glob("epoch-00003")), "three epochs", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list((run / "supernet").glob("epoch-*"))
    resumed = nas.search(SPACE, "digits", strategy="spos", epochs=5, trials=3, finalists=0, run=run)
    straight = nas.search(
        SPACE, "digits", strategy="spos", epochs=5, trials=3, finalists=0, run=tmp_path / "straight"
    )
    assert [t.metrics["loss"] for t in resumed.history.trials] == [
        t.metrics["loss"] for t in straight.history.trials
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--strategy", "sopos"], "spos"),
        (["--strategy", "spos", "--share", 0.5], "epochs or time"),
        (["--strategy", "evolution", "--inherit"], "one-shot method"),
        (["--strategy", "spos", "--epochs", 0], "epoch"),
        (["--strategy", "darts", "--space", SPACE.replace("small", "values")], "spos"),
        (["--strategy", "spos", "--space", SPACE.replace("small", "drawn")], "draw"),
    ],
)
def test_wrong_input_is_told_before_anything_is_trained(archsmith, tmp_path, options, told):
    space = [] if "--space" in options else ["--space", SPACE]
    done = archsmith("search", "digits", *space, *options, "--run", tmp_path / "run")
    assert done.status == 2, done.err
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_it_works_without_a_run_folder():
    result = nas.search(SPACE, "digits", strategy="gdas", epochs=1, trials=3, final_epochs=1)
    assert result.best is not None
    assert result.best.test["accuracy"] > 0.1
    assert result.run is None


@pytest.mark.slow
def test_workers_read_the_weights_from_the_run_folder(tmp_path):
    told = {}
    for workers in (1, 2):
        result = nas.search(
            SPACE,
            "digits",
            strategy="spos+grid",
            epochs=1,
            trials=4,
            finalists=0,
            workers=workers,
            run=tmp_path / f"{workers}",
        )
        told[workers] = {t.architecture: t.metrics["loss"] for t in result.history.finished}
    assert told[1].keys() == told[2].keys()
    for architecture, loss in told[1].items():
        assert told[2][architecture] == pytest.approx(loss, rel=1e-4)
    with pytest.raises(InputError, match="run folder"):
        nas.search(SPACE, "digits", strategy="spos", workers=2)


@pytest.mark.slow
def test_ctrl_c_while_the_weights_are_trained_loses_nothing(tmp_path):
    rows: list[float] = []

    def interrupt(row: Mapping[str, float], epochs: int) -> None:
        rows.append(row["epoch"])
        if rows == [1.0, 2.0]:
            raise KeyboardInterrupt

    def search() -> nas.SearchResult:
        return nas.search(
            SPACE,
            "digits",
            strategy="spos",
            epochs=4,
            trials=3,
            finalists=0,
            run=tmp_path / "run",
            listener=nas.Listener(shared=interrupt),
        )

    first = search()
    assert first.interrupted
    assert not first.history.trials
    second = search()
    assert not second.interrupted
    assert rows == [1.0, 2.0, 3.0, 4.0]
    assert len(second.history.finished) == 3


@pytest.mark.slow
def test_time_is_shared_between_weights_and_search(tmp_path, monkeypatch):
    set_clock(monkeypatch, 0.01)
    result = nas.search(SPACE, "digits", strategy="spos", time=8, finalists=0, run=tmp_path / "run")
    seconds = Run(tmp_path / "run").record.notes["supernet"]["seconds"]
    assert 1 < seconds < 12  # of 8 s, less what data, checks and report take
    assert result.seconds < 20
    assert result.history.finished


@pytest.mark.slow
def test_what_cannot_be_shared_leaves_the_folder_free(archsmith, tmp_path):
    """The message says to take another method: the same folder has to serve it."""
    space, run = SPACE.replace("small", "unlike"), tmp_path / "run"
    refused = archsmith(
        "search", "digits", "--space", space, "--strategy", "darts", *SHORT, "--run", run
    )
    assert refused.status == 2
    assert "one output shape" in refused.err
    done = archsmith(
        "search", "digits", "--space", space, "--strategy", "spos", *SHORT, "--run", run
    )
    assert done.status == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "gone", "other shapes"])
def test_weights_that_cannot_be_read_are_told_before_the_work(archsmith, tmp_path, damage):
    run = tmp_path / "run"
    command = [
        "search",
        "digits",
        "--space",
        SPACE,
        "--strategy",
        "spos",
        "--epochs",
        1,
        "--finalists",
        0,
        "--run",
        run,
    ]
    assert archsmith(*command, "--trials", 2).status == 0
    file = run / "supernet.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:300])
    elif damage == "gone":
        file.unlink()
    else:
        tensors, meta = read(file)
        write(file, {**tensors, "0.bias": torch.zeros(9)}, meta)
    trust = archsmith("trust", run, "--sample", 2, "--epochs", 1)
    assert trust.status == 2, trust.err
    assert str(file) in trust.err
    assert "delete the file" in trust.err
    again = archsmith(*command, "--trials", 2)  # all done: nothing has to be read
    assert again.status == (2 if damage == "cut" else 0), again.err
    more = archsmith(*command, "--trials", 4)
    if damage == "gone":  # made anew
        assert more.status == 0, more.err
    else:
        assert more.status == 2
        assert str(file) in more.err
        assert "delete the file" in more.err
        file.unlink()
        assert archsmith(*command, "--trials", 4).status == 0
    assert all(t.state is State.FINISHED for t in Run(run).history.trials)


@pytest.mark.slow
def test_trust_in_a_search_that_was_stopped_says_how_to_go_on(archsmith, tmp_path):
    run = tmp_path / "run"

    def stop(row: Mapping[str, float], epochs: int) -> None:
        raise KeyboardInterrupt

    nas.search(
        SPACE,
        "digits",
        strategy="spos",
        epochs=2,
        trials=2,
        finalists=0,
        run=run,
        command="archsmith search digits",
        listener=Listener(shared=stop),
    )
    done = archsmith("trust", run, "--sample", 2)
    assert done.status == 2
    assert "stopped before" in done.err
    assert "archsmith search digits continues it" in done.err


def test_a_file_without_its_table_is_refused(archsmith, tmp_path):
    done = archsmith("trust", tmp_path, "--file", "nb201.npz")
    assert done.status == 2
    assert "--table" in done.err


@pytest.mark.slow
def test_what_a_search_inherits_is_the_same_to_its_end(archsmith, tmp_path):
    run = tmp_path / "run"
    options = {"strategy": "spos", "epochs": 12, "trials": 3, "final_epochs": 1, "finalists": 1}
    nas.search(SPACE, "digits", **options, inherit=True, run=run)
    with pytest.raises(InputError, match="finalists that begin with the shared weights"):
        nas.search(SPACE, "digits", **options, run=run)
    # Another trial is trained as the finalists were.
    opened = Run(run)
    trained = {name for name in opened.record.notes if name.startswith("final.")}
    other = next(t for t in opened.history.trials if f"final.{t.architecture.id}" not in trained)
    inherited = opened.train(other.number).curve[0]["train_loss"]
    alone = train_to_end(opened.problem, other.architecture, other.number, 0)
    assert inherited < alone.curve[0]["train_loss"]


@pytest.mark.slow
def test_random_search_did_not_find_what_diverged(tmp_path, monkeypatch):
    """The first architecture of the sample diverges; random search takes the best of the others."""
    run = tmp_path / "run"
    nas.search(SPACE, "digits", strategy="spos", epochs=1, trials=2, finalists=0, run=run)
    alone = iter([float("nan"), 0.25, 0.5, 0.75, 0.5])

    def trained(self: object, architecture: nas.Architecture) -> dict[str, float]:
        return {"accuracy": next(alone), "seconds": 0.0}

    monkeypatch.setattr("archsmith.workflow.trust._Judging._train", trained)
    found = measure_trust(Run(run), 4, epochs=1)
    assert found.random is not None
    assert found.random.value == 0.75


@pytest.mark.slow
def test_a_method_that_derives_nothing_says_so_in_the_report(monkeypatch, tmp_path):
    def nothing(self: nas.Method, session: object, count: int) -> list[nas.Architecture]:
        raise WorkError("darts", "an architecture that keeps the limits", "none")

    monkeypatch.setattr(methods.get("darts"), "derive", nothing)
    run = tmp_path / "run"
    nas.search(SPACE, "digits", strategy="darts", epochs=1, trials=2, finalists=0, run=run)
    assert "darts derives nothing" in (run / "report.html").read_text("utf-8")
