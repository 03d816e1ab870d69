"""Data that is given as objects: arrays, tensors, frames, and how they are split."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import archsmith as nas
from archsmith._support.errors import DataError, InputError, MissingExtraError
from archsmith.task.problem import open_problem, read_data

pd = pytest.importorskip("pandas")


def rows(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, 3))
    return inputs, (inputs.sum(1) > 0).astype(np.int64)


def test_a_pair_is_what_a_file_of_it_is(tmp_path):
    inputs, targets = rows()
    np.savez(tmp_path / "data.npz", x=inputs, y=targets)
    read = nas.ReadOptions(seed=3)
    task, given = read_data((inputs, targets), None, read)
    again, file = read_data(tmp_path / "data.npz", None, read)
    assert task.name == again.name == "tabular-classification"
    assert given.digest() == file.digest()
    assert given.facts == file.facts
    assert given.source == ""


def test_three_pairs_are_three_parts():
    parts = tuple(rows(count) for count in (30, 20, 10))
    _, data = read_data(parts, None, nas.ReadOptions())
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 20, 10]


def test_tensors_of_images_are_images():
    images, labels = torch.rand(40, 3, 8, 8), torch.arange(40) % 4
    problem = open_problem("convnet", (images, labels))
    assert problem.task.name == "image-classification"
    assert problem.data.facts["channels"] == 3


def test_frames_keep_their_columns_and_texts():
    inputs, targets = rows()
    frame = pd.DataFrame(inputs, columns=["a", "b", "c"]).assign(
        kind=np.where(inputs[:, 0] > 0, "x", "y"), target=np.where(targets, "yes", "no")
    )
    task, data = read_data(frame, None, nas.ReadOptions())
    assert task.name == "tabular-classification"
    assert [column["name"] for column in data.facts["columns"]] == ["a", "b", "c", "kind"]
    assert data.facts["class_names"] == ["no", "yes"]
    pair = (frame.drop(columns="target"), frame["target"])
    assert read_data(pair, None, nas.ReadOptions())[1].digest() == data.digest()


def test_a_frame_without_pyarrow_names_the_extra(monkeypatch):
    def absent(*args, **kwargs):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[data\]'"):
        read_data(pd.DataFrame({"a": [1.0, 2.0], "y": [0, 1]}), None, nas.ReadOptions())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, "a pair"),
        ((rows()[0],), "a pair"),
        ((rows()[0], rows()[1][:7]), "60 targets"),
        ((rows()[0], np.array([object()] * 60)), "numbers or texts"),
        ((rows()[0] * np.nan, rows()[1]), "a column that differs"),
        ((rows()[0] * np.inf, rows()[1]), "finite"),
        (torch.utils.data.TensorDataset(torch.rand(4, 2), torch.rand(4)), "a pair"),
    ],
)
def test_what_cannot_be_read_is_told(given, told):
    with pytest.raises((InputError, DataError), match=told) as caught:
        read_data(given, None, nas.ReadOptions())
    assert "/tmp" not in str(caught.value)


@pytest.mark.slow
def test_a_study_of_arrays_goes_on_and_knows_its_data(tmp_path):
    call = {"trials": 2, "epochs": 1, "final_epochs": 1, "finalists": 1, "run": tmp_path / "run"}
    first = nas.search("mlp", rows(), **call)
    assert first.best is not None
    again = nas.search("mlp", rows(), **{**call, "trials": 3})
    assert len(again.history.trials) == 3
    with pytest.raises(InputError, match="the data that the study there was begun on"):
        nas.search("mlp", (rows()[0] + 1, rows()[1]), **call)
    with pytest.raises(InputError, match="given as objects") as caught:
        nas.Run(tmp_path / "run").train(0)
    assert "give the same search again" in str(caught.value)
    assert nas.Run(tmp_path / "run", data=rows()).train(0).validation


def test_columns_that_a_split_goes_by_are_no_features(tmp_path):
    inputs, targets = rows(100)
    frame = pd.DataFrame(inputs, columns=["a", "b", "c"]).assign(
        patient=[f"p{i % 20}" for i in range(100)],
        day=[f"2026-{1 + i // 25:02d}-{1 + i % 25:02d}" for i in range(100)],
        target=targets,
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    by_group, by_day = nas.ReadOptions(group="patient"), nas.ReadOptions(order="day")
    _, data = read_data(tmp_path / "t.csv", None, by_group)
    assert "patient" not in [column["name"] for column in data.facts["columns"]]
    assert [len(part) for part in (data.train, data.validation, data.test)] == [60, 20, 20]
    _, data = read_data(tmp_path / "t.csv", None, by_day)
    assert torch.allclose(data.test.inputs[:, :3], torch.from_numpy(inputs[80:]).float())
    with pytest.raises(DataError, match="other than the target"):
        read_data(tmp_path / "t.csv", None, nas.ReadOptions(group="target"))
    with pytest.raises(InputError, match="group or order, not both"):
        nas.ReadOptions(group="patient", order="day")


def test_own_data_is_split_by_groups_and_times():
    inputs, targets = torch.arange(40.0)[:, None], torch.arange(40) % 2
    train, validation, test = nas.split_data((inputs, targets), order=range(40))
    assert train.inputs.flatten().tolist() == list(map(float, range(24)))
    assert test.inputs.flatten().tolist() == list(map(float, range(32, 40)))
    parts = nas.split_data((inputs, targets), groups=[i // 4 for i in range(40)])
    owners = [{int(value) // 4 for value in part.inputs.flatten()} for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    del validation
    # What comes of it is data for a search without a loss too.
    assert read_data(parts, None, nas.ReadOptions())[0].name == "tabular-classification"


@pytest.mark.parametrize("column", ["label", "class", "y", "price"])
def test_a_frames_own_column_is_never_taken_for_the_targets_beside_it(column):
    inputs, targets = rows()
    frame = pd.DataFrame(inputs, columns=["a", "b", column])
    _, data = read_data((frame, pd.Series(targets, name="price")), None, nas.ReadOptions())
    assert [entry["name"] for entry in data.facts["columns"]] == ["a", "b", column]
    assert data.facts["class_names"] == ["0", "1"]


def test_a_frame_with_a_column_target_beside_its_targets_is_refused():
    inputs, targets = rows()
    frame = pd.DataFrame(inputs, columns=["a", "b", "Target"])
    with pytest.raises(InputError, match="target"):
        read_data((frame, targets), None, nas.ReadOptions())
