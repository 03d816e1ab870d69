"""Data is known by what it holds: moved it goes on, changed it is refused at every door."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch

import archsmith as nas
from archsmith._support.errors import InputError, RunFolderError
from archsmith.evaluate.base import TrialFailed, Watch
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.export import load_model
from archsmith.history.trial import Fidelity
from archsmith.study.sameness import data_change
from archsmith.task.problem import open_problem

SMALL = {"trials": 1, "epochs": 1, "final_epochs": 2, "finalists": 1}


def write(path: Path, unit: float = 1.0, kinds: str = "low high", classes: str = "no yes") -> None:
    """A table of a measure, a kind and a class, the same rows in whatever unit and words."""
    rng = random.Random(0)
    rows = ["size,kind,label"]
    for _ in range(120):
        size, kind = rng.random(), rng.randrange(2)
        label = classes.split()[(size > 0.5) == (kind == 1)]
        rows.append(f"{size * unit:.6f},{kinds.split()[kind]},{label}")
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a finished study on it."""
    folder = tmp_path_factory.mktemp("begun")
    write(folder / "t.csv")
    nas.search("mlp", folder / "t.csv", run=folder / "run", **SMALL)
    return folder


@pytest.fixture
def here(begun: Path, tmp_path: Path) -> Path:
    """Both moved elsewhere: nothing is at the old path's name any more."""
    shutil.copytree(begun, tmp_path / "moved")
    with sqlite3.connect(tmp_path / "moved" / "run" / "study.db") as db:
        old = str(tmp_path / "old" / "t.csv")
        db.execute("UPDATE meta SET value = ? WHERE name = 'data'", (json.dumps(old),))
    from archsmith.workflow.reopening import signature_of

    with sqlite3.connect(tmp_path / "moved" / "run" / "study.db") as db:
        signed = signature_of(nas.Run(tmp_path / "moved" / "run").meta)
        db.execute("UPDATE meta SET value = ? WHERE name = 'signature'", (json.dumps(signed),))
    return tmp_path / "moved"


