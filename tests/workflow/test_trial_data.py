"""What a trial learns from: enough steps, and the same part of the data for all."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import RunFolderError
from archsmith.data.partition import strata, subset
from archsmith.history.trial import Fidelity
from archsmith.strategy.rungs import ladder
from archsmith.study.fidelity import offered
from archsmith.task.base import Recipe
from archsmith.task.fidelity import LEAST_STEPS, enough, steps_of
from archsmith.task.problem import open_problem
from archsmith.train import steps as training
from archsmith.workflow.evaluator import build_evaluator, objectives_for


def net(features: int, outputs: int) -> nn.Module:
    width = nas.choose("width", [4, 8, 16])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The parts of the data that trainings draw."""
    drawn: list[list[int]] = []

    def draw(groups: Any, share: float, seed: int) -> Any:
        kept = subset(groups, share, seed)
        if share < 1:
            drawn.append(kept.tolist())
        return kept

    monkeypatch.setattr(training, "subset", draw)
    return drawn


def search(run: Path | None = None, **options: Any) -> nas.SearchResult:
    known = {"trials": 2, "strategy": "random", "epochs": 1, "share": 0.3, "finalists": 0}
    return nas.search(net, "iris", run=run, **{**known, **options})  # type: ignore[arg-type]


def test_all_trials_of_a_study_learn_from_one_part(parts: list[list[int]]) -> None:
    search(trials=3)
    assert len(parts) == 3
    assert parts[0] == parts[1] == parts[2]
    search(seed=1, trials=1)
    assert parts[3] != parts[0], "another study draws another part"


def test_the_part_holds_every_class_and_every_size_of_value() -> None:
    rng = random.Random(0)
    classes = np.array([rng.choice([0] * 8 + [1, 2]) for _ in range(1000)])
    kept = subset(strata(classes), 0.1, seed=3)
    for label in range(3):
        share = (classes[kept] == label).sum() / (classes == label).sum()
        assert abs(share - 0.1) < 0.01
    values = np.array([rng.expovariate(1.0) for _ in range(1000)])
    tenths = np.searchsorted(
        np.quantile(values, np.arange(0.1, 1, 0.1)), values[subset(strata(values), 0.1, seed=3)]
    )
    assert np.bincount(tenths, minlength=10).tolist() == [10] * 10
    smaller = set(subset(strata(values), 0.05, seed=3).tolist())
    assert smaller < set(subset(strata(values), 0.1, seed=3).tolist())


def forget_subset(folder: Path) -> None:
    """Make the record one of an older archsmith."""
    with sqlite3.connect(folder / "study.db") as record:
        record.execute("DELETE FROM meta WHERE name = 'subset'")


@pytest.mark.slow
def test_a_study_of_an_older_archsmith_goes_on_as_it_began(
    parts: list[list[int]], tmp_path: Path
) -> None:
    search(tmp_path, trials=1)
    forget_subset(tmp_path)
    result = search(tmp_path, trials=2, epochs=None, share=None)
    assert {(t.fidelity.epochs, t.fidelity.share) for t in result.history.trials} == {(1, 0.3)}
    result = search(tmp_path, trials=3, epochs=None)
    assert len(result.history.finished) == 3
    assert len({tuple(part) for part in parts[1:]}) == 2, "each trial has a part of its own"
    with pytest.raises(RunFolderError, match="fidelity"):
        search(tmp_path, trials=3, epochs=2)


@pytest.mark.parametrize(
    ("fidelity", "examples", "epochs", "share"),
    [
        (Fidelity(8, 1.0), 48_000, 8, 1.0),  # 6,000 steps
        (Fidelity(2, 0.02), 50_000, 2, 250 * 64 / 50_000),  # large pictures: 31 steps
        (Fidelity(2, 1.0), 1280, 25, 1.0),  # twenty steps an epoch
        (Fidelity(2, 1.0), 64, 40, 1.0),  # no more than the recipe trains
        (Fidelity(None, 1.0), 64, 40, 1.0),
    ],
)
def test_few_steps_are_made_enough(
    fidelity: Fidelity, examples: int, epochs: int, share: float
) -> None:
    found = enough(fidelity, examples, Recipe(epochs=40, batch_size=64))
    assert (found.epochs, found.share) == (epochs, pytest.approx(share))


@pytest.mark.slow
def test_trials_on_large_pictures_take_enough_steps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (400, 128, 128, 3), dtype=np.uint8)
    np.savez(tmp_path / "large.npz", x=x, y=np.arange(400) % 2)
    problem = open_problem(None, tmp_path / "large.npz")
    assert problem.fidelity.epochs is not None
    seen = round(problem.fidelity.share * len(problem.data.train))
    steps = problem.fidelity.epochs * steps_of(seen, problem.recipe.batch_size)
    assert steps >= LEAST_STEPS


def test_ladders_start_where_there_are_enough_steps() -> None:
    problem = open_problem(None, "digits", epochs=27)
    objectives, limits = objectives_for(problem, (), (), ())
    problem.subset = 0
    known = offered(build_evaluator(problem, objectives, limits), problem.fidelity)
    rungs = ladder("hyperband", known, eta=3, min_epochs=1)
    each = steps_of(len(problem.data.train), problem.recipe.batch_size)
    assert rungs == (9, 27)
    assert known[0] * each >= LEAST_STEPS > (known[0] - 1) * each
    problem.subset = None  # an older study keeps its ladder
    known = offered(build_evaluator(problem, objectives, limits), problem.fidelity)
    assert ladder("hyperband", known, eta=3, min_epochs=1) == (1, 3, 9, 27)


def test_a_short_full_training_has_one_rung_below_it_all_the_same() -> None:
    problem = open_problem(None, "digits", epochs=2)
    problem.subset = 0
    assert problem.least_epochs == 1
    problem.fidelity = Fidelity(5)
    assert problem.least_epochs == 4
