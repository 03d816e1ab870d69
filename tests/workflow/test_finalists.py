"""Training to the end: failures cost one architecture, the default may win, interruptions keep."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from torch import nn

import archsmith as nas
from archsmith.evaluate import Price
from archsmith.strategy.random import RandomSearch
from archsmith.study import SqliteStore, Study
from archsmith.workflow import finalists as finals
from archsmith.workflow.finalist import Finalist, train_to_end

BUDGET = {"trials": 4, "epochs": 1, "final_epochs": 1}


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 6, 8, 10, 12])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


def noisy(features: int, classes: int) -> nn.Module:
    print("a builder that talks")
    return net(features, classes)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Widths in the order in which they are trained to the end."""
    order: list[int] = []

    def watched(problem, architecture, number, seed, *more) -> Finalist:
        order.append(architecture["width"])
        return train_to_end(problem, architecture, number, seed, *more)

    monkeypatch.setattr(finals, "train_to_end", watched)
    return order


@pytest.mark.slow
def test_a_finalist_that_fails_gives_its_turn_to_the_next(monkeypatch, tmp_path):
    failed: list[int] = []

    def fails_first(problem, architecture, number, seed, *more) -> Finalist:
        if not failed or architecture["width"] in failed:
            failed.append(architecture["width"])
            raise nas.WorkError(f"trial {number}", "a training that converges", "a NaN loss")
        return train_to_end(problem, architecture, number, seed, *more)

    monkeypatch.setattr(finals, "train_to_end", fails_first)
    result = nas.search(net, "iris", run=tmp_path / "run", finalists=1, **BUDGET)
    assert result.best is not None
    assert result.best.architecture["width"] != failed[0]
    assert any("NaN loss" in problem for problem in result.problems)
    assert "NaN loss" in (tmp_path / "run" / "report.html").read_text()


def test_where_all_fail_the_search_and_its_report_are_kept(monkeypatch, tmp_path):
    def fails(*_: object) -> Finalist:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(finals, "train_to_end", fails)
    result = nas.search(net, "iris", run=tmp_path / "run", **BUDGET)
    assert result.best is None
    assert len(result.history.finished) == 4
    assert result.report is not None
    assert all("out of memory" in problem for problem in result.problems)


@pytest.mark.slow
def test_the_default_stays_the_best_where_nothing_beats_it(monkeypatch):
    def default_wins(problem, architecture, number, seed, *more) -> Finalist:
        final = train_to_end(problem, architecture, number, seed, *more)
        is_default = architecture == problem.space.default()
        final.validation["accuracy"] = 1.0 if is_default else 0.1
        return final

    monkeypatch.setattr(finals, "train_to_end", default_wins)
    result = nas.search(net, "iris", **BUDGET)
    assert result.best.architecture == result.default.architecture


@pytest.mark.slow
def test_a_winner_that_breaks_a_limit_is_told(monkeypatch, tmp_path):
    def slow(problem, architecture, number, seed, *more) -> Finalist:
        final = train_to_end(problem, architecture, number, seed, *more)
        final.costs["latency_ms"] = 99.0
        return final

    monkeypatch.setattr(finals, "train_to_end", slow)
    limits = {"latency_ms": 50}
    result = nas.search(net, "iris", limits=limits, run=tmp_path / "run", **BUDGET)
    assert any("latency_ms<=50" in problem for problem in result.problems)
    assert nas.Run(tmp_path / "run").content(pictures=False).warnings


@pytest.mark.slow
def test_an_interruption_keeps_the_search_and_what_was_trained(monkeypatch, tmp_path, trained):
    real = finals.train_to_end
    calls: list[int] = []

    def interrupted(*arguments: object, **named: object) -> Finalist:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(finals, "train_to_end", interrupted)
    options = {"space": net, "data": "iris", "run": tmp_path / "run", "finalists": 2, **BUDGET}
    first = nas.search(**options)
    assert first.interrupted
    assert first.best is None
    assert first.report is not None
    assert "nothing trained to the end" in nas.Run(tmp_path / "run").content(False).progress
    done = list(trained)
    second = nas.search(**options)
    assert second.best is not None
    assert len(trained) == len(set(trained)), "what was trained is not trained again"
    assert done[0] in trained


@pytest.mark.slow
def test_the_test_part_is_looked_at_for_winner_and_default_alone(tmp_path):
    run = tmp_path / "run"
    result = nas.search(net, "iris", run=run, finalists=3, **BUDGET)
    opened = nas.Run(run)
    notes = {k: v for k, v in opened.record.notes.items() if k.startswith("final.")}
    assert len(notes) >= 3
    tested = {v["id"] for v in notes.values() if v["test"]}
    assert tested == {result.best.architecture.id, result.default.architecture.id}
    other = next(t for t in opened.history.trials if t.architecture.id not in tested)
    assert not nas.Run(run).train(other.number).test
    assert nas.Run(run).train(other.number, test=True).test


@pytest.mark.processes
def test_json_stands_alone_on_standard_output(tmp_path):
    command = [sys.executable, "-m", "archsmith.cli", "search", "iris", "--json"]
    command += ["--space", f"{__file__}:noisy", "--run", str(tmp_path / "run")]
    command += ["--trials", "2", "--epochs", "1", "--final-epochs", "1", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["winner"]["test"]["accuracy"] > 0
    assert "a builder that talks" in done.stderr


def test_a_folder_of_a_bare_study_is_refused_by_name(tmp_path, archsmith):
    class Constant(nas.Evaluator):
        name = "constant"
        price = Price.TABLE
        provides = ("accuracy",)

        def evaluate(self, *_: object) -> dict[str, float]:
            return {"accuracy": 1.0}

    with SqliteStore(tmp_path / "bare") as store:
        Study(
            nas.Space(net, features=4, classes=3),
            RandomSearch(),
            Constant(),
            [nas.Objective("accuracy", "maximize")],
            store=store,
            trials=2,
        ).run()
    done = archsmith("show", tmp_path / "bare")
    assert done.status == 2
    assert "nas.search" in done.err