@pytest.mark.slow
def test_a_moved_study_exports_without_its_data_what_it_exported_with_it(begun, here, tmp_path):
    nas.Run(begun / "run", data=begun / "t.csv").export(tmp_path / "a", onnx=False)
    final, parity = nas.Run(here / "run").export(tmp_path / "c", onnx=False)
    assert parity.ok
    records = [json.loads((tmp_path / n / "architecture.json").read_text()) for n in "ac"]
    assert records[0] == records[1]
    ours = load_model(tmp_path / "c").state_dict()
    assert all(torch.equal(tensor, final.weights[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_a_moved_study_goes_on_where_it_is_told_where_its_data_is(here, archsmith):
    run, data = here / "run", here / "t.csv"
    done = archsmith("train", run)
    assert done.status == 2
    assert "--data PATH" in done.err
    done = archsmith("report", run)
    assert (done.status, "no predictions" in done.err) == (0, True)
    assert "diagram" not in done.err, "which needs the space alone"
    assert archsmith("train", run, "--data", data).status == 0
    assert archsmith("report", run, "--data", data).err == ""
    # The search itself, renamed data and all, goes on and keeps the new place.
    data.rename(here / "renamed.csv")
    result = nas.search("mlp", here / "renamed.csv", run=run, **{**SMALL, "trials": 2})
    assert len(result.history.trials) == 2
    assert archsmith("train", run).status == 0


CHANGES = [
    ({"unit": 1000.0}, "mean"),
    ({"kinds": "weak strong"}, "categories"),
    ({"classes": "ja nein"}, "class_names"),
    ({"classes": "yes no"}, "mean"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"), CHANGES, ids=[next(iter(change)) for change, _ in CHANGES]
)
def test_changed_data_is_refused_at_every_door(change, says, begun, tmp_path, archsmith):
    shutil.copytree(begun / "run", tmp_path / "run")
    write(tmp_path / "t.csv", **change)
    to = ["--to", tmp_path / "out"]
    for name, *more in (["train"], ["export", *to], ["report"]):
        done = archsmith(name, tmp_path / "run", *more, "--data", tmp_path / "t.csv")
        assert done.status == 2, name
        assert says in done.err
        assert "begun on" in done.err
    with pytest.raises(RunFolderError, match=says):
        nas.search("mlp", tmp_path / "t.csv", run=tmp_path / "run", **SMALL)


@pytest.mark.slow
def test_data_that_changes_in_its_place_is_refused(tmp_path, archsmith):
    write(tmp_path / "t.csv")
    nas.search("mlp", tmp_path / "t.csv", run=tmp_path / "run", **SMALL)
    write(tmp_path / "t.csv", classes="yes no")
    assert archsmith("train", tmp_path / "run").status == 2
    done = archsmith("report", tmp_path / "run")
    assert "no predictions" in done.err
    # A folder from before facts and examples were kept needs the data, and compares it.
    with sqlite3.connect(tmp_path / "run" / "study.db") as db:
        db.execute("DELETE FROM meta WHERE name = 'facts'")
    done = archsmith("export", tmp_path / "run", "--to", tmp_path / "out")
    assert done.status == 2
    assert "other data" in done.err


def test_a_worker_that_reads_other_data_trains_on_none_of_it(tmp_path):
    write(tmp_path / "t.csv")
    problem = open_problem("mlp", tmp_path / "t.csv")
    made = TrainingEvaluator(
        problem.space,
        problem.source,
        problem.options,
        problem.task.name,
        problem.recipe,
        data=problem.data,
    )
    worker = TrainingEvaluator.__new__(TrainingEvaluator)
    worker.__dict__.update(made.__getstate__())
    default = problem.space.default()
    assert "accuracy" in worker.evaluate(default, Fidelity(1), 0, Watch())
    write(tmp_path / "t.csv", classes="yes no")
    worker.__dict__.update(made.__getstate__())
    with pytest.raises(TrialFailed, match="has changed since"):
        worker.evaluate(default, Fidelity(1), 0, Watch())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [("features", 10**13), ("features", "many"), ("class_names", [1, 2]), ("classes", 7)],
)
def test_facts_that_no_task_can_use_are_refused(name, value, begun, tmp_path):
    shutil.copytree(begun / "run", tmp_path / "run")
    run = nas.Run(tmp_path / "run")
    run.meta["facts"] = run.meta["facts"] | {name: value}
    run.meta["signature"] = ""
    with pytest.raises(InputError, match="facts"):
        run.export(tmp_path / "out", onnx=False)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "bytes", "shape"])
def test_examples_that_are_damaged_are_not_used(damage, begun, tmp_path):
    from archsmith._support.weights import write as write_tensors

    shutil.copytree(begun / "run", tmp_path / "run")
    path = tmp_path / "run" / "final" / "examples.safetensors"
    if damage == "gone":
        path.unlink()
    elif damage == "bytes":
        path.write_bytes(path.read_bytes()[:40])
    else:
        write_tensors(path, {"inputs": torch.zeros(9, 1), "targets": torch.zeros(9)})
    run = nas.Run(tmp_path / "run", data=None)
    assert len(run.outline.data.validation) == 0
    run.meta["data"], run.meta["signature"] = str(begun / "t.csv"), ""
    with pytest.raises(InputError, match="--data"):
        run.export(tmp_path / "out", onnx=False)


def test_words_of_a_change() -> None:
    known = {"digest": "a", "facts": {"mean": [0.1, 0.2], "names": ["x", "y"]}, "summary": ["9"]}
    near = {"mean": [0.1 + 1e-12, 0.2], "names": ["x", "y"], "new": 1}
    assert data_change(known, known | {"facts": near}) == ""
    assert data_change({}, known) == "", "what was not recorded is not compared"
    far = known | {"facts": near | {"mean": [0.1, 0.21]}}
    assert data_change(known, far) == "mean[1] is 0.21, was 0.2"
    assert data_change(known, known | {"digest": "b", "summary": ["8"]}) == "'8' was '9'"
    assert "many of them" in data_change(known, known | {"digest": "b"})
